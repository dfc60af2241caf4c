//! Tests of the capture readers, against files made by hand in memory.

use std::io::Cursor;
use std::path::PathBuf;

use super::*;

mod faults;
mod files;
mod pcap;
mod pcapng;
mod timing;

/// A capture section with every default.
fn capture() -> Capture {
    Capture { file: PathBuf::from("x"), timing: Timing::Original, limit: None, repeat: 1 }
}

fn open(bytes: &[u8], capture: &Capture) -> Result<CaptureSource<Cursor<Vec<u8>>>, SourceFault> {
    CaptureSource::new(capture, Input::new(Cursor::new(bytes.to_vec()), Path::new("x.pcap")))
}

/// Start times and frames up to the end or the fault.
type Played = (Vec<(u64, Vec<u8>)>, Option<SourceFault>, Vec<Notice>);

fn play(bytes: &[u8], capture: &Capture) -> Played {
    let mut source = match open(bytes, capture) {
        Ok(source) => source,
        Err(fault) => return (Vec::new(), Some(fault), Vec::new()),
    };
    let (mut frames, mut frame) = (Vec::new(), vec![1, 2, 3]);
    let fault = loop {
        match source.next(&mut frame) {
            Ok(Some(arrival)) => frames.push((arrival.earliest_ps, frame.clone())),
            Ok(None) => break None,
            Err(fault) => break Some(fault),
        }
    };
    assert!(source.next(&mut frame).unwrap().is_none(), "after the end or a fault comes the end");
    (frames, fault, source.notices())
}

/// Plays a file that is whole.
fn frames(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let (frames, fault, _) = play(bytes, &capture());
    assert!(fault.is_none(), "{}", fault.unwrap());
    frames
}

/// Numbers in one byte order.
#[derive(Clone, Copy)]
struct Writer {
    big: bool,
}

impl Writer {
    fn u16(self, value: u16) -> [u8; 2] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32(self, value: u32) -> [u8; 4] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn words(self, values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|&value| self.u32(value)).collect()
    }

    /// The head of a pcap file.
    fn pcap(self, magic: u32, network: u32) -> Vec<u8> {
        let version = [self.u16(2), self.u16(4)].concat();
        [self.words(&[magic]), version, self.words(&[0, 0, 65_535, network])].concat()
    }

    /// A record of a pcap file.
    fn record(self, seconds: u32, fraction: u32, original: u32, data: &[u8]) -> Vec<u8> {
        let head = self.words(&[seconds, fraction, data.len() as u32, original]);
        [&head, data].concat()
    }

    /// A block of a pcapng file; the body is padded.
    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().next_multiple_of(4);
        let length = self.u32(padded as u32 + 12);
        let padding = vec![0xee; padded - body.len()];
        [&self.u32(kind)[..], &length, body, &padding, &length].concat()
    }

    fn section(self) -> Vec<u8> {
        let version = [self.u16(1), self.u16(0)].concat();
        let body =
            [&self.u32(0x1a2b_3c4d)[..], &version, &[0xff; 8], &self.option(3, b"os")].concat();
        self.block(0x0a0d_0d0a, &body)
    }

    fn interface(self, linktype: u16, snaplen: u32, options: &[Vec<u8>]) -> Vec<u8> {
        let head = [&self.u16(linktype)[..], &[0, 0], &self.u32(snaplen)].concat();
        self.block(1, &[head, options.concat()].concat())
    }

    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let padding = vec![0; value.len().next_multiple_of(4) - value.len()];
        [&self.u16(code)[..], &self.u16(value.len() as u16), value, &padding].concat()
    }

    fn enhanced(self, interface: u32, time: u64, original: u32, data: &[u8]) -> Vec<u8> {
        let head =
            self.words(&[interface, (time >> 32) as u32, time as u32, data.len() as u32, original]);
        let padding = vec![0; data.len().next_multiple_of(4) - data.len()];
        let comment = self.option(1, b"a comment");
        self.block(6, &[&head, data, &padding, &comment].concat())
    }
}

const LITTLE: Writer = Writer { big: false };
const BIG: Writer = Writer { big: true };
const ORDERS: [Writer; 2] = [LITTLE, BIG];
const SECOND: u64 = 1_000_000_000_000;
