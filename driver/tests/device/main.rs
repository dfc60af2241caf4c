//! The driver against a device that is stricter than a real one (`fake`), through public calls only.
//!
//! `cfg(test)` is always on here; it tells clippy that the helpers may unwrap as the tests may.

#[cfg(test)]
mod bring_up;
#[cfg(test)]
mod buffers;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod control;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod masking;
#[cfg(test)]
mod merge;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod receive;
#[cfg(test)]
mod resets;
#[cfg(test)]
mod transmit;
