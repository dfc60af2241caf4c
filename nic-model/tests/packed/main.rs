//! Packed virtqueues: the same device, the same driver's doings, another format of ring.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod bytes;
mod hostile;
mod lab;
mod rings;
mod same;
