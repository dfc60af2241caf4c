//! The bytes of a capture file, with the place that an error names.
//!
//! Contract: reads what it is asked for or says what is missing; never takes more memory than the
//! longest record may have. Offsets are those of the record or block that is being read.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::SourceFault;

/// Longest record that is taken for one: the largest snap length that libpcap sets for Ethernet.
pub(super) const LONGEST_RECORD: u32 = 262_144;

/// A reader that knows where it is.
pub(super) struct Input<R> {
    reader: R,
    path: PathBuf,
    position: u64,
    /// Where the current record or block starts.
    start: u64,
    records: u64,
}

/// The byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// The 16-bit number at `at`.
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let bytes = array(bytes, at);
        if self == Self::Little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    }

    /// The 32-bit number at `at`.
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let bytes = array(bytes, at);
        if self == Self::Little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    }

    /// The signed 64-bit number at `at`.
    pub(super) fn i64(self, bytes: &[u8], at: usize) -> i64 {
        let bytes = array(bytes, at);
        if self == Self::Little { i64::from_le_bytes(bytes) } else { i64::from_be_bytes(bytes) }
    }
}

/// `N` bytes at `at`, all of which the caller has read.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

impl<R: Read> Input<R> {
    pub(super) fn new(reader: R, path: &Path) -> Self {
        Self { reader, path: path.to_owned(), position: 0, start: 0, records: 0 }
    }

    /// An error in the record or block that is being read.
    pub(super) fn fault(&self, what: String, advice: &'static str) -> SourceFault {
        let (path, offset, records) = (self.path.clone(), self.start, self.records);
        SourceFault { path, offset, records, what, advice }
    }

    /// The first four bytes of the file.
    pub(super) fn head(&mut self) -> Result<[u8; 4], SourceFault> {
        self.start = self.position;
        self.array("the file's first four bytes")
    }

    /// Goes back to the first byte, by `seek`.
    pub(super) fn rewind(
        &mut self,
        seek: impl FnOnce(&mut R) -> std::io::Result<()>,
    ) -> Result<(), SourceFault> {
        seek(&mut self.reader).map_err(|error| self.system(&error))?;
        (self.position, self.start, self.records) = (0, 0, 0);
        Ok(())
    }

    /// The head of the next record or block; `None` at the end of the file.
    pub(super) fn next<const N: usize>(&mut self) -> Result<Option<[u8; N]>, SourceFault> {
        self.start = self.position;
        let mut head = [0; N];
        let first = self.fill(&mut head[..1])?;
        if first == 0 {
            return Ok(None);
        }
        let rest = self.fill(&mut head[1..])?;
        if 1 + rest < N {
            return Err(self.ends("its head", N, 1 + rest));
        }
        Ok(Some(head))
    }

    /// `N` bytes of the current record or block.
    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], SourceFault> {
        let mut bytes = [0; N];
        let read = self.fill(&mut bytes)?;
        if read < N { Err(self.ends(what, N, read)) } else { Ok(bytes) }
    }

    /// `length` bytes of the current record or block into `bytes`, whose old contents go.
    pub(super) fn take(
        &mut self,
        length: u32,
        what: &str,
        bytes: &mut Vec<u8>,
    ) -> Result<(), SourceFault> {
        if length > LONGEST_RECORD {
            let what =
                format!("{what} claims {length} bytes, more than any Ethernet capture holds");
            return Err(self.fault(what, "the file is damaged here; pcapfix may mend it"));
        }
        bytes.clear();
        bytes.resize(length as usize, 0);
        let read = self.fill(bytes)?;
        if read < bytes.len() { Err(self.ends(what, bytes.len(), read)) } else { Ok(()) }
    }

    /// Passes over `length` bytes of the current record or block.
    pub(super) fn skip(&mut self, length: u64, what: &str) -> Result<(), SourceFault> {
        let copied = std::io::copy(&mut self.reader.by_ref().take(length), &mut std::io::sink());
        let read = copied.map_err(|error| self.system(&error))?;
        self.position += read;
        if read < length { Err(self.ends(what, length as usize, read as usize)) } else { Ok(()) }
    }

    /// Counts a record that was read whole.
    pub(super) fn record(&mut self) {
        self.records += 1;
    }

    /// Reads until `bytes` are full or the file ends.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<usize, SourceFault> {
        let mut read = 0;
        while read < bytes.len() {
            match self.reader.read(&mut bytes[read..]) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.system(&error)),
            }
        }
        self.position += read as u64;
        Ok(read)
    }

    fn ends(&self, what: &str, wanted: usize, read: usize) -> SourceFault {
        let what = format!("the file ends inside {what}: {wanted} bytes expected, {read} there");
        self.fault(what, "the capture was cut off; what is before this place can be used")
    }

    fn system(&self, error: &std::io::Error) -> SourceFault {
        self.fault(format!("cannot be read: {error}"), "check the disk and the file")
    }
}
