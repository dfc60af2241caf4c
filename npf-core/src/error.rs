//! Refusals of controls and reads.
//!
//! Contract: whatever returns one of these has changed nothing. The text says what was refused, why,
//! and what to do instead.

use crate::{MAX_ZBUF_PAGES, ZBUF_PAGE};
use std::fmt;

/// Why opening, closing or changing a handle was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlError {
    /// No open handle has this number.
    NoSuchHandle {
        /// The number given.
        handle: u32,
    },
    /// The kernel buffer asked for exceeds what the driver grants.
    BufferTooLarge {
        /// Bytes asked for.
        asked: u64,
        /// Most bytes granted.
        limit: u64,
    },
    /// The zero-copy design wants two buffers of whole pages, of which there is a limit (FreeBSD:
    /// BIOCSETZBUF, EINVAL).
    NoZeroCopyBuffer {
        /// Bytes asked for.
        asked: u64,
        /// The size to ask for instead.
        granted: u64,
    },
    /// A snap length of 0 keeps nothing.
    ZeroSnaplen,
    /// A system without CPUs.
    NoCpu,
    /// A buffer divided into no segments.
    NoSegment,
    /// The design fixes its buffers when the handle is opened (FreeBSD: BIOCSBLEN after BIOCSETIF,
    /// EINVAL).
    BufferIsFixed,
    /// A dump file of so few bytes has no room for its header.
    DumpTooSmall {
        /// Bytes asked for.
        asked: u64,
        /// Fewest bytes of a file.
        least: u64,
    },
    /// The handle is not in dump mode.
    NotDumping {
        /// The handle.
        handle: u32,
    },
    /// A read of this handle is in progress.
    ReadInProgress {
        /// The handle.
        handle: u32,
    },
    /// More copies of each written frame than one call may send.
    TooManyRepeats {
        /// Copies asked for.
        asked: u32,
        /// Most copies granted.
        limit: u32,
    },
    /// A largest frame that has no room for an Ethernet header.
    MaxFrameTooSmall {
        /// Bytes asked for.
        asked: u32,
        /// Fewest bytes.
        least: u32,
    },
    /// The adapter has been removed.
    DeviceRemoved,
    /// All 2^32 handle numbers have been used.
    OutOfHandles,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlError::NoSuchHandle { handle } => no_such_handle(f, *handle),
            ControlError::BufferTooLarge { asked, limit } => write!(
                f,
                "a kernel buffer of {asked} bytes is more than the driver grants; \
                 ask for at most {limit}"
            ),
            ControlError::NoZeroCopyBuffer { asked, granted } => write!(
                f,
                "a kernel buffer of {asked} bytes is no two buffers of 1 to {MAX_ZBUF_PAGES} pages \
                 of {ZBUF_PAGE} bytes each; ask for {granted}"
            ),
            ControlError::ZeroSnaplen => write!(
                f,
                "a snap length of 0 keeps no byte of any frame; use 262144 for whole frames"
            ),
            ControlError::NoCpu => {
                write!(f, "a system needs at least one CPU; set cpus to 1 or more")
            }
            ControlError::NoSegment => write!(
                f,
                "a buffer needs at least one segment; set count to 1 or more, or to none for one \
                 per CPU"
            ),
            ControlError::BufferIsFixed => write!(
                f,
                "this design fixes its buffers when the handle is opened; open another handle"
            ),
            ControlError::DumpTooSmall { asked, least } => write!(
                f,
                "a dump file of at most {asked} bytes cannot hold its header; allow {least} or more, \
                 or set no limit"
            ),
            ControlError::NotDumping { handle } => {
                write!(f, "handle {handle} is not in dump mode; set the mode first")
            }
            ControlError::ReadInProgress { handle } => {
                write!(f, "handle {handle} is being read; dump when that read has ended")
            }
            ControlError::TooManyRepeats { asked, limit } => write!(
                f,
                "{asked} copies of each written frame are more than one call sends; ask for at most \
                 {limit}, and write again"
            ),
            ControlError::MaxFrameTooSmall { asked, least } => write!(
                f,
                "a largest frame of {asked} bytes has no room for an Ethernet header; set {least} or more"
            ),
            ControlError::DeviceRemoved => write!(
                f,
                "the adapter has been removed; read what is still queued, then close the handle"
            ),
            ControlError::OutOfHandles => {
                write!(f, "every handle number of this adapter has been used; make a new adapter")
            }
        }
    }
}

impl std::error::Error for ControlError {}

/// Why a read was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// No open handle has this number.
    NoSuchHandle {
        /// The number given.
        handle: u32,
    },
    /// The handle's kernel buffer has size 0, so nothing can ever be read
    /// (Npcap: STATUS_UNSUCCESSFUL).
    ZeroBuffer,
    /// The user buffer cannot hold a record header, or in statistics mode the record of the counters
    /// (Npcap: STATUS_BUFFER_TOO_SMALL).
    BufferTooSmall {
        /// Bytes given.
        len: usize,
        /// Bytes of that header or record.
        need: usize,
    },
    /// A read of this handle is in progress (two readers).
    Busy {
        /// The handle.
        handle: u32,
    },
    /// A step brought a buffer of another length than the read began with.
    OtherBuffer {
        /// Bytes given.
        len: usize,
        /// Bytes at the beginning.
        begun: usize,
    },
    /// The design wants reads of exactly one length (BSD: EINVAL).
    ReadLength {
        /// Bytes given.
        len: usize,
        /// The length it wants.
        want: usize,
    },
    /// The design has no read: its buffers are shared with the reader (FreeBSD: EOPNOTSUPP).
    NoRead,
    /// The adapter has been removed and this read got nothing (Npcap: STATUS_DEVICE_REMOVED).
    DeviceRemoved {
        /// Packets still queued: the user buffer could not take the first one, or the mode does not
        /// read them.
        queued: u64,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::NoSuchHandle { handle } => no_such_handle(f, *handle),
            ReadError::ZeroBuffer => {
                write!(f, "the handle's kernel buffer has size 0; set a size before reading")
            }
            ReadError::BufferTooSmall { len, need } => write!(
                f,
                "a user buffer of {len} bytes is too small for a record; give {need} bytes or more"
            ),
            ReadError::Busy { handle } => write!(
                f,
                "handle {handle} is being read by somebody else; wait until that read has ended"
            ),
            ReadError::OtherBuffer { len, begun } => write!(
                f,
                "the read began with a user buffer of {begun} bytes and goes on with {len}; \
                 give the same buffer to every step"
            ),
            ReadError::ReadLength { len, want } => write!(
                f,
                "a user buffer of {len} bytes was given; this design reads exactly {want}"
            ),
            ReadError::NoRead => {
                write!(f, "this design has no read: take packets from the shared buffers")
            }
            ReadError::DeviceRemoved { queued: 0 } => {
                write!(f, "the adapter has been removed and nothing is queued; close the handle")
            }
            ReadError::DeviceRemoved { queued } => write!(
                f,
                "the adapter has been removed; {queued} packets are queued that this read cannot give: \
                 a larger user buffer may help; in statistics and dump mode nothing is read"
            ),
        }
    }
}

impl std::error::Error for ReadError {}

fn no_such_handle(f: &mut fmt::Formatter<'_>, handle: u32) -> fmt::Result {
    write!(f, "handle {handle} is not open; use a number that open() gave and close() did not take")
}
