//! Faults on demand: what can go wrong in a run, when it does, and who noticed.
//!
//! [`Kind`] is the list of all faults with what is allowed and what must be noticed. [`Plan`] is a scenario's
//! `[[fault]]` list at work: it says what is due, by time, by frame, or by chance. [`Notices`] counts what
//! was injected and what became of it. What a fault does is done by the world
//! (`world/embedded/faults.rs`) and, inside the NIC, by [`nic_model::Device::inject`].
//!
//! Contract: each `[[fault]]` draws from random streams of its own, keyed by the seed and everything that it
//! says; of those that say the same, by its number. So one fault more or less, before or behind, leaves every
//! other draw of a run as it was. A run without faults draws nothing and asks once per frame whether it has
//! any.

mod kind;
mod notice;
mod plan;
mod slot;

pub use kind::{Facts, Key, Kind, Notice, Place, Unit};
pub use notice::{By, Count, Notices};
pub use plan::{Plan, Planned};
pub use slot::Slot;
