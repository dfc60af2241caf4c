//! The driver's policies: when it gives buffers back, and when it lets interrupts through again.
//!
//! Contract: pure choices, checked by [`DriverConfig::validate`](crate::DriverConfig::validate). Two of
//! them, [`Refill::WithoutKick`] and [`Rearm::Blind`], are faults that drivers have had; they are here
//! so that what they do to frames can be shown, and found by the watchdog.

use crate::coalesce::Coalesce;
use crate::config_error::{ConfigError, in_range};
use crate::spec;

/// When free buffers go back to the device, at the end of a poll. Always all of them, with one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refill {
    /// Whenever one is free.
    EachPoll,
    /// When at least [`DriverConfig::refill_threshold`](crate::DriverConfig) are free.
    Threshold,
    /// When the device has none left, or too few for a longest frame over several buffers. Until then what
    /// arrives finds fewer and fewer descriptors.
    WhenEmpty,
    /// As [`Refill::Threshold`], but the device is never told, even if it asks for it: a device that has
    /// run out of descriptors goes on sleeping.
    WithoutKick,
}

/// What a poll that found less than its budget does about completions that came since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rearm {
    /// Lets interrupts through, then looks at the ring once more, as virtio 1.x 2.7.10.1 has it.
    LookAgain,
    /// Believes the poll, which has seen the ring empty, and lets interrupts through without another look. A
    /// completion between the two is silent, and with EVENT_IDX all later ones are as well.
    Blind,
}

/// What a queue does once a poll has emptied it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moderation {
    /// Lets interrupts through.
    Interrupts,
    /// Keeps them away for a while that grows with the measured rate, then polls again; lets them through
    /// when a poll has found nothing. See [`ADAPTIVE_STEPS`].
    Adaptive,
    /// Lets them through, and has the device delay them by a time that grows with the measured rate: a
    /// command for the queue at each step (virtio 1.x, 5.1.6.5.9). VIRTIO_NET_F_VQ_NOTF_COAL is asked for
    /// and required then. What the kernel calls DIM (Documentation/networking/net_dim.rst).
    AdaptiveDevice,
    /// Never lets them through: polls for ever, with this pause after each poll.
    BusyPoll {
        /// Picoseconds between the end of a poll and the next one.
        period_ps: u64,
    },
    /// Polls again by a timer, and lets interrupts through after so many timers without a frame. Linux:
    /// `napi_defer_hard_irqs` and `gro_flush_timeout` (Documentation/networking/napi.rst).
    Deferred {
        /// Timers after the last poll that found a frame.
        hard_irqs: u32,
        /// Picoseconds of each.
        flush_timeout_ps: u64,
    },
}

/// What the driver does when a queue breaks, or the device asks for a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recover {
    /// Nothing: the queue stays stopped, or the driver broken, until somebody starts it again.
    None,
    /// Resets the queue alone if that is agreed, else the device.
    Queue,
    /// Resets the device.
    Device,
}

/// One step of adaptive moderation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Microseconds for which interrupts stay away, or which a device may delay them.
    pub usecs: u32,
    /// Frames after which a device that moderates by itself need not wait any longer.
    pub frames: u32,
    /// Frames per millisecond from which on the next step is better.
    pub up_from: u64,
}

/// The steps of [`Moderation::Adaptive`] and [`Moderation::AdaptiveDevice`].
///
/// Delays and counts are those that Linux lists for receive queues
/// moderated from events (lib/dim/net_dim.c, `NET_DIM_RX_EQE_PROFILES`); the rates between them are
/// chosen here so that one delay gathers some 10 frames. A queue moves one step per window at most.
pub const ADAPTIVE_STEPS: [Step; 5] = [
    Step { usecs: 1, frames: 256, up_from: 50 },
    Step { usecs: 8, frames: 256, up_from: 200 },
    Step { usecs: 64, frames: 256, up_from: 500 },
    Step { usecs: 128, frames: 256, up_from: 1500 },
    Step { usecs: 256, frames: 256, up_from: u64::MAX },
];

/// Picoseconds over which the rate is measured.
pub const ADAPTIVE_WINDOW_PS: u64 = 1_000_000_000;

impl Step {
    /// As the device is told of it.
    pub(crate) fn limits(self) -> Coalesce {
        Coalesce { max_packets: self.frames, max_usecs: self.usecs }
    }
}

impl Moderation {
    /// The features that it needs.
    pub(crate) fn features(self) -> u64 {
        if self == Self::AdaptiveDevice { spec::NET_F_VQ_NOTF_COAL } else { 0 }
    }

    /// The step follows the rate.
    #[inline]
    pub(crate) fn is_adaptive(self) -> bool {
        matches!(self, Self::Adaptive | Self::AdaptiveDevice)
    }

    pub(crate) fn validate(self) -> Result<(), ConfigError> {
        match self {
            Self::Interrupts | Self::Adaptive | Self::AdaptiveDevice => Ok(()),
            Self::BusyPoll { period_ps } => at_least_one("busy poll period_ps", period_ps),
            Self::Deferred { hard_irqs, flush_timeout_ps } => {
                at_least_one("defer_hard_irqs", hard_irqs.into())?;
                at_least_one("flush_timeout_ps", flush_timeout_ps)
            }
        }
    }
}

fn at_least_one(field: &'static str, value: u64) -> Result<(), ConfigError> {
    in_range(field, value, 1, u64::MAX)
}
