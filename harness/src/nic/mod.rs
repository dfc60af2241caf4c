//! The NIC as a daemon: the device model behind a vhost-user socket, in real time, with real traffic.
//!
//! ```text
//!   front-end (QEMU, DPDK, rxlab driver)          rxlab nic
//!     vhost-user socket  ------------------------  server, session     one thread, event loop
//!     vrings in shared memory  ------------------  lane 0, lane 1 ...  a thread per queue pair
//!                                                    |
//!                                                  feed: generator, capture file, TAP, AF_PACKET
//! ```
//!
//! A **lane** is a device of one queue pair with a thread of its own: nothing is shared between lanes but
//! guest memory, so that they need no lock. Which frame goes to which lane is decided where frames come
//! from, by the same receive-side scaling as in the device.
//!
//! Contract: the account adds up per lane and in total, at rest and in each snapshot: a lane gives its
//! numbers between two frames. Not checked: that the wall clock runs evenly.

pub mod asks;
pub mod build;
pub mod control;
pub mod daemon;
pub mod desk;
pub mod ears;
pub mod feed;
pub mod lane;
pub mod port;
pub mod rarp;
pub mod served;
pub mod session;
pub mod tally;
