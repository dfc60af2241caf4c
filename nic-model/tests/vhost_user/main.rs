//! The vhost-user session against front-ends that send anything in any order, and connections against peers that
//! break off anywhere.

#![cfg(feature = "vhost-user")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod channel;
mod inflight;
mod properties;
mod record;
mod session;
mod stream;
