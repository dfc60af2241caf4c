//! What can go wrong between the driver and its device, with what to do about it.

use std::fmt;

use crate::config_error::ConfigError;
use crate::dma::DmaError;
use crate::ring::RingError;
use crate::transport::TransportError;

/// Why the driver could not be made, brought up or kept running.
///
/// From the first refusal on the driver is broken: it has set FAILED (unless the device is gone, or
/// has itself asked for a reset), takes no frame, and waits for a new [`Driver::start`](crate::Driver::start).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriverError {
    /// The configuration breaks a rule.
    Config(ConfigError),
    /// The memory does not do.
    Memory(DmaError),
    /// `step` before `start`.
    NotStarted,
    /// The device answers with all ones: it has been removed.
    DeviceGone,
    /// The device did not finish its reset in time.
    ResetTimeout {
        /// The status it showed last.
        status: u8,
        /// The time it had, in picoseconds.
        limit_ps: u64,
    },
    /// Required features are not offered.
    MissingFeatures {
        /// The required ones that are missing.
        missing: u64,
        /// All that are offered.
        offered: u64,
    },
    /// The device does not agree to the features accepted.
    FeaturesRefused {
        /// The features the driver accepted.
        features: u64,
    },
    /// The configuration space changed at every attempt to read it.
    ConfigUnstable {
        /// How often it was tried.
        attempts: u32,
    },
    /// A configuration field holds what the specification forbids.
    BadConfigSpace {
        /// The field.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
    /// Something configured exceeds what the device can do.
    DeviceLimit {
        /// What is limited.
        what: &'static str,
        /// What was configured.
        wanted: u64,
        /// What the device can do.
        limit: u64,
    },
    /// The device's MTU does not fit the receive buffers.
    BufferTooSmall {
        /// The device's MTU.
        mtu: u16,
        /// Bytes a buffer must have for it, or with mergeable buffers the ring.
        need: u64,
        /// Bytes it has.
        buffer_size: u32,
    },
    /// The device does not have a virtqueue that it should.
    QueueMissing {
        /// The virtqueue.
        queue: u16,
    },
    /// A ring is configured longer than the device allows.
    RingTooLong {
        /// The virtqueue.
        queue: u16,
        /// Entries configured.
        wanted: u16,
        /// Entries allowed.
        max: u16,
    },
    /// The transport failed.
    Transport {
        /// What the driver was about.
        step: &'static str,
        /// Why.
        error: TransportError,
    },
    /// DRIVER_OK did not stick.
    DriverOkRefused {
        /// The status read back.
        status: u8,
    },
    /// The device did not answer a control command in time.
    ControlTimeout {
        /// Its class.
        class: u8,
        /// Its number.
        command: u8,
        /// The time it had, in picoseconds.
        limit_ps: u64,
    },
    /// The device answered a control command with an error.
    ControlRefused {
        /// Its class.
        class: u8,
        /// Its number.
        command: u8,
        /// The answer; 0xff is what the driver put there, so the device wrote none.
        ack: u8,
    },
    /// The device broke the rules of the control ring.
    ControlRing(RingError),
    /// The device has set NEEDS_RESET.
    NeedsReset,
}

impl DriverError {
    /// The error's name, snake_case, for events.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::Memory(_) => "memory",
            Self::NotStarted => "not_started",
            Self::DeviceGone => "device_gone",
            Self::ResetTimeout { .. } => "reset_timeout",
            Self::MissingFeatures { .. } => "missing_features",
            Self::FeaturesRefused { .. } => "features_refused",
            Self::ConfigUnstable { .. } => "config_unstable",
            Self::BadConfigSpace { .. } => "bad_config_space",
            Self::DeviceLimit { .. } => "device_limit",
            Self::BufferTooSmall { .. } => "buffer_too_small_for_mtu",
            Self::QueueMissing { .. } => "queue_missing",
            Self::RingTooLong { .. } => "ring_too_long",
            Self::Transport { .. } => "transport",
            Self::DriverOkRefused { .. } => "driver_ok_refused",
            Self::ControlTimeout { .. } => "control_timeout",
            Self::ControlRefused { .. } => "control_refused",
            Self::ControlRing(_) => "control_ring",
            Self::NeedsReset => "needs_reset",
        }
    }
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "driver configuration: {error}"),
            Self::Memory(error) => write!(f, "driver memory: {error}"),
            Self::NotStarted => write!(f, "the driver is not started; call start first"),
            Self::DeviceGone => {
                write!(f, "the device is gone (all registers read as ones); attach it again")
            }
            Self::ResetTimeout { status, limit_ps } => write!(
                f,
                "the device has not finished its reset after {limit_ps} ps (status {status:#04x}); \
                 allow it more time or replace it"
            ),
            Self::MissingFeatures { missing, offered } => write!(
                f,
                "the device lacks the required features {missing:#x} (it offers {offered:#x}); let \
                 it offer them, or do not require them"
            ),
            Self::FeaturesRefused { features } => write!(
                f,
                "the device does not agree to the features {features:#x}; ask for fewer, or for \
                 those they depend on as well"
            ),
            Self::ConfigUnstable { attempts } => write!(
                f,
                "the device configuration changed during each of {attempts} readings; start again \
                 when it has settled"
            ),
            Self::BadConfigSpace { field, value } => write!(
                f,
                "the device configuration has {field} = {value}, which virtio forbids; the device \
                 is faulty"
            ),
            Self::DeviceLimit { what, wanted, limit } => {
                write!(f, "{what} is {wanted:#x}, the device allows {limit:#x}; ask for less")
            }
            Self::BufferTooSmall { mtu, need, buffer_size } => write!(
                f,
                "an MTU of {mtu} needs {need} bytes of buffers, each has {buffer_size}; choose larger \
                 buffers or, with MRG_RXBUF, a longer ring, or do not ask for the feature MTU"
            ),
            Self::QueueMissing { queue } => {
                write!(f, "the device has no virtqueue {queue}; ask for fewer queue pairs")
            }
            Self::RingTooLong { queue, wanted, max } => write!(
                f,
                "virtqueue {queue} takes at most {max} entries, not {wanted}; choose a shorter ring"
            ),
            Self::Transport { step, error } => write!(f, "while {step}: {error}"),
            Self::DriverOkRefused { status } => write!(
                f,
                "the device does not accept DRIVER_OK (status {status:#04x}); look for its reason \
                 on the device side"
            ),
            Self::ControlTimeout { class, command, limit_ps } => write!(
                f,
                "the device has not answered control command {class}/{command} after {limit_ps} ps; \
                 allow it more time, or do without its feature"
            ),
            Self::ControlRefused { class, command, ack } => write!(
                f,
                "the device answers control command {class}/{command} with {ack:#04x}; ask for \
                 what it can do, or do without the feature"
            ),
            Self::ControlRing(error) => write!(f, "control queue: {error}; reset the device"),
            Self::NeedsReset => {
                write!(f, "the device has met an error and needs a reset; start the driver again")
            }
        }
    }
}

impl std::error::Error for DriverError {}

impl From<ConfigError> for DriverError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<DmaError> for DriverError {
    fn from(error: DmaError) -> Self {
        Self::Memory(error)
    }
}
