//! The faults of a scenario at work: which are due now.
//!
//! Contract: a fault with `chance` takes one draw at each of its occasions, whether or not it can act then,
//! so that what it hits depends on nothing but its own stream and the number of occasions.

use super::Kind;
use crate::scenario::{Fault, Scenario};
use crate::source::random::{Chance, Stream};
use std::collections::BTreeMap;

/// The component in the keys of the random streams.
const COMPONENT: &str = "fault";

/// One `[[fault]]`.
pub struct Planned {
    /// What the scenario says.
    pub fault: Fault,
    /// Drawn at each occasion, if the scenario gives a chance.
    chance: Option<(Chance, Stream)>,
    /// What else is random about it: which bit, which length, which queue.
    detail: Stream,
    /// How many frames or messages it is still to hit.
    pub left: u64,
    /// It has begun and not ended.
    pub active: bool,
}

/// All of them. See the module's contract.
#[derive(Default)]
pub struct Plan {
    /// In the order of the file.
    pub planned: Vec<Planned>,
    /// Which of them change frames, in the order in which they do: bits are flipped in what the others have
    /// left of a frame.
    pub damaging: Vec<usize>,
    /// Which others may begin with a frame of the wire.
    pub with_frames: Vec<usize>,
    /// Which hit messages.
    pub of_messages: Vec<usize>,
}

impl Plan {
    /// The plan of `scenario`, which has been checked.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let mut alike = BTreeMap::new();
        let plan = |fault: &Fault| {
            let mut name = key(fault);
            let number: &mut u32 = alike.entry(name.clone()).or_default();
            name += &format!(" {number}");
            *number += 1;
            let stream = |purpose: &str| Stream::new(scenario.seed, COMPONENT, purpose);
            Planned {
                fault: *fault,
                chance: fault.chance.map(|ratio| (ratio.into(), stream(&name))),
                detail: stream(&format!("{name} detail")),
                left: 0,
                active: false,
            }
        };
        let planned: Vec<Planned> = scenario.fault.iter().map(plan).collect();
        let which = |is: &dyn Fn(&Fault) -> bool| -> Vec<usize> {
            (0..planned.len()).filter(|index| is(&planned[*index].fault)).collect()
        };
        let mut damaging = which(&|fault| fault.kind.damages_frames());
        damaging.sort_by_key(|index| planned[*index].fault.kind == Kind::PayloadBitFlip);
        let with_frames = which(&|fault| {
            let drawn = fault.chance.is_some() && !fault.kind.hits_messages();
            !fault.kind.damages_frames() && (fault.frame.is_some() || drawn)
        });
        let of_messages = which(&|fault| fault.kind.hits_messages());
        Self { planned, damaging, with_frames, of_messages }
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.planned.is_empty()
    }

    /// Those of a kind that have begun and not ended: what each says, in the order of the file.
    pub fn active(&self, kind: Kind) -> impl Iterator<Item = &Fault> {
        let is = move |planned: &&Planned| planned.active && planned.fault.kind == kind;
        self.planned.iter().filter(is).map(|planned| &planned.fault)
    }
}

impl Planned {
    /// Whether it is due with frame `number` of the wire. Not to be asked if it draws for each message.
    pub fn due_with_frame(&mut self, number: u64) -> bool {
        self.fault.frame == Some(number) || self.drawn()
    }

    /// Whether it hits the message at hand of `queue`: because it was due before, or by chance now.
    pub fn hits_message(&mut self, queue: u16) -> bool {
        if self.fault.queue.is_some_and(|wanted| wanted != queue) {
            return false;
        }
        // Drawn whether or not hits are left.
        let drawn = self.drawn();
        self.left += if drawn { self.hits() } else { 0 };
        let hits = self.left > 0;
        self.left -= u64::from(hits);
        hits
    }

    /// How many it hits in a row.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.fault.count.unwrap_or(1).into()
    }

    /// A random number below `bound`, which is not 0, about this fault only.
    pub fn detail(&mut self, bound: u64) -> u64 {
        self.detail.below(bound)
    }

    fn drawn(&mut self) -> bool {
        self.chance.as_mut().is_some_and(|(chance, stream)| stream.chance(*chance))
    }
}

/// What tells a fault from all others: everything that it says.
fn key(fault: &Fault) -> String {
    // Every part of it is a number or a text, so this cannot fail.
    serde_json::to_string(fault).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(text: &str, which: usize) -> Vec<u64> {
        let scenario = Scenario::parse(text, "test.toml", &[]).unwrap();
        let mut plan = Plan::new(&scenario);
        (0..8).map(|_| plan.planned[which].detail(1 << 40)).collect()
    }

    /// Two of a kind: one more in front, or one less, leaves the other as it was; two alike draw apart.
    #[test]
    fn a_fault_draws_the_same_whatever_else_of_its_kind_there_is() {
        let [rare, often] =
            ["1/500", "1/20"].map(|n| format!("[[fault]]\nkind = 'bad_fcs'\nchance = '{n}'\n"));
        let alone = draws(&rare, 0);
        assert_eq!(draws(&format!("{often}{rare}"), 1), alone);
        assert_eq!(draws(&format!("{rare}{often}"), 0), alone);
        assert_ne!(draws(&often, 0), alone);
        let twice = format!("{rare}{often}{rare}");
        assert_eq!(draws(&twice, 0), alone);
        assert_ne!(draws(&twice, 2), alone);
    }

    #[test]
    fn what_only_comes_at_a_time_is_not_asked_for_each_frame() {
        let text = "[[fault]]\nkind = 'payload_bit_flip'\nframe = 1\n\
                    [[fault]]\nkind = 'dma_stall'\nat = '1us'\nfor = '1us'\n\
                    [[fault]]\nkind = 'runt'\nframe = 1\n\
                    [[fault]]\nkind = 'interrupt_lost'\nchance = '1/2'\n\
                    [[fault]]\nkind = 'interrupt_lost'\nframe = 3\n\
                    [[fault]]\nkind = 'dma_stall'\nchance = '1/2'\nfor = '1us'\n";
        let plan = Plan::new(&Scenario::parse(text, "test.toml", &[]).unwrap());
        assert_eq!(plan.damaging, [2, 0], "a bit is flipped in what is left");
        assert_eq!((plan.with_frames, plan.of_messages), (vec![4, 5], vec![3, 4]));
    }
}
