//! The frames of a capture file one after the other, for those who need no times.
//!
//! Contract: every record in the order of the file, its bytes as they were captured, in bounded memory.
//! A fault in the file ends it after the records before.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::super::{SourceError, SourceFault};
use super::{Format, Input, open_file};

/// A capture file, pcap or pcapng, at its next record.
pub struct Records<R = BufReader<File>> {
    input: Input<R>,
    format: Format,
}

impl Records {
    /// Opens the file at `path` and reads its head.
    ///
    /// # Errors
    /// The file cannot be read, is no capture, or holds no Ethernet frames.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let mut input = open_file(path)?;
        let format = Format::open(&mut input)?;
        Ok(Self { input, format })
    }
}

impl<R: Read> Records<R> {
    /// Takes what `reader` gives for a capture file and reads its head; errors call it `name`.
    ///
    /// # Errors
    /// It is no capture, or holds no Ethernet frames.
    pub fn read(reader: R, name: &Path) -> Result<Self, SourceFault> {
        let mut input = Input::new(reader, name);
        let format = Format::open(&mut input)?;
        Ok(Self { input, format })
    }

    /// Puts the next frame into `frame` and gives the length that it had on the wire, FCS not counted;
    /// `None` at the end.
    ///
    /// # Errors
    /// The file is damaged here.
    pub fn next(&mut self, frame: &mut Vec<u8>) -> Result<Option<u32>, SourceFault> {
        Ok(self.format.next(&mut self.input, frame)?.map(|record| record.original))
    }
}
