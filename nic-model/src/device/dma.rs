//! The DMA engine: one, serial, going round the receive queues.
//!
//! A queue is *runnable* if it has a frame and its ring was not found empty since the driver's last kick.
//! The engine takes the next runnable queue after the one it served last, so that a queue without
//! descriptors costs the others nothing, and 64 queues no more than one. It fetches the chain when it
//! starts on a frame; payload, used element and used index are written when it is done.

use super::burst::Written;
use super::merge::Merged;
use super::{Device, receive};
use crate::event::Event;
use crate::header::RxHeader;
use crate::host::Host;
use crate::ring::{Chain, Fetched, Ring, RingFault, Shape, Used};
use std::ops::Deref;
use vm_memory::GuestMemory;

/// The engine.
#[derive(Debug, Default)]
pub(super) struct Dma {
    job: Option<Job>,
    /// The chain of the job, or its chains as one.
    pub(super) chain: Chain,
    /// Which ones those are, with mergeable buffers.
    pub(super) merged: Merged,
    /// Pairs with a frame in the FIFO that is not on the engine.
    waiting: u64,
    /// Pairs whose ring was found without a chain, or with too few, for their oldest frame.
    starved: u64,
    /// Pairs whose driver was asked for a kick.
    asked: u64,
    /// Pair served last.
    last: u16,
    /// Pairs that a fault has the engine leave out.
    stuck: u64,
    /// A fault has the engine go round backwards.
    backwards: bool,
    /// How many times as long a fault has transfers take, less one.
    slower: u32,
    /// Until when a fault has the engine stand still, whatever becomes of the frame on it.
    stalled_until: u64,
}

/// The oldest frame of a pair, under way.
#[derive(Clone, Copy, Debug)]
struct Job {
    pair: u16,
    done_at: u64,
}

/// The pair of a job that is none: the engine stands still until `done_at`.
const NO_PAIR: u16 = u16::MAX;

impl Dma {
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.job.is_none()
    }

    /// A frame of this pair may go straight onto the engine.
    #[inline]
    pub(super) fn is_idle_for(&self, pair: u16) -> bool {
        self.job.is_none() && self.stuck & (1 << pair) == 0
    }

    /// See [`Fault::DmaSlow`](crate::Fault::DmaSlow).
    pub(super) fn slow_down(&mut self, times: u32) {
        self.slower = times.saturating_sub(1);
    }

    /// See [`Fault::DmaStall`](crate::Fault::DmaStall).
    pub(super) fn stall(&mut self, now: u64, lasting_ps: u64) {
        self.stalled_until = self.stalled_until.max(now).saturating_add(lasting_ps);
        let job = self.job.get_or_insert(Job { pair: NO_PAIR, done_at: now });
        job.done_at = job.done_at.saturating_add(lasting_ps);
    }

    /// See [`Fault::DmaReorder`](crate::Fault::DmaReorder).
    pub(super) fn go_backwards(&mut self, on: bool) {
        self.backwards = on;
    }

    /// See [`Fault::QueueStuck`](crate::Fault::QueueStuck).
    pub(super) fn set_stuck(&mut self, pair: u16, on: bool) {
        if on { self.stuck |= 1 << pair } else { self.stuck &= !(1 << pair) }
    }

    #[inline]
    pub(super) fn done_at(&self) -> Option<u64> {
        self.job.map(|job| job.done_at)
    }

    /// A frame of this pair has entered the FIFO.
    pub(super) fn frame_waits(&mut self, pair: u16) {
        self.waiting |= 1 << pair;
    }

    /// The ring of this pair does not do, and the driver was asked for a kick.
    pub(super) fn starve(&mut self, pair: u16) {
        self.starved |= 1 << pair;
        self.asked |= 1 << pair;
    }

    /// The driver of this pair was asked for a kick.
    pub(super) fn asked(&mut self, pair: u16) {
        self.asked |= 1 << pair;
    }

    /// The ring of this pair may have changed: worth another try.
    pub(super) fn try_again(&mut self, pair: u16) {
        self.starved &= !(1 << pair);
    }

    /// Chains fetched for the frame on the engine.
    #[inline]
    pub(super) fn fetched(&self) -> u16 {
        // No more than a ring has entries.
        (self.merged.parts.len() as u16).max(1)
    }

    /// The frames of this pair are no longer to be served; was one on the engine?
    pub(super) fn forget(&mut self, now: u64, pair: u16) -> bool {
        self.waiting &= !(1 << pair);
        let forgotten = self.job.take_if(|job| job.pair == pair).is_some();
        if forgotten && self.stalled_until > now {
            self.job = Some(Job { pair: NO_PAIR, done_at: self.stalled_until });
        }
        forgotten
    }

    /// The ring of this pair is a new one: what was known of the old does not count.
    pub(super) fn renew(&mut self, pair: u16) {
        self.starved &= !(1 << pair);
    }

    /// Forgets everything but the faults: those are not the driver's to end.
    pub(super) fn reset(&mut self) {
        let Self { stuck, backwards, slower, stalled_until, .. } = *self;
        let chain = std::mem::take(&mut self.chain);
        let mut merged = std::mem::take(&mut self.merged);
        merged.parts.clear();
        let job = self.job.filter(|job| job.pair == NO_PAIR);
        let rest = Self::default();
        *self = Self { job, chain, merged, stuck, backwards, slower, stalled_until, ..rest };
    }

    /// Has the engine time, and something to do?
    #[inline]
    fn may_start(&self) -> bool {
        self.job.is_none() && self.runnable() != 0
    }

    #[inline]
    fn runnable(&self) -> u64 {
        self.waiting & !self.starved & !self.stuck
    }

    /// The next runnable pair, going round from the one served last.
    #[inline]
    fn next_pair(&self) -> Option<u16> {
        let runnable = self.runnable();
        if runnable == 0 {
            return None;
        }
        if self.backwards {
            let distance = runnable.rotate_right(self.last.into()).leading_zeros();
            return Some(((63 - distance + u32::from(self.last)) % 64) as u16);
        }
        let first = u32::from(self.last) + 1;
        let distance = runnable.rotate_right(first).trailing_zeros();
        // Below 64.
        Some(((first + distance) % 64) as u16)
    }
}

impl<M> Device<M>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    /// The driver says it has filled a pair's receive ring.
    pub(super) fn refilled<H: Host>(&mut self, now: u64, pair: u16, host: &mut H) {
        if let Err(fault) = self.stop_kicks(pair) {
            self.break_ring(now, 2 * pair, fault, host);
        }
        self.run_dma(now, host);
    }

    /// Starts on frames as long as the engine is idle and there is one to start on.
    #[inline]
    pub(super) fn run_dma<H: Host>(&mut self, now: u64, host: &mut H) {
        if self.dma.may_start() {
            self.start_waiting(now, host);
        }
    }

    fn start_waiting<H: Host>(&mut self, now: u64, host: &mut H) {
        while self.dma.is_idle()
            && let Some(pair) = self.dma.next_pair()
        {
            let Some(held) = self.fifo.front(pair) else {
                self.dma.forget(now, pair);
                continue;
            };
            match self.fetch_for(pair, held.len) {
                Ok(Fetched::Chain) => self.start_dma(now, pair, held.tag, held.len, host),
                Ok(Fetched::Empty) => {}
                Ok(Fetched::TooSmall { capacity }) => {
                    self.fifo.pop(pair);
                    self.note_waiting(pair);
                    let record = {
                        let header_len = self.format.header_len;
                        receive::too_small(held.tag, pair, header_len, held.len, capacity)
                    };
                    self.drop_frame(now, record, host);
                }
                Err(fault) => self.break_ring(now, 2 * pair, fault, host),
            }
        }
    }

    /// Fetches a chain for a frame of `len` bytes. If the ring is empty, the driver has been asked for a
    /// kick and the pair is starved.
    #[inline]
    pub(super) fn fetch_for(&mut self, pair: u16, len: u32) -> Result<Fetched, RingFault> {
        // No frame is longer than 64 KiB and a bit.
        let need = len + self.format.header_len as u32;
        if self.format.mergeable {
            return self.fetch_merged(pair, need);
        }
        let Some(ring) = &mut self.queues[2 * usize::from(pair)].ring else {
            return Ok(Fetched::Empty);
        };
        match ring.fetch(&*self.memory, Shape::Receive, need, &mut self.dma.chain)? {
            Fetched::Empty => self.fetch_from_empty(pair, need),
            fetched => {
                self.end_starvation(pair)?;
                Ok(fetched)
            }
        }
    }

    /// The ring was found empty: asks for a kick, and looks once more.
    #[cold]
    fn fetch_from_empty(&mut self, pair: u16, need: u32) -> Result<Fetched, RingFault> {
        let index = 2 * usize::from(pair);
        if !self.set_kicks(index, true)? {
            self.dma.starve(pair);
            return Ok(Fetched::Empty);
        }
        let Some(ring) = &mut self.queues[index].ring else { return Ok(Fetched::Empty) };
        // Filled between the look and the wish for a kick.
        let fetched = ring.fetch(&*self.memory, Shape::Receive, need, &mut self.dma.chain)?;
        self.dma.starve(pair);
        if fetched != Fetched::Empty {
            self.end_starvation(pair)?;
        }
        Ok(fetched)
    }

    /// Puts the oldest frame of a pair on the engine, which is idle and has its chain; if that takes no
    /// time, the frame is done on return.
    #[inline]
    pub(super) fn start_dma<H: Host>(
        &mut self,
        now: u64,
        pair: u16,
        tag: u64,
        len: u32,
        host: &mut H,
    ) {
        let descriptor = self.dma.chain.head;
        host.event(
            now,
            Event::DmaStart { tag, queue: pair, descriptor, buffers: self.dma.fetched() },
        );
        self.dma.last = pair;
        let bytes_ps = self.config.dma_byte_ps.saturating_mul(len.into());
        let cost = self.config.dma_frame_ps.saturating_add(bytes_ps);
        let cost = cost.saturating_mul(1 + u64::from(self.dma.slower));
        if cost == 0 {
            self.finish_frame(now, pair, host);
        } else {
            self.dma.job = Some(Job { pair, done_at: now.saturating_add(cost) });
        }
    }

    /// Whether a transfer takes no time and comes out right: then a frame need not pass through the FIFO.
    #[inline]
    pub(super) fn passes_at_once(&self) -> bool {
        self.config.dma_frame_ps == 0 && self.config.dma_byte_ps == 0 && self.armed.is_none()
    }

    /// Writes a frame that has just arrived into the chain fetched for it and publishes it: what
    /// [`Device::start_dma`] comes to where it takes no time.
    #[inline]
    pub(super) fn write_at_once<H: Host>(
        &mut self,
        now: u64,
        (pair, tag): (u16, u64),
        header: RxHeader,
        frame: &[u8],
        host: &mut H,
    ) {
        let (descriptor, buffers) = (self.dma.chain.head, self.dma.fetched());
        host.event(now, Event::DmaStart { tag, queue: pair, descriptor, buffers });
        self.dma.last = pair;
        // No frame is longer than 64 KiB and a bit.
        let len = frame.len() as u32;
        let used = Used { head: descriptor, len: self.used_len(len) };
        if self.format.mergeable {
            self.dma.merged.fill(used.len);
        }
        let front = header.front(buffers, self.format.header_len);
        let written = self.dma.chain.write_behind(&*self.memory, front, frame);
        if self.burst.on && written.is_ok() {
            self.keep(now, pair, Written { tag, len, head: descriptor }, host);
            return;
        }
        let queue = &mut self.queues[2 * usize::from(pair)];
        let Some(ring) = &mut queue.ring else { return };
        let memory = &*self.memory;
        let elements = self.dma.merged.elements(&used);
        if let Err(fault) = written.and_then(|()| ring.put_used(memory, elements)) {
            // It is lost with those that wait.
            self.fifo.push(pair, &header.bytes(), frame, len, tag);
            self.break_ring(now, 2 * pair, fault, host);
            return;
        }
        self.tell_written(now, pair, (tag, len), used, host);
        self.after_publication(now, pair, 1, host);
    }

    /// The engine is done with its frame, at `at`, and goes on to the next.
    pub(super) fn complete_dma<H: Host>(&mut self, at: u64, host: &mut H) {
        self.clock = self.clock.max(at);
        if let Some(job) = self.dma.job.take() {
            if job.pair != NO_PAIR {
                self.finish_frame(at, job.pair, host);
            }
            self.run_dma(at, host);
        }
    }

    /// Writes the oldest frame of a pair into its chain and publishes it.
    #[inline]
    fn finish_frame<H: Host>(&mut self, now: u64, pair: u16, host: &mut H) {
        self.publish_burst(now, host);
        let Some(held) = self.fifo.front(pair) else { return };
        if self.format.mergeable {
            self.dma.merged.fill(held.len + self.format.header_len as u32);
            self.fifo.set_num_buffers(held, self.dma.fetched());
        }
        let used =
            Used { head: self.dma.chain.head, len: held.len + self.format.header_len as u32 };
        let queue = &mut self.queues[2 * usize::from(pair)];
        let Some(ring) = &mut queue.ring else { return };
        let (memory, chain) = (&*self.memory, &self.dma.chain);
        let written = match self.fifo.whole(held) {
            Some(bytes) => chain.write_one(memory, bytes),
            None => chain.write(memory, self.fifo.pieces(held)),
        };
        let parts = self.dma.merged.elements(&used);
        let armed = self.armed.is_some();
        let written =
            written.and_then(|()| if armed { Ok(()) } else { ring.put_used(memory, parts) });
        if let Err(fault) = written {
            self.break_ring(now, 2 * pair, fault, host);
            return;
        }
        if armed {
            self.finish_armed(now, pair, held, used, host);
            return;
        }
        self.fifo.remove(pair, held);
        self.note_waiting(pair);
        self.tell_written(now, pair, (held.tag, held.len), used, host);
        self.after_publication(now, pair, 1, host);
    }

    /// Bytes written for a frame of `len`: no frame is longer than 64 KiB and a bit.
    #[inline(always)]
    pub(super) fn used_len(&self, len: u32) -> u32 {
        len + self.format.header_len as u32
    }

    /// The completions of so many frames, of so many bytes together, are published.
    #[inline]
    pub(super) fn count_written(&mut self, pair: u16, frames: u32, bytes: u64) {
        let frames = u64::from(frames);
        self.published[usize::from(pair)] += frames;
        self.counters.written += frames;
        self.counters.written_bytes += bytes;
        let counters = &mut self.queue_counters[usize::from(pair)];
        counters.written += frames;
        counters.written_bytes += bytes;
    }

    /// A frame's completion is published: counts and tells.
    #[inline]
    pub(super) fn tell_written<H: Host>(
        &mut self,
        now: u64,
        pair: u16,
        (tag, len): (u64, u32),
        used: Used,
        host: &mut H,
    ) {
        self.count_written(pair, 1, len.into());
        host.event(now, Event::Written { tag, queue: pair, descriptor: used.head, len: used.len });
    }

    /// Brings the engine's notion of who waits up to date after a frame has left.
    #[inline]
    pub(super) fn note_waiting(&mut self, pair: u16) {
        if self.fifo.frames_of(pair) == 0 {
            self.dma.waiting &= !(1 << pair);
        } else {
            self.dma.waiting |= 1 << pair;
        }
    }

    /// The ring has chains: if the driver was asked for a kick, it no longer is.
    #[inline]
    pub(super) fn end_starvation(&mut self, pair: u16) -> Result<(), RingFault> {
        if self.dma.asked & (1 << pair) != 0 {
            return self.stop_kicks(pair);
        }
        Ok(())
    }

    /// The ring has chains, or so the driver says: it need not kick.
    fn stop_kicks(&mut self, pair: u16) -> Result<(), RingFault> {
        self.dma.starved &= !(1 << pair);
        self.dma.asked &= !(1 << pair);
        self.set_kicks(2 * usize::from(pair), false).map(|_| ())
    }
}
