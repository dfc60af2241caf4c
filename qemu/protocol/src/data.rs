//! The data of bulk streams and datagrams: made from a seed on one side, checked on the other.
//!
//! Contract: [`Bytes`] gives the same bytes for the same seed, in whatever pieces they are asked for;
//! [`Digest`] is SHA-256.

use sha2::{Digest as _, Sha256};

/// The number of the datagram that ends a series.
pub const LAST: u64 = u64::MAX;

/// What looks like noise: the numbers of xorshift64* (Vigna, "An experimental exploration of Marsaglia's
/// xorshift generators", 2014), least significant byte first.
#[derive(Clone, Debug)]
pub struct Bytes {
    state: u64,
    word: [u8; 8],
    used: usize,
}

impl Bytes {
    /// Of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // It would stay at 0 for ever.
        Self { state: seed.max(1), word: [0; 8], used: 8 }
    }

    /// The next ones.
    pub fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            if self.used == self.word.len() {
                self.state ^= self.state >> 12;
                self.state ^= self.state << 25;
                self.state ^= self.state >> 27;
                self.word = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
                self.used = 0;
            }
            *byte = self.word[self.used];
            self.used += 1;
        }
    }
}

/// How much went by, and its SHA-256.
#[derive(Clone, Debug, Default)]
pub struct Digest {
    bytes: u64,
    hash: Sha256,
}

impl Digest {
    /// These went by.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
    }

    /// How many bytes, and their SHA-256 in hexadecimal.
    #[must_use]
    pub fn end(self) -> (u64, String) {
        (self.bytes, hex(&self.hash.finalize()))
    }
}

/// SHA-256 of some bytes, hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_do_not_matter() {
        let (mut whole, mut pieces) = ([0; 1000], [0; 1000]);
        Bytes::new(7).fill(&mut whole);
        let mut bytes = Bytes::new(7);
        pieces.chunks_mut(13).for_each(|piece| bytes.fill(piece));
        assert_eq!(whole, pieces);
        Bytes::new(8).fill(&mut pieces);
        assert_ne!(whole, pieces);
    }

    /// FIPS 180-2, appendix B.1.
    #[test]
    fn the_digest_is_sha_256() {
        let mut digest = Digest::default();
        digest.add(b"a");
        digest.add(b"bc");
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.end(), (3, known.into()));
        assert_eq!(sha256(b"abc"), known);
    }
}
