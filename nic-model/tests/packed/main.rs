//! Packed virtqueues: the same device, the same driver's doings, another format of ring. And what holds for
//! either format: queues that move from one back-end to the next, alive or dead.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod bytes;
mod fuse;
mod handover;
mod hostile;
mod inflight;
mod lab;
mod rings;
mod same;
