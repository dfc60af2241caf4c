//! The receive path: completions out of the used ring, frames to the host, buffers back to the device.
//!
//! A poll is two calls: [`Driver::poll`] takes and indicates up to a budget, [`Driver::finish_poll`] gives
//! buffers back and, if nothing is left, lets interrupts through again (see `interrupt.rs` for the race
//! there). The caller may spend time between the two.
//!
//! What becomes of a frame's buffer is the buffer policy's affair (`buffers.rs`). What the host sees is
//! a copy, so nothing the device does later can change a frame that has been looked at. What is taken,
//! and what is dropped on the way, is in `take.rs`.

use crate::command::Command;
use crate::counters::QueueCounters;
use crate::dma::DmaRegion;
use crate::event::Event;
use crate::interrupt;
use crate::moderation::After;
use crate::policy::{Moderation, Refill, Step};
use crate::recover::Fault;
use crate::ring::rx::RxQueue;
use crate::staging::{BATCH, Staging};
use crate::take::{Batch, take_batch};
use crate::transport::Transport;
use crate::{Driver, Host};

/// Result of [`Driver::poll`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Frames indicated.
    pub frames: u16,
    /// Completions taken but dropped. They count towards the budget, as they cost work.
    pub dropped: u16,
    /// Bytes of the frames, without virtio headers.
    pub bytes: u64,
    /// Bytes that the driver copied, virtio headers included.
    pub copied: u64,
    /// Buffers handed to the host.
    pub lent: u64,
    /// The budget is used up; more may be waiting.
    pub exhausted: bool,
}

/// Result of [`Driver::finish_poll`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// Buffers given to the device.
    pub posted: u16,
    /// The device was told of them.
    pub kicked: bool,
    /// The queue stays scheduled and its interrupts held off: the budget was used up, or work slipped in
    /// while unmasking. Poll again.
    pub again: bool,
    /// The queue stays scheduled and its interrupts held off until a timer; see
    /// [`Driver::next_deadline`].
    pub later: bool,
}

impl Driver {
    /// Takes up to `budget` completions of receive queue `queue` and indicates their frames, in the order
    /// of the used ring, in batches of at most [`BATCH`].
    ///
    /// A queue that no interrupt has scheduled is scheduled (and masked) first, so a watchdog may poll at
    /// any time. A queue that does not exist, has stopped, or is not up yields nothing.
    pub fn poll<T: Transport, H: Host>(
        &mut self,
        now: u64,
        queue: u16,
        budget: u16,
        transport: &mut T,
        host: &mut H,
    ) -> Polled {
        let mask = self.config.mask;
        let Some((rx, memory, staging)) = self.live_rx(queue) else {
            return Polled::default();
        };
        if !rx.scheduled {
            interrupt::mask(now, queue, rx, memory, mask, transport, host);
        }
        let mut polled = Polled::default();
        let mut left = budget;
        while left > 0 && rx.broken.is_none() {
            let limit = left.min(BATCH as u16);
            let batch = take_batch(now, queue, limit, rx, memory, staging, host);
            polled.add(&batch);
            left -= batch.frames + batch.dropped;
            if batch.frames + batch.dropped == 0 {
                break;
            }
        }
        polled.exhausted = left == 0 && rx.broken.is_none();
        rx.exhausted = polled.exhausted;
        rx.found = polled.frames + polled.dropped;
        if polled.frames + polled.dropped > 0 {
            interrupt::still_masked(rx, memory, mask);
        }
        count_poll(&mut rx.counters, &polled);
        let Polled { frames, dropped, bytes, .. } = polled;
        host.event(now, Event::Polled { queue, frames, dropped, bytes });
        polled
    }

    /// Ends a poll of receive queue `queue`: refills if the policy says so (all free buffers, one index
    /// publication, one kick at most), then unmasks unless the budget was used up or moderation waits.
    /// A queue that is not scheduled is left alone.
    pub fn finish_poll<T: Transport, H: Host>(
        &mut self,
        now: u64,
        queue: u16,
        transport: &mut T,
        host: &mut H,
    ) -> Finished {
        if self.must_recover(queue) {
            self.recover(now, Fault::Receive(queue), transport, host);
            return Finished::default();
        }
        let (mask, moderation, rearm) =
            (self.config.mask, self.config.moderation, self.config.rearm);
        let (refill, threshold) = (self.config.refill, self.config.refill_threshold);
        let Some((rx, memory, _)) = self.live_rx(queue) else {
            return Finished::default();
        };
        let mut finished = Finished::default();
        if !rx.scheduled {
            return finished;
        }
        let due = rx.wants_refill(refill, threshold);
        if due && rx.withheld {
            rx.counters.receive.refills_withheld += 1;
        } else if due {
            finished.posted = rx.refill(memory);
            let (posted, free) = (finished.posted, rx.free.len() as u16);
            host.event(now, Event::Refilled { queue, posted, free });
            finished.kicked =
                refill != Refill::WithoutKick && rx.kick(now, queue, memory, transport, host);
            rx.counters.receive.kicks_suppressed += u64::from(!finished.kicked);
        }
        let (after, step) = moderate(now, queue, moderation, rx, host);
        if rx.exhausted {
            finished.again = true;
        } else if let After::PollAt(at) = after {
            finished.later = true;
            rx.counters.receive.poll_later += 1;
            host.event(now, Event::PollLater { queue, at });
            rx.timer.poll_at(at);
            self.timers.set(at);
            return finished;
        } else {
            finished.again =
                interrupt::unmask(now, queue, rx, memory, (mask, rearm), transport, host);
        }
        if finished.again {
            rx.counters.receive.poll_again += 1;
            host.event(now, Event::PollAgain { queue });
        }
        if let Some(step) = step.filter(|_| moderation == Moderation::AdaptiveDevice) {
            let command = Command::coalesce_queue(queue, step.limits());
            self.order_latest(now, command, transport, host);
        }
        finished
    }

    /// Whether refills of receive queue `queue` are left undone from now on: what a guest without memory for
    /// buffers would do. After letting them happen again, poll the queue: its device may be waiting for
    /// buffers and silent. Holds across restarts, whose first filling it does not prevent. A queue that
    /// does not exist is counted as a misdirected call.
    pub fn withhold_refill(&mut self, queue: u16, withheld: bool) {
        match self.rx.get_mut(usize::from(queue)) {
            Some(rx) => rx.withheld = withheld,
            None => self.counters.misdirected_calls += 1,
        }
    }

    /// Receive queue `queue` if it can work. A call for one that does not exist, or while the driver is
    /// not up, is counted.
    #[inline]
    fn live_rx(&mut self, queue: u16) -> Option<(&mut RxQueue, &DmaRegion, &mut Staging)> {
        let live = self.is_live();
        match self.rx.get_mut(usize::from(queue)) {
            Some(rx) if live && rx.broken.is_none() && rx.resetting.is_none() => {
                Some((rx, &self.memory, &mut self.staging))
            }
            Some(_) if live => None,
            _ => {
                self.counters.misdirected_calls += 1;
                None
            }
        }
    }
}

impl Polled {
    /// One more indication.
    #[inline]
    pub(crate) fn add(&mut self, batch: &Batch) {
        self.frames += batch.frames;
        self.dropped += batch.dropped;
        self.bytes += batch.bytes;
        self.copied += batch.copied;
        self.lent += batch.lent;
    }
}

/// What moderation makes of the poll that ends, and the new step if it changes.
#[inline]
fn moderate<H: Host>(
    now: u64,
    queue: u16,
    moderation: Moderation,
    rx: &mut RxQueue,
    host: &mut H,
) -> (After, Option<Step>) {
    let mut changed = None;
    if moderation.is_adaptive() {
        changed = rx.moderator.measure(now, rx.found);
    }
    if let Some(step) = changed {
        rx.counters.receive.moderation_steps += 1;
        host.event(now, Event::ModerationChanged { queue, usecs: step.usecs });
    }
    (rx.moderator.after_poll(now, moderation, rx.found), changed)
}

fn count_poll(counters: &mut QueueCounters, polled: &Polled) {
    let receive = &mut counters.receive;
    receive.polls += 1;
    receive.polls_exhausted += u64::from(polled.exhausted);
    receive.polls_empty += u64::from(polled.frames == 0 && polled.dropped == 0);
    receive.consumed += u64::from(polled.frames) + u64::from(polled.dropped);
    receive.indicated += u64::from(polled.frames);
    receive.bytes += polled.bytes;
}
