//! What became of the faults that were injected: noticed by whom, or without effect, or by nobody.
//!
//! A fault that lies in a completion is *marked* at its place in the used ring; when the driver comes to that
//! place it either complains, or takes the completion for good and the laboratory sees it. A lost message
//! is settled by whatever polls its queue next.
//!
//! Contract: `injected = driver + laboratory + moot + unnoticed` for each kind that must be noticed. *Moot* is
//! a fault without anything to notice: its frame was dropped on the way, its queue had stopped before, or
//! another interrupt came in time.

use super::{Kind, Notice};
use std::collections::VecDeque;

/// Who noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The driver, with a counter.
    Driver,
    /// The laboratory: it knows what was sent.
    Laboratory,
    /// Nobody, and there was nothing to notice.
    Moot,
}

/// The faults of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Faults that acted.
    pub injected: u64,
    /// Those that the driver noticed.
    pub driver: u64,
    /// Those that the laboratory noticed.
    pub laboratory: u64,
    /// Those that had no effect to notice.
    pub moot: u64,
}

/// A lie in the used ring of one queue.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Which completion of the queue.
    position: u64,
    kind: Kind,
}

/// One receive queue.
#[derive(Clone, Debug, Default)]
struct Queue {
    marks: VecDeque<Mark>,
    /// Messages that never arrived, since the queue was polled last.
    lost: Vec<Kind>,
    /// The driver works on it no more.
    stopped: bool,
    /// A completion has lied since the queue began.
    lied: bool,
    /// A lie has upset the ring: what either side complains of from now on is just.
    upset: bool,
    /// The driver took a false completion for good: two frames may share a buffer.
    tainted: bool,
}

/// See the module's contract.
#[derive(Clone, Debug)]
pub struct Notices {
    counts: [Count; Kind::COUNT],
    planned: [bool; Kind::COUNT],
    queues: Vec<Queue>,
    /// When the driver gives up a command that waits while nobody answers, in ps.
    unanswered: Option<u64>,
    /// How long it waits, in ps.
    pub patience_ps: u64,
    /// Frames that reached a reader with other bytes than the wire offered.
    pub frames_corrupted: u64,
    /// Completions that were no frames and that the driver took for some.
    pub false_frames: u64,
}

impl Notices {
    /// Nothing has happened on so many receive queues.
    #[must_use]
    pub fn new(queues: u16) -> Self {
        Self {
            counts: [Count::default(); Kind::COUNT],
            planned: [false; Kind::COUNT],
            queues: vec![Queue::default(); queues.into()],
            unanswered: None,
            patience_ps: 0,
            frames_corrupted: 0,
            false_frames: 0,
        }
    }

    /// The faults of one kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> Count {
        self.counts[kind.index()]
    }

    /// The scenario asks for faults of this kind.
    pub fn plan(&mut self, kind: Kind) {
        self.planned[kind.index()] = true;
    }

    /// The kinds that the scenario asks for, in the order of the table, whether or not one has acted.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(|kind| self.planned[kind.index()])
    }

    /// Faults of a kind that had to be noticed and were not, so far. Only at the end this is final.
    #[must_use]
    pub fn unnoticed(&self, kind: Kind) -> u64 {
        let Count { injected, driver, laboratory, moot } = self.count(kind);
        match kind.facts().notice {
            Notice::Nobody => 0,
            _ => injected.saturating_sub(driver + laboratory + moot),
        }
    }

    /// Whether the driver is still to find out that the device has failed.
    #[must_use]
    pub fn awaits_the_driver(&self) -> bool {
        self.unnoticed(Kind::DeviceReset) + self.unnoticed(Kind::SurpriseRemoval) > 0
    }

    /// Whether the driver waits for an answer that does not come.
    #[must_use]
    pub fn awaits_an_answer(&self) -> bool {
        self.unanswered.is_some()
    }

    /// [`Notices::unnoticed`] over all kinds.
    #[must_use]
    pub fn unnoticed_total(&self) -> u64 {
        Kind::ALL.into_iter().map(|kind| self.unnoticed(kind)).sum()
    }

    /// A fault acts.
    pub fn injected(&mut self, kind: Kind) {
        self.counts[kind.index()].injected += 1;
    }

    /// A fault is settled.
    pub fn settled(&mut self, kind: Kind, by: By) {
        let count = &mut self.counts[kind.index()];
        match by {
            By::Driver => count.driver += 1,
            By::Laboratory => count.laboratory += 1,
            By::Moot => count.moot += 1,
        }
    }

    /// The completion at `position` of `queue` lies.
    pub fn mark(&mut self, queue: u16, position: u64, kind: Kind) {
        self.injected(kind);
        let of = &mut self.queues[usize::from(queue)];
        of.lied = true;
        // The others give the driver a descriptor more, or take one away; a wrong length ends with its frame.
        of.upset |= kind != Kind::CompletionShort;
        match of.stopped {
            true => self.settled(kind, By::Moot),
            false => of.marks.push_back(Mark { position, kind }),
        }
    }

    /// The driver has come to `position` of `queue`: what lies there, which the caller settles.
    pub fn at(&mut self, queue: u16, position: u64) -> Option<Kind> {
        let marks = &mut self.queues[usize::from(queue)].marks;
        let first = marks.front().filter(|mark| mark.position == position)?.kind;
        marks.pop_front();
        Some(first)
    }

    /// The driver took a false completion of `queue` for a frame.
    pub fn taken_for_a_frame(&mut self, queue: u16) {
        self.false_frames += 1;
        self.recycled(queue);
    }

    /// The driver gives the descriptor of a false completion to the device again, which has it already.
    pub fn recycled(&mut self, queue: u16) {
        self.queues[usize::from(queue)].tainted = true;
    }

    /// Whether frames of `queue` may share buffers, so that their bytes prove nothing.
    #[must_use]
    pub fn is_tainted(&self, queue: u16) -> bool {
        self.queues.get(usize::from(queue)).is_some_and(|of| of.tainted)
    }

    /// Whether lies have upset the ring of `queue`, so that driver and NIC have cause to complain of more
    /// than the completions that lied.
    #[must_use]
    pub fn is_upset(&self, queue: u16) -> bool {
        self.queues.get(usize::from(queue)).is_some_and(|of| of.upset)
    }

    /// Whether frames of `queue` may wait for good: its last message is lost, or a lie has upset its ring.
    #[must_use]
    pub fn keeps(&self, queue: u16) -> bool {
        let of = &self.queues[usize::from(queue)];
        !of.lost.is_empty() || of.upset
    }

    /// The driver has stopped `queue`, and complains of all that is wrong with it.
    pub fn queue_stopped(&mut self, queue: u16) {
        let of = &mut self.queues[usize::from(queue)];
        of.stopped = true;
        of.upset |= of.lied;
        for mark in std::mem::take(&mut of.marks) {
            self.settled(mark.kind, By::Driver);
        }
    }

    /// The driver has given up; what it notices by that is settled.
    pub fn driver_failed(&mut self) {
        for kind in [Kind::DeviceReset, Kind::SurpriseRemoval] {
            while self.unnoticed(kind) > 0 {
                self.settled(kind, By::Driver);
            }
        }
        if self.unanswered.take().is_some() {
            while self.unnoticed(Kind::ControlQueueDead) > 0 {
                self.settled(Kind::ControlQueueDead, By::Driver);
            }
        }
        // Marks stay: a driver that recovers takes first what was completed before.
        for of in &mut self.queues {
            of.stopped = true;
        }
    }

    /// Queue `queue` begins anew: its ring is empty and nothing of before counts.
    pub fn queue_started(&mut self, queue: u16) {
        self.forget_marks(queue.into());
        let of = &mut self.queues[usize::from(queue)];
        (of.stopped, of.lied, of.upset, of.tainted) = (false, false, false, false);
    }

    /// The driver has given a command to a control queue that is dead, or it is answered.
    pub fn command(&mut self, now: u64, waits: bool) {
        self.unanswered = waits.then_some(now.saturating_add(self.patience_ps));
    }

    /// The driver has noticed that a command got no answer.
    pub fn command_timed_out(&mut self) {
        self.unanswered = None;
        while self.unnoticed(Kind::ControlQueueDead) > 0 {
            self.settled(Kind::ControlQueueDead, By::Driver);
        }
    }

    /// A message of `queue` never arrives.
    pub fn message_lost(&mut self, queue: u16, kind: Kind) {
        self.injected(kind);
        match self.queues.get_mut(usize::from(queue)) {
            Some(of) => of.lost.push(kind),
            None => self.settled(kind, By::Moot),
        }
    }

    /// `queue` is polled all the same: because the driver noticed, or by luck.
    pub fn polled(&mut self, queue: u16, by: By) {
        if self.queues[usize::from(queue)].lost.is_empty() {
            return;
        }
        for kind in std::mem::take(&mut self.queues[usize::from(queue)].lost) {
            self.settled(kind, by);
        }
    }

    /// The run is over, with so many frames in the used ring of each queue: settles what can be.
    pub fn finish(&mut self, now: u64, in_ring: impl Fn(u16) -> u64) {
        for queue in 0..self.queues.len() {
            self.forget_marks(queue);
            let held = in_ring(queue as u16) > 0;
            self.polled(queue as u16, if held { By::Laboratory } else { By::Moot });
        }
        // The tap looks at each bit that reaches it, so the others never came so far.
        for kind in [Kind::PayloadBitFlip, Kind::ControlQueueDead] {
            // A driver whose patience has not ended yet has nothing to notice.
            let late = self.unanswered.is_some_and(|deadline| deadline < now);
            let dead = kind == Kind::ControlQueueDead && late;
            while !dead && self.unnoticed(kind) > 0 {
                self.settled(kind, By::Moot);
            }
        }
    }

    fn forget_marks(&mut self, queue: usize) {
        for mark in std::mem::take(&mut self.queues[queue].marks) {
            self.settled(mark.kind, By::Moot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_settled_where_it_lies_or_with_its_queue() {
        let mut notices = Notices::new(2);
        notices.mark(0, 5, Kind::CompletionShort);
        notices.mark(0, 7, Kind::CompletionDuplicated);
        notices.mark(1, 0, Kind::CompletionStale);
        assert_eq!(notices.at(0, 4), None);
        assert_eq!(notices.at(0, 5), Some(Kind::CompletionShort));
        notices.settled(Kind::CompletionShort, By::Driver);
        assert_eq!(notices.unnoticed_total(), 2);
        notices.queue_stopped(0);
        notices.mark(0, 9, Kind::CompletionWrongId);
        let count = notices.count(Kind::CompletionWrongId);
        assert_eq!((count.injected, count.moot), (1, 1), "nobody comes there any more");
        notices.taken_for_a_frame(1);
        assert!(notices.is_tainted(1) && !notices.is_tainted(0));
        notices.finish(0, |_| 0);
        assert_eq!(notices.unnoticed_total(), 0);
        assert_eq!(notices.count(Kind::CompletionDuplicated).driver, 1);
        assert_eq!(notices.count(Kind::CompletionStale).moot, 1);
    }

    #[test]
    fn a_short_completion_excuses_itself_and_no_other() {
        let mut notices = Notices::new(2);
        notices.mark(0, 5, Kind::CompletionShort);
        assert!(!notices.is_upset(0));
        notices.queue_stopped(0);
        assert!(notices.is_upset(0), "it had cause to stop");
        notices.queue_started(0);
        assert!(!notices.is_upset(0));
        notices.queue_stopped(0);
        assert!(!notices.is_upset(0), "nobody lied since");
        let kinds = [Kind::CompletionDuplicated, Kind::CompletionStale, Kind::CompletionWrongId];
        for kind in kinds {
            notices.queue_started(1);
            notices.mark(1, 0, kind);
            assert!(notices.is_upset(1), "{}", kind.name());
        }
    }

    #[test]
    fn lost_messages_are_settled_by_the_next_poll_or_seen_at_the_end() {
        let mut notices = Notices::new(2);
        notices.message_lost(0, Kind::InterruptLost);
        notices.polled(0, By::Driver);
        notices.message_lost(1, Kind::InterruptLost);
        notices.polled(0, By::Driver);
        notices.finish(0, |queue| u64::from(queue == 1));
        let count = notices.count(Kind::InterruptLost);
        assert_eq!(count, Count { injected: 2, driver: 1, laboratory: 1, moot: 0 });
    }

    #[test]
    fn what_the_driver_must_see_and_does_not_stays_unnoticed() {
        let mut notices = Notices::new(1);
        notices.injected(Kind::SurpriseRemoval);
        notices.injected(Kind::LinkFlap);
        notices.finish(0, |_| 0);
        assert_eq!(notices.unnoticed_total(), 1, "a link may flap unseen");
        notices.driver_failed();
        assert_eq!(notices.unnoticed_total(), 0);
    }
}
