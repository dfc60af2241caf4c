//! The records of the BSD designs: `bpf_hdr` for words of 32 and of 64 bits (FreeBSD sys/net/bpf.h).
//!
//! ```text
//!   32 bits  0 | sec 4 | usec 4 | caplen 4 | datalen 4 | hdrlen 2 | 18  caplen bytes ... next multiple of 4
//!   LP64     0 | sec 8 | usec 8 | caplen 4 | datalen 4 | hdrlen 2 | 26  caplen bytes ... next multiple of 8
//! ```
//!
//! Contract: all integers little-endian; `hdrlen` is 18 or 26, so that behind an Ethernet header of 14
//! bytes the network header is aligned; padding comes before the next record, never after the last.

use crate::WordSize;
use crate::record::{Header, PS_PER_SEC, PS_PER_USEC};

/// The record format of one word size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BsdRecord {
    /// Bytes of `sec` and of `usec` each, and what records are aligned to.
    word: usize,
}

/// What somebody reads in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BsdSeen {
    pub caplen: usize,
    pub header: usize,
}

impl BsdRecord {
    pub(crate) const fn new(word: WordSize) -> Self {
        match word {
            WordSize::Bits32 => BsdRecord { word: 4 },
            WordSize::Lp64 => BsdRecord { word: 8 },
        }
    }

    /// Bytes of a header.
    #[inline]
    pub(crate) const fn header(self) -> usize {
        2 * self.word + 10
    }

    /// `len` rounded up to where a record may begin.
    #[inline]
    pub(crate) const fn align(self, len: usize) -> usize {
        len.next_multiple_of(self.word)
    }

    /// Writes a header into the first bytes of `out`.
    #[inline]
    pub(crate) fn write(self, header: &Header, out: &mut [u8]) {
        let word = self.word;
        let out = &mut out[..self.header()];
        let sec = u64::from(header.epoch_seconds) + header.timestamp / PS_PER_SEC;
        let usec = header.timestamp % PS_PER_SEC / PS_PER_USEC;
        // A 32-bit `sec` is kept modulo 2^32.
        out[..word].copy_from_slice(&sec.to_le_bytes()[..word]);
        out[word..2 * word].copy_from_slice(&usec.to_le_bytes()[..word]);
        let rest = &mut out[2 * word..];
        rest[..4].copy_from_slice(&header.caplen.to_le_bytes());
        rest[4..8].copy_from_slice(&header.len.to_le_bytes());
        rest[8..].copy_from_slice(&(self.header() as u16).to_le_bytes());
    }

    /// What the record at the front of `bytes` says, whoever wrote it; `None` if it does not lie in
    /// `bytes` or its header is too short to be one.
    pub(crate) fn parse(self, bytes: &[u8]) -> Option<BsdSeen> {
        let rest = bytes.get(2 * self.word..self.header())?;
        let caplen = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        let header = usize::from(u16::from_le_bytes([rest[8], rest[9]]));
        let inside = caplen.checked_add(header).is_some_and(|end| end <= bytes.len());
        (header >= self.header() && inside).then_some(BsdSeen { caplen, header })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header =
        Header { timestamp: 3_000_042_999_999, epoch_seconds: 0x100, caplen: 2, len: 1514 };

    #[test]
    fn header_bytes() {
        let mut out = [0xff; 28];
        BsdRecord::new(WordSize::Bits32).write(&HEADER, &mut out);
        assert_eq!(out[..8], [3, 1, 0, 0, 42, 0, 0, 0]);
        assert_eq!(out[8..20], [2, 0, 0, 0, 0xea, 5, 0, 0, 18, 0, 0xff, 0xff]);
        BsdRecord::new(WordSize::Lp64).write(&HEADER, &mut out);
        assert_eq!(out[..16], [3, 1, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(out[16..], [2, 0, 0, 0, 0xea, 5, 0, 0, 26, 0, 0xff, 0xff]);
    }

    #[test]
    fn the_end_of_the_clock_and_of_the_seconds_is_no_fault() {
        let header = Header { timestamp: u64::MAX, epoch_seconds: u32::MAX, caplen: 0, len: 0 };
        let mut out = [0; 26];
        BsdRecord::new(WordSize::Lp64).write(&header, &mut out);
        assert_eq!(out[..8], (0xffff_ffff_u64 + 18_446_744).to_le_bytes());
        BsdRecord::new(WordSize::Bits32).write(&header, &mut out);
        assert_eq!(out[..4], 18_446_743_u32.to_le_bytes());
    }

    #[test]
    fn what_is_read_lies_in_the_bytes() {
        for word in [WordSize::Bits32, WordSize::Lp64] {
            let record = BsdRecord::new(word);
            let header = record.header();
            let mut out = [0; 28];
            record.write(&HEADER, &mut out);
            assert_eq!(record.parse(&out), Some(BsdSeen { caplen: 2, header }));
            assert_eq!(record.parse(&out[..header + 1]), None, "the data is cut");
            assert_eq!(record.parse(&out[..header - 1]), None, "the header is cut");
            out[header - 2] -= 1;
            assert_eq!(record.parse(&out), None, "a header shorter than one");
            out[header - 10..header - 6].fill(0xff);
            assert_eq!(record.parse(&out), None, "a length beyond all bounds");
        }
    }

    #[test]
    fn alignment() {
        assert_eq!(
            [0, 1, 18, 20].map(|len| BsdRecord::new(WordSize::Bits32).align(len)),
            [0, 4, 20, 20]
        );
        assert_eq!(
            [0, 1, 26, 32].map(|len| BsdRecord::new(WordSize::Lp64).align(len)),
            [0, 8, 32, 32]
        );
    }
}
