//! The worker of Npcap 0.9991: the tap queues requests without limit, and one thread moves them into
//! the buffer, a ring of bytes (nmap/npcap `packetWin7/npf/npf/Read.c` and `Openclos.c` between commits
//! cfb314e7 and 71ad21e8, issue 317).
//!
//! ```text
//!   CPU 0 --.
//!   CPU 1 --+--> [request][request][request]... --> worker --> [..record record record..] --> read
//!   CPU 2 --'    each points to the frame's copy               the buffer, of the size asked for
//! ```
//!
//! Contract: first in, first out, through both. A request is charged nothing: however small the
//! buffer, the queue grows while the worker is slower than the tap, and so does the memory
//! ([`Occupancy::memory`]), which is why the design lived for one release. The worker charges a packet
//! 20 + caplen and what is skipped behind it ([`circular`](super::circular)) when it moves it. It wakes
//! the reader when at least `min_to_copy` bytes are in the buffer, and by every drop. A read waits
//! while no more than that are; it sees the buffer only, and a record that does not fit what is left of
//! the user buffer ends it, for ever if it is the first.
//!
//! `free_not_initialised`: a new size, that of the opening included, leaves the count of free bytes at
//! 0, so that everything is dropped and the buffer, empty as it is, counts as full; setting a filter
//! resets the buffer and with it the count (issues 168, 176).
//!
//! Differences from the source: a user buffer shorter than a record header is refused rather than
//! left empty, and padding that it has no room for is cut. A control that empties the buffer loses the
//! requests, too. The thread serves one handle here, and all handles of an adapter there. Not modelled:
//! requests that find no memory, which `object_limit` stands for; the radiotap header.

use std::collections::VecDeque;

use super::circular::{Circular, Held, Popped, has_room};
use super::{Engine, Filled, Gone, Occupancy, Packet, Refusal, Sink, Stored, Worked};
use crate::pool::{self, Pool};
use crate::record::{Header, RECORD_HEADER};
use crate::{DropReason, HandleOptions, ReadError, WorkerOptions};

/// A packet is dropped by the tap when the buffer has size 0, and by the worker when 20 + caplen
/// exceeds the free bytes of the buffer; never because there are too many requests.
#[derive(Debug)]
pub(crate) struct Worker {
    requests: VecDeque<Packet>,
    bytes: Vec<u8>,
    ring: Circular<RECORD_HEADER>,
    /// The count of free bytes was left at 0.
    no_free: bool,
    /// Bytes of the blocks that requests point to.
    blocks: u64,
    peak: u64,
    peak_memory: u64,
    min_to_copy: u64,
    immediate: bool,
    epoch_seconds: u32,
    quirks: WorkerOptions,
}

impl Worker {
    pub(crate) fn new(options: &HandleOptions, quirks: WorkerOptions) -> Self {
        let mut worker = Worker {
            requests: VecDeque::new(),
            bytes: Vec::new(),
            ring: Circular::default(),
            no_free: false,
            blocks: 0,
            peak: 0,
            peak_memory: 0,
            min_to_copy: options.min_to_copy,
            immediate: options.immediate,
            epoch_seconds: options.epoch_seconds,
            quirks,
        };
        worker.resize(options.kernel_buffer);
        worker.no_free &= options.filter.is_none();
        worker
    }

    fn capacity(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// What the driver takes for used: size less the count of free bytes.
    fn used(&self) -> u64 {
        if self.no_free { self.capacity() } else { self.ring.used() }
    }

    fn min(&self) -> u64 {
        if self.immediate { 0 } else { self.min_to_copy }
    }

    fn memory(&self) -> u64 {
        let requests = self.requests.len() * size_of::<Packet>();
        let held = self.ring.len() * size_of::<Held>() as u64;
        self.capacity() + held + requests as u64 + self.blocks
    }

    /// Takes the oldest request off the queue; the reference to its copy goes to the caller.
    fn next_request(&mut self) -> Option<Packet> {
        let packet = self.requests.pop_front()?;
        self.blocks -= packet.copy.map_or(0, pool::block_bytes) as u64;
        Some(packet)
    }

    /// Copies a packet into the ring, if there is room, and gives its charge.
    fn fill(&mut self, packet: Packet, pool: &Pool) -> Option<u64> {
        let Packet { timestamp, caplen, len, .. } = packet;
        let need = Circular::<RECORD_HEADER>::need(caplen);
        if self.no_free || !self.ring.fits(need, self.bytes.len()) {
            return None;
        }
        let mut header = [0; RECORD_HEADER];
        Header { timestamp, epoch_seconds: self.epoch_seconds, caplen, len }.write(&mut header);
        let data = packet.copy.map_or(&[][..], |copy| pool.bytes(copy, caplen as usize));
        let charge = self.ring.push(&mut self.bytes, header, data, Packet { copy: None, ..packet });
        self.peak = self.peak.max(self.ring.used());
        Some(charge)
    }

    /// A packet, charged so much and no longer held.
    fn gone(&self, packet: Packet, charge: u64, used: u64) -> Gone {
        Gone {
            packet,
            reason: None,
            charge,
            used,
            capacity: self.capacity(),
            need: Circular::<RECORD_HEADER>::need(packet.caplen).max(charge),
            elsewhere: 0,
            in_statistics: false,
        }
    }
}

impl Engine for Worker {
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
        if self.bytes.is_empty() {
            return Stored::Refused(Refusal {
                reason: DropReason::ZeroBuffer,
                used: 0,
                capacity: 0,
                need: Circular::<RECORD_HEADER>::need(packet.caplen),
                elsewhere: 0,
                wake: false,
            });
        }
        if let Some(copy) = packet.copy {
            pool.retain(copy);
            self.blocks += pool::block_bytes(copy) as u64;
        }
        self.requests.push_back(packet);
        self.peak_memory = self.peak_memory.max(self.memory());
        Stored::Kept { charge: 0, used: self.used(), wake: false }
    }

    fn ready(&self, event_set: bool) -> bool {
        event_set || self.used() > self.min()
    }

    fn read(
        &mut self,
        out: &mut [u8],
        _at: usize,
        _pool: &mut Pool,
        sink: &mut impl Sink,
    ) -> Result<Filled, ReadError> {
        if self.bytes.is_empty() {
            return Err(ReadError::ZeroBuffer);
        }
        if out.len() < RECORD_HEADER {
            return Err(ReadError::BufferTooSmall { len: out.len(), need: RECORD_HEADER });
        }
        let mut filled = Filled::default();
        while self.ring.front().is_some_and(|packet| has_room(out, &filled, packet.caplen)) {
            let Some(popped) = self.ring.pop(&self.bytes, false) else { break };
            popped.deliver(out, &mut filled, sink);
        }
        Ok(filled)
    }

    /// Of what is in the buffer.
    fn take(&mut self, _pool: &mut Pool, visit: &mut impl FnMut(&Packet, u64, [&[u8]; 2])) -> bool {
        let Some(popped) = self.ring.pop(&self.bytes, false) else { return false };
        let Popped { held: Held { packet, charge }, data, .. } = popped;
        visit(&packet, charge, data);
        true
    }

    fn pending(&self) -> u64 {
        self.requests.len() as u64
    }

    fn work(&mut self, max: u32, pool: &mut Pool, sink: &mut impl Sink) -> Worked {
        let mut worked = Worked::default();
        while worked.requests < max {
            let Some(packet) = self.next_request() else { break };
            worked.requests += 1;
            match self.fill(packet, pool) {
                Some(charge) => {
                    worked.bytes_copied += u64::from(packet.caplen);
                    worked.wake |= self.used() >= self.min();
                    sink.moved(&packet, charge, self.used());
                }
                None => {
                    worked.wake = true;
                    sink.gone(Gone {
                        reason: Some(DropReason::WorkerFull),
                        in_statistics: !self.quirks.uncounted_full_drop,
                        ..self.gone(packet, 0, self.used())
                    });
                }
            }
            if let Some(copy) = packet.copy {
                pool.release(copy);
            }
        }
        worked
    }

    /// What is in the buffer, then the requests.
    fn flush(&mut self, pool: &mut Pool, sink: &mut impl Sink) {
        loop {
            let used = self.used();
            let Some(Popped { held, .. }) = self.ring.pop(&self.bytes, false) else { break };
            sink.gone(self.gone(held.packet, held.charge, used));
        }
        while let Some(packet) = self.next_request() {
            if let Some(copy) = packet.copy {
                pool.release(copy);
            }
            sink.gone(self.gone(packet, 0, self.used()));
        }
        self.ring.reset();
        self.peak = 0;
    }

    fn resize(&mut self, capacity: u64) {
        // The same size is a reset, which counts anew.
        self.no_free = false;
        if capacity != self.capacity() {
            // Fresh and zeroed, so that no page is touched before it is used.
            self.bytes = vec![0; capacity as usize];
            self.no_free = self.quirks.free_not_initialised;
        }
        self.peak_memory = self.peak_memory.max(self.memory());
    }

    fn set_min_to_copy(&mut self, bytes: u64) {
        self.min_to_copy = bytes;
    }

    fn set_immediate(&mut self, immediate: bool) {
        self.immediate = immediate;
    }

    #[inline]
    fn occupancy(&self) -> Occupancy {
        let (used, capacity) = (self.used(), self.capacity());
        let free = capacity as i64 - used as i64;
        let peak = self.peak.max(used);
        let (memory, peak_memory) = (self.memory(), self.peak_memory);
        Occupancy { used, capacity, free, peak, memory, peak_memory }
    }

    #[inline]
    fn queued(&self) -> u64 {
        self.ring.len() + self.pending()
    }
}
