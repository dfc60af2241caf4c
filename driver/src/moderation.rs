//! Moderation of one receive queue: after each poll, whether to let interrupts through or to poll later.
//!
//! Contract: [`Moderator::after_poll`] once per poll, with the frames that it found; integers only. What
//! follows (timer, masking) is the caller's.

use crate::policy::{ADAPTIVE_STEPS, ADAPTIVE_WINDOW_PS, Moderation, Step};

/// What to do with a queue that a poll has emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Let interrupts through.
    Unmask,
    /// Keep them away and poll at this time.
    PollAt(u64),
}

#[derive(Debug, Default)]
pub(crate) struct Moderator {
    /// Timers that may still pass before interrupts are let through.
    timers_left: u32,
    /// Index into [`ADAPTIVE_STEPS`].
    step: usize,
    window_start: u64,
    window_frames: u64,
}

impl Moderator {
    /// A poll found `frames` frames (or bad completions).
    #[inline]
    pub(crate) fn after_poll(&mut self, now: u64, moderation: Moderation, frames: u16) -> After {
        match moderation {
            Moderation::Interrupts | Moderation::AdaptiveDevice => After::Unmask,
            Moderation::BusyPoll { period_ps } => After::PollAt(now.saturating_add(period_ps)),
            Moderation::Deferred { hard_irqs, flush_timeout_ps } => {
                if frames > 0 {
                    self.timers_left = hard_irqs;
                }
                match self.timers_left.checked_sub(1) {
                    Some(left) => {
                        self.timers_left = left;
                        After::PollAt(now.saturating_add(flush_timeout_ps))
                    }
                    None => After::Unmask,
                }
            }
            Moderation::Adaptive if frames == 0 => After::Unmask,
            Moderation::Adaptive => {
                let delay = u64::from(self.current().usecs) * 1_000_000;
                After::PollAt(now.saturating_add(delay))
            }
        }
    }

    /// Counts towards the measured rate; gives the new step when it changes.
    pub(crate) fn measure(&mut self, now: u64, frames: u16) -> Option<Step> {
        self.window_frames += u64::from(frames);
        let elapsed = now.saturating_sub(self.window_start);
        if elapsed < ADAPTIVE_WINDOW_PS {
            return None;
        }
        // Frames per millisecond. Wide, as a queue may have been silent for days.
        let rate =
            u128::from(self.window_frames) * u128::from(ADAPTIVE_WINDOW_PS) / u128::from(elapsed);
        (self.window_start, self.window_frames) = (now, 0);
        let before = self.step;
        let down_below = before.checked_sub(1).map_or(0, |lower| ADAPTIVE_STEPS[lower].up_from);
        if rate >= u128::from(self.current().up_from) {
            self.step += 1;
        } else if rate < u128::from(down_below) {
            self.step -= 1;
        }
        (self.step != before).then(|| self.current())
    }

    fn current(&self) -> Step {
        ADAPTIVE_STEPS[self.step]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000_000;

    #[test]
    fn deferred_lets_interrupts_through_after_so_many_timers_without_a_frame() {
        let moderation = Moderation::Deferred { hard_irqs: 3, flush_timeout_ps: 10 };
        let mut moderator = Moderator::default();
        assert_eq!(moderator.after_poll(0, moderation, 0), After::Unmask, "nothing to wait for");
        for round in 0..2 {
            assert_eq!(moderator.after_poll(100, moderation, 1), After::PollAt(110), "{round}");
            assert_eq!(moderator.after_poll(110, moderation, 0), After::PollAt(120));
            assert_eq!(moderator.after_poll(120, moderation, 0), After::PollAt(130));
            assert_eq!(moderator.after_poll(130, moderation, 0), After::Unmask);
        }
    }

    #[test]
    fn the_step_follows_the_rate_one_at_a_time_and_comes_back() {
        let mut moderator = Moderator::default();
        let mut delays = Vec::new();
        for millisecond in 1..=10u64 {
            let frames = if millisecond <= 5 { 2000 } else { 10 };
            delays.extend(moderator.measure(millisecond * MS, frames).map(|step| step.usecs));
        }
        assert_eq!(delays, [8, 64, 128, 256, 128, 64, 8, 1]);
    }

    #[test]
    fn a_steady_rate_settles() {
        let mut moderator = Moderator::default();
        let changes = (1..100u64).filter(|ms| moderator.measure(ms * MS, 300).is_some()).count();
        assert_eq!(changes, 2, "to the step for 200..500 frames a millisecond, and no further");
    }

    proptest! {
        #[test]
        fn no_measurement_leaves_the_table(
            polls in prop::collection::vec((0u64..1 << 50, 0u16..), 1..200),
        ) {
            let (mut moderator, mut now) = (Moderator::default(), 0u64);
            for (pause, frames) in polls {
                now = now.saturating_add(pause);
                moderator.measure(now, frames);
                let After::PollAt(at) = moderator.after_poll(now, Moderation::Adaptive, 1) else {
                    panic!("a poll that found a frame waits");
                };
                prop_assert!((1_000_000..=256_000_000).contains(&(at - now)));
            }
        }
    }
}
