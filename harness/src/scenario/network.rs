//! The wire, the NIC and its driver, in the words of ethtool: channels, ring, coalesce, rxfh.
//!
//! Contract: pure data with the defaults of a plain 10 Gbit/s server port. What values are allowed
//! is said at the check in `validate`, and in its message.

use std::fmt;
use std::str::FromStr;

use serde::de::value::SeqAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::units::{BitRate, Bytes, Duration, Ratio, text_form};

/// `[wire]`: the cable and what it does to frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wire {
    /// Line rate.
    pub rate: BitRate,
    /// Largest IP packet, 68 to 65535 bytes.
    pub mtu: u32,
    /// Shortest frame (without FCS) that is no runt. Left out: 60 B for the generator, as on a real
    /// wire; 14 B for a capture, because captures hold frames from before the sender's MAC pads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_frame: Option<Bytes>,
    /// Chance that a frame arrives with a wrong FCS.
    pub bad_fcs: Ratio,
    /// Chance that a frame is cut below `min_frame`.
    pub runt: Ratio,
    /// Chance that a frame is stretched beyond what the MTU allows.
    pub giant: Ratio,
    /// When the link is down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub link_down: Vec<Window>,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            rate: BitRate(10_000_000_000),
            mtu: 1500,
            min_frame: None,
            bad_fcs: Ratio::ZERO,
            runt: Ratio::ZERO,
            giant: Ratio::ZERO,
            link_down: Vec::new(),
        }
    }
}

/// A stretch of virtual time: `{ at = "10ms", for = "5ms" }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// When it starts.
    pub at: Duration,
    /// How long it lasts; `for` in the file, which is no name in Rust.
    #[serde(rename = "for")]
    pub lasting: Duration,
}

impl Window {
    /// The first instant after it, in picoseconds; saturates at the end of time.
    pub fn end_ps(&self) -> u64 {
        self.at.0.saturating_add(self.lasting.0)
    }
}

/// `[channels]`: RX/TX queue pairs (`ethtool -l`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Channels {
    /// Queue pairs, 1 to 64.
    pub combined: u16,
}

impl Default for Channels {
    fn default() -> Self {
        Self { combined: 4 }
    }
}

/// `[ring]`: descriptors per queue (`ethtool -g`), powers of two from 16 to 32768.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ring {
    /// Of each RX queue.
    pub rx: u16,
    /// Of each TX queue.
    pub tx: u16,
}

impl Default for Ring {
    fn default() -> Self {
        Self { rx: 256, tx: 256 }
    }
}

/// `[coalesce]`: interrupt coalescing (`ethtool -c`); either value 0 notifies for each frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Coalesce {
    /// Longest delay of an RX interrupt, e.g. `"50us"`.
    pub rx_usecs: Duration,
    /// Frames after which it is sent without waiting longer.
    pub rx_frames: u32,
}

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

/// `[nic]`: the device model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nic {
    /// Hardware address.
    pub mac: Mac,
    /// MSI-X vectors; left out: one per channel and one for the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vectors: Option<u16>,
    /// The device's packet buffer; 0 B = none, a frame without descriptor is lost at once.
    pub fifo: Bytes,
    /// VIRTIO_F_EVENT_IDX: notifications at an index instead of on/off flags.
    pub event_idx: bool,
}

impl Default for Nic {
    fn default() -> Self {
        Self {
            mac: Mac([0x02, 0, 0, 0, 0, 0x01]),
            vectors: None,
            fifo: Bytes(256 << 10),
            event_idx: true,
        }
    }
}

/// An Ethernet address; written `"02:00:00:00:00:01"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes: Option<[u8; 6]> = parse_hex(text).ok().and_then(|bytes| bytes.try_into().ok());
        match bytes {
            Some(mac) if mac[0] & 1 == 0 && mac != [0; 6] => Ok(Self(mac)),
            _ => Err(format!(
                "`{text}` is not the address of one station: write six bytes, the first even, like \
                 \"02:00:00:00:00:01\""
            )),
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

text_form!(Mac, "an Ethernet address, like \"02:00:00:00:00:01\"");

/// `[dma]`: time on the device's one, serial DMA engine. The defaults are those of some 10 GB/s, as
/// a PCIe link of that kind gives; an input, not a claim about any device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dma {
    /// Fixed part per frame.
    pub frame: Duration,
    /// Per byte.
    pub byte: Duration,
}

impl Default for Dma {
    fn default() -> Self {
        Self { frame: Duration(40_000), byte: Duration(100) }
    }
}

/// `[driver]`: the guest's network driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Driver {
    /// Frames one poll takes at most.
    pub budget: u16,
    /// Bytes of one receive buffer, the 12 bytes of virtio header included.
    pub buffer: Bytes,
    /// Buffers are posted again when at least so many are free; 1 = after every poll.
    pub refill_threshold: u16,
    /// How a poll keeps its interrupt away.
    pub masking: Masking,
    /// How long a control command may take.
    pub control_timeout: Duration,
}

impl Default for Driver {
    fn default() -> Self {
        Self {
            budget: 64,
            buffer: Bytes(2048),
            refill_threshold: 16,
            masking: Masking::Ring,
            control_timeout: Duration(1_000_000_000_000),
        }
    }
}

/// How a poll keeps its interrupt away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Masking {
    /// By the used-ring flag or event index in memory: cheap, and only a hint to the device.
    Ring,
    /// By the mask bit of the MSI-X vector: a register write, and certain.
    Msix,
}

/// Bytes from hexadecimal, with or without colons.
fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
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
fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for (index, byte) in bytes.iter().enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        write!(f, "{colon}{byte:02x}")?;
    }
    Ok(())
}
