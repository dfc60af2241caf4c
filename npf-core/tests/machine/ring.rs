//! The ring: two lists of packets, one above the other's end, and a place where the first begins.

use std::collections::VecDeque;

use npf_core::{DropReason, EngineKind, ReadError, RingOptions};
use proptest::prelude::*;
use proptest_state_machine::prop_state_machine;

use crate::model::{Fate, Gone, Model, Packet, Refused, Step};
use crate::system::Machine;

#[derive(Debug, Clone)]
struct Ring {
    size: usize,
    /// Where the oldest byte is.
    head: usize,
    /// Packets from `head` on.
    upper: VecDeque<Packet>,
    /// Packets from 0 on, once one did not fit behind the others.
    lower: Option<VecDeque<Packet>>,
    /// Bytes before `head` of the packet that it is in the middle of.
    copied: usize,
    read: Option<Reading>,
    min: u64,
    immediate: bool,
    heuristic: bool,
}

#[derive(Debug, Clone)]
struct Reading {
    /// Copied, and not yet free.
    chunk: usize,
    /// To be copied.
    left: usize,
    /// The lower list is the upper one when it is done.
    turns: bool,
}

prop_state_machine! {
    #[test]
    fn ring(sequential 1..80 => Machine<Ring>);
}

impl Ring {
    fn upper_bytes(&self) -> usize {
        sum(&self.upper) - self.copied
    }

    fn lower_bytes(&self) -> usize {
        self.lower.as_ref().map_or(0, sum)
    }

    fn filled(&self) -> bool {
        self.used() > if self.immediate { 0 } else { self.min }
    }

    fn refused(&self, reason: DropReason, need: usize) -> Refused {
        let (used, capacity, need) = (self.used(), self.size as u64, need as u64);
        let free = capacity - used;
        let elsewhere = if free > need { free } else { 0 };
        Refused { reason, used, capacity, need, elsewhere, wake: false }
    }

    fn begin(&self, len: usize) -> (Reading, bool) {
        let (run, wrapped) = (self.upper_bytes(), self.lower.is_some());
        if run < len {
            return (Reading { chunk: 0, left: run, turns: wrapped }, self.filled() && wrapped);
        }
        let mut left = 0;
        for charge in self.upper.iter().map(charge) {
            if left + charge > len {
                break;
            }
            left += charge;
        }
        (Reading { chunk: 0, left, turns: wrapped && left == run }, self.filled())
    }
}

impl Model for Ring {
    const SHARES: bool = false;

    fn engine() -> BoxedStrategy<EngineKind> {
        any::<bool>()
            .prop_map(|prefilter_heuristic| EngineKind::Ring(RingOptions { prefilter_heuristic }))
            .boxed()
    }

    fn open(engine: EngineKind, capacity: u64, min: u64, immediate: bool, _cpus: u16) -> Self {
        let EngineKind::Ring(choices) = engine else { panic!("{engine:?}") };
        Ring {
            size: capacity as usize,
            head: 0,
            upper: VecDeque::new(),
            lower: None,
            copied: 0,
            read: None,
            min,
            immediate,
            heuristic: choices.prefilter_heuristic,
        }
    }

    fn refuse_unfiltered(&self, _cpu: u16, len: usize) -> Option<Refused> {
        let need = 20 + len;
        let refuses = self.heuristic && self.size as u64 - self.used() < need as u64;
        refuses.then(|| self.refused(DropReason::Prefiltered, need))
    }

    fn counts(&self, reason: DropReason) -> bool {
        reason != DropReason::ZeroBuffer
    }

    fn store(&mut self, packet: Packet) -> Fate {
        let need = charge(&packet);
        let lower = self.lower_bytes();
        let behind = self.head + self.upper_bytes() + need < self.size;
        let before = self.head > lower + need;
        match &mut self.lower {
            _ if self.size == 0 => {
                return Fate::Dropped(self.refused(DropReason::ZeroBuffer, need));
            }
            None if behind => self.upper.push_back(packet),
            None if before => self.lower = Some(VecDeque::from([packet])),
            Some(list) if before => list.push_back(packet),
            _ => return Fate::Dropped(self.refused(DropReason::BufferFull, need)),
        }
        let (used, wake) = (self.used(), self.filled());
        Fate::Kept { charge: need as u64, used, wake, lost: Vec::new() }
    }

    fn ready(&self, event_set: bool) -> bool {
        event_set || self.filled()
    }

    fn read(&mut self, len: usize, _at: usize) -> Result<Step, ReadError> {
        if self.size == 0 {
            return Err(ReadError::ZeroBuffer);
        }
        if len < 20 {
            return Err(ReadError::BufferTooSmall { len, need: 20 });
        }
        let mut step = Step::default();
        let mut reading = self.read.take().unwrap_or_else(|| {
            let (reading, leaves_event) = self.begin(len);
            step.leaves_event = leaves_event;
            reading
        });
        self.head += reading.chunk;
        self.copied += reading.chunk;
        while let Some(front) = self.upper.front().filter(|front| charge(front) <= self.copied) {
            self.copied -= charge(front);
            step.packets
                .extend(self.upper.pop_front().map(|packet| (packet.clone(), packet.caplen)));
        }
        reading.chunk = reading.left.min(1024);
        reading.left -= reading.chunk;
        (step.bytes, step.more) = (reading.chunk, reading.chunk > 0);
        if step.more {
            self.read = Some(reading);
        } else if reading.turns {
            self.head = 0;
            self.upper = self.lower.take().unwrap_or_default();
        }
        Ok(step)
    }

    fn flush(&mut self) -> Vec<Gone> {
        let used = self.used();
        let mut left = (sum(&self.upper) + self.lower_bytes()) as u64;
        let all: Vec<_> =
            self.upper.drain(..).chain(self.lower.take().unwrap_or_default()).collect();
        (self.head, self.copied, self.read) = (0, 0, None);
        let gone = |packet: Packet| {
            let charge = charge(&packet) as u64;
            left -= charge;
            Gone {
                packet,
                reason: None,
                charge,
                used: used.min(left + charge),
                capacity: self.size as u64,
                need: charge,
                elsewhere: 0,
                in_statistics: false,
            }
        };
        all.into_iter().map(gone).collect()
    }

    fn resize(&mut self, capacity: u64) {
        self.size = capacity as usize;
    }

    fn set_min_to_copy(&mut self, min: u64) {
        self.min = min;
    }

    fn set_immediate(&mut self, immediate: bool) {
        self.immediate = immediate;
    }

    fn capacity(&self) -> u64 {
        self.size as u64
    }

    fn used(&self) -> u64 {
        (self.upper_bytes() + self.lower_bytes()) as u64
    }

    fn freed(&self) -> u64 {
        self.copied as u64
    }

    fn queued(&self) -> u64 {
        (self.upper.len() + self.lower.as_ref().map_or(0, VecDeque::len)) as u64
    }
}

fn sum(packets: &VecDeque<Packet>) -> usize {
    packets.iter().map(charge).sum()
}

fn charge(packet: &Packet) -> usize {
    (20 + packet.caplen).next_multiple_of(4)
}
