//! The double buffer of BSD (FreeBSD 14 `sys/net/bpf.c`, `bpf_buffer.c`): packets go into the store
//! buffer while a reader takes the hold buffer.
//!
//! ```text
//!   tap --> store |[packet] [packet] [packet]......|    slot = half the kernel buffer
//!                     |  rotate: the store is full, or a read finds nothing held
//!                     v
//!           hold  |[packet] [packet] [packet] [pa..|--> read, whole and at once
//! ```
//!
//! Contract: first in, first out. A packet takes a header of 18 or 26 bytes and its caplen, after
//! padding to 4 or 8 bytes that comes with it and not with the packet before, so that the last record
//! of a read is not padded; it is cut to the slot when it is stored. The buffers rotate when a packet
//! does not fit the store and nothing is held: the packet begins the new store. The reader is woken by
//! that, in immediate mode by each packet, and never by a drop.
//!
//! A read is of exactly one slot. It takes what is held, else rotates if anything is stored, which is
//! what a read does in BSD in immediate mode, when it must not block, or when its time is up (the time
//! runs from the call of the read); a reader that blocks comes when a read would not wait: when
//! something is held or, in immediate mode, stored. The hold buffer stays taken until it is copied:
//! the first step of a read tells how much that is, the second delivers and frees.
//!
//! `min_to_copy` has no meaning here. The size is fixed when the handle is opened.
//!
//! For outside observers: what is used of a slot is the sum of the charges of its packets, except
//! while a dump takes packets out of the hold buffer one by one, which frees it with the last.
//!
//! Differences from the source: a slot smaller than a header takes no packet (BSD raises the size to
//! 32); a control that empties the buffer ends the read in progress, for which BSD waits; removal of
//! the adapter does not wake a waiting reader. Not modelled: the third buffer that the structures
//! allow for, and `select` and `poll` with their own time, after which each packet wakes.

use std::collections::VecDeque;

use super::{Engine, Filled, Gone, Occupancy, Packet, Refusal, Sink, Stored};
use crate::pool::Pool;
use crate::record::Header;
use crate::record_bsd::BsdRecord;
use crate::{ControlError, DropReason, HandleOptions, ReadError, StoreHoldOptions};

/// A packet is dropped when it does not fit what is left of the store buffer, padding included, and
/// the hold buffer is taken. With `head_drop` (XNU) the packets of the hold buffer are dropped in its
/// place, unless a read is just copying them.
#[derive(Debug)]
pub(crate) struct StoreHold {
    store: Slot,
    /// Free if it has no packets.
    hold: Slot,
    /// A read is copying the hold buffer.
    copying: bool,
    immediate: bool,
    peak: u64,
    peak_memory: u64,
    epoch_seconds: u32,
    record: BsdRecord,
    head_drop: bool,
}

/// One of the two buffers.
#[derive(Debug)]
struct Slot {
    bytes: Vec<u8>,
    /// Bytes in use.
    len: usize,
    packets: VecDeque<Packet>,
    /// Where the packets that were taken out one by one end.
    taken: usize,
}

impl Slot {
    fn new(size: usize) -> Self {
        // Pages that are not used are not taken.
        Slot { bytes: vec![0; size], len: 0, packets: VecDeque::new(), taken: 0 }
    }

    /// Takes the oldest packet out; with it where its bytes begin, and what it was charged.
    fn pop(&mut self, record: BsdRecord) -> Option<(Packet, usize, u64)> {
        let packet = self.packets.pop_front()?;
        let data = record.align(self.taken) + record.header();
        let end = data + packet.caplen as usize;
        let charge = end - self.taken;
        self.taken = end;
        if self.packets.is_empty() {
            self.clear();
        }
        Some((packet, data, charge as u64))
    }

    fn clear(&mut self) {
        self.packets.clear();
        (self.len, self.taken) = (0, 0);
    }
}

impl StoreHold {
    pub(crate) fn new(options: &HandleOptions, choices: StoreHoldOptions) -> Self {
        let slot = (options.kernel_buffer / 2) as usize;
        let mut buffers = StoreHold {
            store: Slot::new(slot),
            hold: Slot::new(slot),
            copying: false,
            immediate: options.immediate,
            peak: 0,
            peak_memory: 0,
            epoch_seconds: options.epoch_seconds,
            record: BsdRecord::new(choices.word),
            head_drop: choices.head_drop,
        };
        buffers.peak_memory = buffers.memory();
        buffers
    }

    fn slot(&self) -> usize {
        self.store.bytes.len()
    }

    fn rotate(&mut self) {
        std::mem::swap(&mut self.store, &mut self.hold);
    }

    /// Gives up what a buffer holds, packet by packet.
    fn give_up(
        slot: &mut Slot,
        record: BsdRecord,
        reason: Option<DropReason>,
        sink: &mut impl Sink,
    ) {
        let capacity = slot.bytes.len() as u64;
        loop {
            let used = (slot.len - slot.taken) as u64;
            let Some((packet, _, charge)) = slot.pop(record) else { break };
            sink.gone(Gone {
                packet,
                reason,
                charge,
                used,
                capacity,
                need: charge,
                elsewhere: 0,
                in_statistics: reason.is_some(),
            });
        }
    }

    /// Delivers what is held, which `out` has a copy of, and frees the buffer.
    fn deliver(&mut self, out: &[u8], sink: &mut impl Sink) -> u32 {
        self.copying = false;
        let from = self.record.align(self.hold.taken);
        let mut packets = 0;
        while let Some((packet, data, _)) = self.hold.pop(self.record) {
            sink.delivered(&packet, &out[data - from..data - from + packet.caplen as usize]);
            packets += 1;
        }
        packets
    }

    /// Puts a packet at `start` of the store buffer, where there is room for it.
    fn append(&mut self, start: usize, packet: Packet, data: &[u8]) {
        let Packet { timestamp, caplen, len, .. } = packet;
        let header = Header { timestamp, epoch_seconds: self.epoch_seconds, caplen, len };
        let (from, end) = (start + self.record.header(), start + self.record.header() + data.len());
        let Slot { bytes, len: used, packets, .. } = &mut self.store;
        bytes[*used..start].fill(0);
        self.record.write(&header, &mut bytes[start..]);
        bytes[from..end].copy_from_slice(data);
        *used = end;
        packets.push_back(packet);
    }

    fn used(&self) -> u64 {
        (self.store.len + self.hold.len) as u64
    }

    fn memory(&self) -> u64 {
        let packets = self.store.packets.len() + self.hold.packets.len();
        (2 * self.slot() + packets * size_of::<Packet>()) as u64
    }
}

impl Engine for StoreHold {
    #[inline]
    fn shares(&self) -> bool {
        false
    }

    #[inline]
    fn longest(&self) -> u32 {
        // Longer than 4 GiB no slot is.
        self.slot().saturating_sub(self.record.header()) as u32
    }

    fn store(
        &mut self,
        packet: Packet,
        data: &[u8],
        _pool: &mut Pool,
        sink: &mut impl Sink,
    ) -> Stored {
        let (before, slot) = (self.store.len, self.slot());
        let start = self.record.align(before);
        let total = self.record.header() + data.len();
        let mut begun = before;
        let mut wake = self.immediate;
        if start + total > slot {
            let head_drop = self.head_drop && !self.copying;
            if total > slot || !(self.hold.packets.is_empty() || head_drop) {
                return Stored::Refused(Refusal {
                    reason: if slot == 0 { DropReason::ZeroBuffer } else { DropReason::BufferFull },
                    used: before as u64,
                    capacity: slot as u64,
                    need: (start + total - before) as u64,
                    elsewhere: (slot - self.hold.len) as u64,
                    wake: false,
                });
            }
            Self::give_up(&mut self.hold, self.record, Some(DropReason::HeadDropped), sink);
            self.rotate();
            wake = true;
            begun = 0;
        }
        self.append(self.record.align(begun), packet, data);
        self.peak = self.peak.max(self.used());
        self.peak_memory = self.peak_memory.max(self.memory());
        let used = self.store.len;
        Stored::Kept { charge: (used - begun) as u64, used: used as u64, wake }
    }

    #[inline]
    fn ready(&self, _event_set: bool) -> bool {
        !self.hold.packets.is_empty() || (self.immediate && !self.store.packets.is_empty())
    }

    fn read(
        &mut self,
        out: &mut [u8],
        _at: usize,
        _pool: &mut Pool,
        sink: &mut impl Sink,
    ) -> Result<Filled, ReadError> {
        let want = self.slot();
        if want == 0 {
            return Err(ReadError::ZeroBuffer);
        }
        if out.len() != want {
            return Err(ReadError::ReadLength { len: out.len(), want });
        }
        if self.copying {
            return Ok(Filled { packets: self.deliver(out, sink), ..Filled::default() });
        }
        if self.hold.packets.is_empty() {
            self.rotate();
        }
        // A dump may have taken the first ones.
        let from = self.record.align(self.hold.taken);
        let bytes = self.hold.len.saturating_sub(from);
        out[..bytes].copy_from_slice(&self.hold.bytes[from..from + bytes]);
        self.copying = bytes > 0;
        Ok(Filled { bytes, more: bytes > 0, ..Filled::default() })
    }

    fn take(&mut self, _pool: &mut Pool, visit: &mut impl FnMut(&Packet, u64, [&[u8]; 2])) -> bool {
        if self.copying {
            return false;
        }
        if self.hold.packets.is_empty() {
            self.rotate();
        }
        let Some((packet, data, charge)) = self.hold.pop(self.record) else { return false };
        let bytes = &self.hold.bytes[data..data + packet.caplen as usize];
        visit(&packet, charge, [bytes, &[]]);
        true
    }

    fn flush(&mut self, _pool: &mut Pool, sink: &mut impl Sink) {
        self.copying = false;
        Self::give_up(&mut self.hold, self.record, None, sink);
        Self::give_up(&mut self.store, self.record, None, sink);
        self.peak = 0;
    }

    fn can_resize(&self, _capacity: u64) -> Result<(), ControlError> {
        Err(ControlError::BufferIsFixed)
    }

    fn resize(&mut self, _capacity: u64) {}

    fn set_min_to_copy(&mut self, _bytes: u64) {}

    fn set_immediate(&mut self, immediate: bool) {
        self.immediate = immediate;
    }

    #[inline]
    fn occupancy(&self) -> Occupancy {
        let (used, capacity) = (self.used(), 2 * self.slot() as u64);
        let free = capacity as i64 - used as i64;
        let Self { peak, peak_memory, .. } = *self;
        Occupancy { used, capacity, free, peak, memory: self.memory(), peak_memory }
    }

    #[inline]
    fn queued(&self) -> u64 {
        (self.store.packets.len() + self.hold.packets.len()) as u64
    }
}
