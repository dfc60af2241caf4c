//! What the wire does to frames before they arrive: wrong FCS, runts, giants.
//!
//! Contract: a wrapper around any source. Each fault has its own random streams, of which every
//! frame takes one draw, so that which frames are hit by one fault depends on no other fault, and
//! everything else about a frame stays as it was.

use super::random::{Chance, Stream};
use super::{Arrival, Notice, Source, SourceFault};
use crate::scenario::{Ratio, Scenario};

/// How many bytes a giant may be longer than the longest frame.
const GIANT_EXTRA: u64 = 1024;
/// A giant is longer than a legal frame with two VLAN tags, so that no rule takes it for one.
const TAGS: usize = 8;
/// The least that still is an Ethernet header.
const HEADER: usize = 14;

/// How often, and against which limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    bad_fcs: Ratio,
    runt: Ratio,
    giant: Ratio,
    shortest: usize,
    longest: usize,
}

impl Rates {
    pub(super) fn of(scenario: &Scenario) -> Self {
        let wire = &scenario.wire;
        Self {
            bad_fcs: wire.bad_fcs,
            runt: wire.runt,
            giant: wire.giant,
            shortest: scenario.min_frame().0 as usize, // at most 65549, as checked on loading
            longest: wire.mtu as usize + HEADER,
        }
    }

    fn none(&self) -> bool {
        [self.bad_fcs, self.runt, self.giant].iter().all(|ratio| ratio.is_zero())
    }
}

/// `source` with the faults of the wire; `source` itself if there are none.
pub(super) fn around<S: Source + 'static>(source: S, rates: Rates, seed: u64) -> Box<dyn Source> {
    if rates.none() {
        return Box::new(source);
    }
    let fault = |ratio: Ratio, name: &str| Fault {
        chance: ratio.into(),
        hit: Stream::new(seed, "wire", name),
        length: Stream::new(seed, "wire", &format!("{name} length")),
    };
    Box::new(Faulty {
        source,
        rates,
        bad_fcs: fault(rates.bad_fcs, "bad_fcs"),
        runt: fault(rates.runt, "runt"),
        giant: fault(rates.giant, "giant"),
    })
}

/// Makes a runt: shorter than `shortest`, by how much `below` draws.
pub(crate) fn cut(frame: &mut Vec<u8>, shortest: usize, below: impl FnOnce(u64) -> u64) {
    let room = shortest.saturating_sub(HEADER).max(1) as u64;
    frame.truncate(HEADER + below(room) as usize);
}

/// Makes a giant: longer than `longest`, header included, and two VLAN tags.
pub(crate) fn stretch(frame: &mut Vec<u8>, longest: usize, below: impl FnOnce(u64) -> u64) {
    let extra = below(GIANT_EXTRA) as usize;
    frame.resize(longest + TAGS + 1 + extra, 0);
}

struct Faulty<S> {
    source: S,
    rates: Rates,
    bad_fcs: Fault,
    runt: Fault,
    giant: Fault,
}

struct Fault {
    chance: Chance,
    hit: Stream,
    length: Stream,
}

impl<S: Source> Source for Faulty<S> {
    fn next(&mut self, frame: &mut Vec<u8>) -> Result<Option<Arrival>, SourceFault> {
        let Some(mut arrival) = self.source.next(frame)? else { return Ok(None) };
        if self.bad_fcs.hit.chance(self.bad_fcs.chance) {
            arrival.fcs_ok = false;
        }
        // Drawn for each frame, and a runt wins over a giant.
        let (runt, giant) =
            (self.runt.hit.chance(self.runt.chance), self.giant.hit.chance(self.giant.chance));
        if runt {
            cut(frame, self.rates.shortest, |bound| self.runt.length.below(bound));
        } else if giant {
            stretch(frame, self.rates.longest, |bound| self.giant.length.below(bound));
        }
        Ok(Some(arrival))
    }

    fn notices(&self) -> Vec<Notice> {
        self.source.notices()
    }
}
