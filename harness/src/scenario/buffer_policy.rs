//! `driver.buffer_policy`: what becomes of a receive buffer that holds a frame.
//!
//! Contract: pure data; the driver crate says what each policy does.

use serde::{Deserialize, Serialize};

/// What becomes of a receive buffer that holds a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BufferPolicy {
    /// The frame is copied, the buffer recycled.
    Copy,
    /// The buffer is handed over to the stack, and a spare one takes its place.
    PageFlip,
    /// The header is copied from a buffer of its own, the payload's buffer handed over.
    HeaderSplit,
}

/// What happens to a frame whose buffer cannot be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exhausted {
    /// It is copied.
    Copy,
    /// It is dropped.
    Drop,
}
