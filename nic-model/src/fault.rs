//! What a device can be made to do wrong, on request: [`Device::inject`](crate::Device::inject).
//!
//! A device does none of this by itself, and pays for the possibility with one test of a flag that is
//! clear. Nothing here is random: when a fault begins and ends is the caller's affair.
//!
//! | fault | a device may do so | what a driver can see of it |
//! |---|---|---|
//! | `fifo_shrink` | yes | nothing; frames are dropped for want of room sooner |
//! | `dma_slow`, `dma_stall`, `dma_reorder` | yes | nothing; frames come later, or queue 1 before queue 0 |
//! | `used_index_delayed` | yes | nothing; frames come later, several at once |
//! | `queue_stuck` | yes, for a while | nothing; frames come later |
//! | `completion_duplicated` | no | a descriptor comes back that it has got back already |
//! | `completion_stale` | no | the element of a lap ago once more |
//! | `completion_short` | no | a length that is not the frame's |
//! | `completion_wrong_id` | no | a descriptor number that the ring does not have |
//! | `control_queue_dead` | no | commands without an answer |
//! | `config_changed` | yes | another generation, and a configuration interrupt |
//! | `device_reset` | yes (virtio 2.1.2) | DEVICE_NEEDS_RESET, and a configuration interrupt |
//! | `surprise_removal` | hardware does | silence; what answers in its place is the caller's affair |

/// A fault, or its end. `pair: None` means whichever receive queue comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The FIFO has only so many bytes; `None` gives back what the configuration says. What it holds
    /// already stays in it.
    FifoShrink {
        /// The new size.
        bytes: Option<u64>,
    },
    /// Each transfer takes so many times as long; 1 ends it. Transfers that take no time still do not.
    DmaSlow {
        /// The factor, 1 or more; 0 counts as 1.
        times: u32,
    },
    /// The engine stands still for so long, in ps; a transfer that is under way ends so much later.
    DmaStall {
        /// How long.
        lasting_ps: u64,
    },
    /// The engine goes round the queues backwards, so that queues overtake each other. Within a queue the
    /// order stays.
    DmaReorder {
        /// Whether it does.
        on: bool,
    },
    /// Frames are written to memory but not published; the end publishes all of them, in order, at once.
    /// Until then they count as held, and take up their room in the FIFO.
    UsedIndexDelayed {
        /// Queue pair.
        pair: u16,
        /// Whether it does.
        on: bool,
    },
    /// The next completion is a lie; with several armed each takes its turn, those for this pair first.
    Completion {
        /// Queue pair.
        pair: Option<u16>,
        /// Which.
        lie: Lie,
    },
    /// The engine leaves out a receive queue.
    QueueStuck {
        /// Queue pair.
        pair: u16,
        /// Whether it does.
        on: bool,
    },
    /// Control commands are left unread.
    ControlQueueDead {
        /// Whether they are.
        on: bool,
    },
    /// The configuration space says that it has changed, though it has not.
    ConfigChanged,
    /// The device stops by itself, sets DEVICE_NEEDS_RESET and drops every frame until it is reset.
    DeviceReset,
    /// The device is gone: it drops every frame, writes no memory and sends no message, for good.
    SurpriseRemoval,
}

/// What is wrong with a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// The element is published twice.
    Duplicated,
    /// After it the index moves on by one more, over the element of a lap ago.
    Stale,
    /// It says so many bytes, virtio header included, whatever was written.
    Short {
        /// How many.
        len: u32,
    },
    /// It names a descriptor that the ring does not have.
    WrongId,
}

impl Lie {
    const fn name(self) -> &'static str {
        match self {
            Self::Duplicated => "completion_duplicated",
            Self::Stale => "completion_stale",
            Self::Short { .. } => "completion_short",
            Self::WrongId => "completion_wrong_id",
        }
    }
}

impl Fault {
    /// Name in snake_case, as in the table above.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FifoShrink { .. } => "fifo_shrink",
            Self::DmaSlow { .. } => "dma_slow",
            Self::DmaStall { .. } => "dma_stall",
            Self::DmaReorder { .. } => "dma_reorder",
            Self::UsedIndexDelayed { .. } => "used_index_delayed",
            Self::Completion { lie, .. } => lie.name(),
            Self::QueueStuck { .. } => "queue_stuck",
            Self::ControlQueueDead { .. } => "control_queue_dead",
            Self::ConfigChanged => "config_changed",
            Self::DeviceReset => "device_reset",
            Self::SurpriseRemoval => "surprise_removal",
        }
    }

    /// The queue pair it is aimed at, if at one.
    #[must_use]
    pub const fn pair(self) -> Option<u16> {
        match self {
            Self::UsedIndexDelayed { pair, .. } | Self::QueueStuck { pair, .. } => Some(pair),
            Self::Completion { pair, .. } => pair,
            _ => None,
        }
    }

    /// Whether this is the end of the fault rather than its beginning.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(
            self,
            Self::FifoShrink { bytes: None }
                | Self::DmaSlow { times: 0 | 1 }
                | Self::DmaReorder { on: false }
                | Self::UsedIndexDelayed { on: false, .. }
                | Self::QueueStuck { on: false, .. }
                | Self::ControlQueueDead { on: false }
        )
    }
}

/// Why a fault cannot be injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultError {
    /// The device has no such queue pair.
    NoSuchPair {
        /// The one named.
        pair: u16,
        /// How many there are.
        pairs: u16,
    },
}

impl std::fmt::Display for FaultError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSuchPair { pair, pairs } => {
                write!(f, "there is no queue pair {pair} to break; name one below {pairs}")
            }
        }
    }
}

impl std::error::Error for FaultError {}
