//! Capture files: any bytes are read to their end, or to a fault that says where it is.

use std::path::Path;

use harness::source::Records;

/// The bytes, as a pcap or pcapng file.
pub fn run(bytes: &[u8]) {
    let mut frame = Vec::new();
    let mut records = match Records::read(bytes, Path::new("fuzz.pcap")) {
        Ok(records) => records,
        Err(fault) => return assert!(!fault.to_string().is_empty()),
    };
    // Each record takes a header at least, so this ends.
    for read in 0.. {
        assert!(read <= bytes.len(), "more records than bytes");
        match records.next(&mut frame) {
            Ok(Some(_)) => assert!(frame.len() <= bytes.len(), "a frame larger than the file"),
            Ok(None) => break,
            Err(fault) => return assert!(!fault.to_string().is_empty()),
        }
    }
}
