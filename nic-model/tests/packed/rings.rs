//! The driver's side of one virtqueue, by hand: split and packed, written from the specification.
//!
//! A slot is a chain of up to four buffers. Slot s has the id 4s in either format, which in a split ring is
//! also where its descriptors begin.

use crate::fuse::Fuse;
use nic_model::QueueSetup;
use std::sync::Arc;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

pub type Memory = Arc<GuestMemoryMmap<Fuse>>;

const NEXT: u16 = 1;
const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;

/// A buffer: address, length, flags without NEXT.
pub type Buffer = (u64, u32, u16);

pub struct Ring {
    memory: Memory,
    pub setup: QueueSetup,
    event_idx: bool,
    packed: bool,
    /// Split: free running. Packed: a place.
    next_available: u16,
    available_wrap: bool,
    next_used: u16,
    used_wrap: bool,
    /// Descriptors of each slot's chain.
    lens: [u16; 4],
}

impl Ring {
    pub fn new(memory: &Memory, setup: QueueSetup, packed: bool, event_idx: bool) -> Self {
        Self {
            memory: Arc::clone(memory),
            setup,
            event_idx,
            packed,
            next_available: 0,
            available_wrap: true,
            next_used: 0,
            used_wrap: true,
            lens: [0; 4],
        }
    }

    pub fn give(&mut self, slot: u16, buffers: &[Buffer]) {
        self.lens[usize::from(slot)] = buffers.len() as u16;
        let last = buffers.len() - 1;
        let next = |place: usize| if place == last { 0 } else { NEXT };
        if !self.packed {
            for (place, (address, len, flags)) in buffers.iter().enumerate() {
                let at = 4 * slot + place as u16;
                self.descriptor(at, *address, *len, [flags | next(place), at + 1]);
            }
            let ring = self.setup.available_ring;
            let entry = u64::from(self.next_available % self.setup.size);
            self.put(ring + 4 + 2 * entry, 4 * slot);
            self.next_available = self.next_available.wrapping_add(1);
            self.put(ring + 2, self.next_available);
            return;
        }
        let mut first = None;
        for (place, (address, len, flags)) in buffers.iter().enumerate() {
            let turn = if self.available_wrap { AVAIL } else { USED };
            let flags = flags | next(place) | turn;
            let at = self.next_available;
            // The first one is not available until the last is there.
            let now = if place == 0 { flags ^ (AVAIL | USED) } else { flags };
            self.descriptor(at, *address, *len, [4 * slot, now]);
            first = first.or(Some((at, flags)));
            self.next_available += 1;
            if self.next_available == self.setup.size {
                (self.next_available, self.available_wrap) = (0, !self.available_wrap);
            }
        }
        let (at, flags) = first.unwrap();
        self.put(self.at(at) + 14, flags);
    }

    /// The next completion: slot and length.
    pub fn take(&mut self) -> Option<(u16, u32)> {
        if !self.packed {
            let ring = self.setup.used_ring;
            if self.get(ring + 2) == self.next_used {
                return None;
            }
            let element = ring + 4 + 8 * u64::from(self.next_used % self.setup.size);
            self.next_used = self.next_used.wrapping_add(1);
            return Some((self.get(element) / 4, self.long(element + 4)));
        }
        let at = self.at(self.next_used);
        let both = if self.used_wrap { AVAIL | USED } else { 0 };
        if self.get(at + 14) & (AVAIL | USED) != both {
            return None;
        }
        let slot = self.get(at + 12) / 4;
        self.next_used += self.lens[usize::from(slot)];
        if self.next_used >= self.setup.size {
            (self.next_used, self.used_wrap) = (self.next_used - self.setup.size, !self.used_wrap);
        }
        Some((slot, self.long(at + 8)))
    }

    /// Asks for an interrupt at the next completion, or for none.
    pub fn wish(&mut self, interrupt: bool) {
        let at = self.setup.available_ring;
        let value = match (self.packed, self.event_idx, interrupt) {
            (true, true, true) => {
                self.put(at, self.next_used | u16::from(self.used_wrap) << 15);
                return self.put(at + 2, 2);
            }
            (true, _, _) => return self.put(at + 2, u16::from(!interrupt)),
            (false, false, _) => return self.put(at, u16::from(!interrupt)),
            (false, true, true) => self.next_used,
            (false, true, false) => self.next_used ^ 0x8000,
        };
        self.put(at + 4 + 2 * u64::from(self.setup.size), value);
    }

    pub fn descriptor(&self, at: u16, address: u64, len: u32, rest: [u16; 2]) {
        let mut bytes = address.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        // Flags and next in a split ring, id and flags in a packed one.
        rest.iter().for_each(|half| bytes.extend(half.to_le_bytes()));
        self.memory.write_slice(&bytes, GuestAddress(self.at(at))).unwrap();
    }

    pub fn at(&self, place: u16) -> u64 {
        self.setup.descriptor_table + 16 * u64::from(place)
    }

    pub fn put(&self, at: u64, value: u16) {
        self.memory.write_obj(value.to_le(), GuestAddress(at)).unwrap();
    }

    pub fn get(&self, at: u64) -> u16 {
        u16::from_le(self.memory.read_obj(GuestAddress(at)).unwrap())
    }

    fn long(&self, at: u64) -> u32 {
        u32::from_le(self.memory.read_obj(GuestAddress(at)).unwrap())
    }
}
