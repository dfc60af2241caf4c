//! The quantities of a scenario file, each a whole number of its smallest unit.
//!
//! Contract: reading what was printed gives the same value; a wrong or missing unit is an error
//! that lists the right ones. No float, no rounding.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use super::decimal::{self, UnitTable};

/// A span of virtual time, in picoseconds; `u64` holds 213 days. Written `250ps`, `1.5us`, `10ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub u64);

/// A number of bytes. Written `64B`, `512KiB` (1024), `1MB` (1,000,000).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// Bits per second. Written `10Gbit/s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BitRate(pub u64);

/// Frames per second, in thousandths of one. Written `1.2Mpps`, `0.5pps`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PacketRate {
    /// Frames per 1000 seconds.
    pub milli: u64,
}

const TIME: UnitTable =
    &[("ps", 1), ("ns", 1_000), ("us", 1_000_000), ("ms", 1_000_000_000), ("s", 1_000_000_000_000)];
const BYTES: UnitTable = &[
    ("B", 1),
    ("kB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];
const BIT_RATE: UnitTable = &[
    ("bit/s", 1),
    ("kbit/s", 1_000),
    ("Mbit/s", 1_000_000),
    ("Gbit/s", 1_000_000_000),
    ("Tbit/s", 1_000_000_000_000),
];
const PACKET_RATE: UnitTable =
    &[("pps", 1_000), ("kpps", 1_000_000), ("Mpps", 1_000_000_000), ("Gpps", 1_000_000_000_000)];

/// Gives a quantity its text form, and serde the same text form.
macro_rules! quantity {
    ($type:ident, $field:tt, $units:ident, $kind:literal, $example:literal) => {
        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Ok(Self { $field: decimal::parse(text, $kind, $example, $units)? })
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&decimal::print(self.$field, $units))
            }
        }

        text_form!($type, concat!($kind, " with its unit, like \"", $example, "\""));
    };
}

/// Serialize through `Display`, deserialize through `FromStr<Err = String>`.
macro_rules! text_form {
    ($type:ty, $expected:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::scenario::units::Text::new($expected))
            }
        }
    };
}
pub(super) use text_form;

quantity!(Duration, 0, TIME, "a duration", "10ms");
quantity!(Bytes, 0, BYTES, "a size", "64B");
quantity!(BitRate, 0, BIT_RATE, "a bit rate", "10Gbit/s");
quantity!(PacketRate, milli, PACKET_RATE, "a packet rate", "1.2Mpps");

/// Reads a string and hands it to `FromStr`; says `expected` when it gets no string.
pub(super) struct Text<T> {
    expected: &'static str,
    kind: std::marker::PhantomData<T>,
}

impl<T> Text<T> {
    pub(super) fn new(expected: &'static str) -> Self {
        Self { expected, kind: std::marker::PhantomData }
    }
}

impl<T: FromStr<Err = String>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// A part of a whole or a chance, in lowest terms. Written `1/1000`, `0.1%`, `0` or `1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    num: u64,
    den: u64,
}

impl Ratio {
    /// Never, nothing.
    pub const ZERO: Self = Self { num: 0, den: 1 };
    /// Always, all.
    pub const ONE: Self = Self { num: 1, den: 1 };

    /// `num / den` in lowest terms; `None` if `den` is 0 or the ratio is more than 1.
    pub fn new(num: u64, den: u64) -> Option<Self> {
        if den == 0 || num > den {
            return None;
        }
        let divisor = greatest_common_divisor(num, den);
        Some(Self { num: num / divisor, den: den / divisor })
    }

    /// Numerator in lowest terms.
    pub fn num(self) -> u64 {
        self.num
    }

    /// Denominator in lowest terms, never 0.
    pub fn den(self) -> u64 {
        self.den
    }

    /// True for 0.
    pub fn is_zero(self) -> bool {
        self.num == 0
    }

    /// `value * num / den`, rounded down.
    pub fn of(self, value: u64) -> u64 {
        let part = u128::from(value) * u128::from(self.num) / u128::from(self.den);
        u64::try_from(part).unwrap_or(value) // a ratio is at most 1, so it always fits
    }
}

impl Default for Ratio {
    fn default() -> Self {
        Self::ZERO
    }
}

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a ratio: write \"1/1000\", \"0.1%\", \"0\" or \"1\"");
        let (num, den) = if let Some(percent) = text.strip_suffix('%') {
            let (value, decimals) = decimal::split(percent.trim()).ok_or_else(wrong)?;
            let den = 100 * 10u128.checked_pow(decimals).ok_or_else(wrong)?;
            (value, den)
        } else {
            let (num, den) = text.split_once('/').unwrap_or((text, "1"));
            (num.trim().parse().map_err(|_| wrong())?, den.trim().parse().map_err(|_| wrong())?)
        };
        match (u64::try_from(num), u64::try_from(den)) {
            (_, Ok(0)) => Err(wrong()),
            (Ok(num), Ok(den)) => {
                Self::new(num, den).ok_or_else(|| format!("`{text}` is more than 1 (100%)"))
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 {
            write!(f, "{}", self.num)
        } else {
            write!(f, "{}/{}", self.num, self.den)
        }
    }
}

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RatioVisitor)
    }
}

/// A ratio may also be the bare numbers 0 and 1; a decimal is refused with the right spelling.
struct RatioVisitor;

impl Visitor<'_> for RatioVisitor {
    type Value = Ratio;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a ratio, like \"1/1000\", \"0.1%\", 0 or 1")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Ratio, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Ratio, E> {
        Ratio::new(value, 1).ok_or_else(|| E::custom(format!("`{value}` is more than 1 (100%)")))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Ratio, E> {
        let value = u64::try_from(value).map_err(|_| E::custom("a ratio is never negative"))?;
        self.visit_u64(value)
    }
}

/// The seed of a run. TOML has no unsigned 64-bit numbers, so a large one is the string `"0x.."`.
pub(super) mod seed {
    use super::{Deserializer, Serializer, Visitor, fmt};

    pub(crate) fn serialize<S: Serializer>(seed: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(*seed) {
            Ok(small) => serializer.serialize_i64(small),
            Err(_) => serializer.collect_str(&format_args!("{seed:#x}")),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(Seed)
    }

    struct Seed;

    impl Visitor<'_> for Seed {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a seed: a whole number, or a string like \"0x2a\"")
        }

        fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<u64, E> {
            Ok(value)
        }

        fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<u64, E> {
            u64::try_from(value).map_err(|_| E::custom("a seed is never negative"))
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
            super::parse_seed(text).map_err(E::custom)
        }
    }
}

/// Reads a seed as the command line and the file spell it: decimal, or hexadecimal after `0x`.
pub fn parse_seed(text: &str) -> Result<u64, String> {
    let digits = text.trim().replace('_', "");
    let value = match digits.strip_prefix("0x") {
        Some(hex) if !hex.starts_with('+') => u64::from_str_radix(hex, 16).ok(),
        None if !digits.starts_with('+') => digits.parse().ok(),
        _ => None,
    };
    value.ok_or_else(|| {
        format!("`{text}` is not a seed: write a whole number below 2^64, like \"42\" or \"0x2a\"")
    })
}

/// Euclid's; `b` is never 0.
fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if a == 0 { b } else { greatest_common_divisor(b % a, a) }
}
