//! How many queue pairs are in use: `ethtool -L combined`, of those that were set up.
//!
//! A device that is told of fewer pairs steers no frame to the others any more, and need not send what lies
//! in their transmit queues (virtio 1.x, 5.1.6.5.6). Their receive queues stay as they are: what is in them
//! is polled.
//!
//! Contract: no frame is given to a transmit queue that the device may not use: at once when there are to be
//! fewer, after the device's answer when there are to be more. The wish survives a restart.

use std::fmt;

use crate::command::Command;
use crate::spec;
use crate::transport::Transport;
use crate::{Driver, Host, State};

/// Pairs in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channels {
    /// What was asked for last.
    pub(crate) wanted: u16,
    /// What the device has agreed to last.
    pub(crate) agreed: u16,
}

impl Channels {
    pub(crate) fn new(queue_pairs: u16) -> Self {
        Self { wanted: queue_pairs, agreed: queue_pairs }
    }

    /// Transmit queues that may be used.
    #[inline]
    pub(crate) fn active(self) -> u16 {
        self.wanted.min(self.agreed)
    }
}

impl Driver {
    /// Uses so many of the queue pairs that were set up, from now on. With RSS the table's entries go round
    /// those in use. The device's answer is an event; if it refuses, everything stays as it was.
    ///
    /// # Errors
    /// Nothing was asked of the device.
    pub fn set_channels<T: Transport, H: Host>(
        &mut self,
        now: u64,
        queue_pairs: u16,
        transport: &mut T,
        host: &mut H,
    ) -> Result<(), ChannelsError> {
        if self.state != State::Running {
            return Err(ChannelsError::NotRunning);
        }
        let max = self.config.queue_pairs;
        if !(1..=max).contains(&queue_pairs) {
            return Err(ChannelsError::OutOfRange { queue_pairs, max });
        }
        if self.features & (spec::NET_F_MQ | spec::NET_F_RSS) == 0 {
            return Err(ChannelsError::NotAgreed);
        }
        self.channels.wanted = queue_pairs;
        let command = Command::channels(&self.config, queue_pairs);
        self.order(now, command, transport, host);
        Ok(())
    }

    /// Queue pairs in use.
    pub fn channels(&self) -> u16 {
        self.channels.active()
    }
}

/// Why the number of pairs in use was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelsError {
    /// The driver is not running.
    NotRunning,
    /// Neither MQ nor RSS is agreed.
    NotAgreed,
    /// Not that many pairs were set up, or none is asked for.
    OutOfRange {
        /// What was asked for.
        queue_pairs: u16,
        /// What was set up.
        max: u16,
    },
}

impl fmt::Display for ChannelsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning => write!(f, "the driver is not running; start it first"),
            Self::NotAgreed => {
                write!(f, "neither MQ nor RSS is agreed, so there is one pair; ask for one of them")
            }
            Self::OutOfRange { queue_pairs, max } => {
                write!(f, "{queue_pairs} pairs cannot be used; choose 1..={max}")
            }
        }
    }
}

impl std::error::Error for ChannelsError {}
