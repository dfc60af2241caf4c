//! `[rxfh]`: which queue a frame goes to, in the words of `ethtool -x`.
//!
//! Contract: pure data. That entries name queues that exist is checked in `validate`.

use std::fmt;
use std::str::FromStr;

use serde::de::value::SeqAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::units::text_form;

/// `[rxfh]`: receive side scaling (`ethtool -x`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rxfh {
    /// RSS on; off leaves the device's own steering rule.
    pub enabled: bool,
    /// What is hashed.
    pub hash_types: Vec<HashType>,
    /// Toeplitz key, 40 bytes.
    pub key: HashKey,
    /// Indirection table.
    pub indirection: Indirection,
    /// Queue of the frames that no hash type covers.
    pub unclassified_queue: u16,
}

impl Default for Rxfh {
    fn default() -> Self {
        use HashType::{Ipv4, Ipv6, Tcp4, Tcp6, Udp4, Udp6};
        Self {
            enabled: true,
            hash_types: vec![Ipv4, Tcp4, Udp4, Ipv6, Tcp6, Udp6],
            key: HashKey::default(),
            indirection: Indirection::Equal,
            unclassified_queue: 0,
        }
    }
}

/// What the RSS hash covers; virtio 1.x "hash types", in the order of their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names of virtio 1.x, 5.1.6.4.3.1, say it")]
pub enum HashType {
    Ipv4,
    Tcp4,
    Udp4,
    Ipv6,
    Tcp6,
    Udp6,
    Ipv6Ex,
    Tcp6Ex,
    Udp6Ex,
}

impl Rxfh {
    /// The hash types as the bit set of VIRTIO_NET_RSS_HASH_TYPE_*.
    pub fn hash_type_bits(&self) -> u32 {
        self.hash_types.iter().fold(0, |bits, &hash_type| bits | 1 << hash_type as u32)
    }

    /// The indirection table over `channels` queues; "equal" is 128 entries in turn.
    pub fn table(&self, channels: u16) -> Vec<u16> {
        match &self.indirection {
            Indirection::Equal => (0..128).map(|entry| entry % channels.max(1)).collect(),
            Indirection::Table(table) => table.clone(),
        }
    }
}

/// A Toeplitz key; written as hexadecimal, with or without `:` between the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKey(pub [u8; 40]);

impl Default for HashKey {
    /// The key of Microsoft's published RSS verification suite.
    fn default() -> Self {
        Self([
            0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
            0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
            0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
        ])
    }
}

impl FromStr for HashKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = parse_hex(text)?;
        let length = bytes.len();
        let key = bytes.try_into();
        key.map(Self).map_err(|_| format!("the hash key has {length} bytes, it must have 40"))
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

text_form!(HashKey, "a hash key: 40 bytes in hexadecimal, like \"6d:5a:...\"");

/// The RSS indirection table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indirection {
    /// All queues in turn: `"equal"`, as in `ethtool -X ... equal N`.
    Equal,
    /// The queue of each entry; a power of two of at most 128 entries.
    Table(Vec<u16>),
}

impl Serialize for Indirection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Equal => serializer.serialize_str("equal"),
            Self::Table(table) => table.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Indirection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IndirectionVisitor)
    }
}

struct IndirectionVisitor;

impl<'de> serde::de::Visitor<'de> for IndirectionVisitor {
    type Value = Indirection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"equal\" or a list of queues like [0, 1, 2, 3]")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Indirection, E> {
        match text {
            "equal" => Ok(Indirection::Equal),
            _ => Err(E::custom(format!(
                "`{text}` is not an indirection: write \"equal\" or a list of queues like [0, 1]"
            ))),
        }
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<Indirection, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Indirection::Table)
    }
}

/// Bytes from hexadecimal, with or without colons.
pub(super) fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = text
        .trim()
        .chars()
        .filter(|&c| c != ':')
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => {
            Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
        }
        _ => Err(format!("`{text}` is not bytes in hexadecimal, like \"6d:5a:56\"")),
    }
}

/// Bytes as hexadecimal with colons, as ethtool prints them.
pub(super) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for (index, byte) in bytes.iter().enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        write!(f, "{colon}{byte:02x}")?;
    }
    Ok(())
}
