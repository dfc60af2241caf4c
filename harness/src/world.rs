//! Worlds: places where the three components meet. This one is `embedded`, in one process under a
//! virtual clock.
//!
//! - [`embedded`]: the event loop; who runs when.
//! - [`book`]: what every effect of a component does to the account, the events and the outputs.
//! - [`setup`]: builds a world from a scenario, and brings the driver up.
//! - [`port`]: the driver's registers, which are the device's.
//! - [`cpu`], [`schedule`]: virtual CPUs and the list of what is due.
//! - [`capture`]: `capture.pcapng`, with the fate of each frame.
//! - [`dump`]: capture files that the driver or a reading program writes.
//! - [`latency`]: from the wire to the reader.
//! - [`control`]: what a program changes on its handle while it runs.
//! - [`driver_control`]: what is done to the driver while it runs.
//! - [`reader`]: the rhythm of each reading application.
//! - [`files`]: what a run writes into its folder.
//! - [`nic`]: the NIC, in this process or at the other end of a wire.
//! - [`laboratory`]: the world for a program of one's own, written with npf-core's capture API.
//! - [`lent`]: buffers that the network stack keeps.
//! - [`outcome`]: what a run leaves behind.

pub mod book;
pub mod capture;
pub mod control;
pub mod cpu;
pub mod driver_control;
pub mod dump;
pub mod embedded;
mod engine;
pub mod files;
mod holdings;
pub mod laboratory;
pub mod latency;
pub mod lent;
pub mod nic;
pub mod outcome;
pub mod port;
pub mod reader;
pub mod schedule;
pub mod setup;
mod tap;
