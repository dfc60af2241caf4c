//! The digest of the event stream: 64 bits that two runs share exactly when their streams are equal
//! (up to chance).
//!
//! Each event becomes a few little-endian words: its time, its component and name, and its fields in
//! order. XXH3 hashes them in blocks, because an update per event would cost more than the event.

use super::{Event, Value};
use xxhash_rust::xxh3::Xxh3;

/// Words buffered between two updates of the hash.
const BLOCK: usize = 1024;

/// No event takes more words than this; a longer one would not be cut but panic.
const EVENT_WORDS: usize = 24;

/// The running digest.
pub struct Digest {
    hash: Xxh3,
    block: Box<[u64; BLOCK]>,
    used: usize,
}

impl Default for Digest {
    fn default() -> Self {
        Self { hash: Xxh3::new(), block: Box::new([0; BLOCK]), used: 0 }
    }
}

impl Digest {
    /// Adds one event that happened at `now`.
    #[inline(always)]
    pub fn add(&mut self, now: u64, event: &Event) {
        if self.used > BLOCK - EVENT_WORDS {
            self.flush();
        }
        self.word(now);
        self.word(kind(event));
        match event {
            Event::Nic(event) => event.fields(&mut |_, value| {
                self.word(match value {
                    nic_model::Value::Num(n) => n,
                    nic_model::Value::Name(name) => word_of(name),
                });
            }),
            Event::Npf(event) => event.fields(&mut |_, value| {
                self.word(match value {
                    npf_core::Value::Num(n) => n,
                    npf_core::Value::Name(name) => word_of(name),
                });
            }),
            event => event.fields(&mut |_, value| {
                self.word(match value {
                    Value::Num(n) => n,
                    Value::Name(name) => word_of(name),
                });
            }),
        }
    }

    /// The digest of all that was added.
    #[must_use]
    pub fn value(&mut self) -> u64 {
        self.flush();
        self.hash.digest()
    }

    #[inline(always)]
    fn word(&mut self, word: u64) {
        self.block[self.used] = word;
        self.used += 1;
    }

    #[inline(never)]
    fn flush(&mut self) {
        let mut bytes = [0; BLOCK * 8];
        for (place, word) in bytes.chunks_exact_mut(8).zip(self.block.iter()) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        self.hash.update(&bytes[..self.used * 8]);
        self.used = 0;
    }
}

/// Component and name of an event as one word.
#[inline(always)]
fn kind(event: &Event) -> u64 {
    let component: u64 = match event {
        Event::Nic(_) => 1,
        Event::Driver(_) => 2,
        Event::Npf(_) => 3,
        Event::World(_) => 4,
    };
    component << 56 ^ word_of(event.name())
}

/// A name as one word, from its length and its first and last eight bytes: this runs several times
/// a frame, and a test holds it against all names there are.
#[inline(always)]
fn word_of(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let (first, last) = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => bytes.iter().fold((0, 0), |(word, _), byte| (word << 8 | u64::from(*byte), 0)),
    };
    (first ^ last.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ bytes.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Reason;
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
            words.extend_from_slice(&kind(&event).to_le_bytes());
            words.extend_from_slice(&u64::from(handle).to_le_bytes());
        }
        assert_eq!(digest.value(), xxhash_rust::xxh3::xxh3_64(&words));
    }

    #[test]
    fn names_have_words_of_their_own() {
        let mut names: Vec<&str> = Reason::all().map(Reason::name).collect();
        // The events that most runs consist of, and neighbours that share both ends.
        names.extend(["offered", "steered", "held", "dma_start", "written", "stored", "delivered"]);
        names.extend(["interrupt_raised", "interrupt_pended", "interrupt_served", "read", "reads"]);
        let words: std::collections::BTreeSet<u64> = names.iter().map(|n| word_of(n)).collect();
        assert_eq!(words.len(), names.len());
    }
}
