//! Receive-side scaling: which queue a frame goes to (virtio 5.1.6.5.6 and 5.1.6.5.7).
//!
//! With RSS configured the queue is `table[hash & (table length - 1)]`, and the unclassified queue for a
//! frame of no enabled hash type. Otherwise steering is automatic: the same hash with a fixed key over the
//! active pairs, frames that are not IP to queue 0. That keeps each flow on one queue. It does not follow
//! the transmit queue a flow was last sent on, as the specification suggests a device may.

mod classify;
mod config;
mod hash_config;
mod toeplitz;

pub(crate) use classify::network_header;
pub use classify::{Classified, HashType, classify};
pub use config::{RssConfig, RssError};
pub use hash_config::HashConfig;
pub use toeplitz::{Hasher, INPUT_LEN_MAX, toeplitz};

/// Key of the automatic rule: that of the published verification suite.
const AUTOMATIC_KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// Hash types of the automatic rule: all without extension headers.
const AUTOMATIC_TYPES: u32 = 0x3f;

/// The steering rule in force.
#[derive(Debug)]
pub struct Steering {
    /// Queue pairs that receive.
    active_pairs: u16,
    automatic: Hasher,
    /// RSS configuration and the tables of its key; boxed, as it comes and goes by command.
    rss: Option<Box<(RssConfig, Hasher)>>,
    /// Types and key of the hash to report while steering is automatic.
    reported: Option<Box<(u32, Hasher)>>,
}

impl Steering {
    /// The rule after a reset: one pair.
    #[must_use]
    pub fn new() -> Self {
        Self { active_pairs: 1, automatic: Hasher::new(&AUTOMATIC_KEY), rss: None, reported: None }
    }

    pub(crate) fn reset(&mut self) {
        self.set_automatic(1);
        self.reported = None;
    }

    pub(crate) fn active_pairs(&self) -> u16 {
        self.active_pairs
    }

    /// The driver chose the queues by RSS; otherwise the device does.
    pub(crate) fn is_rss(&self) -> bool {
        self.rss.is_some()
    }

    /// Automatic steering over `pairs` pairs; RSS ends (the last command wins, 5.1.6.5.6).
    pub fn set_automatic(&mut self, pairs: u16) {
        self.active_pairs = pairs;
        self.rss = None;
    }

    /// RSS, over the pairs of its table.
    ///
    /// # Panics
    /// [`Steering::steer`] does, if the table is empty. [`RssConfig::parse`] accepts none that is.
    pub fn set_rss(&mut self, config: RssConfig) {
        self.active_pairs = config.receiving_pairs();
        let hasher = Hasher::new(&config.key);
        self.rss = Some(Box::new((config, hasher)));
    }

    /// What to report while steering is automatic, which it is from now on, over the pairs in use: the last
    /// command wins (5.1.6.5.6).
    pub(crate) fn set_hash(&mut self, config: &HashConfig) {
        self.rss = None;
        self.reported = Some(Box::new((config.hash_types, Hasher::new(&config.key))));
    }

    /// The hash to report of a frame that was steered by `steered`: the same with RSS, otherwise that of
    /// the configured types and key, and none before they are (5.1.6.4.3).
    pub(crate) fn report(
        &self,
        frame: &[u8],
        steered: Option<(HashType, u32)>,
    ) -> Option<(HashType, u32)> {
        if self.rss.is_some() {
            return steered;
        }
        let (hash_types, hasher) = &**self.reported.as_ref()?;
        let found = classify(frame, *hash_types)?;
        Some((found.hash_type(), hasher.hash(found.input())))
    }

    /// Queue pair of a frame, and the hash that chose it.
    #[inline]
    #[must_use]
    pub fn steer(&self, frame: &[u8]) -> (u16, Option<(HashType, u32)>) {
        if let Some(rss) = &self.rss {
            let (config, hasher) = &**rss;
            match classify(frame, config.hash_types) {
                Some(found) => {
                    let hash = hasher.hash(found.input());
                    (config.queue_of(hash), Some((found.hash_type(), hash)))
                }
                None => (config.unclassified, None),
            }
        } else if self.active_pairs == 1 {
            (0, None)
        } else if let Some(found) = classify(frame, AUTOMATIC_TYPES) {
            let hash = self.automatic.hash(found.input());
            // The high bits of hash * pairs spread any number of pairs evenly; below active_pairs.
            let queue = (u64::from(hash) * u64::from(self.active_pairs)) >> 32;
            (queue as u16, Some((found.hash_type(), hash)))
        } else {
            (0, None)
        }
    }
}

impl Default for Steering {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ethernet, IPv4, UDP from 10.0.0.1:`port`.
    fn udp(port: u16) -> Vec<u8> {
        let mut frame = vec![0; 60];
        frame[12..15].copy_from_slice(&[8, 0, 0x45]);
        frame[23] = 17;
        frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        frame[34..36].copy_from_slice(&port.to_be_bytes());
        frame
    }

    #[test]
    fn the_automatic_rule_keeps_flows_and_spreads_them() {
        let mut steering = Steering::new();
        steering.set_automatic(3);
        let mut hits = [0; 3];
        for port in 0..300 {
            let (queue, hash) = steering.steer(&udp(port));
            assert_eq!(steering.steer(&udp(port)), (queue, hash));
            assert_eq!(hash.unwrap().0, HashType::UdpIpv4);
            hits[usize::from(queue)] += 1;
        }
        assert!(hits.iter().all(|n| *n > 60), "{hits:?}");
        assert_eq!(steering.steer(&[0; 60]), (0, None), "no IP");
    }

    #[test]
    fn rss_uses_the_table_and_the_unclassified_queue() {
        let mut steering = Steering::new();
        steering.set_rss(RssConfig {
            hash_types: HashType::UdpIpv4.bit(),
            unclassified: 2,
            table: vec![1, 3],
            max_tx_vq: 4,
            key: AUTOMATIC_KEY.to_vec(),
        });
        assert_eq!(steering.active_pairs(), 4);
        for port in 0..50 {
            let (queue, hash) = steering.steer(&udp(port));
            assert_eq!(queue, [1, 3][(hash.unwrap().1 & 1) as usize]);
        }
        assert_eq!(steering.steer(&[0; 60]), (2, None));
        steering.set_automatic(1);
        assert_eq!(steering.steer(&udp(1)), (0, None));
    }
}
