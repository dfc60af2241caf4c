//! What one handle makes of one frame: looks away, rejects it, counts it, drops it or stores it.
//!
//! Contract: exactly one of [`Event::Skipped`], [`Event::Filtered`], [`Event::Counted`],
//! [`Event::Stored`] and [`Event::Dropped`] for each frame that the tap shows. The order of the
//! questions is that of the source: own or wrong direction, filter, mode, memory, room (nmap/npcap
//! `Read.c`); a design that refuses unfiltered frames does so before the filter.

use super::handle::Handle;
use super::judge::Judged;
use super::tap::Source;
use crate::engine::{Engine, Packet, Refusal, Stored};
use crate::pool::{CopyRef, Pool};
use crate::{Direction, DropReason, DropRecord, Event, Frame, Host, Mode, TapWork};

impl Handle {
    /// What this handle keeps of a frame, which may have been `judged` before; `None` if it rejects it
    /// or drops it at once.
    #[inline]
    pub(super) fn choose<H: Host>(
        &mut self,
        source: Source,
        frame: &Frame<'_>,
        judged: Option<&Judged>,
        work: &mut TapWork,
        host: &mut H,
    ) -> Option<u32> {
        if !self.looks_at(source.sender) {
            self.account.counters.skipped += 1;
            host.event(source.now, Event::Skipped { tag: frame.tag, handle: self.id });
            return None;
        }
        self.account.counters.shown += 1;
        if self.mode != Mode::Statistics
            && let Some(refusal) = self.engine.refuse_unfiltered(source.cpu, frame.wire_len)
        {
            self.account.received += 1;
            self.refuse(source, frame.tag, refusal, host);
            return None;
        }
        let wanted = self.judge(source, frame, judged, work);
        if wanted.is_some() || !self.received_after_filter {
            self.account.received += 1;
        }
        let Some(caplen) = wanted else {
            self.account.counters.filtered += 1;
            host.event(source.now, Event::Filtered { tag: frame.tag, handle: self.id });
            return None;
        };
        if self.mode != Mode::Capture && self.settled_by_mode(source, frame, caplen, host) {
            return None;
        }
        let held = self.queued();
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

    /// Whether the handle looks at frames from there: received ones, or those of a sender.
    #[inline]
    fn looks_at(&self, sender: Option<u32>) -> bool {
        match sender {
            None => self.direction != Direction::Out,
            Some(sender) => {
                self.direction != Direction::In && !(self.skip_own && sender == self.id)
            }
        }
    }

    /// In the other modes than capture: whether an accepted frame's fate is decided by the mode alone.
    #[cold]
    fn settled_by_mode<H: Host>(
        &mut self,
        source: Source,
        frame: &Frame<'_>,
        caplen: u32,
        host: &mut H,
    ) -> bool {
        match self.mode {
            Mode::Capture => false,
            Mode::Statistics => {
                self.count(source.now, frame, host);
                true
            }
            Mode::Dump(limits) => {
                let full = self.dumping.is_full(limits, self.queued());
                if full {
                    self.drop_behind_dump(source, frame.tag, caplen, host);
                }
                full
            }
        }
    }

    /// Asks the engine to store a packet and carries out what it says.
    #[inline]
    #[allow(clippy::too_many_arguments)] // split borrows of the adapter
    pub(super) fn keep<H: Host>(
        &mut self,
        source: Source,
        frame: &Frame<'_>,
        caplen: u32,
        copy: Option<CopyRef>,
        pool: &mut Pool,
        work: &mut TapWork,
        host: &mut H,
    ) {
        let Source { now, cpu, queue, .. } = source;
        let (tag, handle, len) = (frame.tag, self.id, frame.wire_len);
        if self.account.markers.are_due() && self.mode == Mode::Capture {
            self.put_markers(source, pool, work, host);
        }
        let shares = self.engine.shares();
        let caplen = caplen.min(self.engine.longest());
        let copy = copy.filter(|_| shares);
        let packet = Packet { tag, timestamp: now, copy, caplen, len, cpu, queue, marker: None };
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
