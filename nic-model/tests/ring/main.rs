//! Split virtqueues by themselves: both implementations, beside each other and beside the specification.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod any_bytes;
mod checklist;
mod in_order;
mod indirect;
mod lab;
mod same;
