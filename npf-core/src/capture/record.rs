//! Records in a user buffer, read one by one.

use crate::WordSize;
use crate::record::{RECORD_HEADER, align};
use crate::record_bsd::BsdRecord;

/// How records are written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Format {
    Npf,
    Bsd(BsdRecord, usize),
}

/// One record: what its header says and where its data lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub sec: u64,
    pub usec: u32,
    pub caplen: u32,
    pub len: u32,
    pub data: usize,
    pub next: usize,
}

impl Format {
    pub(super) fn bsd(word: WordSize) -> Self {
        let bytes = match word {
            WordSize::Bits32 => 4,
            WordSize::Lp64 => 8,
        };
        Format::Bsd(BsdRecord::new(word), bytes)
    }

    /// The record at `at`, if it lies in `bytes`.
    pub(super) fn parse(self, bytes: &[u8], at: usize) -> Option<Record> {
        let rest = bytes.get(at..)?;
        let word = match self {
            Format::Npf => 4,
            Format::Bsd(_, word) => word,
        };
        let header = rest.get(..2 * word + 10)?;
        let lengths = &header[2 * word..];
        let (caplen, len) = (number(&lengths[..4]) as u32, number(&lengths[4..8]) as u32);
        let hdrlen = usize::from(lengths[8]) | usize::from(lengths[9]) << 8;
        let end = hdrlen.checked_add(caplen as usize)?;
        let (least, next) = match self {
            Format::Npf => (RECORD_HEADER, align(end)),
            Format::Bsd(record, _) => (record.header(), record.align(end)),
        };
        (hdrlen >= least && end <= rest.len()).then(|| Record {
            sec: number(&header[..word]),
            usec: number(&header[word..2 * word]) as u32,
            caplen,
            len,
            data: at + hdrlen,
            next: at + next,
        })
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
