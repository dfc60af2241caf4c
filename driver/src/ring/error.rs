//! How a device can break the rules of a ring, each way with its name.

use std::fmt;

/// How a device has broken the rules of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// The used index is further ahead than there are chains with the device. Split rings only.
    IndexJump {
        /// The index read.
        index: u16,
        /// The next one expected.
        next: u16,
        /// Chains the device owns.
        outstanding: u16,
    },
    /// An id that the ring does not have.
    UnknownId {
        /// The id read.
        id: u32,
        /// How many ids the ring has.
        size: u16,
    },
    /// The id of a chain that the device does not own: returned before, or never given.
    DuplicateId {
        /// The id read.
        id: u32,
    },
    /// The flags of the next descriptor say neither "available" nor "used". Packed rings only.
    DescriptorFlags {
        /// Where in the ring.
        position: u16,
        /// The flags read.
        flags: u16,
    },
    /// With VIRTIO_F_IN_ORDER: the id stands for more chains than the used index says are used.
    /// Split rings only.
    BatchTooLong {
        /// The id read.
        id: u32,
        /// Chains up to and with this id, in the order given.
        batch: u16,
        /// Chains used by the used index.
        used: u16,
    },
    /// A merged frame's header names more buffers than the device has returned. No one can say where the
    /// next frame begins. Receive queues only.
    MissingBuffers {
        /// What the header says.
        num_buffers: u16,
        /// Buffers that were there.
        there: u16,
    },
}

impl RingError {
    /// The error's name, snake_case, for events.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::IndexJump { .. } => "index_jump",
            Self::UnknownId { .. } => "unknown_id",
            Self::DuplicateId { .. } => "duplicate_id",
            Self::DescriptorFlags { .. } => "descriptor_flags",
            Self::BatchTooLong { .. } => "batch_too_long",
            Self::MissingBuffers { .. } => "missing_buffers",
        }
    }
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IndexJump { index, next, outstanding } => write!(
                f,
                "the device moved the used index to {index} from {next}, but owns only {outstanding} \
                 chains"
            ),
            Self::UnknownId { id, size } => {
                write!(f, "the device returned descriptor {id} of a ring of {size}")
            }
            Self::DuplicateId { id } => {
                write!(f, "the device returned descriptor {id}, which it does not own")
            }
            Self::DescriptorFlags { position, flags } => write!(
                f,
                "descriptor {position} has the flags {flags:#06x}, which are neither those of an \
                 available nor of a used one"
            ),
            Self::BatchTooLong { id, batch, used } => write!(
                f,
                "the device returned descriptor {id} for {batch} chains used in order, but moved the \
                 used index by {used} only"
            ),
            Self::MissingBuffers { num_buffers, there } => write!(
                f,
                "the device says that a frame takes {num_buffers} buffers, but has returned {there}"
            ),
        }
    }
}

impl std::error::Error for RingError {}
