//! What the device is built with, and what makes such a description impossible.

use crate::features::{FeatureRule, broken_rule};
use crate::ring::RingKind;
use crate::spec::{ethernet, feature, ring};
use std::fmt;

/// Features this device can do. Receive coalescing (GUEST_TSO4 and its like) is not among them.
pub const SUPPORTED_FEATURES: u64 = feature::VERSION_1
    | feature::EVENT_IDX
    | feature::MAC
    | feature::STATUS
    | feature::MTU
    | feature::CTRL_VQ
    | feature::MQ
    | feature::RSS
    | feature::GUEST_CSUM
    | feature::MRG_RXBUF
    | feature::HASH_REPORT
    | feature::CTRL_RX
    | feature::CTRL_RX_EXTRA
    | feature::CTRL_VLAN
    | feature::CSUM
    | feature::HOST_TSO4
    | feature::HOST_TSO6
    | feature::HOST_ECN
    | feature::HOST_USO
    | feature::GUEST_ANNOUNCE
    | feature::CTRL_MAC_ADDR
    | feature::CTRL_GUEST_OFFLOADS
    | feature::DEVICE_STATS
    | feature::RING_RESET
    | feature::NOTF_COAL
    | feature::VQ_NOTF_COAL
    | feature::INDIRECT_DESC
    | feature::RING_PACKED
    | feature::IN_ORDER;

/// What a device offers unless something else is wanted: [`SUPPORTED_FEATURES`] without those that change
/// how rings are laid out or read.
pub const DEFAULT_FEATURES: u64 =
    SUPPORTED_FEATURES & !(feature::INDIRECT_DESC | feature::RING_PACKED | feature::IN_ORDER);

/// Most queue pairs a device can have.
pub const QUEUE_PAIRS_MAX: u16 = 64;

/// Largest FIFO, in bytes.
pub const FIFO_BYTES_MAX: u64 = 1 << 30;

/// Description of a device. The default is one pair of 256 entries, the default features, MTU 1500, no FIFO,
/// DMA that costs nothing, no coalescing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceConfig {
    /// MAC address after a reset, shown with VIRTIO_NET_F_MAC.
    pub mac: [u8; 6],
    /// Largest payload in bytes, 68 or more; bounds what counts as a giant, whether or not it is shown.
    pub mtu: u16,
    /// Queue pairs, 1 to [`QUEUE_PAIRS_MAX`].
    pub max_queue_pairs: u16,
    /// Largest size of a receive or transmit queue: a power of two up to 32768. The control queue has 64.
    pub queue_size_max: u16,
    /// Offered features, out of [`SUPPORTED_FEATURES`]. With one pair MQ is left out of the offer.
    pub features: u64,
    /// How the device does split virtqueues.
    pub ring: RingKind,
    /// Whoever has the device polls its virtqueues ([`Device::poll_queue`](crate::Device::poll_queue)), so
    /// that no driver is ever asked for a kick.
    pub polled: bool,
    /// Packet buffer in front of the DMA engine, in bytes of frames; 0 = a frame that cannot go straight
    /// to the DMA engine is dropped at once.
    pub fifo_bytes: u64,
    /// Shortest frame without FCS; a shorter one is a runt. 60 is a real MAC, 14 (a bare header) the least.
    pub min_frame: u16,
    /// Time one frame takes on the DMA engine, in ps, whatever its length.
    pub dma_frame_ps: u64,
    /// Time one byte takes on the DMA engine, in ps.
    pub dma_byte_ps: u64,
    /// MSI-X table size.
    pub vectors: u16,
    /// Interrupt coalescing of the receive queues, until the driver sets it by command. A device that offers
    /// VIRTIO_NET_F_NOTF_COAL must start with none (5.1.6.5.9.2): leave it at 0 there.
    pub rx_coalesce: Coalesce,
    /// The same of the transmit queues, as far as the driver gives them a vector.
    pub tx_coalesce: Coalesce,
}

/// When a wanted interrupt is sent at the latest, whichever comes first. Either 0: at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coalesce {
    /// This long after the first frame it stands for, in ps.
    pub max_ps: u64,
    /// With this many frames.
    pub max_frames: u32,
}

impl Coalesce {
    /// Nothing is put off.
    #[inline]
    #[must_use]
    pub const fn is_off(self) -> bool {
        self.max_ps == 0 || self.max_frames == 0
    }
}

/// Why no device can be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// `max_queue_pairs` is 0 or above [`QUEUE_PAIRS_MAX`].
    QueuePairs(u16),
    /// `queue_size_max` is no power of two up to 32768.
    QueueSize(u16),
    /// `mtu` is below 68.
    Mtu(u16),
    /// `min_frame` is below 14 or above `mtu` + 14.
    MinFrame(u16),
    /// `fifo_bytes` is above [`FIFO_BYTES_MAX`].
    FifoBytes(u64),
    /// These offered features are unknown to this device.
    UnsupportedFeatures(u64),
    /// VIRTIO_F_VERSION_1 is not offered.
    NoVersion1,
    /// A feature is offered without the one it needs.
    FeatureRule(&'static FeatureRule),
}

impl DeviceConfig {
    /// What the device shows to the driver: `features`, without MQ if there is one pair only (5.1.3.1).
    #[must_use]
    pub fn offered_features(&self) -> u64 {
        if self.max_queue_pairs > 1 { self.features } else { self.features & !feature::MQ }
    }

    /// Longest frame that is no giant: MTU, Ethernet header and two tags.
    #[must_use]
    pub fn frame_len_max(&self) -> usize {
        usize::from(self.mtu) + ethernet::HEADER_LEN + ethernet::TAGS_MAX * ethernet::TAG_LEN
    }

    /// Longest frame that a driver may send: one to be segmented, if that is offered.
    pub(crate) fn sent_len_max(&self) -> usize {
        let segmented = feature::HOST_TSO4 | feature::HOST_TSO6 | feature::HOST_USO;
        if self.features & segmented == 0 {
            return self.frame_len_max();
        }
        self.frame_len_max().max(ethernet::SEGMENTED_LEN_MAX)
    }

    /// Checks every field.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if self.max_queue_pairs == 0 || self.max_queue_pairs > QUEUE_PAIRS_MAX {
            return Err(ConfigError::QueuePairs(self.max_queue_pairs));
        }
        if !self.queue_size_max.is_power_of_two() || self.queue_size_max > ring::SIZE_MAX {
            return Err(ConfigError::QueueSize(self.queue_size_max));
        }
        if self.mtu < 68 {
            return Err(ConfigError::Mtu(self.mtu));
        }
        let min_frame = usize::from(self.min_frame);
        let untagged_max = usize::from(self.mtu) + ethernet::HEADER_LEN;
        if min_frame < ethernet::HEADER_LEN || min_frame > untagged_max {
            return Err(ConfigError::MinFrame(self.min_frame));
        }
        if self.fifo_bytes > FIFO_BYTES_MAX {
            return Err(ConfigError::FifoBytes(self.fifo_bytes));
        }
        let unsupported = self.features & !SUPPORTED_FEATURES;
        if unsupported != 0 {
            return Err(ConfigError::UnsupportedFeatures(unsupported));
        }
        if self.features & feature::VERSION_1 == 0 {
            return Err(ConfigError::NoVersion1);
        }
        broken_rule(self.features).map_or(Ok(()), |rule| Err(ConfigError::FeatureRule(rule)))
    }
}

impl Default for DeviceConfig {
    fn default() -> Self {
        Self {
            // Locally administered, so it is nobody's.
            mac: [0x02, 0x72, 0x78, 0x00, 0x00, 0x01],
            mtu: 1500,
            max_queue_pairs: 1,
            queue_size_max: 256,
            features: DEFAULT_FEATURES,
            ring: RingKind::default(),
            polled: false,
            fifo_bytes: 0,
            min_frame: 60,
            dma_frame_ps: 0,
            dma_byte_ps: 0,
            vectors: 2,
            rx_coalesce: Coalesce::default(),
            tx_coalesce: Coalesce::default(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueuePairs(n) => {
                write!(f, "max_queue_pairs is {n}: choose 1 to {QUEUE_PAIRS_MAX}")
            }
            Self::QueueSize(n) => {
                write!(f, "queue_size_max is {n}: choose a power of two up to {}", ring::SIZE_MAX)
            }
            Self::Mtu(n) => write!(f, "mtu is {n}: choose 68 or more (virtio 5.1.4)"),
            Self::MinFrame(n) => {
                write!(
                    f,
                    "min_frame is {n}: choose at least 14 (an Ethernet header) and at most mtu + 14"
                )
            }
            Self::FifoBytes(n) => {
                write!(f, "fifo_bytes is {n}: choose at most {FIFO_BYTES_MAX}")
            }
            Self::UnsupportedFeatures(bits) => {
                write!(
                    f,
                    "features {bits:#x} are unknown to this device: offer a part of {SUPPORTED_FEATURES:#x}"
                )
            }
            Self::NoVersion1 => {
                write!(
                    f,
                    "features lack VIRTIO_F_VERSION_1 (bit 32): the device is not a legacy device, offer it"
                )
            }
            Self::FeatureRule(rule) => {
                write!(f, "the features offered break a rule: {rule}; offer both or neither")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid() {
        assert_eq!(DeviceConfig::default().validate(), Ok(()));
    }

    #[test]
    fn each_bad_field_is_named() {
        let base = DeviceConfig::default;
        let bad = |change: fn(&mut DeviceConfig)| {
            let mut config = base();
            change(&mut config);
            config.validate().expect_err("must be refused")
        };
        assert_eq!(bad(|c| c.max_queue_pairs = 0), ConfigError::QueuePairs(0));
        assert_eq!(bad(|c| c.max_queue_pairs = 65), ConfigError::QueuePairs(65));
        assert_eq!(bad(|c| c.queue_size_max = 300), ConfigError::QueueSize(300));
        assert_eq!(bad(|c| c.queue_size_max = 0), ConfigError::QueueSize(0));
        assert_eq!(bad(|c| c.mtu = 67), ConfigError::Mtu(67));
        assert_eq!(bad(|c| c.min_frame = 13), ConfigError::MinFrame(13));
        assert_eq!(bad(|c| c.min_frame = 1515), ConfigError::MinFrame(1515));
        assert_eq!(bad(|c| c.fifo_bytes = 1 << 31), ConfigError::FifoBytes(1 << 31));
        assert_eq!(bad(|c| c.features |= 1 << 36), ConfigError::UnsupportedFeatures(1 << 36));
        assert_eq!(bad(|c| c.features = 0), ConfigError::NoVersion1);
        let lone_rss = bad(|c| c.features = feature::VERSION_1 | feature::RSS);
        assert!(matches!(lone_rss, ConfigError::FeatureRule(rule) if rule.feature == feature::RSS));
    }

    #[test]
    fn one_pair_does_not_offer_mq() {
        let one = DeviceConfig::default();
        assert_eq!(one.offered_features() & feature::MQ, 0);
        let two = DeviceConfig { max_queue_pairs: 2, ..one };
        assert_ne!(two.offered_features() & feature::MQ, 0);
    }
}
