//! `struct virtio_net_rss_config` of VIRTIO_NET_CTRL_MQ_RSS_CONFIG, read and checked (5.1.6.5.7).
//!
//! A table entry or unclassified queue that the device does not have is refused here, so that steering never
//! has to check. `max_tx_vq` bounds the transmit virtqueues and says nothing of those that receive.

use super::classify::HashType;
use crate::spec::rss::{KEY_LEN_MAX, TABLE_LEN_MAX};
use std::fmt;

/// A valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RssConfig {
    /// Enabled types, bits of [`HashType`]; none sends every frame to the unclassified queue.
    pub hash_types: u32,
    /// Pair for frames of no enabled type.
    pub unclassified: u16,
    /// Indirection table of pairs. The length is a power of two up to 128.
    pub table: Vec<u16>,
    /// Transmit virtqueues that the driver may use, 1 or more.
    pub max_tx_vq: u16,
    /// Toeplitz key, up to 40 bytes; not empty unless `hash_types` is 0.
    pub key: Vec<u8>,
}

/// Why the bytes are no valid configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RssError {
    /// The command has this many bytes, which is not what its fields say.
    Length(usize),
    /// These types are unknown.
    HashTypes(u32),
    /// `indirection_table_mask` is not a power of two below 128, less one.
    TableMask(u16),
    /// `max_tx_vq` is 0 or above the pairs of the device.
    MaxTxVq(u16),
    /// `unclassified_queue` is not one of the device's pairs.
    Unclassified(u16),
    /// This entry of the table is not one of the device's pairs.
    TableEntry {
        /// Its place.
        index: usize,
        /// Its value.
        queue: u16,
    },
    /// The reserved words of a hash configuration are not 0.
    Reserved,
    /// The key is longer than 40 bytes, or empty though types are enabled.
    KeyLength(u8),
}

impl RssError {
    /// Name in snake_case, for events.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Length(_) => "length",
            Self::HashTypes(_) => "hash_types",
            Self::TableMask(_) => "table_mask",
            Self::MaxTxVq(_) => "max_tx_vq",
            Self::Unclassified(_) => "unclassified",
            Self::TableEntry { .. } => "table_entry",
            Self::Reserved => "reserved",
            Self::KeyLength(_) => "key_length",
        }
    }
}

impl RssConfig {
    /// Reads the command's data. `max_pairs`: queue pairs of the device.
    ///
    /// # Errors
    /// Any field out of its range, or bytes missing or left over.
    pub fn parse(bytes: &[u8], max_pairs: u16) -> Result<Self, RssError> {
        let mut fields = Fields { bytes, at: 0 };
        let hash_types = fields.le32()?;
        let mask = fields.le16()?;
        let unclassified = fields.le16()?;
        if hash_types & !HashType::ALL_BITS != 0 {
            return Err(RssError::HashTypes(hash_types & !HashType::ALL_BITS));
        }
        if mask >= TABLE_LEN_MAX || !(mask + 1).is_power_of_two() {
            return Err(RssError::TableMask(mask));
        }
        let mut table = Vec::with_capacity(usize::from(mask) + 1);
        for _ in 0..=mask {
            table.push(fields.le16()?);
        }
        let max_tx_vq = fields.le16()?;
        let [key_len] = fields.take()?;
        let key = bytes[fields.at..].to_vec();
        if key.len() != usize::from(key_len) {
            return Err(RssError::Length(bytes.len()));
        }
        let config = Self { hash_types, unclassified, table, max_tx_vq, key };
        config.check(max_pairs, key_len)?;
        Ok(config)
    }

    /// The pair of a hash.
    #[inline]
    #[must_use]
    pub fn queue_of(&self, hash: u32) -> u16 {
        self.table[hash as usize & (self.table.len() - 1)]
    }

    /// Pairs that receive: up to the last one that a frame can be steered to.
    #[must_use]
    pub fn receiving_pairs(&self) -> u16 {
        // Each is below the pairs of the device.
        1 + self.table.iter().copied().fold(self.unclassified, u16::max)
    }

    fn check(&self, max_pairs: u16, key_len: u8) -> Result<(), RssError> {
        if self.max_tx_vq == 0 || self.max_tx_vq > max_pairs {
            return Err(RssError::MaxTxVq(self.max_tx_vq));
        }
        if self.unclassified >= max_pairs {
            return Err(RssError::Unclassified(self.unclassified));
        }
        if let Some(index) = self.table.iter().position(|queue| *queue >= max_pairs) {
            return Err(RssError::TableEntry { index, queue: self.table[index] });
        }
        if key_len > KEY_LEN_MAX || (key_len == 0 && self.hash_types != 0) {
            return Err(RssError::KeyLength(key_len));
        }
        Ok(())
    }
}

struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], RssError> {
        let field = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk());
        self.at += N;
        field.copied().ok_or(RssError::Length(self.bytes.len()))
    }

    fn le16(&mut self) -> Result<u16, RssError> {
        self.take().map(u16::from_le_bytes)
    }

    fn le32(&mut self) -> Result<u32, RssError> {
        self.take().map(u32::from_le_bytes)
    }
}

impl fmt::Display for RssError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(n) => {
                write!(
                    f,
                    "RSS command of {n} bytes: send exactly what its table mask and key length say"
                )
            }
            Self::HashTypes(bits) => {
                write!(
                    f,
                    "RSS hash types {bits:#x} are unknown: choose from {:#x}",
                    HashType::ALL_BITS
                )
            }
            Self::TableMask(mask) => {
                write!(
                    f,
                    "RSS indirection_table_mask is {mask}: choose a power of two up to {TABLE_LEN_MAX}, less one"
                )
            }
            Self::MaxTxVq(n) => {
                write!(f, "RSS max_tx_vq is {n}: choose 1 to the device's max_virtqueue_pairs")
            }
            Self::Unclassified(queue) => {
                write!(f, "RSS unclassified_queue is {queue}: choose one below max_virtqueue_pairs")
            }
            Self::TableEntry { index, queue } => {
                write!(
                    f,
                    "RSS indirection table entry {index} is {queue}: choose one below max_virtqueue_pairs"
                )
            }
            Self::Reserved => write!(f, "the reserved words of the hash configuration must be 0"),
            Self::KeyLength(n) => {
                write!(f, "RSS hash_key_length is {n}: choose 1 to {KEY_LEN_MAX}")
            }
        }
    }
}

impl std::error::Error for RssError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(
        types: u32,
        mask: u16,
        unclassified: u16,
        table: &[u16],
        max_tx: u16,
        key: &[u8],
    ) -> Vec<u8> {
        let mut bytes = types.to_le_bytes().to_vec();
        bytes.extend(mask.to_le_bytes());
        bytes.extend(unclassified.to_le_bytes());
        bytes.extend(table.iter().flat_map(|queue| queue.to_le_bytes()));
        bytes.extend(max_tx.to_le_bytes());
        bytes.push(key.len() as u8);
        bytes.extend(key);
        bytes
    }

    #[test]
    fn a_valid_command_is_read() {
        let config = RssConfig::parse(&bytes(0x1ff, 3, 1, &[0, 1, 2, 3], 4, &[7; 40]), 4).unwrap();
        assert_eq!(config.table, [0, 1, 2, 3]);
        assert_eq!(config.queue_of(0xffff_fffe), 2);
        assert_eq!((config.unclassified, config.max_tx_vq, config.key.len()), (1, 4, 40));
    }

    #[test]
    fn receive_queues_are_not_bounded_by_the_transmit_queues() {
        let config = RssConfig::parse(&bytes(0x1ff, 1, 0, &[3, 1], 1, &[7; 40]), 4).unwrap();
        assert_eq!((config.max_tx_vq, config.receiving_pairs()), (1, 4));
        let config = RssConfig::parse(&bytes(0x1ff, 0, 2, &[0], 4, &[7; 40]), 4).unwrap();
        assert_eq!((config.max_tx_vq, config.receiving_pairs()), (4, 3));
    }

    #[test]
    fn each_bad_field_is_named() {
        let parse = |bytes: Vec<u8>| RssConfig::parse(&bytes, 4).expect_err("must be refused");
        let key = [1; 40];
        assert_eq!(parse(vec![]), RssError::Length(0));
        assert_eq!(parse(bytes(0x200, 0, 0, &[0], 1, &key)), RssError::HashTypes(0x200));
        assert_eq!(parse(bytes(1, 2, 0, &[0; 3], 1, &key)), RssError::TableMask(2));
        assert_eq!(parse(bytes(1, 255, 0, &[0; 256], 1, &key)), RssError::TableMask(255));
        assert_eq!(parse(bytes(1, 0xffff, 0, &[], 1, &key)), RssError::TableMask(0xffff));
        assert_eq!(parse(bytes(1, 0, 0, &[0], 0, &key)), RssError::MaxTxVq(0));
        assert_eq!(parse(bytes(1, 0, 0, &[0], 5, &key)), RssError::MaxTxVq(5));
        assert_eq!(parse(bytes(1, 0, 4, &[0], 2, &key)), RssError::Unclassified(4));
        assert_eq!(
            parse(bytes(1, 1, 0, &[0, 4], 2, &key)),
            RssError::TableEntry { index: 1, queue: 4 }
        );
        assert_eq!(parse(bytes(1, 0, 0, &[0], 1, &[1; 41])), RssError::KeyLength(41));
        assert_eq!(parse(bytes(1, 0, 0, &[0], 1, &[])), RssError::KeyLength(0));
        assert!(RssConfig::parse(&bytes(0, 0, 0, &[0], 1, &[]), 4).is_ok());
        let mut long = bytes(1, 0, 0, &[0], 1, &key);
        long.push(0);
        assert_eq!(parse(long), RssError::Length(54));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_steers_within_the_receiving_pairs(
            bytes in proptest::collection::vec(0_u8..5, 0..60),
            hash in any::<u32>(),
        ) {
            if let Ok(config) = RssConfig::parse(&bytes, 4) {
                let pairs = config.receiving_pairs();
                prop_assert!(config.queue_of(hash) < pairs && config.unclassified < pairs);
                prop_assert!(pairs <= 4 && (1..=4).contains(&config.max_tx_vq));
            }
        }
    }
}
