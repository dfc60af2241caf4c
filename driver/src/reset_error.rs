//! Why a queue is not reset, and what to do instead.

use std::fmt;

use crate::config::MIN_RING;
use crate::transport::TransportError;

/// Why a queue was not reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetError {
    /// The driver is not running.
    NotRunning,
    /// VIRTIO_F_RING_RESET is not agreed.
    NotAgreed,
    /// There is no such queue.
    NoSuchQueue {
        /// The queue named.
        queue: u16,
    },
    /// The queue is in reset already.
    UnderWay {
        /// The queue named.
        queue: u16,
    },
    /// A ring cannot have so many entries.
    Entries {
        /// How many were asked for.
        entries: u16,
        /// What there is memory for.
        max: u16,
    },
    /// A ring of so many mergeable buffers does not hold a longest frame.
    TooShort {
        /// How many entries were asked for.
        entries: u16,
    },
    /// The device did not finish in time; the queue has stopped until the next start.
    Timeout {
        /// The queue.
        queue: u16,
    },
    /// The transport failed.
    Transport(TransportError),
}

impl fmt::Display for ResetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning => write!(f, "the driver is not running; start it first"),
            Self::NotAgreed => write!(
                f,
                "the device cannot reset a queue by itself (RING_RESET is not agreed); reset the device"
            ),
            Self::NoSuchQueue { queue } => {
                write!(f, "there is no queue {queue}; name one below queue_pairs")
            }
            Self::UnderWay { queue } => write!(f, "queue {queue} is in reset; wait for its end"),
            Self::Entries { entries, max } => write!(
                f,
                "a ring of {entries} entries is not possible; choose a power of two of {MIN_RING}..={max}"
            ),
            Self::TooShort { entries } => write!(
                f,
                "a ring of {entries} entries is too short for a frame of the device's MTU; choose more"
            ),
            Self::Timeout { queue } => {
                write!(f, "the device did not reset queue {queue} in time; reset the device")
            }
            Self::Transport(error) => write!(f, "while resetting a queue: {error}"),
        }
    }
}

impl std::error::Error for ResetError {}
