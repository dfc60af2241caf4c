//! The packet queue, filled from several CPUs and read at the same time.
//!
//! ```text
//!   CPU 0: copy -> charge -.                          .-> copy out -> give charge and block back
//!   CPU 1: copy -> charge --+-> [packet][packet][..] -+
//!                                 list, one lock          reader
//! ```
//!
//! Contract: decides as [`PacketQueue`](crate::engine::PacketQueue) does. Packets of one CPU stay in
//! order; those of different CPUs come in the order in which their batches reached the list. Under
//! the list's lock packets are moved, never copied. A batch that fits is charged at once, any other
//! packet by packet.
//!
//! The soft limit when CPUs race: see [`budget`](super::budget).

use std::collections::VecDeque;

use super::budget::Budget;
use super::buffers::{Block, Free, Returned};
use super::core::{BATCH, Batch, Core};
use super::rules::Rules;
use super::sync::{Apart, Mutex, lock};
use crate::engine::{Filled, Gone, Packet, Refusal, Sink, Stored};
use crate::record::{Header, RECORD_HEADER, align};
use crate::{DropReason, Occupancy, PacketQueueOptions, ReadError};

/// A packet is dropped when the buffer has size 0; when no byte is free (soft limit); or when its
/// charge exceeds the free bytes (hard test, `soft_limit` off).
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) budget: Apart<Budget>,
    list: Apart<Mutex<List>>,
    /// By lane.
    returned: Box<[Returned]>,
    choices: PacketQueueOptions,
}

/// What the list's lock guards.
#[derive(Debug, Default)]
struct List {
    packets: VecDeque<Queued>,
    peak: u64,
    memory: u64,
    peak_memory: u64,
}

/// One packet in the queue.
#[derive(Debug)]
pub(super) struct Queued {
    packet: Packet,
    block: Block,
}

/// What a CPU has to itself.
#[derive(Debug)]
pub(super) struct Lane {
    at: usize,
    free: Free,
    /// Kept, and not yet on the list.
    batch: Vec<Queued>,
}

impl Queue {
    pub(super) fn new(choices: PacketQueueOptions, lanes: usize) -> Self {
        Queue {
            budget: Apart(Budget::new()),
            list: Apart(Mutex::new(List::default())),
            returned: (0..lanes).map(|_| Returned::new()).collect(),
            choices,
        }
    }

    /// Moves packets from the list to `taken` for as long as their records fit behind the first `at`
    /// bytes of a user buffer of `len`.
    fn take(&self, taken: &mut Vec<Queued>, mut at: usize, len: usize, mut first: bool) {
        let mut list = lock(&self.list.0);
        // Room for a header alone is not enough, as in the source: hence `>`.
        while taken.len() < BATCH && len - at > RECORD_HEADER {
            let Some(queued) = list.packets.front() else { break };
            let stored = queued.packet.caplen as usize;
            let room = len - at - RECORD_HEADER;
            if stored > room && !(first && self.choices.truncate_first) {
                break;
            }
            list.memory -= queued.memory();
            taken.extend(list.packets.pop_front());
            at = align(at + RECORD_HEADER + stored.min(room)).min(len);
            first = false;
        }
    }

    /// Gives back what packets that were taken off the list were charged, and their blocks.
    fn give_back(&self, taken: &mut Vec<Queued>) {
        self.budget.0.release(taken.iter().map(|queued| charge(&queued.packet)).sum());
        let lane_of = |queued: &Queued| usize::from(queued.packet.cpu) % self.returned.len();
        while let Some(last) = taken.last() {
            // Packets come in batches of one CPU: one lock for each such run.
            let lane = lane_of(last);
            let run = taken.iter().rev().take_while(|queued| lane_of(queued) == lane).count();
            let blocks = taken.drain(taken.len() - run..).map(|queued| queued.block);
            self.returned[lane].put(blocks);
        }
    }
}

impl Core for Queue {
    type Lane = Lane;
    type Reader = Vec<Queued>;
    type Batch<'a> = QueueBatch<'a>;
    const COPIES_FIRST: bool = true;

    fn lane(&self, at: usize) -> Lane {
        Lane { at, free: Free::new(), batch: Vec::with_capacity(BATCH) }
    }

    #[inline]
    fn batch<'a>(
        &'a self,
        lane: &'a mut Lane,
        rules: &'a Rules,
        packets: u32,
        bytes: u64,
    ) -> QueueBatch<'a> {
        let whole = u64::from(packets) * RECORD_HEADER as u64 + bytes;
        let charged = self.budget.0.charge_hard(whole, rules.capacity);
        let ahead = charged.map_or((0, 0), |after| (after - whole, whole));
        QueueBatch { queue: self, lane, rules, ahead, peak: 0 }
    }

    fn read(
        &self,
        taken: &mut Vec<Queued>,
        rules: &Rules,
        out: &mut [u8],
        sink: &mut impl Sink,
    ) -> Result<Filled, ReadError> {
        if rules.capacity == 0 {
            return Err(ReadError::ZeroBuffer);
        }
        if out.len() < RECORD_HEADER {
            return Err(ReadError::BufferTooSmall { len: out.len(), need: RECORD_HEADER });
        }
        let mut filled = Filled::default();
        loop {
            self.take(taken, filled.bytes, out.len(), filled.packets == 0);
            let more = taken.len() == BATCH;
            for queued in &*taken {
                write(queued, rules.epoch_seconds, out, &mut filled, sink);
            }
            self.give_back(taken);
            if !more {
                return Ok(filled);
            }
        }
    }

    fn ready(&self, _rules: &Rules) -> bool {
        false
    }

    fn flush(&self, taken: &mut Vec<Queued>, rules: &Rules, sink: &mut impl Sink) {
        loop {
            let mut used = self.budget.0.used();
            self.take(taken, 0, usize::MAX, true);
            for queued in &*taken {
                let (packet, charge) = (queued.packet, charge(&queued.packet));
                sink.gone(Gone {
                    packet,
                    reason: None,
                    charge,
                    used,
                    capacity: rules.capacity,
                    need: charge,
                    elsewhere: 0,
                    in_statistics: false,
                });
                used -= charge;
            }
            if taken.is_empty() {
                break;
            }
            self.give_back(taken);
        }
        lock(&self.list.0).peak = 0;
    }

    /// The capacity is in the rules.
    fn resize(&self, _capacity: u64) {}

    fn occupancy(&self, rules: &Rules) -> Occupancy {
        let (used, capacity) = (self.budget.0.used(), rules.capacity);
        let free = capacity as i64 - used as i64;
        let List { peak, memory, peak_memory, .. } = *lock(&self.list.0);
        Occupancy { used, capacity, free, peak, memory, peak_memory }
    }

    fn used(&self) -> u64 {
        self.budget.0.used()
    }

    fn queued(&self) -> u64 {
        lock(&self.list.0).packets.len() as u64
    }
}

/// Packets of one CPU on their way to the list.
pub(super) struct QueueBatch<'a> {
    queue: &'a Queue,
    lane: &'a mut Lane,
    rules: &'a Rules,
    /// Charged ahead: what was used before, and how much of it no packet has taken yet.
    ahead: (u64, u64),
    peak: u64,
}

impl QueueBatch<'_> {
    /// What is used with the packet charged, or was when it was refused.
    #[inline]
    fn charge(&mut self, need: u64) -> Result<u64, u64> {
        let (budget, capacity) = (&self.queue.budget.0, self.rules.capacity);
        if self.ahead.1 >= need {
            self.ahead = (self.ahead.0 + need, self.ahead.1 - need);
            Ok(self.ahead.0)
        } else if self.queue.choices.soft_limit {
            budget.charge_soft(need, capacity)
        } else {
            budget.charge_hard(need, capacity)
        }
    }
}

impl Batch for QueueBatch<'_> {
    #[inline]
    fn store(&mut self, packet: Packet, data: &[u8]) -> Stored {
        let need = charge(&packet);
        let block = self.lane.free.copy(data, &self.queue.returned[self.lane.at]);
        match self.charge(need) {
            Ok(used) => {
                self.lane.batch.push(Queued { packet, block });
                self.peak = self.peak.max(used);
                let wake = self.rules.immediate || used >= self.rules.min_to_copy;
                Stored::Kept { charge: need, used, wake }
            }
            Err(used) => {
                self.lane.free.put(block);
                let (capacity, empty) = (self.rules.capacity, self.rules.capacity == 0);
                Stored::Refused(Refusal {
                    reason: if empty { DropReason::ZeroBuffer } else { DropReason::BufferFull },
                    used,
                    capacity,
                    need,
                    elsewhere: 0,
                    wake: !empty,
                })
            }
        }
    }

    #[inline]
    fn end(self) {
        if self.ahead.1 > 0 {
            self.queue.budget.0.release(self.ahead.1);
        }
        if self.lane.batch.is_empty() {
            return;
        }
        let memory: u64 = self.lane.batch.iter().map(Queued::memory).sum();
        let mut list = lock(&self.queue.list.0);
        list.packets.extend(self.lane.batch.drain(..));
        list.peak = list.peak.max(self.peak);
        list.memory += memory;
        list.peak_memory = list.peak_memory.max(list.memory);
    }
}

impl Queued {
    /// What it takes in memory: its object on the list and its block.
    #[inline]
    fn memory(&self) -> u64 {
        (size_of::<Queued>() + self.block.len()) as u64
    }
}

#[inline]
fn charge(packet: &Packet) -> u64 {
    RECORD_HEADER as u64 + u64::from(packet.caplen)
}

/// Writes the record of a packet behind what is `filled`, cut to the room there is.
#[inline]
fn write(
    queued: &Queued,
    epoch_seconds: u32,
    out: &mut [u8],
    filled: &mut Filled,
    sink: &mut impl Sink,
) {
    let Packet { timestamp, caplen: stored, len, .. } = queued.packet;
    let start = filled.bytes + RECORD_HEADER;
    let taken = (stored as usize).min(out.len() - start);
    let (caplen, end) = (taken as u32, start + taken);
    if caplen < stored {
        filled.truncated_from = Some(stored);
    }
    Header { timestamp, epoch_seconds, caplen, len }.write(&mut out[filled.bytes..]);
    out[start..end].copy_from_slice(&queued.block[..taken]);
    sink.delivered(&queued.packet, &out[start..end]);

    let aligned = align(end);
    filled.bytes = aligned.min(out.len());
    filled.padding_cut = aligned - filled.bytes;
    out[end..filled.bytes].fill(0);
    filled.packets += 1;
}
