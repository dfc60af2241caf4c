//! The digest of the event stream: 64 bits that two runs share exactly when their streams are equal
//! (up to chance).
//!
//! Each event becomes a few little-endian words: its time, its component and name, and its fields in
//! order. XXH3 hashes them in blocks, because an update per event would cost more than the event.

use super::{Event, Value};
use xxhash_rust::xxh3::Xxh3;

/// Words buffered between two updates of the hash.
const BLOCK: usize = 1024;

/// An event never takes more than this many words; the block is flushed when so few are left.
const EVENT_WORDS: usize = 24;

/// The running digest.
pub struct Digest {
    hash: Xxh3,
    block: Vec<u8>,
}

impl Default for Digest {
    fn default() -> Self {
        Self { hash: Xxh3::new(), block: Vec::with_capacity(BLOCK * 8) }
    }
}

impl Digest {
    /// Adds one event that happened at `now`.
    #[inline]
    pub fn add(&mut self, now: u64, event: &Event) {
        if self.block.len() > (BLOCK - EVENT_WORDS) * 8 {
            self.flush();
        }
        self.word(now);
        self.word(word_of(event.component()) ^ word_of(event.name()).rotate_left(32));
        event.fields(&mut |_, value| {
            self.word(match value {
                Value::Num(n) => n,
                Value::Name(name) => word_of(name),
            });
        });
    }

    /// The digest of all that was added.
    #[must_use]
    pub fn value(&mut self) -> u64 {
        self.flush();
        self.hash.digest()
    }

    #[inline]
    fn word(&mut self, word: u64) {
        self.block.extend_from_slice(&word.to_le_bytes());
    }

    fn flush(&mut self) {
        self.hash.update(&self.block);
        self.block.clear();
    }
}

/// A name as one word: its bytes folded eight at a time.
#[inline]
fn word_of(name: &str) -> u64 {
    let mut word = name.len() as u64;
    for chunk in name.as_bytes().chunks(8) {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        word =
            (word ^ u64::from_le_bytes(bytes)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::WorldEvent;

    #[test]
    fn every_part_of_an_event_changes_the_digest() {
        let of = |now, event| {
            let mut digest = Digest::default();
            digest.add(now, &Event::World(event));
            digest.value()
        };
        let base = of(1, WorldEvent::ReaderWaits { handle: 0 });
        assert_eq!(base, of(1, WorldEvent::ReaderWaits { handle: 0 }));
        assert_ne!(base, of(2, WorldEvent::ReaderWaits { handle: 0 }), "time");
        assert_ne!(base, of(1, WorldEvent::ReaderWaits { handle: 1 }), "field");
        assert_ne!(base, of(1, WorldEvent::ReadTimeout { handle: 0 }), "name");
    }

    #[test]
    fn block_boundaries_do_not_show() {
        // The digest of a long stream is that of its words in one go.
        let mut digest = Digest::default();
        let mut words = Vec::new();
        for handle in 0..2000 {
            let event = Event::World(WorldEvent::ReaderWaits { handle });
            digest.add(7, &event);
            words.extend_from_slice(&7u64.to_le_bytes());
            let name = word_of("world") ^ word_of("reader_waits").rotate_left(32);
            words.extend_from_slice(&name.to_le_bytes());
            words.extend_from_slice(&u64::from(handle).to_le_bytes());
        }
        assert_eq!(digest.value(), xxhash_rust::xxh3::xxh3_64(&words));
    }
}
