//! Interrupt coalescing (virtio 5.1.6.5.9): a wanted interrupt waits for more frames or for a timer,
//! whichever comes first. One [`Coalescer`] stands for all receive queues, another for all transmit queues.
//!
//! A queue *owes* an interrupt from the moment the driver wanted one until it is due: by count, by the timer
//! that [`Coalescer::next_deadline`] shows, or by new limits that it has reached already. Frames published
//! meanwhile count towards it even if the driver's `used_event` lies behind them: the driver has not had
//! its interrupt yet. When it is due the caller asks the driver once more, and sends it if it is wanted still.
//! Nothing is lost: a driver that wants none then looks at the used index when it wants them again.
//!
//! The last limits set for a queue hold, whichever command set them. A queue that was reset has those
//! set for all queues last.

use crate::config::Coalesce;

const NEVER: u64 = u64::MAX;

/// State of all queues of one direction, by queue pair.
#[derive(Clone, Debug)]
pub(crate) struct Coalescer {
    /// What holds after a reset of the device.
    start: Coalesce,
    /// What was set for all queues last.
    all: Coalesce,
    limits: Vec<Coalesce>,
    /// Frames the owed interrupt stands for; 0 = nothing is owed.
    owed: Vec<u32>,
    /// When the first of them was published.
    since: Vec<u64>,
    /// When the interrupt is due; [`NEVER`] where nothing is owed.
    deadlines: Vec<u64>,
    /// The earliest of them.
    earliest: u64,
}

/// What to do about an interrupt now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nobody wants one, or no longer.
    None,
    /// It waits, until then at the latest: the timer starts.
    Start { deadline: u64 },
    /// It waits for a timer that runs already.
    Wait,
    /// It is due.
    Send,
}

impl Decision {
    /// Nothing is owed after it.
    pub(crate) fn settles(self) -> bool {
        matches!(self, Self::None | Self::Send)
    }
}

impl Coalescer {
    pub(crate) fn new(start: Coalesce, pairs: u16) -> Self {
        let pairs = usize::from(pairs);
        Self {
            start,
            all: start,
            limits: vec![start; pairs],
            owed: vec![0; pairs],
            since: vec![0; pairs],
            deadlines: vec![NEVER; pairs],
            earliest: NEVER,
        }
    }

    /// `frames` were published at `now`, at least one; `wanted`: the driver wants an interrupt for them, or
    /// for those before them that it has had none for.
    #[inline]
    pub(crate) fn published(
        &mut self,
        now: u64,
        queue: u16,
        frames: u32,
        wanted: bool,
    ) -> Decision {
        let index = usize::from(queue);
        let limits = self.limits[index];
        if limits.is_off() {
            return if wanted { Decision::Send } else { Decision::None };
        }
        let starts = self.owed[index] == 0;
        if starts {
            if !wanted {
                return Decision::None;
            }
            self.since[index] = now;
            self.deadlines[index] = due(now, limits);
            self.earliest = self.earliest.min(self.deadlines[index]);
        }
        self.owed[index] = self.owed[index].saturating_add(frames);
        if self.owed[index] >= limits.max_frames {
            self.settle(queue);
            return if wanted { Decision::Send } else { Decision::None };
        }
        if starts { Decision::Start { deadline: self.deadlines[index] } } else { Decision::Wait }
    }

    /// The earliest timer.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        (self.earliest != NEVER).then_some(self.earliest)
    }

    /// A queue whose timer is due at `now`, lowest index first among equals; its interrupt is settled.
    pub(crate) fn take_due(&mut self, now: u64) -> Option<u16> {
        if self.earliest > now || self.earliest == NEVER {
            return None;
        }
        let index = self.deadlines.iter().position(|deadline| *deadline == self.earliest)?;
        let queue = u16::try_from(index).ok()?;
        self.settle(queue);
        Some(queue)
    }

    /// The limits of a queue.
    pub(crate) fn limits(&self, queue: u16) -> Coalesce {
        self.limits[usize::from(queue)]
    }

    /// These limits hold for all queues from now on. Whoever owes an interrupt and has reached them is to
    /// be served by [`Coalescer::take_due`] at once.
    pub(crate) fn set_all(&mut self, now: u64, limits: Coalesce) {
        self.all = limits;
        for queue in 0..self.limits.len() {
            self.change(now, queue, limits);
        }
        self.find_earliest();
    }

    /// The same for one queue.
    pub(crate) fn set(&mut self, now: u64, queue: u16, limits: Coalesce) {
        self.change(now, queue.into(), limits);
        self.find_earliest();
    }

    fn change(&mut self, now: u64, index: usize, limits: Coalesce) {
        self.limits[index] = limits;
        if self.owed[index] == 0 {
            return;
        }
        let reached = limits.is_off() || self.owed[index] >= limits.max_frames;
        self.deadlines[index] = if reached { now } else { due(self.since[index], limits).max(now) };
    }

    /// The queue is a new one: it owes nothing, and has the limits set for all.
    pub(crate) fn renew(&mut self, queue: u16) {
        self.settle(queue);
        self.limits[usize::from(queue)] = self.all;
    }

    /// Nothing is owed any more, by any queue, and the limits are those of the start.
    pub(crate) fn reset(&mut self) {
        self.all = self.start;
        self.limits.fill(self.start);
        self.owed.fill(0);
        self.deadlines.fill(NEVER);
        self.earliest = NEVER;
    }

    /// Nothing is owed to this queue any more.
    fn settle(&mut self, queue: u16) {
        let index = usize::from(queue);
        let was = self.deadlines[index];
        self.owed[index] = 0;
        self.deadlines[index] = NEVER;
        if was == self.earliest {
            self.find_earliest();
        }
    }

    fn find_earliest(&mut self) {
        self.earliest = self.deadlines.iter().copied().min().unwrap_or(NEVER);
    }
}

/// When the timer fires that started at `since`. [`NEVER`] itself would be a timer that never fires.
fn due(since: u64, limits: Coalesce) -> u64 {
    since.saturating_add(limits.max_ps).min(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coalescer(max_ps: u64, max_frames: u32) -> Coalescer {
        Coalescer::new(Coalesce { max_ps, max_frames }, 3)
    }

    #[test]
    fn either_limit_zero_sends_each() {
        for (ps, frames) in [(0, 5), (5, 0), (0, 0)] {
            let mut c = coalescer(ps, frames);
            assert_eq!(c.published(0, 0, 1, true), Decision::Send);
            assert_eq!(c.published(0, 0, 1, false), Decision::None);
            assert_eq!(c.next_deadline(), None);
        }
    }

    #[test]
    fn count_comes_first_and_includes_frames_behind_the_wish() {
        let mut c = coalescer(100, 3);
        assert_eq!(c.published(10, 1, 1, false), Decision::None);
        assert_eq!(c.published(20, 1, 1, true), Decision::Start { deadline: 120 });
        assert_eq!(c.published(30, 1, 1, false), Decision::Wait);
        assert_eq!(c.published(40, 1, 1, true), Decision::Send);
        assert_eq!(c.next_deadline(), None);
        assert_eq!(c.published(50, 1, 2, true), Decision::Start { deadline: 150 });
        assert_eq!(c.published(50, 1, 64, true), Decision::Send, "a batch counts its frames");
    }

    #[test]
    fn a_count_that_is_reached_when_nobody_wants_an_interrupt_settles_it() {
        let mut c = coalescer(100, 2);
        assert_eq!(c.published(10, 1, 1, true), Decision::Start { deadline: 110 });
        assert_eq!(c.published(20, 1, 1, false), Decision::None);
        assert_eq!(c.next_deadline(), None);
        assert_eq!(c.published(30, 1, 1, true), Decision::Start { deadline: 130 });
    }

    #[test]
    fn timers_fire_in_order_of_time() {
        let mut c = coalescer(100, 9);
        c.published(20, 2, 1, true);
        c.published(10, 1, 1, true);
        c.published(20, 0, 1, true);
        assert_eq!(c.next_deadline(), Some(110));
        assert_eq!(c.take_due(109), None);
        assert_eq!(c.take_due(200), Some(1));
        assert_eq!(c.next_deadline(), Some(120));
        assert_eq!(c.take_due(200), Some(0));
        assert_eq!(c.take_due(200), Some(2));
        assert_eq!(c.take_due(200), None);
    }

    #[test]
    fn a_timer_at_the_end_of_time_still_fires() {
        let mut c = coalescer(100, 9);
        assert_eq!(c.published(u64::MAX, 0, 1, true), Decision::Start { deadline: u64::MAX - 1 });
        assert_eq!(c.take_due(u64::MAX), Some(0));
    }

    #[test]
    fn new_limits_that_are_reached_make_the_interrupt_due() {
        let limits = |max_ps, max_frames| Coalesce { max_ps, max_frames };
        for (now, new, due) in [
            (50, limits(100, 2), 50),
            (50, limits(0, 9), 50),
            (50, limits(9, 0), 50),
            (50, limits(30, 9), 50),
            (50, limits(70, 9), 80),
            (50, limits(300, 3), 310),
        ] {
            let mut c = coalescer(100, 9);
            c.published(10, 1, 2, true);
            c.set_all(now, new);
            assert_eq!(c.next_deadline(), Some(due), "{new:?}");
            assert_eq!(c.take_due(due), Some(1));
            assert_eq!(c.next_deadline(), None);
        }
    }

    #[test]
    fn the_last_setting_holds_and_a_new_queue_has_that_of_all() {
        let limits = |max_frames| Coalesce { max_ps: 100, max_frames };
        let mut c = coalescer(0, 0);
        c.set_all(0, limits(5));
        c.set(0, 1, limits(7));
        assert_eq!([0, 1, 2].map(|queue| c.limits(queue).max_frames), [5, 7, 5]);
        c.set_all(0, limits(6));
        assert_eq!(c.limits(1), limits(6));
        c.set(0, 1, limits(8));
        c.published(0, 1, 1, true);
        c.renew(1);
        assert_eq!((c.limits(1), c.next_deadline()), (limits(6), None));
        c.reset();
        assert_eq!(c.limits(2), Coalesce::default());
    }
}
