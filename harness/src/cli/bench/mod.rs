//! `rxlab bench`: what rxlab itself costs, each part beside something that the same machine does too.
//!
//! Times are medians of rounds in which all variants take turns, because machines drift; a single time
//! means nothing, and no test asserts one.

mod engine;
mod filter;
mod machine;
mod ring;
mod sim;

pub(super) use engine::{EngineArgs, engine};
pub(super) use filter::{FilterArgs, filter};
pub(super) use ring::{RingArgs, ring};
pub(super) use sim::{SimArgs, sim};
