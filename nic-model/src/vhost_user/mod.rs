//! The device behind a vhost-user socket.
//!
//! | module | what |
//! |---|---|
//! | [`request`] | messages, taken apart; pure |
//! | [`session`] | the state machine of one connection: what is agreed, memory, vrings |
//! | [`memory`], [`iotlb`], [`log`] | guest memory, translated and logged on request |
//!
//! Source: the vhost-user specification (docs/interop/vhost-user.rst in QEMU), and what QEMU and DPDK send.

pub mod channel;
pub mod connection;
pub mod error;
pub mod iotlb;
pub mod log;
pub mod memory;
pub mod request;
pub mod server;
pub mod session;
