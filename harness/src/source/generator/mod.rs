//! The seeded generator of frames.
//!
//! Contract: the frames are a pure function of `[traffic]`, the device's address and the seed.
//! Every frame is a valid packet of its flow with right lengths and checksums, and differs from
//! every other: its payload opens with its number, 48 bits big-endian, counted from 0 (in an ARP
//! request it is the target hardware address). Each decision has its own random stream: see [`super::random`].
//! Not modelled: answers. All traffic flows towards the device.

mod flow;
mod pace;
mod pick;

use super::random::Stream;
use super::{Arrival, Source, SourceFault};
use crate::scenario::{Generator, Scenario, Skew};
use flow::{Flow, Payloads};
use pace::Pace;
use pick::Pick;

pub use flow::headers_len;

/// The name of the generator in the keys of its random streams.
const COMPONENT: &str = "generator";
/// FCS bytes, which the sizes of a scenario count and frames do not hold.
const FCS: u64 = 4;

/// Makes the frames of `[traffic] source = "generator"`.
pub(super) struct GeneratorSource {
    frames: u64,
    made: u64,
    flows: Vec<Flow>,
    payloads: Payloads,
    pick_flow: Pick,
    pick_size: Pick,
    pace: Pace,
}

impl GeneratorSource {
    /// Prepares all flows; `generator` has been checked with the scenario.
    pub(super) fn new(generator: &Generator, scenario: &Scenario) -> Self {
        let stream = |purpose: &str| Stream::new(scenario.seed, COMPONENT, purpose);
        let sizes = generator.size.weighted();
        let lengths: Vec<u64> = sizes.iter().map(|entry| entry.size.0 - FCS).collect();
        let size_weights: Vec<u64> = sizes.iter().map(|entry| u64::from(entry.weight)).collect();
        let pick_flow = match generator.skew {
            _ if generator.flows == 1 => Pick::First,
            Skew::Uniform => Pick::uniform(generator.flows, stream("flow")),
            Skew::Elephant(part) => {
                Pick::elephant(part, generator.flows, stream("elephant"), stream("flow"))
            }
            Skew::Zipf => {
                let weights: Vec<u64> =
                    (1..=u64::from(generator.flows)).map(|rank| (1 << 32) / rank).collect();
                Pick::weighted(&weights, stream("flow"))
            }
        };
        Self {
            frames: generator.frames,
            made: 0,
            flows: flow::all(generator, scenario.nic.mac.0, stream("protocol"), stream("endpoint")),
            payloads: Payloads::new(&lengths),
            pick_flow,
            pick_size: Pick::weighted(&size_weights, stream("size")),
            pace: Pace::new(generator, &lengths, stream("jitter")),
        }
    }
}

impl Source for GeneratorSource {
    fn next(&mut self, frame: &mut Vec<u8>) -> Result<Option<Arrival>, SourceFault> {
        if self.made == self.frames {
            return Ok(None);
        }
        let number = self.made;
        self.made += 1;
        let flow = self.pick_flow.draw();
        let size = self.pick_size.draw();
        self.flows[flow].write(number, &self.payloads, size, frame);
        Ok(Some(Arrival { earliest_ps: self.pace.next(size), fcs_ok: true }))
    }
}
