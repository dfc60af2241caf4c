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
    /// The user buffer cannot hold a record header (Npcap: STATUS_BUFFER_TOO_SMALL).
    BufferTooSmall {
        /// Bytes given.
        len: usize,
        /// Bytes a record header takes.
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
        /// Packets still queued, which happens only if the user buffer could not take the first one.
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
                "a user buffer of {len} bytes cannot hold a record header; give more than {need}"
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
                "the adapter has been removed; {queued} packets are queued and the first does \
                 not fit the user buffer: read with a larger one"
            ),
        }
    }
}

impl std::error::Error for ReadError {}

fn no_such_handle(f: &mut fmt::Formatter<'_>, handle: u32) -> fmt::Result {
    write!(f, "handle {handle} is not open; use a number that open() gave and close() did not take")
}
