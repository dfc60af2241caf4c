//! The faults of a scenario at work: which are due now.
//!
//! Contract: a fault with `chance` takes one draw at each of its occasions, whether or not it can act then,
//! so that what it hits depends on nothing but its own stream and the number of occasions.

use super::Kind;
use crate::scenario::{Fault, Scenario};
use crate::source::random::{Chance, Stream};

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
    /// In the order of the file, bit flips last.
    pub planned: Vec<Planned>,
    /// Kinds that change frames are there.
    pub damages: bool,
    /// Kinds that hit messages are there.
    pub hits_messages: bool,
}

impl Plan {
    /// The plan of `scenario`, which has been checked.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let mut of_kind = [0_u32; Kind::COUNT];
        let plan = |fault: &Fault| {
            let number = of_kind[fault.kind.index()];
            of_kind[fault.kind.index()] += 1;
            let name = format!("{} {number}", fault.kind.name());
            let stream = |purpose: &str| Stream::new(scenario.seed, COMPONENT, purpose);
            Planned {
                fault: *fault,
                chance: fault.chance.map(|ratio| (ratio.into(), stream(&name))),
                detail: stream(&format!("{name} detail")),
                left: 0,
                active: false,
            }
        };
        let mut planned: Vec<Planned> = scenario.fault.iter().map(plan).collect();
        // A bit is flipped in what the others have left of a frame.
        planned.sort_by_key(|planned| planned.fault.kind == Kind::PayloadBitFlip);
        let any = |is: fn(Kind) -> bool| planned.iter().any(|planned| is(planned.fault.kind));
        let (damages, hits_messages) = (any(Kind::damages_frames), any(Kind::hits_messages));
        Self { damages, hits_messages, planned }
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.planned.is_empty()
    }

    /// The first that is of one of these kinds and has begun and not ended, with what it says.
    pub fn active(&self, kind: Kind) -> impl Iterator<Item = &Fault> {
        let is = move |planned: &&Planned| planned.active && planned.fault.kind == kind;
        self.planned.iter().filter(is).map(|planned| &planned.fault)
    }
}

impl Planned {
    /// Whether it is due with frame `number` of the wire.
    pub fn due_with_frame(&mut self, number: u64) -> bool {
        if self.fault.kind.hits_messages() && self.chance.is_some() {
            return false;
        }
        self.fault.frame == Some(number) || self.drawn()
    }

    /// Whether it hits the message at hand of `queue`: because it was due before, or by chance now.
    pub fn hits_message(&mut self, queue: u16) -> bool {
        let of_queue = self.fault.queue.is_none_or(|wanted| wanted == queue);
        if !self.fault.kind.hits_messages() || !of_queue {
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
