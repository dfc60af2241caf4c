//! Where frames come from: the seeded generator or a capture file.
//!
//! Contract: a source is a pure function of the scenario, its seed and the capture file. It yields
//! frames in the order of their earliest times; the wire adds the time that sending takes. Frames
//! are Ethernet without preamble and FCS.
//! Not checked: that the wire can keep up; frames that come too fast queue in front of it.

mod capture;
mod error;
pub(crate) mod faults;
mod generator;
pub mod random;

#[cfg(test)]
mod tests;

pub use capture::Records;
pub use error::{Notice, SourceError, SourceFault};
pub use generator::headers_len;

use crate::scenario::{Scenario, Traffic};

/// What the wire carries besides a frame (without FCS): preamble 8, FCS 4, gap 12 bytes.
pub const ON_WIRE_EXTRA: u64 = 24;

/// When a frame may start, and whether its FCS is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The frame's first bit is not on the wire before this time, in picoseconds.
    pub earliest_ps: u64,
    /// False for a frame that was damaged on the way.
    pub fcs_ok: bool,
}

/// A sequence of frames.
pub trait Source {
    /// Puts the next frame into `frame`, whose old contents go; `None` is the end.
    ///
    /// # Errors
    /// The source is damaged here. What it gave before stands; after an error comes `None`.
    fn next(&mut self, frame: &mut Vec<u8>) -> Result<Option<Arrival>, SourceFault>;

    /// What was odd but no fault, counted so far; to be said once, at the end.
    fn notices(&self) -> Vec<Notice> {
        Vec::new()
    }
}

/// The source that `scenario` names, with the frame faults of its wire.
///
/// # Errors
/// A capture file is missing, is none, or holds no Ethernet frames.
pub fn open(scenario: &Scenario) -> Result<Box<dyn Source>, SourceError> {
    let rates = faults::Rates::of(scenario);
    match &scenario.traffic {
        Traffic::Generator(generator) => {
            let source = generator::GeneratorSource::new(generator, scenario);
            Ok(faults::around(source, rates, scenario.seed))
        }
        Traffic::Capture(capture) => {
            let source = capture::CaptureSource::open(capture, &scenario.path(&capture.file))?;
            Ok(faults::around(source, rates, scenario.seed))
        }
    }
}
