//! `[traffic]`: what is offered to the wire, made by the generator or read from a capture file.
//!
//! Contract: pure data. Whether the values fit together is checked in `validate`; what the
//! generator and the reader make of them is documented in [`crate::source`].

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::value::SeqAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::decimal;
use super::units::{BitRate, Bytes, Duration, PacketRate, Ratio, text_form};

/// `[traffic]`, told apart by `source = "generator"` or `source = "capture"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "lowercase")]
pub enum Traffic {
    /// Seeded synthetic frames.
    Generator(Generator),
    /// The frames of a capture file.
    Capture(Capture),
}

impl Default for Traffic {
    fn default() -> Self {
        Self::Generator(Generator::default())
    }
}

/// `[traffic] source = "generator"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Generator {
    /// How many frames are offered.
    pub frames: u64,
    /// The mean rate.
    pub rate: Rate,
    /// The frame sizes, counted as testers do: on Ethernet **with** the 4 bytes of FCS. `"64B"` is
    /// the shortest legal frame, of which 60 bytes are handed to the device.
    pub size: Size,
    /// How many flows (five-tuples) the frames belong to.
    pub flows: u32,
    /// How the frames are shared out among the flows.
    pub skew: Skew,
    /// Frames sent back to back at line rate before a gap that restores the mean rate.
    pub burst: u32,
    /// How late a burst may start at random, as a part of the time between two bursts.
    pub jitter: Ratio,
    /// Which protocols the flows use.
    pub mix: Mix,
    /// When the first frame may start.
    pub start: Duration,
}

impl Default for Generator {
    fn default() -> Self {
        Self {
            frames: 100_000,
            rate: Rate::Packets(PacketRate { milli: 1_000_000_000 }),
            size: Size::Fixed(Bytes(64)),
            flows: 64,
            skew: Skew::Uniform,
            burst: 1,
            jitter: Ratio::ZERO,
            mix: Mix::default(),
            start: Duration(0),
        }
    }
}

/// The mean rate of the generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Frames per second: `"1.2Mpps"`.
    Packets(PacketRate),
    /// Bits of frames (with FCS, without preamble and gap) per second: `"5Gbit/s"`.
    Bits(BitRate),
    /// As fast as the wire carries: `"line"`.
    Line,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "line" {
            Ok(Self::Line)
        } else if text.ends_with("bit/s") {
            text.parse().map(Self::Bits)
        } else if text.ends_with("pps") {
            text.parse().map(Self::Packets)
        } else {
            Err(format!(
                "`{text}` is not a rate: write frames per second like \"1.2Mpps\" (pps, kpps, \
                 Mpps, Gpps), bits per second like \"5Gbit/s\", or \"line\""
            ))
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packets(rate) => rate.fmt(f),
            Self::Bits(rate) => rate.fmt(f),
            Self::Line => f.pad("line"),
        }
    }
}

text_form!(Rate, "a rate, like \"1.2Mpps\", \"5Gbit/s\" or \"line\"");

/// The sizes of generated frames, FCS included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Size {
    /// All the same: `"64B"`.
    Fixed(Bytes),
    /// The simple IMIX of RFC 6985's kind: 7 frames of 64 B, 4 of 594 B, 1 of 1518 B: `"imix"`.
    Imix,
    /// Any mix: `[{ size = "64B", weight = 3 }, ...]`.
    List(Vec<WeightedSize>),
}

/// One entry of a list of sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedSize {
    /// Frame size, FCS included.
    pub size: Bytes,
    /// How often, relative to the other entries.
    pub weight: u32,
}

impl Size {
    /// The sizes and their weights, whichever way they were written.
    pub fn weighted(&self) -> Vec<WeightedSize> {
        let of = |size, weight| WeightedSize { size: Bytes(size), weight };
        match self {
            Self::Fixed(size) => vec![of(size.0, 1)],
            Self::Imix => vec![of(64, 7), of(594, 4), of(1518, 1)],
            Self::List(list) => list.clone(),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(size) => size.serialize(serializer),
            Self::Imix => serializer.serialize_str("imix"),
            Self::List(list) => list.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl<'de> serde::de::Visitor<'de> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"64B\", \"imix\" or a list of { size = \"64B\", weight = 1 }")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Size, E> {
        if text == "imix" {
            return Ok(Size::Imix);
        }
        text.parse().map(Size::Fixed).map_err(E::custom)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<Size, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Size::List)
    }
}

/// How frames are shared out among the flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// Each flow is as likely as any other: `"uniform"`.
    Uniform,
    /// The first flow takes this part of all frames, the others share the rest: `"elephant:80%"`.
    Elephant(Ratio),
    /// The n-th flow is as likely as 1/n: `"zipf"`.
    Zipf,
}

impl FromStr for Skew {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "uniform" => Ok(Self::Uniform),
            None if text == "zipf" => Ok(Self::Zipf),
            Some(("elephant", part)) => part.trim().parse().map(Self::Elephant),
            _ => Err(format!(
                "`{text}` is not a skew: write \"uniform\", \"zipf\" or \"elephant:80%\""
            )),
        }
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Elephant(part) => write!(f, "elephant:{part}"),
            Self::Zipf => f.write_str("zipf"),
        }
    }
}

text_form!(Skew, "a skew: \"uniform\", \"zipf\" or \"elephant:80%\"");

/// `[traffic.mix]`: weights of the protocols of the flows; each flow keeps the one it draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mix {
    /// Flows over IPv4.
    pub ipv4: u32,
    /// Flows over IPv6.
    pub ipv6: u32,
    /// Frames that are neither: ARP requests, which no RSS hash covers.
    pub other: u32,
    /// Of the IP flows: those over UDP.
    pub udp: u32,
    /// Of the IP flows: those over TCP.
    pub tcp: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { ipv4: 1, ipv6: 0, other: 0, udp: 1, tcp: 1 }
    }
}

/// `[traffic] source = "capture"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// pcap or pcapng file, relative to the folder of the scenario file.
    pub file: PathBuf,
    /// When the frames start.
    #[serde(default)]
    pub timing: Timing,
    /// Stop after so many frames, all passes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How often the file is played; a further pass starts at the last frame of the one before.
    #[serde(default = "once")]
    pub repeat: u32,
}

fn once() -> u32 {
    1
}

/// When the frames of a capture start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timing {
    /// At the recorded distances: `"original"`.
    #[default]
    Original,
    /// Faster by a factor, in thousandths: `"x10"`, `"x0.5"`.
    Scaled {
        /// The factor times 1000, never 0.
        milli: u64,
    },
    /// As fast as the wire carries: `"line"`.
    Line,
}

impl FromStr for Timing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a timing: write \"original\", \"line\", or a factor with at most \
                 three decimals like \"x10\" (faster) or \"x0.5\" (slower)"
            )
        };
        match text {
            "original" => return Ok(Self::Original),
            "line" => return Ok(Self::Line),
            _ => {}
        }
        let (digits, decimals) =
            text.strip_prefix('x').and_then(decimal::split).ok_or_else(wrong)?;
        let scaled = digits.checked_mul(1000).ok_or_else(wrong)?;
        let divisor = 10u128.pow(decimals);
        let milli = u64::try_from(scaled / divisor).map_err(|_| wrong())?;
        if milli == 0 || !scaled.is_multiple_of(divisor) {
            return Err(wrong());
        }
        Ok(Self::Scaled { milli })
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Original => f.write_str("original"),
            Self::Line => f.write_str("line"),
            Self::Scaled { milli } => {
                write!(f, "x{}", decimal::print(*milli, &[("", 1000)]))
            }
        }
    }
}

text_form!(Timing, "a timing: \"original\", \"line\", \"x10\" or \"x0.5\"");
