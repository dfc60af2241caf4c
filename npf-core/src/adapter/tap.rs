//! The tap: one indication of frames, shown to every handle.
//!
//! Contract, per frame and in the order of the indication: each handle's filter decides; a handle
//! that may hold no more objects drops; the longest wanted part is copied once; each handle that
//! wants it is asked to store it. The copy is made before buffers are asked, so that it costs the
//! same whether or not they have room (nmap/npcap `Read.c`).

use super::Adapter;
use super::handle::Handle;
use crate::engine::{Engine, Packet, Refusal, Stored};
use crate::pool::{CopyRef, Pool};
use crate::{DropReason, DropRecord, Event, Frame, Host, TapWork};

/// Where an indication comes from.
#[derive(Clone, Copy)]
struct Source {
    now: u64,
    cpu: u16,
    queue: u16,
}

impl Source {
    /// The record of a frame that nobody was there for; other drops fill in their own numbers.
    fn record(&self, tag: u64) -> DropRecord {
        DropRecord {
            tag,
            reason: DropReason::NoHandle,
            queue: Some(self.queue),
            handle: None,
            cpu: Some(self.cpu),
            occupancy: 0,
            capacity: 0,
            need: 1,
            free_elsewhere: 0,
            held: None,
        }
    }
}

impl Adapter {
    /// Shows one indication, received on `queue` and indicated on `cpu`, to every handle. All its
    /// packets bear the time `now`.
    pub fn tap<H: Host>(
        &mut self,
        now: u64,
        cpu: u16,
        queue: u16,
        frames: &[Frame<'_>],
        host: &mut H,
    ) -> TapWork {
        let source = Source { now, cpu, queue };
        let mut work = TapWork::default();
        self.counters.indications += 1;
        self.counters.frames += frames.len() as u64;
        for frame in frames {
            work.frames += 1;
            if self.removed || self.handles.is_empty() {
                self.drop_unseen(source, frame, host);
            } else {
                let longest = self.choose(source, frame, &mut work, host);
                self.keep(source, frame, longest, &mut work, host);
            }
        }
        self.counters.bytes_copied += work.bytes_copied;
        work
    }

    /// Lets every handle decide; fills `keeps` and gives the longest part that is to be shared.
    #[inline]
    fn choose<H: Host>(
        &mut self,
        source: Source,
        frame: &Frame<'_>,
        work: &mut TapWork,
        host: &mut H,
    ) -> Option<u32> {
        let mut longest = None;
        for (open, keep) in self.handles.iter_mut().zip(&mut self.keeps) {
            *keep = open.choose(source, frame, work, host);
            if open.engine.shares() {
                longest = longest.max(*keep);
            }
        }
        longest
    }

    /// Copies the frame's first `longest` bytes once, if any handle shares copies, and asks each
    /// handle in `keeps` to store what it wants.
    #[inline]
    fn keep<H: Host>(
        &mut self,
        source: Source,
        frame: &Frame<'_>,
        longest: Option<u32>,
        work: &mut TapWork,
        host: &mut H,
    ) {
        let copy = longest.map(|longest| {
            work.bytes_copied += u64::from(longest);
            self.pool.insert(&frame.data[..longest as usize])
        });
        for (open, keep) in self.handles.iter_mut().zip(&self.keeps) {
            if let Some(caplen) = *keep {
                open.keep(source, frame, caplen, copy, &mut self.pool, work, host);
            }
        }
        if let Some(copy) = copy {
            self.pool.release(copy);
        }
    }

    fn drop_unseen<H: Host>(&mut self, source: Source, frame: &Frame<'_>, host: &mut H) {
        self.counters.no_handle += 1;
        host.event(source.now, Event::Dropped(source.record(frame.tag)));
    }
}

impl Handle {
    /// What this handle keeps of a frame; `None` if it rejects it or drops it at once.
    #[inline]
    fn choose<H: Host>(
        &mut self,
        source: Source,
        frame: &Frame<'_>,
        work: &mut TapWork,
        host: &mut H,
    ) -> Option<u32> {
        self.account.counters.shown += 1;
        if let Some(refusal) = self.engine.refuse_unfiltered(source.cpu, frame.wire_len) {
            self.account.received += 1;
            self.refuse(source, frame.tag, refusal, host);
            return None;
        }
        let (wanted, instructions) = self.judge(frame);
        self.account.counters.instructions += u64::from(instructions);
        work.instructions += u64::from(instructions);
        if wanted.is_some() || !self.received_after_filter {
            self.account.received += 1;
        }
        if wanted.is_none() {
            self.account.counters.filtered += 1;
            host.event(source.now, Event::Filtered { tag: frame.tag, handle: self.id });
            return None;
        }
        let held = self.engine.queued();
        if held >= self.object_limit {
            self.account.resource_dropped += 1;
            let record = DropRecord {
                reason: DropReason::NoMemory,
                handle: Some(self.id),
                occupancy: held,
                capacity: self.object_limit,
                ..source.record(frame.tag)
            };
            self.account.dropped(source.now, record, host);
            return None;
        }
        wanted
    }

    /// Asks the engine to store a packet and carries out what it says.
    #[inline]
    #[allow(clippy::too_many_arguments)] // split borrows of the adapter
    fn keep<H: Host>(
        &mut self,
        source: Source,
        frame: &Frame<'_>,
        caplen: u32,
        copy: Option<CopyRef>,
        pool: &mut Pool,
        work: &mut TapWork,
        host: &mut H,
    ) {
        let Source { now, cpu, queue } = source;
        let (tag, handle, len) = (frame.tag, self.id, frame.wire_len);
        let shares = self.engine.shares();
        let caplen = caplen.min(self.engine.longest());
        let copy = copy.filter(|_| shares);
        let packet = Packet { tag, timestamp: now, copy, caplen, len, cpu, queue };
        let idle = self.engine.pending() == 0;
        let mut sink = self.account.sink(now, DropReason::HeadDropped, host);
        match self.engine.store(packet, &frame.data[..caplen as usize], pool, &mut sink) {
            Stored::Kept { charge, used, wake } => {
                work.accepted += 1;
                if !shares {
                    work.bytes_copied += u64::from(caplen);
                }
                // A packet that only waits for the worker is not in the buffer yet.
                self.account.accepted += u64::from(charge > 0);
                self.account.counters.stored += 1;
                let occupancy = used;
                host.event(now, Event::Stored { tag, handle, caplen, charge, occupancy });
                if wake {
                    self.wake(now, host);
                }
                if idle && self.engine.pending() > 0 {
                    host.work(now, handle);
                }
            }
            Stored::Refused(refusal) => self.refuse(source, tag, refusal, host),
        }
    }

    fn refuse<H: Host>(&mut self, source: Source, tag: u64, refusal: Refusal, host: &mut H) {
        let Refusal { reason, used, capacity, need, elsewhere, wake } = refusal;
        self.account.full_dropped += u64::from(self.engine.counts(reason));
        let record = DropRecord {
            reason,
            handle: Some(self.id),
            occupancy: used,
            capacity,
            need,
            free_elsewhere: elsewhere,
            ..source.record(tag)
        };
        self.account.dropped(source.now, record, host);
        if wake {
            self.wake(source.now, host);
        }
    }
}
