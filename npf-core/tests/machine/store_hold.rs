//! The double buffer: two lists of packets, each in a slot of half the memory.

use npf_core::{ControlError, DropReason, EngineKind, ReadError, StoreHoldOptions, WordSize};
use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::prop_state_machine;

use crate::model::{Fate, Gone, Model, Packet, Record, Refused, Step};
use crate::system::Machine;

#[derive(Debug, Clone)]
struct StoreHold {
    slot: usize,
    /// Packets with their charges.
    store: Vec<(Packet, u64)>,
    hold: Vec<(Packet, u64)>,
    copying: bool,
    immediate: bool,
    /// Bytes of a word.
    word: usize,
    head_drop: bool,
}

prop_state_machine! {
    #[test]
    fn store_hold(sequential 1..80 => Machine<StoreHold>);
}

/// So few that reads often bring the right length.
const SIZES: [u64; 8] = [0, 1, 51, 400, 600, 2001, 8000, 1 << 30];

impl StoreHold {
    fn header(&self) -> usize {
        2 * self.word + 10
    }

    fn gone(&self, list: Vec<(Packet, u64)>, reason: Option<DropReason>) -> Vec<Gone> {
        let mut used = sum(&list);
        let gone = |(packet, charge)| {
            used -= charge;
            Gone {
                packet,
                reason,
                charge,
                used: used + charge,
                capacity: self.slot as u64,
                need: charge,
                elsewhere: 0,
                in_statistics: reason.is_some(),
            }
        };
        list.into_iter().map(gone).collect()
    }
}

impl Model for StoreHold {
    const SHARES: bool = false;

    fn engine() -> BoxedStrategy<EngineKind> {
        any::<(bool, bool)>()
            .prop_map(|(lp64, head_drop)| {
                let word = if lp64 { WordSize::Lp64 } else { WordSize::Bits32 };
                EngineKind::StoreHold(StoreHoldOptions { word, head_drop })
            })
            .boxed()
    }

    fn sizes() -> BoxedStrategy<u64> {
        prop_oneof![3 => select(&SIZES[3..7]), 1 => select(&SIZES[..])].boxed()
    }

    fn user_buffers() -> BoxedStrategy<usize> {
        let slots: Vec<_> = SIZES[3..7].iter().map(|size| *size as usize / 2).collect();
        prop_oneof![9 => select(slots), 1 => 0usize..300].boxed()
    }

    fn open(engine: EngineKind, capacity: u64, _min: u64, immediate: bool, _cpus: u16) -> Self {
        let EngineKind::StoreHold(choices) = engine else { panic!("{engine:?}") };
        StoreHold {
            slot: capacity as usize / 2,
            store: Vec::new(),
            hold: Vec::new(),
            copying: false,
            immediate,
            word: if choices.word == WordSize::Lp64 { 8 } else { 4 },
            head_drop: choices.head_drop,
        }
    }

    fn longest(&self) -> usize {
        self.slot.saturating_sub(self.header())
    }

    fn store(&mut self, packet: Packet) -> Fate {
        let stored = sum(&self.store);
        let pad = stored.next_multiple_of(self.word as u64) - stored;
        let need = (self.header() + packet.caplen) as u64;
        let slot = self.slot as u64;
        if stored + pad + need <= slot {
            self.store.push((packet, pad + need));
            let (charge, used) = (pad + need, stored + pad + need);
            return Fate::Kept { charge, used, wake: self.immediate, lost: Vec::new() };
        }
        let free = self.hold.is_empty() || (self.head_drop && !self.copying);
        if need > slot || !free {
            let reason = if slot == 0 { DropReason::ZeroBuffer } else { DropReason::BufferFull };
            return Fate::Dropped(Refused {
                reason,
                used: stored,
                capacity: slot,
                need: pad + need,
                elsewhere: slot - sum(&self.hold),
                wake: false,
            });
        }
        let held = std::mem::take(&mut self.hold);
        let lost = self.gone(held, Some(DropReason::HeadDropped));
        self.hold = std::mem::replace(&mut self.store, vec![(packet, need)]);
        Fate::Kept { charge: need, used: need, wake: true, lost }
    }

    fn ready(&self, _event_set: bool) -> bool {
        !self.hold.is_empty() || (self.immediate && !self.store.is_empty())
    }

    fn read(&mut self, len: usize, _at: usize) -> Result<Step, ReadError> {
        if self.slot == 0 {
            return Err(ReadError::ZeroBuffer);
        }
        if len != self.slot {
            return Err(ReadError::ReadLength { len, want: self.slot });
        }
        if std::mem::take(&mut self.copying) {
            let whole = |(packet, _): (Packet, u64)| (packet.clone(), packet.caplen);
            let packets = self.hold.drain(..).map(whole).collect();
            return Ok(Step { packets, ..Step::default() });
        }
        if self.hold.is_empty() {
            self.hold = std::mem::take(&mut self.store);
        }
        self.copying = !self.hold.is_empty();
        Ok(Step { bytes: sum(&self.hold) as usize, more: self.copying, ..Step::default() })
    }

    fn flush(&mut self) -> Vec<Gone> {
        self.copying = false;
        let (held, stored) = (std::mem::take(&mut self.hold), std::mem::take(&mut self.store));
        [self.gone(held, None), self.gone(stored, None)].concat()
    }

    fn can_resize(&self, _capacity: u64) -> Result<(), ControlError> {
        Err(ControlError::BufferIsFixed)
    }

    fn resize(&mut self, capacity: u64) {
        assert_eq!(capacity, self.capacity(), "the size is fixed");
    }

    fn set_min_to_copy(&mut self, _min: u64) {}

    fn set_immediate(&mut self, immediate: bool) {
        self.immediate = immediate;
    }

    fn capacity(&self) -> u64 {
        2 * self.slot as u64
    }

    fn used(&self) -> u64 {
        sum(&self.store) + sum(&self.hold)
    }

    fn queued(&self) -> u64 {
        (self.store.len() + self.hold.len()) as u64
    }

    fn records(&self, bytes: &[u8]) -> Vec<Record> {
        let (word, header) = (self.word, self.header());
        let number = |at: usize, len: usize| {
            bytes[at..at + len].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
        };
        let (mut found, mut at, mut end) = (Vec::new(), 0, 0);
        while end < bytes.len() {
            assert!(bytes[end..at].iter().all(|byte| *byte == 0), "padding is zero");
            assert_eq!(number(at + 2 * word + 8, 2), header as u64);
            end = at + header + number(at + 2 * word, 4) as usize;
            found.push(Record {
                sec: number(at, word),
                usec: number(at + word, word),
                len: number(at + 2 * word + 4, 4) as usize,
                data: bytes[at + header..end].to_vec(),
            });
            at = end.next_multiple_of(word);
        }
        found
    }
}

fn sum(list: &[(Packet, u64)]) -> u64 {
    list.iter().map(|(_, charge)| charge).sum()
}
