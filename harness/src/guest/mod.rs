//! The guest's side in real time: the driver in threads, the NPF core behind it, a thread per reader.
//!
//! ```text
//!   back-end (rxlab nic, DPDK net_vhost)          this process
//!     vrings in shared memory  -----------------  lane 0, lane 1 ...   a driver of one pair each
//!                                                    | tap
//!                                                  handles: filter, capture buffer
//!                                                    | wake-up
//!                                                  readers, a thread each
//! ```
//!
//! Contract: at rest, each handle's account adds up: every frame that the drivers indicated was shown to it,
//! and is delivered, filtered, dropped for one reason or still held. While frames flow a snapshot is a
//! consistent one: no frame has a fate behind a place that has not counted it.
//!
//! Readers keep the rhythm of the scenario by the wall clock. Not modelled here: the costs, which are times
//! of the virtual clock.

//!
//! The agent of a VM's guest has one driver of all pairs instead of lanes; handles, tap and readers are the same.

pub mod account;
pub mod handles;
#[cfg(feature = "host")]
pub mod lane;
pub mod offer;
pub mod reader;
#[cfg(feature = "host")]
pub mod session;
pub mod tap;
