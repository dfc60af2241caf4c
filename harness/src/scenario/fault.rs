//! `[[fault]]`: what goes wrong, and when.
//!
//! ```toml
//! [[fault]]
//! kind = "interrupt_lost"
//! queue = 1
//! chance = "1/1000"
//! ```
//!
//! Exactly one of `at`, `frame` and `chance` says when. Which other keys a kind has stands in the table of
//! [`Kind`], which `rxlab faults` prints.
//!
//! Contract: pure data; `validate` checks what goes together.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::units::{Bytes, Duration, Ratio};
use crate::fault::Kind;

/// One `[[fault]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// When, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Duration>,
    /// With which frame of the wire, once; the first is number 0. What hits frames hits this one, what hits
    /// completions or messages the next that comes, and anything else begins just before the frame arrives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<u64>,
    /// How likely, again and again: drawn for each message by what hits messages, for each frame of the wire
    /// by all else. What lasts is not begun anew while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<Ratio>,
    /// How long it lasts; `for` in the file, which is no name in Rust.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<Duration>,
    /// How many frames, completions or messages in a row; 1 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Which receive queue; left out, where it may be: whichever comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u16>,
    /// Which CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u16>,
    /// How much: a size or a number, as the kind has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
}

/// How much of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// A size: `"4KiB"`.
    Bytes(Bytes),
    /// A number: `10`.
    Number(u64),
}

impl Fault {
    /// A fault of this kind with nothing else said.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        Self {
            kind,
            at: None,
            frame: None,
            chance: None,
            lasting: None,
            count: None,
            queue: None,
            cpu: None,
            amount: None,
        }
    }

    /// The amount as a plain number: bytes, or times; 0 if there is none.
    #[must_use]
    pub fn amount(&self) -> u64 {
        match self.amount {
            Some(Amount::Bytes(Bytes(number)) | Amount::Number(number)) => number,
            None => 0,
        }
    }

    /// How long it lasts in picoseconds; `None`: for good, or no time at all.
    #[must_use]
    pub fn lasting_ps(&self) -> Option<u64> {
        self.lasting.map(|lasting| lasting.0)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bytes(bytes) => bytes.serialize(serializer),
            Self::Number(number) => number.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AmountVisitor)
    }
}

struct AmountVisitor;

impl serde::de::Visitor<'_> for AmountVisitor {
    type Value = Amount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size like \"4KiB\", or a whole number")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Amount, E> {
        text.parse().map(Amount::Bytes).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Amount, E> {
        Ok(Amount::Number(number))
    }
}
