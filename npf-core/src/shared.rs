//! What crosses between a zero-copy handle and the processes that share its buffers: limits, results,
//! refusals.
//!
//! Contract: whatever returns a [`ViewError`] has changed nothing.

use std::fmt;

/// Bytes of a page.
pub const ZBUF_PAGE: usize = 4096;
/// Most pages of one shared buffer (FreeBSD sys/net/bpf_zerocopy.c; BIOCGETZMAX gives their bytes).
pub const MAX_ZBUF_PAGES: usize = 512;

/// The multiples that a kernel buffer of two shared halves comes in.
const UNIT: u64 = 2 * ZBUF_PAGE as u64;

/// The smallest kernel buffer that holds `asked` bytes in two shared halves of whole pages, as libpcap
/// rounds up; the largest there is if none does.
pub fn zbuf_kernel_buffer(asked: u64) -> u64 {
    asked.clamp(UNIT, UNIT * MAX_ZBUF_PAGES as u64).next_multiple_of(UNIT)
}

/// What BIOCROTZBUF handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotated {
    /// The buffer, 0 or 1.
    pub buffer: usize,
    /// Bytes of records in it.
    pub bytes: usize,
}

/// What a process got out of a shared buffer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Packets that nobody had taken before; each was told as delivered.
    pub packets: u32,
    /// Records seen, whether or not somebody had them before.
    pub records: u32,
    /// Bytes of records and padding gone through.
    pub bytes: usize,
    /// The records end in something that is none.
    pub malformed: bool,
    /// Nothing is there: wait for the wake-up or the time-out, then poll again.
    pub waits: bool,
    /// The rotate call was made.
    pub rotated: bool,
}

/// Why something that a process asked of its shared buffers was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewError {
    /// No open handle has this number.
    NoSuchHandle {
        /// The number given.
        handle: u32,
    },
    /// The handle's design shares no buffers with processes.
    NotShared {
        /// The handle.
        handle: u32,
    },
    /// No process that shares the handle's buffers has this number.
    NoSuchProcess {
        /// The number given.
        process: u32,
        /// How many there are, numbered from 0.
        processes: u32,
    },
    /// There are two buffers, 0 and 1.
    NoSuchBuffer {
        /// The number given.
        buffer: usize,
    },
    /// The bytes are not all in the buffer, header included.
    OutOfRange {
        /// Where they begin.
        offset: usize,
        /// How many they are.
        len: usize,
        /// Bytes of the buffer.
        size: usize,
    },
    /// The adapter has been removed and the reader got nothing.
    DeviceRemoved {
        /// Packets that are in buffers yet and not to be seen by this process.
        queued: u64,
    },
}

impl fmt::Display for ViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ViewError::NoSuchHandle { handle } => write!(
                f,
                "handle {handle} is not open; use a number that open() gave and close() did not \
                 take"
            ),
            ViewError::NotShared { handle } => write!(
                f,
                "handle {handle} shares no buffers; read() it, or open it with the zero-copy \
                 design in another mode than buffered"
            ),
            ViewError::NoSuchProcess { process, processes } => write!(
                f,
                "process {process} does not share the buffers; {processes} do, numbered from 0, \
                 and fork() adds one"
            ),
            ViewError::NoSuchBuffer { buffer } => {
                write!(f, "there is no shared buffer {buffer}; the two are 0 and 1")
            }
            ViewError::OutOfRange { offset, len, size } => write!(
                f,
                "{len} bytes at {offset} are not all in a shared buffer of {size} bytes; \
                 stay within it"
            ),
            ViewError::DeviceRemoved { queued: 0 } => {
                write!(f, "the adapter has been removed and nothing is queued; close the handle")
            }
            ViewError::DeviceRemoved { queued } => write!(
                f,
                "the adapter has been removed; {queued} packets are queued that this process \
                 cannot see: close the handle"
            ),
        }
    }
}

impl std::error::Error for ViewError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_up_to_two_halves_of_whole_pages() {
        let cases = [(0, 8192), (1, 8192), (8192, 8192), (8193, 16384), (1_000_000, 1_007_616)];
        for (asked, got) in cases {
            assert_eq!(zbuf_kernel_buffer(asked), got, "{asked}");
        }
        let most = 2 * 512 * 4096;
        assert_eq!([most - 1, most, most + 1, u64::MAX].map(zbuf_kernel_buffer), [most; 4]);
    }
}
