//! Bursts: frames that arrive together, published together.
//!
//! A back-end that works against another CPU pays for every index that it stores and every wish that it
//! reads: the cache line changes sides. In a burst a frame that can be written at once is written, and its
//! completion kept; all of them are published with one index and one look at the driver's wish for an
//! interrupt, at the end of the burst or before anything else is published in their ring.
//!
//! Contract: the driver sees the completions that it would have seen, in the same order, and is interrupted
//! at least when it would have been for the last of them. A frame whose completion is kept is written to
//! the driver's buffer and counts as nothing yet; when the call returns none is left.

use super::{BATCH, Device, one_frame};
use crate::drop::DropReason;
use crate::event::Event;
use crate::host::Host;
use crate::ring::{Ring, Used};
use std::ops::Deref;
use vm_memory::GuestMemory;

/// What a burst has written and not published.
#[derive(Debug, Default)]
pub(super) struct Burst {
    /// Completions are kept.
    pub(super) on: bool,
    /// The pair they belong to.
    pub(super) pair: u16,
    /// Used elements, one or several for each frame.
    pub(super) elements: Vec<Used>,
    pub(super) frames: Vec<Written>,
}

/// A frame in a buffer of the driver's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) tag: u64,
    pub(super) len: u32,
    /// Of its first chain.
    pub(super) head: u16,
}

impl<M> Device<M>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    /// Does `work`, which calls [`Device::receive`], as one burst.
    pub fn burst<H: Host, T>(
        &mut self,
        host: &mut H,
        work: impl FnOnce(&mut Self, &mut H) -> T,
    ) -> T {
        self.burst.on = true;
        let done = work(self, host);
        self.burst.on = false;
        self.publish_burst(self.clock, host);
        done
    }

    /// Keeps the completion of a frame that has been written; its ring's turn to publish comes.
    #[inline(always)]
    pub(super) fn keep<H: Host>(&mut self, now: u64, pair: u16, written: Written, host: &mut H) {
        let burst = &mut self.burst;
        if burst.pair != pair && !burst.frames.is_empty() {
            self.publish_burst(now, host);
        }
        let len = self.used_len(written.len);
        let burst = &mut self.burst;
        burst.pair = pair;
        match self.dma.merged.parts.as_slice() {
            [] => burst.elements.push(Used { head: written.head, len }),
            parts => burst.elements.extend_from_slice(parts),
        }
        burst.frames.push(written);
        if burst.frames.len() >= BATCH {
            self.publish_burst(now, host);
        }
    }

    /// Publishes what is kept, if anything.
    #[inline]
    pub(super) fn publish_burst<H: Host>(&mut self, now: u64, host: &mut H) {
        if !self.burst.frames.is_empty() {
            self.publish_kept(now, host);
        }
    }

    #[inline(never)]
    fn publish_kept<H: Host>(&mut self, now: u64, host: &mut H) {
        let pair = self.burst.pair;
        // Lent out: counting and telling must not hold on to the device.
        let mut frames = std::mem::take(&mut self.burst.frames);
        let queue = &mut self.queues[2 * usize::from(pair)];
        let published = match &mut queue.ring {
            Some(ring) if !queue.broken => ring.put_used(&*self.memory, &self.burst.elements),
            _ => Ok(()),
        };
        self.burst.elements.clear();
        let broken = self.queues[2 * usize::from(pair)].broken || published.is_err();
        let (count, mut bytes) = (frames.len() as u32, 0);
        for frame in &frames {
            let Written { tag, len, head } = *frame;
            if broken {
                let record = one_frame(tag, DropReason::RingBroken, Some(pair));
                self.drop_frame(now, record, host);
            } else {
                bytes += u64::from(len);
                let len = self.used_len(len);
                host.event(now, Event::Written { tag, queue: pair, descriptor: head, len });
            }
        }
        frames.clear();
        self.burst.frames = frames;
        match published {
            Err(fault) => self.break_ring(now, 2 * pair, fault, host),
            Ok(()) if !broken => {
                self.count_written(pair, count, bytes);
                self.after_publication(now, pair, count, host);
            }
            Ok(()) => {}
        }
    }
}
