//! FreeBSD's zero-copy buffers: two buffers that the kernel and the reading process share (FreeBSD
//! sys/net/bpf_zerocopy.c, sys/net/bpf.c, bpf(4)).
//!
//! ```text
//!   store  [header 32 | record pad record ........]      hold  [header 32 | record pad record ..... ]
//!           kernel fills it                                     user reads it, until it acknowledges
//! ```
//!
//! Contract:
//! - Records as in [`BsdRecord`], contiguous behind the header, padding before the next one; a charge
//!   is header, kept bytes and that padding. The usable size is the buffer less 32 bytes.
//! - The kernel hands the store buffer over when a packet does not fit and the other buffer is free
//!   (it then stores into that one and wakes), when a packet does not fit and the other one is the
//!   user's (both are the user's then, nobody is woken), and when the user asks ([`ZeroCopy::rotate`]).
//! - It looks for acknowledgements when it is asked to store and when it is flushed, at no other time.
//! - It believes nothing that stands in the pages but `user_gen` being equal to the generation of its
//!   own notes, which gives the buffer back. What it hands over and what it charges it knows itself.
//! - A packet is delivered when a process, whichever, finds its record in a buffer that is the user's
//!   in the generation of its last hand-over; once. A packet whose buffer comes back without that is
//!   dropped as `unread`.
//! - A flush leaves what is the user's: these packets, older than those it drops, can still be
//!   delivered.
//!
//! A drop record tells of the store buffer; one that is the user's is full, whatever lies in it. `used`
//! counts what lies in the buffers until the kernel has them back. It exceeds the charges of
//! the packets that are held by those that were taken out of a buffer which is not acknowledged yet.
//!
//! Not modelled: the read event by time-out inside the kernel; the reader's rotate call stands for it.

mod header;
mod pages;

pub use header::ZBUF_HEADER;

use super::{Engine, Filled, Gone, Occupancy, Packet, Refusal, Sink, Stored};
use crate::pool::Pool;
use crate::record::Header;
use crate::record_bsd::BsdRecord;
use crate::{
    BufferMode, ControlError, DropReason, HandleOptions, ReadError, Rotated, Taken,
    ZeroCopyOptions, zbuf_kernel_buffer,
};
pub(crate) use header::{KERNEL_GEN, KERNEL_LEN, USER_GEN, word};
use pages::Pages;

/// A packet is dropped when the store buffer has no room for it, or is the user's, and the other
/// buffer is the user's too: `user_owned`. A packet that was stored is dropped when the kernel gets
/// its buffer back and no process has taken it out: `unread`.
#[derive(Debug)]
pub(crate) struct ZeroCopy {
    pages: Pages,
    buffers: [Buffer; 2],
    /// The buffer that packets go to. The other one is held if `held`, otherwise free.
    store: usize,
    /// The other buffer was rotated out and has not come back.
    held: bool,
    record: BsdRecord,
    /// Bytes for records in each buffer.
    usable: usize,
    immediate: bool,
    assigned_leak: bool,
    epoch_seconds: u32,
    peak: u64,
    peak_memory: u64,
}

/// What the kernel knows about one buffer, wherever it does not look at the pages.
#[derive(Debug, Default)]
struct Buffer {
    /// The records in it, in order.
    entries: Vec<Entry>,
    /// Bytes of records; without the padding before the next one.
    len: usize,
    /// Entries that are still held.
    live: u64,
    /// No entry before this one is still held.
    first: usize,
    /// How often it was handed over, as the header's `kernel_gen` counts.
    generation: u32,
    /// Marked as the user's.
    assigned: bool,
}

#[derive(Debug)]
struct Entry {
    packet: Packet,
    /// Of the record, behind the buffer's header.
    offset: usize,
    charge: u64,
    live: bool,
}

impl ZeroCopy {
    /// Refuses a kernel buffer that is no two buffers of 1 to 512 whole pages each.
    pub(crate) fn new(
        options: &HandleOptions,
        choices: ZeroCopyOptions,
    ) -> Result<Self, ControlError> {
        let asked = options.kernel_buffer;
        let granted = zbuf_kernel_buffer(asked);
        if asked != granted {
            return Err(ControlError::NoZeroCopyBuffer { asked, granted });
        }
        let len = (asked / 2) as usize;
        let inherit = choices.buffer_mode == BufferMode::ZeroCopyInherit;
        let mut engine = ZeroCopy {
            pages: Pages::new(len, (!inherit).then_some(choices.forked_pages)),
            buffers: Default::default(),
            store: 0,
            held: false,
            record: BsdRecord::new(choices.word),
            usable: len - ZBUF_HEADER,
            immediate: options.immediate,
            assigned_leak: choices.assigned_leak,
            epoch_seconds: options.epoch_seconds,
            peak: 0,
            peak_memory: 0,
        };
        engine.note_memory();
        Ok(engine)
    }

    /// BIOCROTZBUF: hands the store buffer over if it has something in it and nothing is held.
    pub(crate) fn rotate(&mut self) -> Option<Rotated> {
        if self.held || self.buffers[self.store].len == 0 {
            return None;
        }
        let buffer = self.store;
        self.swap();
        Some(Rotated { buffer, bytes: self.buffers[buffer].len })
    }

    /// How many processes share the buffers.
    pub(crate) fn processes(&self) -> usize {
        self.pages.processes()
    }

    /// Bytes of one buffer, header included.
    pub(crate) fn size(&self) -> usize {
        self.usable + ZBUF_HEADER
    }

    /// Adds the child of an existing process.
    pub(crate) fn fork(&mut self, parent: usize) {
        self.pages.fork(parent);
        self.note_memory();
    }

    /// What an existing process sees; the range lies in the buffer.
    pub(crate) fn user_read(&self, process: usize, buffer: usize, offset: usize, out: &mut [u8]) {
        self.pages.user_read(process, buffer, offset, out);
    }

    /// Writes as an existing process; the range lies in the buffer.
    pub(crate) fn user_write(
        &mut self,
        process: usize,
        buffer: usize,
        offset: usize,
        bytes: &[u8],
    ) {
        self.pages.user_write(process, buffer, offset, bytes);
        self.note_memory();
    }

    /// A process has gone through `seen`, the records of `buffer` in its view, where `kernel_gen` is
    /// `generation`. Those of packets that are the user's and that nobody had before are delivered,
    /// with the bytes that it saw, at most as many as were stored.
    pub(crate) fn seen(
        &mut self,
        buffer: usize,
        generation: u32,
        seen: &[u8],
        sink: &mut impl Sink,
    ) -> Taken {
        let ZeroCopy { record, ref mut buffers, .. } = *self;
        let Buffer { entries, live, generation: current, assigned, .. } = &mut buffers[buffer];
        let current = *assigned && *current == generation;
        let mut known = entries.iter_mut().filter(|_| current).peekable();
        let mut taken = Taken::default();
        let mut at = 0;
        while at < seen.len() {
            let Some(found) = record.parse(&seen[at..]) else {
                taken.malformed = true;
                break;
            };
            let data = &seen[at + found.header..at + found.header + found.caplen];
            while known.next_if(|entry| entry.offset < at).is_some() {}
            if let Some(entry) = known.next_if(|entry| entry.offset == at && entry.live) {
                entry.live = false;
                *live -= 1;
                let kept = data.len().min(entry.packet.caplen as usize);
                sink.delivered(&entry.packet, &data[..kept]);
                taken.packets += 1;
            }
            taken.records += 1;
            at = (at + record.align(found.header + found.caplen)).min(seen.len());
        }
        taken.bytes = at;
        taken
    }

    /// Takes the held buffer back if the user has acknowledged it. What it never read is lost.
    fn reclaim(&mut self, sink: &mut impl Sink) -> bool {
        let other = 1 - self.store;
        let acknowledged = word(self.pages.kernel(other), USER_GEN);
        if !self.held || acknowledged != self.buffers[other].generation {
            return false;
        }
        self.held = false;
        self.empty(other, Some(DropReason::Unread), sink);
        true
    }

    /// The store buffer becomes the held one, the free one the store buffer.
    fn swap(&mut self) {
        let full = self.store;
        self.hand_over(full);
        self.held = true;
        self.store = 1 - full;
    }

    /// Makes a buffer the user's, if it is not marked so already.
    fn hand_over(&mut self, buffer: usize) {
        let Buffer { assigned, generation, len, .. } = &mut self.buffers[buffer];
        if *assigned {
            return;
        }
        *assigned = true;
        *generation = generation.wrapping_add(1);
        let page = self.pages.kernel_mut(buffer);
        header::set_word(page, KERNEL_LEN, *len as u32);
        header::set_word(page, KERNEL_GEN, *generation);
    }

    /// Forgets what is in a buffer; packets that are still held go to the sink.
    fn empty(&mut self, buffer: usize, reason: Option<DropReason>, sink: &mut impl Sink) {
        let capacity = self.usable as u64;
        let Buffer { entries, len, live, first, .. } = &mut self.buffers[buffer];
        let mut used = entries.iter().filter(|entry| entry.live).map(|entry| entry.charge).sum();
        for Entry { packet, charge, .. } in entries.drain(..).filter(|entry| entry.live) {
            sink.gone(Gone {
                packet,
                reason,
                charge,
                used,
                capacity,
                need: charge,
                elsewhere: 0,
                in_statistics: false,
            });
            used -= charge;
        }
        *len = 0;
        *live = 0;
        *first = 0;
    }

    fn refuse(&mut self, need: usize) -> Stored {
        let Buffer { len, assigned, .. } = self.buffers[self.store];
        // A store buffer that is the user's has no byte for the kernel, whatever is in it.
        let used = if assigned { self.usable } else { len };
        self.hand_over(self.store);
        Stored::Refused(Refusal {
            reason: DropReason::UserOwned,
            used: used as u64,
            capacity: self.usable as u64,
            need: need as u64,
            elsewhere: (self.usable - self.buffers[1 - self.store].len) as u64,
            wake: false,
        })
    }

    /// A buffer that the kernel has taken everything out of is its own again, without anybody's
    /// acknowledgement.
    fn take_back(&mut self, buffer: usize) {
        let Buffer { entries, len, first, generation, assigned, .. } = &mut self.buffers[buffer];
        entries.clear();
        *len = 0;
        *first = 0;
        *assigned = false;
        header::set_word(self.pages.kernel_mut(buffer), USER_GEN, *generation);
        self.held = self.held && buffer == self.store;
    }

    fn note_memory(&mut self) {
        self.peak_memory = self.peak_memory.max(self.memory());
    }

    fn memory(&self) -> u64 {
        let entries: usize = self.buffers.iter().map(|buffer| buffer.entries.capacity()).sum();
        self.pages.memory() + (entries * size_of::<Entry>()) as u64
    }

    fn used(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.len as u64).sum()
    }
}

impl Engine for ZeroCopy {
    #[inline]
    fn shares(&self) -> bool {
        false
    }

    fn store(
        &mut self,
        mut packet: Packet,
        data: &[u8],
        _pool: &mut Pool,
        sink: &mut impl Sink,
    ) -> Stored {
        if self.reclaim(sink) && !self.assigned_leak {
            self.buffers[1 - self.store].assigned = false;
        }
        let header = self.record.header();
        let data = &data[..data.len().min(self.usable - header)];
        let total = header + data.len();
        let mut wake = self.immediate;
        let Buffer { len, assigned, .. } = self.buffers[self.store];
        let mut at = self.record.align(len);
        if at + total > self.usable || assigned {
            if self.held {
                return self.refuse(at + total - len);
            }
            self.swap();
            at = 0;
            wake = true;
        }

        packet.caplen = data.len() as u32;
        let Packet { timestamp, caplen, len, .. } = packet;
        let space = &mut self.pages.kernel_mut(self.store)[ZBUF_HEADER + at..][..total];
        let fields = Header { timestamp, epoch_seconds: self.epoch_seconds, caplen, len };
        self.record.write(&fields, space);
        space[header..].copy_from_slice(data);

        let buffer = &mut self.buffers[self.store];
        let charge = (at + total - buffer.len) as u64;
        buffer.entries.push(Entry { packet, offset: at, charge, live: true });
        buffer.live += 1;
        buffer.len = at + total;
        let used = buffer.len as u64;
        self.peak = self.peak.max(self.used());
        self.note_memory();
        Stored::Kept { charge, used, wake }
    }

    /// As select(2) sees it: something is held that the user has not acknowledged; or there is
    /// something at all, in immediate mode.
    fn ready(&self, _event_set: bool) -> bool {
        let other = 1 - self.store;
        let unread = word(self.pages.kernel(other), USER_GEN) != self.buffers[other].generation;
        let held = self.held && unread && self.buffers[other].len > 0;
        held || self.immediate && self.buffers[self.store].len > 0
    }

    fn read(
        &mut self,
        _out: &mut [u8],
        _at: usize,
        _pool: &mut Pool,
        _sink: &mut impl Sink,
    ) -> Result<Filled, ReadError> {
        Err(ReadError::NoRead)
    }

    /// The kernel reads its own pages, also those that are the user's.
    fn take(&mut self, _pool: &mut Pool, visit: &mut impl FnMut(&Packet, u64, [&[u8]; 2])) -> bool {
        let header = self.record.header();
        for buffer in [1 - self.store, self.store] {
            let Buffer { entries, live, first, .. } = &mut self.buffers[buffer];
            let left = &mut entries[*first..];
            let Some(next) = left.iter().position(|entry| entry.live) else { continue };
            let entry = &mut left[next];
            entry.live = false;
            *live -= 1;
            *first += next + 1;
            let start = ZBUF_HEADER + entry.offset + header;
            let data = &self.pages.kernel(buffer)[start..][..entry.packet.caplen as usize];
            visit(&entry.packet, entry.charge, [data, &[]]);
            if *live == 0 {
                self.take_back(buffer);
            }
            return true;
        }
        false
    }

    fn flush(&mut self, _pool: &mut Pool, sink: &mut impl Sink) {
        if self.reclaim(sink) {
            self.buffers[1 - self.store].assigned = false;
        }
        if !self.buffers[self.store].assigned {
            self.empty(self.store, None, sink);
        }
        self.peak = self.used();
    }

    fn close(&mut self, _pool: &mut Pool, sink: &mut impl Sink) {
        for buffer in [1 - self.store, self.store] {
            self.empty(buffer, None, sink);
        }
    }

    /// The buffers were set once.
    fn can_resize(&self, _capacity: u64) -> Result<(), ControlError> {
        Err(ControlError::BufferIsFixed)
    }

    fn resize(&mut self, _capacity: u64) {}

    /// BSD has no such setting.
    fn set_min_to_copy(&mut self, _bytes: u64) {}

    fn set_immediate(&mut self, immediate: bool) {
        self.immediate = immediate;
    }

    fn occupancy(&self) -> Occupancy {
        let (used, capacity) = (self.used(), 2 * self.usable as u64);
        let free = (capacity - used) as i64;
        let ZeroCopy { peak, peak_memory, .. } = *self;
        Occupancy { used, capacity, free, peak, memory: self.memory(), peak_memory }
    }

    #[inline]
    fn queued(&self) -> u64 {
        self.buffers[0].live + self.buffers[1].live
    }
}
