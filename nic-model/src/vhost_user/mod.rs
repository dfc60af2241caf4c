//! The device behind a vhost-user socket.
//!
//! | module | what |
//! |---|---|
//! | [`request`] | messages, taken apart; pure |
//! | [`session`], [`port`] | the state machine of one connection: what is agreed, memory, vrings; what it makes the device do |
//! | [`connection`], [`channel`], [`server`] | bytes and file descriptors, both ways; the socket and its event loop |
//! | [`memory`], [`iotlb`], [`log`] | guest memory, translated and logged on request |
//! | [`inflight`] | what the next back-end needs if this one dies |
//!
//! Source: the vhost-user specification (docs/interop/vhost-user.rst in QEMU), and what QEMU and DPDK send.

mod asking;
pub mod channel;
pub mod connection;
pub mod error;
pub mod inflight;
pub mod iotlb;
pub mod log;
pub mod memory;
pub mod port;
pub mod request;
pub mod server;
pub mod session;
