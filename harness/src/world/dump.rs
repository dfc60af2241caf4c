//! Capture files in libpcap's format that a run writes: by the capture driver itself (dump mode), or by
//! a reading program through the standard library's buffer.
//!
//! Contract: [`Dump`] takes bytes as the core hands them over and copies nothing of its own;
//! [`Stdio`] copies each record into its buffer, as `fwrite` does. Both count what they hand to the
//! file system, which copies it once more. A file that fails is reported at the end.

use crate::output::file::{OutputError, RecordFile, RecordSink};

/// Bytes that the standard library collects before it writes (BUFSIZ of common C libraries is 4096 or
/// 8192; this is the smaller).
const STDIO_BUFFER: usize = 4096;
const PS_PER_SEC: u64 = 1_000_000_000_000;
const PS_PER_USEC: u64 = 1_000_000;

/// A file that is written piece by piece.
#[derive(Debug, Default)]
pub struct Dump {
    /// The file, if the run writes any.
    pub file: Option<RecordFile>,
    /// Bytes handed to the file system.
    pub bytes: u64,
    /// Calls of write.
    pub writes: u64,
    failed: Option<OutputError>,
}

impl Dump {
    /// Hands `bytes` over, in one write.
    pub fn write(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.writes += 1;
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_record(bytes)
        {
            self.failed.get_or_insert(error);
        }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// The first write that failed.
    pub fn finish(&mut self) -> Result<(), OutputError> {
        let finished = self.file.take().map_or(Ok(()), RecordFile::finish);
        match self.failed.take() {
            Some(error) => Err(error),
            None => finished,
        }
    }
}

/// A reading program that writes what it reads to a capture file.
#[derive(Debug)]
pub struct Stdio {
    /// Where full buffers go.
    pub dump: Dump,
    /// Bytes copied into the buffer.
    pub copied: u64,
    buffer: Vec<u8>,
    /// What [`Stdio::since_last`] has told: bytes copied and writes.
    told: (u64, u64),
}

impl Stdio {
    /// A program that has written the file's header. `snaplen`: what that says.
    #[must_use]
    pub fn new(snaplen: u32) -> Self {
        let mut this = Self {
            dump: Dump::default(),
            copied: 0,
            buffer: Vec::with_capacity(STDIO_BUFFER),
            told: (0, 0),
        };
        let mut header = [0; 24];
        header[0..4].copy_from_slice(&0xa1b2_c3d4u32.to_le_bytes());
        header[4..6].copy_from_slice(&2u16.to_le_bytes());
        header[6..8].copy_from_slice(&4u16.to_le_bytes());
        header[16..20].copy_from_slice(&snaplen.to_le_bytes());
        header[20..24].copy_from_slice(&1u32.to_le_bytes());
        this.put(&header);
        this
    }

    /// Writes one packet: its time, length on the wire and captured bytes.
    pub fn packet(&mut self, timestamp: u64, len: u32, data: &[u8]) {
        let mut header = [0; 16];
        header[0..4].copy_from_slice(&((timestamp / PS_PER_SEC) as u32).to_le_bytes());
        let usec = (timestamp % PS_PER_SEC / PS_PER_USEC) as u32;
        header[4..8].copy_from_slice(&usec.to_le_bytes());
        header[8..12].copy_from_slice(&(data.len() as u32).to_le_bytes());
        header[12..16].copy_from_slice(&len.to_le_bytes());
        self.put(&header);
        self.put(data);
    }

    /// Bytes copied into the buffer, and writes, since this was last asked.
    pub fn since_last(&mut self) -> (u64, u64) {
        let (copied, writes) = (self.copied, self.dump.writes);
        let (old_copied, old_writes) = std::mem::replace(&mut self.told, (copied, writes));
        (copied - old_copied, writes - old_writes)
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// The first write that failed.
    pub fn finish(&mut self) -> Result<(), OutputError> {
        self.flush();
        self.dump.finish()
    }

    fn put(&mut self, mut bytes: &[u8]) {
        self.copied += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = STDIO_BUFFER - self.buffer.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == STDIO_BUFFER {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        if !self.buffer.is_empty() {
            self.dump.write(&self.buffer);
            self.buffer.clear();
        }
    }
}
