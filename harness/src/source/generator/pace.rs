//! When frames start: mean rate, bursts and jitter.
//!
//! Contract: start times never decrease; the mean rate is met exactly, with the remainder of each
//! division carried on; the frames of a burst share one start, for the wire to send back to back.
//! A burst starts late by a random part of the time since the one before, never early.

use crate::scenario::{Generator, Rate, Ratio};
use crate::source::random::Stream;

const PS_PER_SECOND: u128 = 1_000_000_000_000;
/// FCS bytes: rates in bits count them.
const FCS: u64 = 4;

/// The clock of the generator.
pub(super) struct Pace {
    /// Time that a frame of each size takes at the mean rate.
    steps: Vec<Step>,
    /// What the remainders are counted in.
    denominator: u64,
    remainder: u64,
    /// Start of the next frame, were there no bursts and no jitter.
    nominal: u64,
    burst: u32,
    /// Frames of the burst that are still to come.
    left: u32,
    burst_nominal: u64,
    burst_start: u64,
    jitter: Option<Jitter>,
}

/// Whole picoseconds, and the rest in parts of the denominator.
#[derive(Clone, Copy)]
struct Step {
    whole: u64,
    rest: u64,
}

struct Jitter {
    /// The ratio times 2^64.
    factor: u128,
    stream: Stream,
}

impl Pace {
    /// `lengths` are those of the frames, without FCS, in the order of the sizes.
    pub(super) fn new(generator: &Generator, lengths: &[u64], stream: Stream) -> Self {
        let (numerators, denominator): (Vec<u128>, u64) = match generator.rate {
            Rate::Packets(rate) => (vec![1000 * PS_PER_SECOND; lengths.len()], rate.milli),
            Rate::Bits(rate) => {
                let bits = |length: &u64| u128::from((length + FCS) * 8);
                (lengths.iter().map(|length| bits(length) * PS_PER_SECOND).collect(), rate.0)
            }
            Rate::Line => (vec![0; lengths.len()], 1),
        };
        let step = |numerator: u128| Step {
            // 100 days at most, as checked with the scenario
            whole: u64::try_from(numerator / u128::from(denominator)).unwrap_or(u64::MAX),
            rest: (numerator % u128::from(denominator)) as u64,
        };
        Self {
            steps: numerators.into_iter().map(step).collect(),
            denominator,
            remainder: 0,
            nominal: generator.start.0,
            burst: generator.burst,
            left: 0,
            burst_nominal: generator.start.0,
            burst_start: generator.start.0,
            jitter: Jitter::new(generator.jitter, stream),
        }
    }

    /// Start of the next frame, which has the `size`-th of the sizes.
    #[inline]
    pub(super) fn next(&mut self, size: usize) -> u64 {
        if self.left == 0 {
            self.left = self.burst;
            let late = match &mut self.jitter {
                Some(jitter) => jitter.draw(self.nominal - self.burst_nominal),
                None => 0,
            };
            self.burst_nominal = self.nominal;
            self.burst_start = self.burst_start.max(self.nominal.saturating_add(late));
        }
        self.left -= 1;
        let step = self.steps[size];
        self.nominal = self.nominal.saturating_add(step.whole);
        self.remainder += step.rest;
        if self.remainder >= self.denominator {
            self.remainder -= self.denominator;
            self.nominal = self.nominal.saturating_add(1);
        }
        self.burst_start
    }
}

impl Jitter {
    fn new(ratio: Ratio, stream: Stream) -> Option<Self> {
        let factor = (u128::from(ratio.num()) << 64) / u128::from(ratio.den());
        (factor > 0).then_some(Self { factor, stream })
    }

    /// A delay of at most the ratio of `gap`.
    #[inline]
    fn draw(&mut self, gap: u64) -> u64 {
        let most = (u128::from(gap) * self.factor) >> 64;
        self.stream.below((most as u64).saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{BitRate, Duration, PacketRate};

    fn starts(generator: &Generator, lengths: &[u64], count: usize) -> Vec<u64> {
        let mut pace = Pace::new(generator, lengths, Stream::new(1, "test", "jitter"));
        (0..count).map(|frame| pace.next(frame % lengths.len())).collect()
    }

    #[test]
    fn a_rate_that_does_not_divide_a_second_does_not_drift() {
        let rate = Rate::Packets(PacketRate { milli: 3_000_000 }); // 3000 pps
        let generator = Generator { rate, start: Duration(5), ..Generator::default() };
        let starts = starts(&generator, &[60], 3001);
        assert_eq!(starts[..3], [5, 333_333_338, 666_666_671]);
        assert_eq!(starts[3000], 5 + PS_PER_SECOND as u64);
    }

    #[test]
    fn a_bit_rate_counts_frames_with_their_fcs() {
        let rate = Rate::Bits(BitRate(8_000_000));
        let generator = Generator { rate, ..Generator::default() };
        assert_eq!(starts(&generator, &[60, 124], 3), [0, 64_000_000, 192_000_000]);
    }

    #[test]
    fn a_burst_shares_one_start_and_keeps_the_mean() {
        let rate = Rate::Packets(PacketRate { milli: 1_000_000_000 }); // one per microsecond
        let generator = Generator { rate, burst: 3, ..Generator::default() };
        let us = [0, 0, 0, 3, 3, 3, 6].map(|us| us * 1_000_000);
        assert_eq!(starts(&generator, &[60], 7), us);
    }

    #[test]
    fn jitter_is_late_by_its_part_of_the_gap_at_most_and_keeps_the_order() {
        let rate = Rate::Packets(PacketRate { milli: 1_000_000_000 });
        let generator = Generator { rate, jitter: Ratio::ONE, ..Generator::default() };
        let starts = starts(&generator, &[60], 1000);
        assert!(starts.is_sorted());
        assert_eq!(starts[0], 0);
        let late: Vec<u64> = starts
            .iter()
            .enumerate()
            .map(|(index, start)| start - index as u64 * 1_000_000)
            .collect();
        assert!(late.iter().all(|&late| late <= 1_000_000));
        assert!(late.iter().any(|&late| late > 900_000), "the whole gap is in play");
    }

    #[test]
    fn at_line_rate_everything_may_start_at_once() {
        let generator = Generator { rate: Rate::Line, start: Duration(9), ..Generator::default() };
        assert_eq!(starts(&generator, &[60], 3), [9, 9, 9]);
    }
}
