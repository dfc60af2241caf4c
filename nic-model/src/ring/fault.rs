//! What can be wrong with a ring, and with the device because of it.

use std::fmt;

/// Why the device set DEVICE_NEEDS_RESET: the first ring that broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceError {
    /// Virtqueue index of the ring.
    pub virtqueue: u16,
    /// What was wrong with it.
    pub fault: RingFault,
}

/// Why a ring is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingFault {
    /// The available index is further ahead than the queue is long (2.7.6).
    AvailableIndex {
        /// Chains it pretends to offer.
        offered: u16,
        /// Size of the queue.
        size: u16,
    },
    /// Guest memory could not be read or written.
    Memory {
        /// What was there.
        what: &'static str,
        /// Where.
        address: u64,
    },
    /// A descriptor chain is malformed.
    Chain {
        /// Its head, as the available ring had it; on a packed ring the place of its first descriptor.
        head: u16,
        /// What is wrong.
        fault: ChainFault,
    },
}

/// What is wrong with a descriptor chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainFault {
    /// Head or `next` is not below the queue size.
    IndexOutOfRange(u16),
    /// The chain is longer than the queue or its indirect table, so it must be a loop (2.7.5.2).
    Loop,
    /// A descriptor is indirect; VIRTIO_F_INDIRECT_DESC was not negotiated (2.7.5.3.1).
    Indirect,
    /// An indirect descriptor in a chain with others: packed rings forbid it (2.8.19).
    IndirectInChain,
    /// An indirect table is empty, or not of whole descriptors (2.7.5.3.2).
    IndirectLength(u32),
    /// The chain goes on at a descriptor that is not available. Packed rings only (2.8.17).
    Incomplete,
    /// An indirect descriptor has a `next` (2.7.5.3.1).
    IndirectWithNext,
    /// A descriptor in an indirect table is indirect (2.7.5.3.1).
    NestedIndirect,
    /// `next` is not below the entries of the indirect table.
    IndirectIndexOutOfRange(u16),
    /// The chain, with what is in its indirect table, has more descriptors than the queue (2.7.5.3.1).
    LongerThanQueue,
    /// A buffer is empty.
    Empty,
    /// A buffer lies wholly or partly outside guest memory.
    OutsideMemory {
        /// Where it starts.
        address: u64,
        /// Its length.
        len: u32,
    },
    /// The chain has 4 GiB or more (2.7.5.2).
    TooLong,
    /// A buffer to read in a chain the device writes, or after one to write (2.7.4.2).
    ReadableNotAllowed,
    /// A buffer to write in a chain the device reads.
    WritableNotAllowed,
    /// A control chain without a byte for the answer.
    NoRoomForAck,
}

impl RingFault {
    /// Name in snake_case, for events.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AvailableIndex { .. } => "available_index",
            Self::Memory { .. } => "memory",
            Self::Chain { fault, .. } => match fault {
                ChainFault::IndexOutOfRange(_) => "index_out_of_range",
                ChainFault::Loop => "loop",
                ChainFault::Indirect => "indirect",
                ChainFault::IndirectInChain => "indirect_in_chain",
                ChainFault::IndirectLength(_) => "indirect_length",
                ChainFault::Incomplete => "incomplete",
                ChainFault::IndirectWithNext => "indirect_with_next",
                ChainFault::NestedIndirect => "nested_indirect",
                ChainFault::IndirectIndexOutOfRange(_) => "indirect_index_out_of_range",
                ChainFault::LongerThanQueue => "longer_than_queue",
                ChainFault::Empty => "empty_buffer",
                ChainFault::OutsideMemory { .. } => "outside_memory",
                ChainFault::TooLong => "chain_too_long",
                ChainFault::ReadableNotAllowed => "readable_not_allowed",
                ChainFault::WritableNotAllowed => "writable_not_allowed",
                ChainFault::NoRoomForAck => "no_room_for_ack",
            },
        }
    }

    pub(crate) const fn memory(what: &'static str, address: u64) -> Self {
        Self::Memory { what, address }
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "virtqueue {}: {}; reset the device", self.virtqueue, self.fault)
    }
}

impl fmt::Display for RingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AvailableIndex { offered, size } => {
                write!(f, "the available index offers {offered} chains in a queue of {size}")
            }
            Self::Memory { what, address } => {
                write!(f, "{what} at {address:#x} is not accessible guest memory")
            }
            Self::Chain { head, fault } => write!(f, "the chain at descriptor {head} {fault}"),
        }
    }
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IndexOutOfRange(index) => {
                write!(f, "names descriptor {index}, which the queue does not have")
            }
            Self::Loop => write!(f, "is a loop"),
            Self::Indirect => write!(f, "is indirect, which was not negotiated"),
            Self::IndirectInChain => {
                write!(f, "has an indirect descriptor among others, which a packed ring forbids")
            }
            Self::IndirectLength(len) => {
                write!(f, "has an indirect table of {len} bytes, which is not some descriptors")
            }
            Self::Incomplete => {
                write!(f, "goes on at a descriptor that was not made available")
            }
            Self::IndirectWithNext => write!(f, "goes on after an indirect descriptor"),
            Self::NestedIndirect => write!(f, "has an indirect descriptor in an indirect table"),
            Self::IndirectIndexOutOfRange(index) => {
                write!(f, "names descriptor {index}, which its indirect table does not have")
            }
            Self::LongerThanQueue => write!(f, "has more descriptors than the queue"),
            Self::Empty => write!(f, "has an empty buffer"),
            Self::OutsideMemory { address, len } => {
                write!(f, "has a buffer of {len} bytes at {address:#x}, outside guest memory")
            }
            Self::TooLong => write!(f, "has 4 GiB or more"),
            Self::ReadableNotAllowed => write!(f, "has a readable buffer where none may be"),
            Self::WritableNotAllowed => write!(f, "has a writable buffer where none may be"),
            Self::NoRoomForAck => write!(f, "has no room for the answer"),
        }
    }
}

impl std::error::Error for DeviceError {}
