//! Which rule of a [`DriverConfig`](crate::DriverConfig) is broken, and what to choose instead.

use std::fmt;

/// Why a [`DriverConfig`](crate::DriverConfig) cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A number is outside its range.
    OutOfRange {
        /// The field's name.
        field: &'static str,
        /// What it holds.
        value: u64,
        /// The least it may hold.
        min: u64,
        /// The most it may hold.
        max: u64,
    },
    /// A number must be a power of two and is not.
    NotPowerOfTwo {
        /// The field's name.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
    /// Features are asked for that this driver does not know how to use.
    UnsupportedFeatures {
        /// The offending bits.
        features: u64,
    },
    /// MQ or RSS is asked for without CTRL_VQ.
    NeedsControlQueue {
        /// The bits that need it.
        features: u64,
    },
    /// Several pairs are asked for, but neither MQ nor RSS.
    PairsWithoutMultiQueue {
        /// How many pairs.
        queue_pairs: u16,
    },
    /// A table of addresses holds one of the other kind.
    WrongKindOfAddress {
        /// The field's name.
        field: &'static str,
        /// The address.
        address: [u8; 6],
    },
    /// The hash to report is not the one that RSS computes, and there is only one.
    TwoHashes,
    /// Queues have limits of their own, and moderation sets others.
    CoalescedTwice,
    /// A feature is required that its settings do not ask for.
    FeatureWithoutSettings {
        /// The bits.
        features: u64,
    },
    /// Hash types beyond bit 8.
    UnknownHashTypes {
        /// All bits asked for.
        hash_types: u32,
    },
    /// The indirection table or the unclassified queue names a queue that is not used.
    RssQueueOutOfRange {
        /// The queue named.
        queue: u16,
        /// How many there are.
        queue_pairs: u16,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { field, value, min, max } => {
                write!(f, "{field} is {value}; choose one of {min}..={max}")
            }
            Self::NotPowerOfTwo { field, value } => {
                write!(f, "{field} is {value}; choose a power of two")
            }
            Self::UnsupportedFeatures { features } => {
                write!(f, "this driver cannot use the features {features:#x}; leave them out")
            }
            Self::NeedsControlQueue { features } => {
                write!(f, "the features {features:#x} need CTRL_VQ; ask for it too")
            }
            Self::PairsWithoutMultiQueue { queue_pairs } => {
                write!(f, "{queue_pairs} queue pairs need the feature MQ or RSS settings")
            }
            Self::WrongKindOfAddress { field, address } => {
                let [a, b, c, d, e, g] = address;
                write!(
                    f,
                    "{field} has {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}; the first byte of a \
                     multicast address is odd, that of a station's is even"
                )
            }
            Self::TwoHashes => {
                write!(
                    f,
                    "the hash report and RSS have different types or keys; give both the same"
                )
            }
            Self::CoalescedTwice => write!(
                f,
                "adaptive moderation by the device sets the coalescing of each queue; leave out \
                 coalesce.queues"
            ),
            Self::FeatureWithoutSettings { features } => {
                write!(f, "the features {features:#x} are required; give their settings as well")
            }
            Self::UnknownHashTypes { hash_types } => {
                write!(f, "hash types {hash_types:#x} have unknown bits; use bits 0..=8")
            }
            Self::RssQueueOutOfRange { queue, queue_pairs } => {
                write!(f, "RSS names receive queue {queue}, but there are {queue_pairs}")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// Whether `field` holds one of `min..=max`.
pub(crate) fn in_range(
    field: &'static str,
    value: u64,
    min: u64,
    max: u64,
) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::OutOfRange { field, value, min, max })
}
