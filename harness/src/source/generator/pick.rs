//! Drawing one of many, uniformly or by weights, at the price of a draw or two and one load.
//!
//! Contract: integers only; every call takes the same number of draws, so that streams stay in
//! step. Weights are met to within 2^-60.

use crate::scenario::Ratio;
use crate::source::random::{Chance, Stream};

/// A way to draw an index.
pub(super) enum Pick {
    /// There is one.
    First,
    /// All alike.
    Uniform { count: u64, stream: Stream },
    /// The first by a chance of its own, the others alike.
    Elephant(Box<Elephant>),
    /// By weights.
    Weighted { slots: Vec<Slot>, stream: Stream },
}

/// How the elephant and the others are drawn.
pub(super) struct Elephant {
    chance: Chance,
    hit: Stream,
    others: u64,
    stream: Stream,
}

/// One of Walker's alias table: itself below the threshold, the alias from there on.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    below: u64,
    alias: u32,
}

impl Pick {
    pub(super) fn uniform(count: u32, stream: Stream) -> Self {
        Self::Uniform { count: u64::from(count), stream }
    }

    /// `count` is 2 or more, unless `part` is all.
    pub(super) fn elephant(part: Ratio, count: u32, hit: Stream, stream: Stream) -> Self {
        let others = u64::from(count.saturating_sub(1).max(1));
        Self::Elephant(Box::new(Elephant { chance: part.into(), hit, others, stream }))
    }

    /// One of `weights.len()`, each as likely as its weight; at least one, none of them 0, their
    /// sum times their number below 2^64.
    pub(super) fn weighted(weights: &[u64], stream: Stream) -> Self {
        if weights.len() == 1 {
            Self::First
        } else {
            Self::Weighted { slots: table(weights), stream }
        }
    }

    /// The next index.
    #[inline]
    pub(super) fn draw(&mut self) -> usize {
        match self {
            Self::First => 0,
            Self::Uniform { count, stream } => stream.below(*count) as usize,
            Self::Elephant(elephant) => {
                let other = 1 + elephant.stream.below(elephant.others) as usize;
                if elephant.hit.chance(elephant.chance) { 0 } else { other }
            }
            Self::Weighted { slots, stream } => {
                // The high half of the product is the slot, the low half the place within it.
                let product = u128::from(stream.next_u64()) * slots.len() as u128;
                let (index, within) = ((product >> 64) as usize, product as u64);
                let slot = slots[index];
                if within < slot.below { index } else { slot.alias as usize }
            }
        }
    }
}

/// Vose's construction with integers: each slot holds `total`; what a light one lacks, a heavy
/// one lends.
fn table(weights: &[u64]) -> Vec<Slot> {
    let count = weights.len() as u128;
    let total: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    let mut rest: Vec<u128> = weights.iter().map(|&weight| u128::from(weight) * count).collect();
    let (mut light, mut heavy): (Vec<usize>, Vec<usize>) =
        (0..weights.len()).partition(|&index| rest[index] < total);
    let mut slots: Vec<Slot> =
        (0..weights.len()).map(|index| Slot { below: u64::MAX, alias: index as u32 }).collect();
    while let (Some(small), Some(&large)) = (light.pop(), heavy.last()) {
        let below = u64::try_from((rest[small] << 64) / total).unwrap_or(u64::MAX);
        slots[small] = Slot { below, alias: large as u32 };
        rest[large] -= total - rest[small];
        if rest[large] < total {
            heavy.pop();
            light.push(large);
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(mut pick: Pick, kinds: usize, draws: u32) -> Vec<u32> {
        let mut counts = vec![0; kinds];
        for _ in 0..draws {
            counts[pick.draw()] += 1;
        }
        counts
    }

    fn stream(purpose: &str) -> Stream {
        Stream::new(7, "test", purpose)
    }

    #[test]
    fn weights_are_met() {
        let counts = counts(Pick::weighted(&[7, 4, 1], stream("w")), 3, 120_000);
        for (count, wanted) in counts.iter().zip([70_000, 40_000, 10_000]) {
            assert!(count.abs_diff(wanted) < 700, "{counts:?}");
        }
    }

    #[test]
    fn the_alias_table_is_exact() {
        // What each index gets from all slots together is its weight, to within rounding.
        for weights in [vec![1, 1, 1], vec![7, 4, 1], vec![1, 1000, 3, 3, 500_000], vec![5; 9]] {
            let slots = table(&weights);
            let total: u128 = weights.iter().map(|&w| u128::from(w)).sum();
            for (index, &weight) in weights.iter().enumerate() {
                let own = u128::from(slots[index].below) + 1;
                let lent = slots.iter().filter(|slot| slot.alias as usize == index);
                let lent: u128 = lent.map(|slot| u128::from(u64::MAX - slot.below)).sum();
                let wanted = ((u128::from(weight) * slots.len() as u128) << 64) / total;
                assert!((own + lent).abs_diff(wanted) < 64, "{weights:?} at {index}");
            }
        }
    }

    #[test]
    fn the_elephant_takes_its_part_and_one_flow_may_take_all() {
        let part = Ratio::new(4, 5).unwrap();
        let counts = counts(Pick::elephant(part, 5, stream("e"), stream("o")), 5, 100_000);
        assert!(counts[0].abs_diff(80_000) < 700, "{counts:?}");
        assert!(counts[1..].iter().all(|count| count.abs_diff(5_000) < 400), "{counts:?}");
        let mut all = Pick::elephant(Ratio::ONE, 3, stream("e"), stream("o"));
        assert!((0..1000).all(|_| all.draw() == 0));
    }
}
