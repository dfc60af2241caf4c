//! `rxlab`: plays traffic through the NIC model, the driver and the NPF core, and keeps the account.
//!
//! The three components are state machines that know neither a clock nor each other. This crate
//! gives them both: [`scenario`] says what happens, [`source`] makes the frames, [`world`] moves
//! virtual time and carries effects from one component to the next, [`account`] follows every frame
//! to its one fate and stops the run when the sums do not add up, [`output`] writes it all down.
//!
//! Contract: a run is a pure function of (scenario, seed). The one field that is not is `wall_s`.
//! It does not check that the cost table resembles any real machine: costs are inputs.

pub mod account;
#[cfg(feature = "host")]
pub mod cli;
#[cfg(feature = "host")]
pub mod compare;
pub mod event;
pub mod exit;
pub mod fault;
pub mod filter;
pub mod guest;
#[cfg(feature = "host")]
pub mod interface;
#[cfg(feature = "host")]
pub mod interrupt;
pub mod libpcap;
#[cfg(feature = "host")]
pub mod lockstep;
#[cfg(feature = "host")]
pub mod nic;
pub mod output;
pub mod real_time;
pub mod report;
pub mod scenario;
pub mod source;
#[cfg(feature = "host")]
pub mod threads;
pub mod trace;
#[cfg(feature = "host")]
pub mod vm;
pub mod world;
