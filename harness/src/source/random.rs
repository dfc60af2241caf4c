//! Randomness: one stream for each purpose, so that no draw disturbs another.
//!
//! Contract: a stream is a pure function of (seed, component, purpose); its output is frozen by a
//! test. ChaCha8 is keyed with the seed and both names, so streams are independent, and switching
//! one purpose on or off leaves every other draw as it was.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::scenario::Ratio;

/// A stream of random numbers for one purpose. The generator behind it makes 256 bytes at once, so
/// that most draws are a load and a compare.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of `purpose` in `component`. The key is frozen: seed (8 bytes, little-endian),
    /// FNV-1a 64 of the component, FNV-1a 64 of the purpose, and 8 bytes that name this function.
    pub fn new(seed: u64, component: &str, purpose: &str) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&fnv1a(component).to_le_bytes());
        key[16..24].copy_from_slice(&fnv1a(purpose).to_le_bytes());
        key[24..].copy_from_slice(b"rxlab 01");
        Self(ChaCha8Rng::from_seed(key))
    }

    /// 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, which is not 0. The bias is below `bound / 2^64`: none that a run
    /// could show, and every number costs exactly one draw.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.next_u64()) * u128::from(bound);
        (product >> 64) as u64
    }

    /// True with the chance of a [`Chance`]; one draw, whatever the chance.
    #[inline]
    pub fn chance(&mut self, chance: Chance) -> bool {
        u128::from(self.next_u64()) < chance.below
    }
}

/// A ratio made ready for drawing.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    /// True for draws below it; 2^64 for "always", which is why it is 128 bits wide.
    below: u128,
}

impl From<Ratio> for Chance {
    fn from(ratio: Ratio) -> Self {
        Self { below: (u128::from(ratio.num()) << 64) / u128::from(ratio.den()) }
    }
}

/// FNV-1a, 64 bits, as published by Fowler, Noll and Vo.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
