//! The packet queue: a list, and a budget of 20 bytes and the kept bytes for each packet in it.

use std::collections::VecDeque;

use npf_core::{DropReason, EngineKind, PacketQueueOptions, ReadError};
use proptest::prelude::*;
use proptest_state_machine::prop_state_machine;

use crate::model::{Fate, Gone, Model, Packet, Refused, Step};
use crate::system::Machine;

#[derive(Debug, Clone)]
struct PacketQueue {
    packets: VecDeque<Packet>,
    capacity: u64,
    min: u64,
    immediate: bool,
    choices: PacketQueueOptions,
}

prop_state_machine! {
    #[test]
    fn packet_queue(sequential 1..80 => Machine<PacketQueue>);
}

impl Model for PacketQueue {
    const SHARES: bool = true;

    fn engine() -> BoxedStrategy<EngineKind> {
        any::<(bool, bool, bool, bool)>()
            .prop_map(|(soft_limit, received_after_filter, truncate_first, short)| {
                EngineKind::PacketQueue(PacketQueueOptions {
                    soft_limit,
                    received_after_filter,
                    truncate_first,
                    snaplen_without_filter: short,
                })
            })
            .boxed()
    }

    fn open(engine: EngineKind, capacity: u64, min: u64, immediate: bool, _cpus: u16) -> Self {
        let EngineKind::PacketQueue(choices) = engine else { panic!("{engine:?}") };
        PacketQueue { packets: VecDeque::new(), capacity, min, immediate, choices }
    }

    fn store(&mut self, packet: Packet) -> Fate {
        let (need, used, capacity) = (charge(&packet), self.used(), self.capacity);
        let fits = if self.choices.soft_limit { used < capacity } else { used + need <= capacity };
        if fits {
            self.packets.push_back(packet);
            let used = used + need;
            let wake = self.immediate || used >= self.min;
            return Fate::Kept { charge: need, used, wake, lost: Vec::new() };
        }
        let reason = if capacity == 0 { DropReason::ZeroBuffer } else { DropReason::BufferFull };
        Fate::Dropped(Refused { reason, used, capacity, need, elsewhere: 0, wake: capacity > 0 })
    }

    fn read(&mut self, len: usize, _at: usize) -> Result<Step, ReadError> {
        if self.capacity == 0 {
            return Err(ReadError::ZeroBuffer);
        }
        if len < 20 {
            return Err(ReadError::BufferTooSmall { len, need: 20 });
        }
        let mut step = Step::default();
        while let Some(packet) = self.packets.front().cloned() {
            let left = len - step.bytes;
            let cut = step.packets.is_empty() && self.choices.truncate_first;
            if left <= 20 || (20 + packet.caplen > left && !cut) {
                break;
            }
            let taken = packet.caplen.min(left - 20);
            step.truncated |= taken < packet.caplen;
            let end = step.bytes + 20 + taken;
            step.bytes = end.next_multiple_of(4).min(len);
            step.padding_cut = end.next_multiple_of(4) - step.bytes;
            step.packets.push((packet, taken));
            self.packets.pop_front();
        }
        Ok(step)
    }

    fn flush(&mut self) -> Vec<Gone> {
        let mut used = self.used();
        let gone = |packet: Packet| {
            let charge = charge(&packet);
            used -= charge;
            Gone {
                packet,
                reason: None,
                charge,
                used: used + charge,
                capacity: self.capacity,
                need: charge,
                elsewhere: 0,
                in_statistics: false,
            }
        };
        self.packets.drain(..).map(gone).collect()
    }

    fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
    }

    fn set_min_to_copy(&mut self, min: u64) {
        self.min = min;
    }

    fn set_immediate(&mut self, immediate: bool) {
        self.immediate = immediate;
    }

    fn capacity(&self) -> u64 {
        self.capacity
    }

    fn used(&self) -> u64 {
        self.packets.iter().map(charge).sum()
    }

    fn queued(&self) -> u64 {
        self.packets.len() as u64
    }
}

fn charge(packet: &Packet) -> u64 {
    20 + packet.caplen as u64
}
