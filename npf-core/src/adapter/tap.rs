//! The tap: one indication of frames, shown to every handle.
//!
//! Contract, per frame and in the order of the indication: each handle's filter decides; a handle
//! that may hold no more objects drops; the longest wanted part is copied once; each handle that
//! wants it is asked to store it. The copy is made before buffers are asked, so that it costs the
//! same whether or not they have room (nmap/npcap `Read.c`).

use super::Adapter;
use crate::engine::{Engine, Packet, Stored};
use crate::{DropReason, DropRecord, Event, Frame, Host, TapWork};

/// Where an indication comes from.
#[derive(Clone, Copy)]
struct Source {
    now: u64,
    cpu: u16,
    queue: u16,
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
            } else if let Some(longest) = self.choose(source, frame, &mut work, host) {
                self.keep(source, frame, longest, &mut work, host);
            }
        }
        self.counters.bytes_copied += work.bytes_copied;
        work
    }

    /// Lets every handle decide; fills `keeps` and gives the longest part wanted.
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
            let (wanted, instructions) = open.judge(frame);
            *keep = wanted;
            open.counters.shown += 1;
            open.counters.instructions += u64::from(instructions);
            work.instructions += u64::from(instructions);
            if wanted.is_some() || !open.quirks.received_after_filter {
                open.received += 1;
            }
            if wanted.is_none() {
                open.counters.filtered += 1;
                host.event(source.now, Event::Filtered { tag: frame.tag, handle: open.id });
                continue;
            }
            let held = open.engine.queued();
            if held >= open.object_limit {
                *keep = None;
                open.resource_dropped += 1;
                open.counters.dropped[DropReason::NoMemory.index()] += 1;
                host.event(
                    source.now,
                    Event::Dropped(DropRecord {
                        tag: frame.tag,
                        reason: DropReason::NoMemory,
                        queue: Some(source.queue),
                        handle: Some(open.id),
                        cpu: Some(source.cpu),
                        occupancy: held,
                        capacity: open.object_limit,
                        need: 1,
                        free_elsewhere: 0,
                    }),
                );
                continue;
            }
            longest = longest.max(wanted);
        }
        longest
    }

    /// Copies the frame's first `longest` bytes once and asks each handle in `keeps` to store it.
    #[inline]
    fn keep<H: Host>(
        &mut self,
        source: Source,
        frame: &Frame<'_>,
        longest: u32,
        work: &mut TapWork,
        host: &mut H,
    ) {
        let Source { now, cpu, queue } = source;
        let copy = self.pool.insert(&frame.data[..longest as usize]);
        work.bytes_copied += u64::from(longest);
        for at in 0..self.handles.len() {
            let Some(caplen) = self.keeps[at] else { continue };
            let tag = frame.tag;
            let packet =
                Packet { tag, timestamp: now, copy, caplen, len: frame.wire_len, cpu, queue };
            let open = &mut self.handles[at];
            let handle = open.id;
            match open.engine.store(packet, &mut self.pool) {
                Stored::Kept { charge, used, wake } => {
                    work.accepted += 1;
                    open.accepted += 1;
                    open.counters.stored += 1;
                    let occupancy = used;
                    host.event(now, Event::Stored { tag, handle, caplen, charge, occupancy });
                    if wake {
                        open.wake(now, host);
                    }
                }
                Stored::Refused { reason, used, capacity, need, wake } => {
                    open.full_dropped += 1;
                    open.counters.dropped[reason.index()] += 1;
                    let record = DropRecord {
                        tag,
                        reason,
                        queue: Some(queue),
                        handle: Some(handle),
                        cpu: Some(cpu),
                        occupancy: used,
                        capacity,
                        need,
                        free_elsewhere: self.free_elsewhere(at),
                    };
                    host.event(now, Event::Dropped(record));
                    if wake {
                        self.handles[at].wake(now, host);
                    }
                }
            }
        }
        self.pool.release(copy);
    }

    fn drop_unseen<H: Host>(&mut self, source: Source, frame: &Frame<'_>, host: &mut H) {
        self.counters.no_handle += 1;
        host.event(
            source.now,
            Event::Dropped(DropRecord {
                tag: frame.tag,
                reason: DropReason::NoHandle,
                queue: Some(source.queue),
                handle: None,
                cpu: Some(source.cpu),
                occupancy: 0,
                capacity: 0,
                need: 1,
                free_elsewhere: 0,
            }),
        );
    }

    /// Free bytes in the buffers of all handles but one.
    fn free_elsewhere(&self, but: usize) -> u64 {
        let others = self.handles.iter().enumerate().filter(|(at, _)| *at != but);
        others.map(|(_, open)| u64::try_from(open.engine.occupancy().free).unwrap_or(0)).sum()
    }
}
