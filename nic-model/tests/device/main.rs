//! The device as a driver and a wire see it, one module per promise.
//!
//! `cfg(test)` on each: so that the lint table knows these are tests and lets them unwrap.

#[cfg(test)]
mod account;
#[cfg(test)]
mod burst;
#[cfg(test)]
mod checklist;
#[cfg(test)]
mod coalescing;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod filters;
#[cfg(test)]
mod headers;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod interrupts;
#[cfg(test)]
mod merge;
#[cfg(test)]
mod negotiation;
#[cfg(test)]
mod offloads;
#[cfg(test)]
mod queue_reset;
#[cfg(test)]
mod receive;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod station;
#[cfg(test)]
mod statistics;
#[cfg(test)]
mod steering;
#[cfg(test)]
mod transmit;
