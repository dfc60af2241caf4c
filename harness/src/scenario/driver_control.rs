//! `[[driver.control]]`: what is done to the driver while the run goes on.
//!
//! Contract: pure data. That each does exactly one thing, to a queue that exists, is checked in `validate`.

use serde::{Deserialize, Serialize};

use super::Duration;

/// One thing that is done to the driver. It takes effect at once and takes no time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DriverControl {
    /// When.
    pub at: Duration,
    /// The device is reset and brought up again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// This receive queue is reset by itself (virtio 1.x, 2.6.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_reset: Option<u16>,
    /// Every receive ring is reset and has so many descriptors then (`ethtool -G rx`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring_rx: Option<u16>,
    /// So many channels are used from now on, of those there are (`ethtool -L combined`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub combined: Option<u16>,
}

/// What the driver does by itself when a queue breaks, or the device asks for a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recover {
    /// Nothing.
    None,
    /// It resets the queue, or the device if that cannot be.
    Queue,
    /// It resets the device.
    Device,
}
