//! Control commands as bytes (virtio 1.x, 5.1.6.5): class, command number, and the data behind them.
//!
//! Contract: a command made here is laid out as the specification says.
//! Not checked: that its values are within what the device offered; [`crate::config`] does what it can.

use crate::coalesce::{Coalesce, CoalesceSettings as Coalescing};
use crate::config::{DriverConfig, HashSettings, RssSettings};
use crate::policy::{ADAPTIVE_STEPS, Moderation};
use crate::spec;
use crate::stats::{self, Queue};

/// Bytes of class and command number.
pub(crate) const HEADER_BYTES: usize = 2;

/// Data of every command but those whose length is up to the configuration: a virtqueue and its coalescing.
const LEAST_DATA: usize = 12;

/// Buffers of a command: header, data, answer.
pub(crate) const CHAIN: u16 = 3;

/// A command, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) class: u8,
    pub(crate) command: u8,
    pub(crate) data: Vec<u8>,
    /// Bytes that the device may write behind its answer.
    pub(crate) result: usize,
    pub(crate) purpose: Purpose,
}

/// What the result of a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// There is none.
    Set,
    /// The types of statistics there are.
    StatsTypes,
    /// Statistics.
    Stats,
    /// There is none; the driver has announced itself.
    Announced,
    /// There is none; so many pairs are in use.
    Channels(u16),
}

impl Command {
    /// What a device just reset is told, in this order: queues and steering, hash, filters, coalescing. One pair needs
    /// no command: it is what a device starts with (5.1.6.5.6).
    pub(crate) fn at_start(config: &DriverConfig, queue_pairs: u16) -> Vec<Self> {
        let mut commands = Vec::new();
        if config.rss.is_some() || queue_pairs > 1 {
            let channels = Self::channels(config, queue_pairs);
            // A bring-up needs no word of what it has done.
            commands.push(Self { purpose: Purpose::Set, ..channels });
        }
        // With RSS its configuration says what is hashed.
        if let Some(hash) = config.hash_report.as_ref().filter(|_| config.rss.is_none()) {
            commands.push(Self::hash_config(hash));
        }
        commands.extend(config.filter.commands());
        commands.extend(Self::coalescing(&config.coalesce));
        if config.moderation == Moderation::AdaptiveDevice {
            let first = ADAPTIVE_STEPS[0].limits();
            commands.extend((0..config.queue_pairs).map(|q| Self::coalesce_queue(q, first)));
        }
        commands
    }

    /// Use so many queue pairs: those of the RSS table go round them.
    pub(crate) fn channels(config: &DriverConfig, queue_pairs: u16) -> Self {
        let command = match &config.rss {
            Some(rss) => {
                let table = rss.table.iter().map(|queue| queue % queue_pairs).collect();
                let unclassified = rss.unclassified % queue_pairs;
                let rss = RssSettings { table, unclassified, ..rss.clone() };
                Self::rss_config(&rss, queue_pairs)
            }
            None => Self::pairs_set(queue_pairs),
        };
        Self { purpose: Purpose::Channels(queue_pairs), ..command }
    }

    /// Report this hash (5.1.6.5.6.4).
    fn hash_config(hash: &HashSettings) -> Self {
        let mut data = hash.hash_types.to_le_bytes().to_vec();
        data.extend([0; 8]);
        // Validated: 1..=255 bytes.
        data.push(hash.key.len() as u8);
        data.extend(&hash.key);
        Self::set(spec::CTRL_MQ, spec::CTRL_MQ_HASH_CONFIG, data)
    }

    /// Use this many queue pairs, with automatic steering (5.1.6.5.6).
    pub(crate) fn pairs_set(queue_pairs: u16) -> Self {
        Self::set(spec::CTRL_MQ, spec::CTRL_MQ_VQ_PAIRS_SET, queue_pairs.to_le_bytes().to_vec())
    }

    /// Steer by hash (5.1.6.5.7.1). Sets the number of queue pairs as well, by `max_tx_vq`.
    pub(crate) fn rss_config(rss: &RssSettings, queue_pairs: u16) -> Self {
        // Validated: 1..=32768 entries, a power of two; 1..=255 bytes of key.
        let mask = (rss.table.len() - 1) as u16;
        let mut data = Vec::with_capacity(rss_bytes(rss));
        data.extend(rss.hash_types.to_le_bytes());
        data.extend(mask.to_le_bytes());
        data.extend(rss.unclassified.to_le_bytes());
        for queue in &rss.table {
            data.extend(queue.to_le_bytes());
        }
        data.extend(queue_pairs.to_le_bytes());
        data.push(rss.key.len() as u8);
        data.extend(&rss.key);
        Self::set(spec::CTRL_MQ, spec::CTRL_MQ_RSS_CONFIG, data)
    }

    /// The driver has announced itself (5.1.6.5.4).
    pub(crate) fn announce_ack() -> Self {
        let ack = Self::set(spec::CTRL_ANNOUNCE, spec::CTRL_ANNOUNCE_ACK, Vec::new());
        Self { purpose: Purpose::Announced, ..ack }
    }

    /// Which statistics there are (1.4, 5.1.6.5.10.1).
    pub(crate) fn stats_query() -> Self {
        let (result, purpose) = (size_of::<u64>(), Purpose::StatsTypes);
        let query = Self::set(spec::CTRL_STATS, spec::CTRL_STATS_QUERY, Vec::new());
        Self { result, purpose, ..query }
    }

    /// Those of `types` that this driver knows, of all virtqueues in use (1.4, 5.1.6.5.10.2).
    pub(crate) fn stats_get(types: u64, queue_pairs: u16, control: u16) -> Self {
        let receive = (0..queue_pairs).map(|pair| (2 * pair, Queue::Receive));
        let transmit = (0..queue_pairs).map(|pair| (2 * pair + 1, Queue::Transmit));
        let (mut data, mut result) = (Vec::new(), 0);
        for (virtqueue, queue) in receive.chain(transmit).chain([(control, Queue::Control)]) {
            let types = stats::types_of(types, queue);
            data.extend(virtqueue.to_le_bytes());
            data.extend([0; 6]);
            data.extend(types.to_le_bytes());
            result += stats::answer_bytes(types);
        }
        let get = Self::set(spec::CTRL_STATS, spec::CTRL_STATS_GET, data);
        Self { result, purpose: Purpose::Stats, ..get }
    }

    fn coalescing(settings: &Coalescing) -> impl Iterator<Item = Self> {
        let all = [
            (spec::CTRL_NOTF_COAL_TX_SET, settings.tx),
            (spec::CTRL_NOTF_COAL_RX_SET, settings.rx),
        ];
        let all = all.into_iter().filter_map(|(number, limits)| Some((number, limits?)));
        let all = all.map(|(number, limits)| Self::coalesce(number, &[], limits));
        let single = settings.queues.iter();
        all.chain(single.map(|(queue, limits)| Self::coalesce_queue(*queue, *limits)))
    }

    /// The coalescing of one receive queue (5.1.6.5.9).
    pub(crate) fn coalesce_queue(queue: u16, limits: Coalesce) -> Self {
        let [low, high] = (2 * queue).to_le_bytes();
        Self::coalesce(spec::CTRL_NOTF_COAL_VQ_SET, &[low, high, 0, 0], limits)
    }

    fn coalesce(number: u8, which: &[u8], limits: Coalesce) -> Self {
        let mut data = which.to_vec();
        data.extend(limits.max_packets.to_le_bytes());
        data.extend(limits.max_usecs.to_le_bytes());
        Self::set(spec::CTRL_NOTF_COAL, number, data)
    }

    /// A command without result.
    pub(crate) fn set(class: u8, command: u8, data: Vec<u8>) -> Self {
        Self { class, command, data, result: 0, purpose: Purpose::Set }
    }
}

/// Bytes of the longest command that `config` can lead to.
pub(crate) fn largest_command(config: &DriverConfig) -> usize {
    let stats = match config.wanted() & spec::NET_F_DEVICE_STATS {
        0 => 0,
        _ => Command::stats_get(u64::MAX, config.queue_pairs, 0).data.len(),
    };
    let longest = Command::at_start(config, config.queue_pairs)
        .iter()
        .map(|command| command.data.len())
        .max();
    longest.unwrap_or(0).max(stats).max(LEAST_DATA)
}

/// Bytes of the longest result.
pub(crate) fn largest_result(config: &DriverConfig) -> usize {
    match config.wanted() & spec::NET_F_DEVICE_STATS {
        0 => 0,
        _ => Command::stats_get(u64::MAX, config.queue_pairs, 0).result.max(size_of::<u64>()),
    }
}

fn rss_bytes(rss: &RssSettings) -> usize {
    4 + 2 + 2 + 2 * rss.table.len() + 2 + 1 + rss.key.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rss_bytes_are_laid_out_as_specified() {
        let rss = RssSettings {
            hash_types: 0x0102,
            key: vec![0xaa, 0xbb],
            table: vec![0, 1, 2, 3],
            unclassified: 2,
        };
        let command = Command::rss_config(&rss, 4);
        let expected = [2, 1, 0, 0, 3, 0, 2, 0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 2, 0xaa, 0xbb];
        assert_eq!(command.data, expected);
        let config = DriverConfig { queue_pairs: 4, rss: Some(rss), ..DriverConfig::default() };
        let config = DriverConfig { features: 0, ..config };
        assert_eq!(largest_command(&config), expected.len());
    }

    #[test]
    fn a_hash_is_configured_unless_rss_does_it() {
        let hash = HashSettings { hash_types: 0x0102, key: vec![0xaa, 0xbb] };
        let config = DriverConfig { hash_report: Some(hash), ..DriverConfig::default() };
        let [command] = &Command::at_start(&config, 1)[..] else { panic!("one command") };
        assert_eq!((command.class, command.command), (4, 2));
        assert_eq!(command.data, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0xaa, 0xbb]);
        let rss = RssSettings {
            hash_types: 0x0102,
            key: vec![0xaa, 0xbb],
            table: vec![0],
            unclassified: 0,
        };
        let config = DriverConfig { rss: Some(rss), ..config };
        let sent = Command::at_start(&config, 1);
        assert_eq!(sent.iter().map(|command| command.command).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn pairs_are_a_little_endian_number() {
        assert_eq!(Command::pairs_set(0x0140).data, [0x40, 1]);
        let plain = DriverConfig { features: spec::NET_F_CTRL_VQ, ..DriverConfig::default() };
        assert_eq!((largest_command(&plain), largest_result(&plain)), (12, 0));
        let all = DriverConfig::default();
        assert_eq!((largest_command(&all), largest_result(&all)), (48, 120 + 160 + 24));
    }
}
