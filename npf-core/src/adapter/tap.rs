//! The tap: one indication of frames, shown to every handle; what a handle makes of a frame is in
//! `offer.rs`.
//!
//! Contract, per frame and in the order of the indication: each handle's filter decides; a handle
//! that may hold no more objects drops; the longest wanted part is copied once; each handle that
//! wants it is asked to store it. The copy is made before buffers are asked, so that it costs the
//! same whether or not they have room (nmap/npcap `Read.c`).

use super::Adapter;
use super::judge::Judged;
use crate::engine::Engine;
use crate::{DropReason, DropRecord, Event, Frame, Host, TapWork};

/// Where an indication comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub now: u64,
    pub cpu: u16,
    pub queue: u16,
    /// The handle that sends the frames; `None` if they were received.
    pub sender: Option<u32>,
}

impl Source {
    /// Of received frames.
    pub(crate) fn received(now: u64, cpu: u16, queue: u16) -> Self {
        Source { now, cpu, queue, sender: None }
    }

    /// The record of a frame that nobody was there for; other drops fill in their own numbers.
    pub(crate) fn record(&self, tag: u64) -> DropRecord {
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
        self.tap_judged(now, cpu, queue, frames, &[], host)
    }

    /// A tap on which the filter of the only handle has been run beforehand, over the first frames, of
    /// which `judged` says what came of it.
    pub(crate) fn tap_judged<H: Host>(
        &mut self,
        now: u64,
        cpu: u16,
        queue: u16,
        frames: &[Frame<'_>],
        judged: &[Judged],
        host: &mut H,
    ) -> TapWork {
        let source = Source::received(now, cpu, queue);
        let mut judged = judged.iter();
        let mut work = TapWork::default();
        self.counters.indications += 1;
        self.counters.frames += frames.len() as u64;
        for frame in frames {
            if self.removed || self.handles.is_empty() {
                work.frames += 1;
                self.drop_unseen(source, frame, host);
            } else {
                self.show(source, frame, judged.next(), &mut work, host);
            }
        }
        self.counters.bytes_copied += work.bytes_copied;
        work
    }

    /// Shows one frame to every handle, `judged` if that is done already; the bytes copied are only
    /// added to `work`.
    #[inline]
    pub(super) fn show<H: Host>(
        &mut self,
        source: Source,
        frame: &Frame<'_>,
        judged: Option<&Judged>,
        work: &mut TapWork,
        host: &mut H,
    ) {
        work.frames += 1;
        let longest = self.choose(source, frame, judged, work, host);
        self.keep(source, frame, longest, work, host);
    }

    /// Lets every handle decide; fills `keeps` and gives the longest part that is to be shared.
    #[inline]
    fn choose<H: Host>(
        &mut self,
        source: Source,
        frame: &Frame<'_>,
        judged: Option<&Judged>,
        work: &mut TapWork,
        host: &mut H,
    ) -> Option<u32> {
        let mut longest = None;
        for (open, keep) in self.handles.iter_mut().zip(&mut self.keeps) {
            *keep = open.choose(source, frame, judged, work, host);
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
