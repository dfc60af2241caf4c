//! pcap_dump(3PCAP), pcap_dump_open(3PCAP), pcap-savefile(5); and WinPcap's pcap_live_dump.

use crate::support::{S, US, frames, frames_at, open};
use npf_core::capture::{Capture, Dumper, Packet};
use npf_core::{ControlError, DropReason, DumpLimits, Mode};
use std::io::{Error, Write};

/// The packets of a savefile: seconds, microseconds, caplen, len, first byte.
fn packets(mut file: &[u8], snaplen: u32) -> Vec<[u32; 5]> {
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(file[..8], [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0], "microseconds, version 2.4");
    assert_eq!((word(file, 8), word(file, 12)), (0, 0), "time zone, accuracy");
    assert_eq!((word(file, 16), word(file, 20)), (snaplen, 1), "Ethernet");
    file = &file[24..];
    let mut found = vec![];
    while !file.is_empty() {
        let caplen = word(file, 8);
        found.push([word(file, 0), word(file, 4), caplen, word(file, 12), file[16].into()]);
        file = &file[16 + caplen as usize..];
    }
    found
}

#[test]
fn a_savefile_holds_what_was_read() {
    let mut playback = frames_at([US, 7 * S + 3 * US, 8 * S]);
    let mut capture = Capture::create(&mut playback);
    capture.set_snaplen(40).unwrap();
    capture.set_timeout_ms(1).unwrap();
    capture.activate().unwrap();
    let mut file = capture.dump_open(Vec::new()).unwrap();
    assert_eq!(file.ftell(), 24);
    capture.loop_(2, |packet| file.dump(&packet).unwrap()).unwrap();
    assert_eq!(file.ftell(), 24 + 2 * (16 + 40));
    file.flush().unwrap();
    let file = file.close().unwrap();
    assert_eq!(packets(&file, 40), [[0, 1, 40, 60, 1], [7, 3, 40, 60, 2]]);
}

/// A writer that fails after so many bytes.
#[derive(Debug)]
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(Error::other("disk full"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn errors_of_the_writer_come_back() {
    assert_eq!(Dumper::new(Full(23), 96).unwrap_err().to_string(), "disk full");
    let packet = Packet { sec: 0, usec: 0, caplen: 4, len: 4, data: &[1; 4] };
    let mut file = Dumper::new(Full(24 + 20 + 19), 96).unwrap();
    file.dump(&packet).unwrap();
    assert_eq!(file.dump(&packet).unwrap_err().to_string(), "disk full");
    assert_eq!(file.ftell(), 44, "only whole packets count");
}

/// pcap_live_dump: the driver writes the same file, and the program reads nothing.
#[test]
fn a_live_dump_ends_at_its_limit() {
    let mut playback = frames(5);
    let mut capture = open(&mut playback);
    let refused = ControlError::NotDumping { handle: 0 };
    assert_eq!(capture.live_dump_ended(true), Err(refused.into()));
    let limits = DumpLimits { max_packets: Some(3), ..DumpLimits::default() };
    capture.live_dump(limits).unwrap();
    assert_eq!(capture.live_dump_ended(false), Ok(false));
    assert_eq!(capture.live_dump_ended(true), Ok(true));
    assert_eq!(capture.dispatch(-1, |_| panic!("nothing is read")), Ok(0));
    assert_eq!(capture.platform().dump_file(0).len(), 24 + 3 * 76);
    capture.loop_(-1, |_| ()).unwrap();
    let counters = capture.close().unwrap();
    assert_eq!((counters.dumped, counters.dropped[DropReason::DumpEnded.index()]), (3, 2));
    let file = packets(playback.dump_file(0), 262_144);
    assert_eq!(file.iter().map(|packet| packet[4]).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(playback.dump_file(1).is_empty());
}

#[test]
fn a_live_dump_without_limits_ends_when_the_mode_does() {
    let mut playback = frames(5);
    let mut capture = open(&mut playback);
    capture.live_dump(DumpLimits::default()).unwrap();
    assert_eq!(capture.live_dump_ended(true), Ok(false), "the traffic ends first");
    capture.setmode(Mode::Capture).unwrap();
    assert_eq!(packets(capture.platform().dump_file(0), 262_144).len(), 5);
    let small = DumpLimits { max_bytes: Some(23), ..DumpLimits::default() };
    let refused = ControlError::DumpTooSmall { asked: 23, least: 24 };
    assert_eq!(capture.live_dump(small), Err(refused.into()));
}
