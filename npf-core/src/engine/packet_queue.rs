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

use super::{Engine, Filled, Occupancy, Packet, Stored};
use crate::pool::Pool;
use crate::record::{Header, RECORD_HEADER, align};
use crate::{Delivered, DropReason, Quirks, ReadError};

/// A packet is dropped when the buffer has size 0; when no byte is free (soft limit); or when its
/// charge exceeds the free bytes (hard test, `Quirks::soft_limit` off). The soft limit looks at what
/// is free *before* the packet, so one packet may overshoot the capacity.
#[derive(Debug)]
pub(crate) struct PacketQueue {
    packets: VecDeque<Packet>,
    used: u64,
    capacity: u64,
    min_to_copy: u64,
    peak: u64,
    epoch_seconds: u32,
    quirks: Quirks,
}

impl PacketQueue {
    pub(crate) fn new(capacity: u64, min_to_copy: u64, epoch_seconds: u32, quirks: Quirks) -> Self {
        let packets = VecDeque::new();
        PacketQueue { packets, used: 0, capacity, min_to_copy, peak: 0, epoch_seconds, quirks }
    }

    #[inline]
    fn has_room(&self, charge: u64) -> bool {
        if self.quirks.soft_limit {
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
        } else if first && self.quirks.truncate_first {
            Some(room)
        } else {
            None
        }
    }
}

impl Engine for PacketQueue {
    #[inline]
    fn store(&mut self, packet: Packet, pool: &mut Pool) -> Stored {
        let need = charge(&packet);
        if !self.has_room(need) {
            let empty = self.capacity == 0;
            return Stored::Refused {
                reason: if empty { DropReason::ZeroBuffer } else { DropReason::BufferFull },
                used: self.used,
                capacity: self.capacity,
                need,
                wake: !empty,
            };
        }
        pool.retain(packet.copy);
        self.packets.push_back(packet);
        self.used += need;
        self.peak = self.peak.max(self.used);
        Stored::Kept { charge: need, used: self.used, wake: self.used >= self.min_to_copy }
    }

    fn read(
        &mut self,
        out: &mut [u8],
        pool: &mut Pool,
        deliver: &mut impl FnMut(Delivered<'_>),
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
            if taken < stored {
                filled.truncated_from = Some(packet.caplen);
            }

            let data = pool.bytes(packet.copy, taken);
            let caplen = taken as u32;
            let end = filled.bytes + RECORD_HEADER + taken;
            let Packet { tag, timestamp, copy, len, cpu, queue, .. } = *packet;
            Header { timestamp, epoch_seconds: self.epoch_seconds, caplen, len }
                .write(&mut out[filled.bytes..]);
            out[end - taken..end].copy_from_slice(data);
            deliver(Delivered { tag, queue, cpu, timestamp, caplen, len, data });

            let aligned = align(end);
            filled.bytes = aligned.min(out.len());
            filled.padding_cut = aligned - filled.bytes;
            out[end..filled.bytes].fill(0);
            filled.packets += 1;

            self.used -= charge(packet);
            self.packets.pop_front();
            pool.release(copy);
        }
        Ok(filled)
    }

    fn flush(&mut self, pool: &mut Pool, gone: &mut impl FnMut(&Packet, u64, u64)) {
        for packet in self.packets.drain(..) {
            let charge = charge(&packet);
            gone(&packet, charge, self.used);
            self.used -= charge;
            pool.release(packet.copy);
        }
        self.peak = 0;
    }

    fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
    }

    fn set_min_to_copy(&mut self, bytes: u64) {
        self.min_to_copy = bytes;
    }

    #[inline]
    fn occupancy(&self) -> Occupancy {
        let Self { used, capacity, peak, .. } = *self;
        Occupancy { used, capacity, free: capacity as i64 - used as i64, peak }
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
