//! `struct virtio_net_hash_config` of VIRTIO_NET_CTRL_MQ_HASH_CONFIG, read and checked (5.1.6.5.6.4).

use super::classify::HashType;
use super::config::RssError;
use crate::spec::rss::KEY_LEN_MAX;

/// Bytes before the key: types, four reserved words, length of the key.
const HEAD: usize = 4 + 8 + 1;

/// What is hashed for the report while steering is automatic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashConfig {
    /// Enabled types, bits of [`HashType`].
    pub hash_types: u32,
    /// Toeplitz key, up to 40 bytes; not empty unless `hash_types` is 0.
    pub key: Vec<u8>,
}

impl HashConfig {
    /// Reads the command's data.
    ///
    /// # Errors
    /// A field out of its range, reserved words that are not 0, or bytes missing or left over.
    pub fn parse(bytes: &[u8]) -> Result<Self, RssError> {
        let Some((head, key)) = bytes.split_first_chunk::<HEAD>() else {
            return Err(RssError::Length(bytes.len()));
        };
        let [t0, t1, t2, t3, reserved @ .., key_len] = *head;
        let hash_types = u32::from_le_bytes([t0, t1, t2, t3]);
        if hash_types & !HashType::ALL_BITS != 0 {
            return Err(RssError::HashTypes(hash_types & !HashType::ALL_BITS));
        }
        if reserved != [0; 8] {
            return Err(RssError::Reserved);
        }
        if key.len() != usize::from(key_len) {
            return Err(RssError::Length(bytes.len()));
        }
        if key_len > KEY_LEN_MAX || (key_len == 0 && hash_types != 0) {
            return Err(RssError::KeyLength(key_len));
        }
        Ok(Self { hash_types, key: key.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(types: u32, reserved: [u8; 8], key_len: u8, key: &[u8]) -> Vec<u8> {
        [&types.to_le_bytes()[..], &reserved, &[key_len], key].concat()
    }

    #[test]
    fn each_field_is_checked() {
        let parse = |types, reserved, key_len, key: &[u8]| {
            HashConfig::parse(&bytes(types, reserved, key_len, key))
        };
        let good = HashConfig { hash_types: 0x1ff, key: vec![7; 40] };
        assert_eq!(parse(0x1ff, [0; 8], 40, &[7; 40]), Ok(good));
        assert_eq!(parse(0x200, [0; 8], 1, &[7]), Err(RssError::HashTypes(0x200)));
        assert_eq!(parse(1, [0, 0, 0, 0, 0, 0, 0, 1], 1, &[7]), Err(RssError::Reserved));
        assert_eq!(parse(1, [0; 8], 2, &[7]), Err(RssError::Length(14)));
        assert_eq!(parse(1, [0; 8], 1, &[7, 7]), Err(RssError::Length(15)));
        assert_eq!(parse(1, [0; 8], 41, &[7; 41]), Err(RssError::KeyLength(41)));
        assert_eq!(parse(1, [0; 8], 0, &[]), Err(RssError::KeyLength(0)));
        assert!(parse(0, [0; 8], 0, &[]).is_ok(), "no types, no key: reporting ends");
        assert_eq!(HashConfig::parse(&[0; 12]), Err(RssError::Length(12)));
    }
}
