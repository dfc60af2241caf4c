//! Reading what a read gave: the records in a user buffer or in a shared buffer's view.
//!
//! Contract: [`Records`] gives every record in order and ends at the end of the bytes. It believes
//! nothing: whatever the bytes are, each record lies in them, and the first thing that is none is
//! given as [`MalformedRecord`] and ends it.
//!
//! ```
//! use npf_core::{Adapter, Delivered, Event, Frame, HandleOptions, Host, Records};
//! # struct Quiet;
//! # impl Host for Quiet {
//! #     fn event(&mut self, _: u64, _: Event) {}
//! #     fn delivered(&mut self, _: u64, _: u32, _: Delivered<'_>) {}
//! #     fn wake(&mut self, _: u64, _: u32) {}
//! # }
//! let options = HandleOptions { markers: true, kernel_buffer: 150, ..HandleOptions::default() };
//! let format = options.engine.record_format();
//! let mut adapter = Adapter::new();
//! let handle = adapter.open(options)?;
//! let mut user_buffer = [0; 4096];
//! for tag in 0..4 {
//!     let frame = Frame { data: &[tag; 60], wire_len: 60, tag: tag.into() };
//!     adapter.tap(0, 0, 0, &[frame], &mut Quiet);
//!     if tag == 2 {
//!         adapter.read(0, handle, &mut user_buffer, &mut Quiet)?; // after the first two
//!     }
//! }
//! let read = adapter.read(0, handle, &mut user_buffer, &mut Quiet)?;
//! for record in Records::new(format, &user_buffer[..read.bytes]) {
//!     let record = record?;
//!     match record.marker() {
//!         Some(marker) => println!("{} {}", marker.count, marker.kind.name()), // 1 lost
//!         None => println!("{} of {} bytes", record.data.len(), record.len),   // 60 of 60 bytes
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use crate::{Marker, RECORD_ALIGNMENT, RECORD_HEADER, WordSize};

/// How a design writes its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFormat {
    /// Npcap and WinPcap: header of 20 bytes, times of 32 bits, alignment 4
    /// (nmap/npcap `Common/npcap-bpf.h`). Also what a read in statistics mode gives, in every design.
    Npf,
    /// BSD: header of 18 bytes, times of 32 bits, alignment 4; or 26, 64 and 8
    /// (FreeBSD sys/net/bpf.h).
    Bsd(WordSize),
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Seconds of the time of the tap.
    pub sec: u64,
    /// Microseconds of it.
    pub usec: u64,
    /// Length of the frame on the wire.
    pub len: u32,
    /// The bytes that were kept of it.
    pub data: &'a [u8],
}

impl Record<'_> {
    /// The marker, if it is no frame.
    pub fn marker(&self) -> Option<Marker> {
        Marker::parse(self.len, self.data)
    }
}

/// Bytes that are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedRecord {
    /// Where it should begin.
    pub at: usize,
}

/// The records in some bytes; see the module.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    format: RecordFormat,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    /// Those in `bytes`, of which the first begins with them.
    pub fn new(format: RecordFormat, bytes: &'a [u8]) -> Self {
        Records { format, bytes, at: 0 }
    }

    /// Where the next record begins, in the bytes given.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The record at the front of `rest` and where it ends.
    fn parse(&self, rest: &'a [u8]) -> Option<(Record<'a>, usize)> {
        let word = self.format.word();
        let number = |at: usize, len: usize| -> Option<u64> {
            let field = rest.get(at..at + len)?;
            Some(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
        };
        let (sec, usec) = (number(0, word)?, number(word, word)?);
        let caplen = number(2 * word, 4)? as usize;
        let len = number(2 * word + 4, 4)? as u32;
        let header = number(2 * word + 8, 2)? as usize;
        if header < self.format.header() {
            return None;
        }
        let end = header.checked_add(caplen)?;
        let data = rest.get(header..end)?;
        Some((Record { sec, usec, len, data }, end))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, MalformedRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        let (at, rest) = (self.at, &self.bytes[self.at..]);
        if rest.is_empty() {
            return None;
        }
        let Some((record, end)) = self.parse(rest) else {
            self.at = self.bytes.len();
            return Some(Err(MalformedRecord { at }));
        };
        // Padding may be cut at the end.
        self.at += end.next_multiple_of(self.format.alignment()).min(rest.len());
        Some(Ok(record))
    }
}

impl RecordFormat {
    /// Bytes of a header.
    pub const fn header(self) -> usize {
        match self {
            RecordFormat::Npf => RECORD_HEADER,
            RecordFormat::Bsd(_) => 2 * self.word() + 10,
        }
    }

    /// Records begin at multiples of this.
    pub const fn alignment(self) -> usize {
        match self {
            RecordFormat::Npf => RECORD_ALIGNMENT,
            RecordFormat::Bsd(_) => self.word(),
        }
    }

    /// Bytes of each half of the time.
    const fn word(self) -> usize {
        match self {
            RecordFormat::Npf | RecordFormat::Bsd(WordSize::Bits32) => 4,
            RecordFormat::Bsd(WordSize::Lp64) => 8,
        }
    }
}

impl fmt::Display for MalformedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "what begins at byte {} is no record; give the bytes that a read reported, and the format \
             of its design",
            self.at
        )
    }
}

impl std::error::Error for MalformedRecord {}
