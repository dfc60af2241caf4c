//! The worker: two lists, of requests and of what is in the buffer.

use std::collections::VecDeque;

use npf_core::{DropReason, EngineKind, ReadError, WorkerOptions};
use proptest::prelude::*;
use proptest_state_machine::prop_state_machine;

use crate::model::{Done, Fate, Gone, Model, Packet, Refused, Step, Worked};
use crate::system::Machine;

#[derive(Debug, Clone)]
struct Worker {
    requests: VecDeque<Packet>,
    buffer: VecDeque<(Packet, u64)>,
    /// Where the next record starts.
    end: u64,
    capacity: u64,
    /// Bytes that are missing from the count of free ones.
    missing: u64,
    min: u64,
    immediate: bool,
    quirks: WorkerOptions,
}

prop_state_machine! {
    #[test]
    fn worker(sequential 1..80 => Machine<Worker>);
}

impl Worker {
    fn min(&self) -> u64 {
        if self.immediate { 0 } else { self.min }
    }

    fn gone(&self, packet: Packet, charge: u64, used: u64) -> Gone {
        let need = if charge > 0 { charge } else { 20 + packet.caplen as u64 };
        let (reason, capacity) = (None, self.capacity);
        let (elsewhere, in_statistics) = (0, false);
        Gone { packet, reason, charge, used, capacity, need, elsewhere, in_statistics }
    }

    fn one(&mut self, packet: Packet) -> Done {
        let (need, used) = (20 + packet.caplen as u64, self.used());
        if used + need > self.capacity {
            return Done::Gone(Gone {
                reason: Some(DropReason::WorkerFull),
                in_statistics: !self.quirks.uncounted_full_drop,
                ..self.gone(packet, 0, used)
            });
        }
        let end = (self.end + need) % self.capacity;
        let skip = if end != 0 && self.capacity - end < 20 { self.capacity - end } else { 0 };
        self.end = (end + skip) % self.capacity;
        let charge = need + skip;
        self.buffer.push_back((packet.clone(), charge));
        Done::Moved { packet, charge, used: used + charge }
    }
}

impl Model for Worker {
    const SHARES: bool = true;

    fn engine() -> BoxedStrategy<EngineKind> {
        (any::<bool>(), prop::bool::weighted(0.3))
            .prop_map(|(uncounted_full_drop, free_not_initialised)| {
                EngineKind::Worker(WorkerOptions { uncounted_full_drop, free_not_initialised })
            })
            .boxed()
    }

    fn open(engine: EngineKind, capacity: u64, min: u64, immediate: bool, _cpus: u16) -> Self {
        let EngineKind::Worker(quirks) = engine else { panic!("{engine:?}") };
        let (requests, buffer) = (VecDeque::new(), VecDeque::new());
        let missing = if quirks.free_not_initialised { capacity } else { 0 };
        Worker { requests, buffer, end: 0, capacity, missing, min, immediate, quirks }
    }

    fn opened_with_filter(&mut self) {
        self.missing = 0;
    }

    fn store(&mut self, packet: Packet) -> Fate {
        if self.capacity == 0 {
            return Fate::Dropped(Refused {
                reason: DropReason::ZeroBuffer,
                used: 0,
                capacity: 0,
                need: 20 + packet.caplen as u64,
                elsewhere: 0,
                wake: false,
            });
        }
        self.requests.push_back(packet);
        Fate::Kept { charge: 0, used: self.used(), wake: false, lost: Vec::new() }
    }

    fn ready(&self, event_set: bool) -> bool {
        event_set || self.used() > self.min()
    }

    fn read(&mut self, len: usize, _at: usize) -> Result<Step, ReadError> {
        if self.capacity == 0 {
            return Err(ReadError::ZeroBuffer);
        }
        if len < 20 {
            return Err(ReadError::BufferTooSmall { len, need: 20 });
        }
        let mut step = Step::default();
        while let Some((packet, _)) = self.buffer.front().cloned() {
            let end = step.bytes + 20 + packet.caplen;
            if end > len {
                break;
            }
            step.bytes = end.next_multiple_of(4).min(len);
            step.padding_cut = end.next_multiple_of(4) - step.bytes;
            let caplen = packet.caplen;
            step.packets.push((packet, caplen));
            self.buffer.pop_front();
        }
        Ok(step)
    }

    fn pending(&self) -> u64 {
        self.requests.len() as u64
    }

    fn work(&mut self, max: u32) -> Worked {
        let mut worked = Worked::default();
        for _ in 0..max {
            let Some(packet) = self.requests.pop_front() else { break };
            let caplen = packet.caplen as u64;
            let done = self.one(packet);
            match done {
                Done::Moved { used, .. } => {
                    worked.bytes_copied += caplen;
                    worked.wake |= used >= self.min();
                }
                Done::Gone(_) => worked.wake = true,
            }
            worked.done.push(done);
        }
        worked
    }

    fn flush(&mut self) -> Vec<Gone> {
        let mut gone = Vec::new();
        while !self.buffer.is_empty() {
            let used = self.used();
            let (packet, charge) = self.buffer.remove(0).unwrap();
            gone.push(self.gone(packet, charge, used));
        }
        let used = self.used();
        let requests = std::mem::take(&mut self.requests);
        gone.extend(requests.into_iter().map(|packet| self.gone(packet, 0, used)));
        self.end = 0;
        gone
    }

    fn resize(&mut self, capacity: u64) {
        let anew = capacity != self.capacity && self.quirks.free_not_initialised;
        self.missing = if anew { capacity } else { 0 };
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
        self.missing + self.buffer.iter().map(|(_, charge)| charge).sum::<u64>()
    }

    fn uncharged(&self) -> u64 {
        self.missing
    }

    fn queued(&self) -> u64 {
        (self.buffer.len() + self.requests.len()) as u64
    }
}
