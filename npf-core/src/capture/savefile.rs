//! The savefile that a program writes from the packets it has read (pcap-savefile(5)).
//!
//! Contract: version 2.4 with microseconds, integers little-endian, link type Ethernet; whole packets in
//! the order of the calls. The bytes go to the caller's writer, which is where errors come from.

use super::Packet;
use crate::savefile::{file_header, packet_header};
use std::io::{self, Write};

/// An open savefile (`pcap_dumper_t`).
#[derive(Debug)]
pub struct Dumper<W: Write> {
    out: W,
    bytes: u64,
    /// The packet being written, with its header.
    record: Vec<u8>,
}

impl<W: Write> Dumper<W> {
    /// Begins a savefile of packets of at most `snaplen` bytes each.
    ///
    /// # Errors
    ///
    /// What `out` says.
    #[doc(alias = "pcap_dump_open")]
    pub fn new(mut out: W, snaplen: u32) -> io::Result<Self> {
        let header = file_header(snaplen);
        out.write_all(&header)?;
        Ok(Dumper { out, bytes: header.len() as u64, record: Vec::new() })
    }

    /// Appends a packet, in one write. Seconds are kept modulo 2^32, as the file's field is.
    ///
    /// # Errors
    ///
    /// What the writer says; the file may end in the middle of the packet then.
    #[doc(alias = "pcap_dump")]
    pub fn dump(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let Packet { sec, usec, caplen, len, data } = *packet;
        self.record.clear();
        self.record.extend_from_slice(&packet_header(sec as u32, usec, caplen, len));
        self.record.extend_from_slice(data);
        self.out.write_all(&self.record)?;
        self.bytes += self.record.len() as u64;
        Ok(())
    }

    /// Bytes of the file so far.
    #[doc(alias = "pcap_dump_ftell")]
    pub fn ftell(&self) -> u64 {
        self.bytes
    }

    /// Flushes the writer.
    ///
    /// # Errors
    ///
    /// What the writer says.
    #[doc(alias = "pcap_dump_flush")]
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Flushes the writer and gives it back.
    ///
    /// # Errors
    ///
    /// What the writer says.
    #[doc(alias = "pcap_dump_close")]
    pub fn close(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}
