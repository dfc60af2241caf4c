//! Interrupt coalescing of the receive queues: a wanted interrupt waits for more frames or for a timer,
//! whichever comes first.
//!
//! A queue *owes* an interrupt from the moment the driver wanted one until it is sent. Frames published
//! meanwhile count towards it even if the driver's `used_event` lies behind them: the driver has not had
//! its interrupt yet. Nothing is lost, because an owed interrupt is always sent: by count or by the timer
//! that [`Coalescer::next_deadline`] shows.

use crate::config::Coalesce;

const NEVER: u64 = u64::MAX;

/// State of all receive queues.
#[derive(Clone, Debug)]
pub(crate) struct Coalescer {
    limits: Coalesce,
    /// Frames the owed interrupt stands for; 0 = nothing is owed. By queue pair.
    owed: Vec<u32>,
    /// When it is due. By queue pair; [`NEVER`] where nothing is owed.
    deadlines: Vec<u64>,
    /// The earliest of them.
    earliest: u64,
}

/// What to do about an interrupt now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nobody wants one.
    None,
    /// It waits, until then at the latest: the timer starts.
    Start { deadline: u64 },
    /// It waits for a timer that runs already.
    Wait,
    /// It is due.
    Send,
}

impl Coalescer {
    pub(crate) fn new(limits: Coalesce, pairs: u16) -> Self {
        Self {
            limits,
            owed: vec![0; pairs.into()],
            deadlines: vec![NEVER; pairs.into()],
            earliest: NEVER,
        }
    }

    /// One frame was published at `now`; `wanted`: the driver wants an interrupt for it.
    #[inline]
    pub(crate) fn published(&mut self, now: u64, queue: u16, wanted: bool) -> Decision {
        if self.limits.max_ps == 0 || self.limits.max_frames == 0 {
            return if wanted { Decision::Send } else { Decision::None };
        }
        let index = usize::from(queue);
        let starts = self.owed[index] == 0;
        if starts {
            if !wanted {
                return Decision::None;
            }
            // NEVER itself would be a timer that never fires.
            self.deadlines[index] = now.saturating_add(self.limits.max_ps).min(NEVER - 1);
            self.earliest = self.earliest.min(self.deadlines[index]);
        }
        self.owed[index] += 1;
        if self.owed[index] >= self.limits.max_frames {
            self.settle(queue);
            return Decision::Send;
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

    /// Nothing is owed any more, by any queue.
    pub(crate) fn reset(&mut self) {
        self.owed.fill(0);
        self.deadlines.fill(NEVER);
        self.earliest = NEVER;
    }

    /// Nothing is owed to this queue any more.
    pub(crate) fn settle(&mut self, queue: u16) {
        let index = usize::from(queue);
        let was = self.deadlines[index];
        self.owed[index] = 0;
        self.deadlines[index] = NEVER;
        if was == self.earliest {
            self.earliest = self.deadlines.iter().copied().min().unwrap_or(NEVER);
        }
    }
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
            assert_eq!(c.published(0, 0, true), Decision::Send);
            assert_eq!(c.published(0, 0, false), Decision::None);
            assert_eq!(c.next_deadline(), None);
        }
    }

    #[test]
    fn count_comes_first_and_includes_frames_behind_the_wish() {
        let mut c = coalescer(100, 3);
        assert_eq!(c.published(10, 1, false), Decision::None);
        assert_eq!(c.published(20, 1, true), Decision::Start { deadline: 120 });
        assert_eq!(c.published(30, 1, false), Decision::Wait);
        assert_eq!(c.published(40, 1, false), Decision::Send);
        assert_eq!(c.next_deadline(), None);
    }

    #[test]
    fn timers_fire_in_order_of_time() {
        let mut c = coalescer(100, 9);
        c.published(20, 2, true);
        c.published(10, 1, true);
        c.published(20, 0, true);
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
        assert_eq!(c.published(u64::MAX, 0, true), Decision::Start { deadline: u64::MAX - 1 });
        assert_eq!(c.take_due(u64::MAX), Some(0));
    }
}
