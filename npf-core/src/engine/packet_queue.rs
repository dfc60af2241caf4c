//! The packet-object queue of Npcap 0.9992 and later: a list of packets under a byte budget
//! (nmap/npcap `packetWin7/npf/npf/Read.c`, issue 317).
//!
//! ```text
//!   tap --> [packet][packet][packet] --> read        each points to the frame's shared copy
//!           used = sum of (20 + caplen)              free = capacity - used, may go negative
//! ```
//!
//! Contract: first in, first out. A packet is charged 20 + caplen, nothing for alignment, list or
//! copy, so that real memory exceeds the budget. The reader is woken when at least `min_to_copy`
//! bytes are used, and by every refusal of a buffer that has a size.
//!
//! Not modelled: two CPUs that test the same free space before either takes it (each could then
//! overshoot by one packet), and readers that overtake each other.

use std::collections::VecDeque;

use super::{Engine, Filled, Gone, Occupancy, Packet, Refusal, Sink, Stored};
use crate::pool::{self, Pool};
use crate::record::{Header, RECORD_HEADER, align};
use crate::{DropReason, HandleOptions, PacketQueueOptions, ReadError};

/// A packet is dropped when the buffer has size 0; when no byte is free (soft limit); or when its
/// charge exceeds the free bytes (hard test, `soft_limit` off). The soft limit looks at what is free
/// *before* the packet, so one packet may overshoot the capacity.
#[derive(Debug)]
pub(crate) struct PacketQueue {
    packets: VecDeque<Packet>,
    used: u64,
    capacity: u64,
    min_to_copy: u64,
    immediate: bool,
    peak: u64,
    memory: u64,
    peak_memory: u64,
    epoch_seconds: u32,
    choices: PacketQueueOptions,
}

impl PacketQueue {
    pub(crate) fn new(options: &HandleOptions, choices: PacketQueueOptions) -> Self {
        PacketQueue {
            packets: VecDeque::new(),
            used: 0,
            capacity: options.kernel_buffer,
            min_to_copy: options.min_to_copy,
            immediate: options.immediate,
            peak: 0,
            memory: 0,
            peak_memory: 0,
            epoch_seconds: options.epoch_seconds,
            choices,
        }
    }

    fn wakes(&self) -> bool {
        self.immediate || self.used >= self.min_to_copy
    }

    /// Takes the oldest packet off the list, its charge and memory with it. The reference to its copy
    /// stays with the caller.
    #[inline]
    fn pop(&mut self) -> Option<Packet> {
        let packet = self.packets.pop_front()?;
        self.used -= charge(&packet);
        self.memory -= memory(&packet);
        Some(packet)
    }

    #[inline]
    fn has_room(&self, charge: u64) -> bool {
        if self.choices.soft_limit {
            self.used < self.capacity
        } else {
            self.used + charge <= self.capacity
        }
    }

    /// How much of the packet's `caplen` bytes this read takes: all if the record fits, the `room` if
    /// it is the first one and may be cut, nothing otherwise.
    #[inline]
    fn take_length(&self, caplen: usize, room: usize, first: bool) -> Option<usize> {
        if caplen <= room {
            Some(caplen)
        } else if first && self.choices.truncate_first {
            Some(room)
        } else {
            None
        }
    }
}

impl Engine for PacketQueue {
    #[inline]
    fn shares(&self) -> bool {
        true
    }

    #[inline]
    fn store(
        &mut self,
        packet: Packet,
        _data: &[u8],
        pool: &mut Pool,
        _sink: &mut impl Sink,
    ) -> Stored {
        let need = charge(&packet);
        if !self.has_room(need) {
            let empty = self.capacity == 0;
            return Stored::Refused(Refusal {
                reason: if empty { DropReason::ZeroBuffer } else { DropReason::BufferFull },
                used: self.used,
                capacity: self.capacity,
                need,
                elsewhere: 0,
                wake: !empty,
            });
        }
        if let Some(copy) = packet.copy {
            pool.retain(copy);
        }
        self.packets.push_back(packet);
        self.used += need;
        self.peak = self.peak.max(self.used);
        self.memory += memory(&packet);
        self.peak_memory = self.peak_memory.max(self.memory);
        Stored::Kept { charge: need, used: self.used, wake: self.wakes() }
    }

    fn read(
        &mut self,
        out: &mut [u8],
        _at: usize,
        pool: &mut Pool,
        sink: &mut impl Sink,
    ) -> Result<Filled, ReadError> {
        if self.capacity == 0 {
            return Err(ReadError::ZeroBuffer);
        }
        if out.len() < RECORD_HEADER {
            return Err(ReadError::BufferTooSmall { len: out.len(), need: RECORD_HEADER });
        }
        let mut filled = Filled::default();
        // Room for a header alone is not enough, as in the source: hence `>`.
        while out.len() - filled.bytes > RECORD_HEADER {
            let Some(packet) = self.packets.front() else { break };
            let stored = packet.caplen as usize;
            let room = out.len() - filled.bytes - RECORD_HEADER;
            let Some(taken) = self.take_length(stored, room, filled.packets == 0) else { break };
            let Some(packet) = self.pop() else { break };
            if taken < stored {
                filled.truncated_from = Some(packet.caplen);
            }

            let caplen = taken as u32;
            let end = filled.bytes + RECORD_HEADER + taken;
            let Packet { timestamp, len, .. } = packet;
            Header { timestamp, epoch_seconds: self.epoch_seconds, caplen, len }
                .write(&mut out[filled.bytes..]);
            if let Some(copy) = packet.copy {
                out[end - taken..end].copy_from_slice(pool.bytes(copy, taken));
                pool.release(copy);
            }
            sink.delivered(&packet, &out[end - taken..end]);

            let aligned = align(end);
            filled.bytes = aligned.min(out.len());
            filled.padding_cut = aligned - filled.bytes;
            out[end..filled.bytes].fill(0);
            filled.packets += 1;
        }
        Ok(filled)
    }

    fn take(&mut self, pool: &mut Pool, visit: &mut impl FnMut(&Packet, u64, [&[u8]; 2])) -> bool {
        let Some(packet) = self.pop() else { return false };
        if let Some(copy) = packet.copy {
            visit(&packet, charge(&packet), [pool.bytes(copy, packet.caplen as usize), &[]]);
            pool.release(copy);
        }
        true
    }

    fn flush(&mut self, pool: &mut Pool, sink: &mut impl Sink) {
        loop {
            let used = self.used;
            let Some(packet) = self.pop() else { break };
            if let Some(copy) = packet.copy {
                pool.release(copy);
            }
            let charge = charge(&packet);
            sink.gone(Gone {
                packet,
                reason: None,
                charge,
                used,
                capacity: self.capacity,
                need: charge,
                elsewhere: 0,
                in_statistics: false,
            });
        }
        self.peak = 0;
    }

    fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
    }

    fn set_min_to_copy(&mut self, bytes: u64) {
        self.min_to_copy = bytes;
    }

    fn set_immediate(&mut self, immediate: bool) {
        self.immediate = immediate;
    }

    #[inline]
    fn occupancy(&self) -> Occupancy {
        let Self { used, capacity, peak, memory, peak_memory, .. } = *self;
        let free = capacity as i64 - used as i64;
        Occupancy { used, capacity, free, peak, memory, peak_memory }
    }

    #[inline]
    fn queued(&self) -> u64 {
        self.packets.len() as u64
    }
}

#[inline]
fn charge(packet: &Packet) -> u64 {
    RECORD_HEADER as u64 + u64::from(packet.caplen)
}

/// What one packet takes in memory: its object on the list and the block of its copy.
#[inline]
fn memory(packet: &Packet) -> u64 {
    (size_of::<Packet>() + packet.copy.map_or(0, pool::block_bytes)) as u64
}
