//! What the user of the driver chooses, and the rules a choice must keep.
//!
//! Contract: a [`DriverConfig`] that [`DriverConfig::validate`] accepts is consistent in itself.
//! Not checked here: whether the device can do it; that is found out at bring-up.

use crate::buffers::Buffers;
use crate::coalesce::CoalesceSettings;
use crate::config_error::{ConfigError, in_range};
use crate::filter::ReceiveFilter;
use crate::policy::{Moderation, Rearm, Recover, Refill};
use crate::spec;

/// The features that are asked for exactly when a setting needs them.
const SETTINGS: u64 = spec::NET_F_RSS
    | spec::NET_F_HASH_REPORT
    | spec::NET_F_CTRL_RX
    | spec::NET_F_CTRL_RX_EXTRA
    | spec::NET_F_CTRL_VLAN
    | spec::NET_F_NOTF_COAL
    | spec::NET_F_VQ_NOTF_COAL;

/// Least entries of a receive or transmit ring.
pub const MIN_RING: u16 = 16;
/// Most queue pairs.
pub const MAX_QUEUE_PAIRS: u16 = 64;
/// Most bytes of one buffer: a frame of 64 KiB with its headers fits well.
pub const MAX_BUFFER_BYTES: u32 = 128 * 1024;

/// Everything the driver is told before it meets a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverConfig {
    /// Receive/transmit queue pairs to use, 1..=64. More than one needs MQ or [`DriverConfig::rss`].
    pub queue_pairs: u16,
    /// Entries of each receive ring: a power of two, 16..=32768. The device must offer as many.
    pub rx_ring: u16,
    /// Entries of each transmit ring, same rule.
    pub tx_ring: u16,
    /// Bytes of each receive buffer, the virtio header included: 1526..=131072 without and 1534 with a hash
    /// report. With MRG_RXBUF required as little as that header, 12 or 20. Transmit buffers are as
    /// large, and 2048 at least.
    pub buffer_size: u32,
    /// What becomes of a receive buffer that holds a frame.
    pub buffers: Buffers,
    /// When free buffers go back to the device.
    pub refill: Refill,
    /// Refill when at least this many descriptors are free, 1..=`rx_ring`; 1 refills at every poll. Earlier
    /// if the device has too few buffers left for a longest frame that may take several, as it would wait
    /// for them, and the driver for frames.
    pub refill_threshold: u16,
    /// How interrupts are let through again after a poll.
    pub rearm: Rearm,
    /// What happens to a queue that a poll has emptied.
    pub moderation: Moderation,
    /// Period of the watchdog for lost interrupts, in picoseconds; 0 for none.
    pub watchdog_ps: u64,
    /// What happens when a queue breaks or the device asks for a reset.
    pub recover: Recover,
    /// How often that is done at most.
    pub recover_limit: u64,
    /// How interrupts are held off while a queue is being polled.
    pub mask: Masking,
    /// Receive-side scaling. VIRTIO_NET_F_RSS is asked for exactly when this is given.
    pub rss: Option<RssSettings>,
    /// Which hash the device is to report with each frame. VIRTIO_NET_F_HASH_REPORT is asked for exactly
    /// when this is given. With RSS it must be the one that RSS computes.
    pub hash_report: Option<HashSettings>,
    /// Which frames the device is to take. Its features are asked for exactly when it needs them.
    pub filter: ReceiveFilter,
    /// Interrupt coalescing, set at each start.
    pub coalesce: CoalesceSettings,
    /// How a frame to send is described.
    pub tx_header: TxHeader,
    /// How long the device may take for a reset and for each control command, in picoseconds.
    pub control_timeout_ps: u64,
    /// Features to take if the device offers them, out of [`spec::SUPPORTED_FEATURES`].
    pub features: u64,
    /// Features without which bring-up fails. VERSION_1 is always among them.
    pub required: u64,
}

impl Default for DriverConfig {
    /// One pair of 256 entries, 2 KiB buffers, refill at every poll, the default features, one second.
    fn default() -> Self {
        Self {
            queue_pairs: 1,
            rx_ring: 256,
            tx_ring: 256,
            buffer_size: 2048,
            buffers: Buffers::Copy,
            refill: Refill::Threshold,
            refill_threshold: 1,
            rearm: Rearm::LookAgain,
            moderation: Moderation::Interrupts,
            watchdog_ps: 0,
            recover: Recover::None,
            recover_limit: 8,
            mask: Masking::Ring,
            rss: None,
            hash_report: None,
            filter: ReceiveFilter::default(),
            coalesce: CoalesceSettings::default(),
            tx_header: TxHeader::WithFrame,
            control_timeout_ps: 1_000_000_000_000,
            features: spec::DEFAULT_FEATURES,
            required: 0,
        }
    }
}

impl DriverConfig {
    /// Checks every rule stated at the fields.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn validate(&self) -> Result<(), ConfigError> {
        in_range("queue_pairs", self.queue_pairs.into(), 1, MAX_QUEUE_PAIRS.into())?;
        ring("rx_ring", self.rx_ring)?;
        ring("tx_ring", self.tx_ring)?;
        in_range(
            "buffer_size",
            self.buffer_size.into(),
            self.least_buffer().into(),
            MAX_BUFFER_BYTES.into(),
        )?;
        in_range("refill_threshold", self.refill_threshold.into(), 1, self.rx_ring.into())?;
        self.moderation.validate()?;
        self.buffers.validate()?;
        in_range("control_timeout_ps", self.control_timeout_ps, 1, u64::MAX)?;
        self.coalesce.validate(self.queue_pairs)?;
        if self.moderation == Moderation::AdaptiveDevice && !self.coalesce.queues.is_empty() {
            return Err(ConfigError::CoalescedTwice);
        }
        self.validate_features()?;
        self.filter.validate()?;
        if let Some(rss) = &self.rss {
            rss.validate(self.queue_pairs)?;
        }
        match &self.hash_report {
            Some(hash) => hash.validate(self.rss.as_ref()),
            None => Ok(()),
        }
    }

    /// Bytes that a frame may take of one slot of a receive ring.
    pub(crate) fn room(&self) -> usize {
        self.buffer_size as usize + self.buffers.header()
    }

    /// Chains that a receive ring of `entries` has.
    pub(crate) fn rx_slots(&self, entries: u16, features: u64) -> u16 {
        let direct = features & spec::F_INDIRECT_DESC == 0;
        entries / if direct { self.buffers.chain().next_power_of_two() } else { 1 }
    }

    /// Bytes of each transmit buffer.
    pub(crate) fn tx_buffer_size(&self) -> u32 {
        if self.buffer_size < spec::MIN_RX_BUFFER_BYTES { 2048 } else { self.buffer_size }
    }

    /// The least receive buffer: for a whole frame, or for the header if frames may take several (5.1.6.3.1).
    fn least_buffer(&self) -> u32 {
        let hash = if self.hash_report.is_some() { spec::NET_F_HASH_REPORT } else { 0 };
        let header = spec::header_bytes(hash);
        if self.required & spec::NET_F_MRG_RXBUF != 0 {
            header as u32
        } else {
            spec::MIN_RX_BUFFER_BYTES + (header - spec::HEADER_BYTES) as u32
        }
    }

    /// The features that follow from settings, and are asked for because of them only.
    pub(crate) fn follow(&self) -> u64 {
        let rss = if self.rss.is_some() { spec::NET_F_RSS } else { 0 };
        let hash = if self.hash_report.is_some() { spec::NET_F_HASH_REPORT } else { 0 };
        let coalesce = self.coalesce.features() | self.moderation.features();
        rss | hash | self.filter.features() | coalesce
    }

    /// The features to accept if offered: what is wanted, what is required, and what follows from
    /// the other fields.
    pub(crate) fn wanted(&self) -> u64 {
        let wanted = self.features | self.required | spec::F_VERSION_1;
        wanted & !SETTINGS | self.follow()
    }

    fn validate_features(&self) -> Result<(), ConfigError> {
        let unknown = (self.features | self.required) & !spec::SUPPORTED_FEATURES;
        if unknown != 0 {
            return Err(ConfigError::UnsupportedFeatures { features: unknown });
        }
        let idle = self.required & SETTINGS & !self.follow();
        if idle != 0 {
            return Err(ConfigError::FeatureWithoutSettings { features: idle });
        }
        let wanted = self.wanted();
        let multi = spec::NET_F_MQ | spec::NET_F_RSS;
        if wanted & spec::NEED_CTRL_VQ != 0 && wanted & spec::NET_F_CTRL_VQ == 0 {
            return Err(ConfigError::NeedsControlQueue { features: wanted & spec::NEED_CTRL_VQ });
        }
        if self.queue_pairs > 1 && wanted & multi == 0 {
            return Err(ConfigError::PairsWithoutMultiQueue { queue_pairs: self.queue_pairs });
        }
        Ok(())
    }
}

/// How interrupts of a receive queue are held off while it is scheduled for polling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masking {
    /// By the ring: `used_event` moved away, or VIRTQ_AVAIL_F_NO_INTERRUPT. What Linux does.
    Ring,
    /// By the mask bit of the queue's MSI-X vector; what falls due meanwhile stays pending.
    Msix,
}

/// How the virtio header and the frame behind it are described when a frame is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxHeader {
    /// As one buffer.
    WithFrame,
    /// As two, which is what a driver must do that cannot write in front of a frame. They take two
    /// descriptors of the ring, or one and an indirect table if VIRTIO_F_INDIRECT_DESC is agreed.
    Apart,
}

impl TxHeader {
    /// Buffers of a chain.
    pub(crate) const fn chain(self) -> u16 {
        match self {
            Self::WithFrame => 1,
            Self::Apart => 2,
        }
    }
}

/// `virtio_net_rss_config` without the parts that follow from the rest (virtio 1.x 5.1.6.5.7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RssSettings {
    /// Hash types to apply, bits 0..=8.
    pub hash_types: u32,
    /// Toeplitz key, 1..=255 bytes; the device says how many it takes.
    pub key: Vec<u8>,
    /// Indirection table: receive queue indices; a power of two of them, at most 32768.
    pub table: Vec<u16>,
    /// Receive queue of frames that no hash type covers.
    pub unclassified: u16,
}

impl RssSettings {
    fn validate(&self, queue_pairs: u16) -> Result<(), ConfigError> {
        check_hash("rss.key length", self.hash_types, &self.key)?;
        in_range("rss.table length", self.table.len() as u64, 1, 32768)?;
        if !self.table.len().is_power_of_two() {
            return Err(ConfigError::NotPowerOfTwo {
                field: "rss.table length",
                value: self.table.len() as u64,
            });
        }
        let queues = self.table.iter().chain(std::iter::once(&self.unclassified));
        match queues.copied().find(|queue| *queue >= queue_pairs) {
            Some(queue) => Err(ConfigError::RssQueueOutOfRange { queue, queue_pairs }),
            None => Ok(()),
        }
    }
}

/// `virtio_net_hash_config` (virtio 1.x 5.1.6.5.6.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashSettings {
    /// Hash types to apply, bits 0..=8.
    pub hash_types: u32,
    /// Toeplitz key, 1..=255 bytes; the device says how many it takes.
    pub key: Vec<u8>,
}

impl HashSettings {
    fn validate(&self, rss: Option<&RssSettings>) -> Result<(), ConfigError> {
        check_hash("hash_report.key length", self.hash_types, &self.key)?;
        match rss {
            Some(rss) if rss.hash_types != self.hash_types || rss.key != self.key => {
                Err(ConfigError::TwoHashes)
            }
            _ => Ok(()),
        }
    }
}

fn ring(field: &'static str, entries: u16) -> Result<(), ConfigError> {
    in_range(field, entries.into(), MIN_RING.into(), spec::MAX_RING.into())?;
    if entries.is_power_of_two() {
        return Ok(());
    }
    Err(ConfigError::NotPowerOfTwo { field, value: entries.into() })
}

fn check_hash(field: &'static str, hash_types: u32, key: &[u8]) -> Result<(), ConfigError> {
    if hash_types & !spec::HASH_TYPES != 0 {
        return Err(ConfigError::UnknownHashTypes { hash_types });
    }
    in_range(field, key.len() as u64, 1, 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> DriverConfig {
        DriverConfig { queue_pairs: 4, ..DriverConfig::default() }
    }

    fn rss() -> RssSettings {
        RssSettings { hash_types: 0x3f, key: vec![1; 40], table: vec![0, 1, 2, 3], unclassified: 0 }
    }

    fn hash() -> HashSettings {
        HashSettings { hash_types: 0x3f, key: vec![1; 40] }
    }

    #[test]
    fn the_header_bounds_small_buffers_and_the_frame_large_ones() {
        let merging = DriverConfig { required: spec::NET_F_MRG_RXBUF, ..base() };
        let good = [
            DriverConfig { buffer_size: 12, ..merging.clone() },
            DriverConfig { buffer_size: 20, hash_report: Some(hash()), ..merging },
            DriverConfig { buffer_size: 1534, hash_report: Some(hash()), ..base() },
            DriverConfig { hash_report: Some(hash()), rss: Some(rss()), ..base() },
        ];
        for config in good {
            assert_eq!(config.validate(), Ok(()));
            assert!(config.tx_buffer_size() >= 1526);
        }
    }

    #[test]
    fn accepts_the_edges_of_every_range() {
        for (rx_ring, queue_pairs) in [(16, 1), (32768, 64)] {
            let config = DriverConfig { rx_ring, tx_ring: rx_ring, queue_pairs, ..base() };
            assert_eq!(config.validate(), Ok(()));
        }
        assert_eq!(DriverConfig { rss: Some(rss()), ..base() }.validate(), Ok(()));
    }

    #[test]
    fn refuses_what_lies_outside() {
        let bad = [
            DriverConfig { queue_pairs: 0, ..base() },
            DriverConfig { queue_pairs: 65, ..base() },
            DriverConfig { rx_ring: 8, ..base() },
            DriverConfig { tx_ring: 100, ..base() },
            DriverConfig { buffer_size: 1525, ..base() },
            DriverConfig { refill_threshold: 0, ..base() },
            DriverConfig { refill_threshold: 257, ..base() },
            DriverConfig { moderation: Moderation::BusyPoll { period_ps: 0 }, ..base() },
            DriverConfig {
                moderation: Moderation::Deferred { hard_irqs: 0, flush_timeout_ps: 1 },
                ..base()
            },
            DriverConfig { control_timeout_ps: 0, ..base() },
            DriverConfig { features: 1 << 15, ..base() },
            DriverConfig { features: spec::NET_F_MQ, ..base() },
            DriverConfig { features: spec::NET_F_CTRL_VQ, ..base() },
            DriverConfig { required: spec::NET_F_RSS, ..base() },
            DriverConfig { required: spec::NET_F_HASH_REPORT, ..base() },
            DriverConfig { required: spec::NET_F_CTRL_VLAN, ..base() },
            DriverConfig { hash_report: Some(hash()), buffer_size: 1533, ..base() },
            DriverConfig { required: spec::NET_F_MRG_RXBUF, buffer_size: 11, ..base() },
            DriverConfig {
                required: spec::NET_F_MRG_RXBUF,
                hash_report: Some(hash()),
                buffer_size: 19,
                ..base()
            },
            DriverConfig {
                hash_report: Some(HashSettings { hash_types: 1, ..hash() }),
                rss: Some(rss()),
                ..base()
            },
            DriverConfig { hash_report: Some(HashSettings { key: vec![], ..hash() }), ..base() },
        ];
        for config in bad {
            assert!(config.validate().is_err(), "{config:?}");
            assert!(config.memory_needed().is_err());
        }
    }

    #[test]
    fn refuses_bad_rss_settings() {
        let bad = [
            RssSettings { hash_types: 0x200, ..rss() },
            RssSettings { key: vec![], ..rss() },
            RssSettings { key: vec![0; 256], ..rss() },
            RssSettings { table: vec![0; 3], ..rss() },
            RssSettings { table: vec![], ..rss() },
            RssSettings { table: vec![4], ..rss() },
            RssSettings { unclassified: 4, ..rss() },
        ];
        for rss in bad {
            assert!(
                DriverConfig { rss: Some(rss.clone()), ..base() }.validate().is_err(),
                "{rss:?}"
            );
        }
    }

    #[test]
    fn rss_is_asked_for_exactly_when_it_has_settings() {
        assert_eq!(base().wanted() & spec::NET_F_RSS, 0);
        let with = DriverConfig { rss: Some(rss()), features: spec::NET_F_CTRL_VQ, ..base() };
        assert_ne!(with.wanted() & spec::NET_F_RSS, 0);
    }
}
