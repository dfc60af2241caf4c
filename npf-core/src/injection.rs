//! What injection gives back and why it is refused.
//!
//! Contract: as in `error.rs`: the text says what was refused, why, and what to do instead.

use std::fmt;

use crate::{SendQueueFault, TapWork};

/// What was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Injected {
    /// Frames sent, copies counted.
    pub copies: u32,
    /// What showing them to the handles took, write filter included; `frames` also counts those that
    /// came back.
    pub work: TapWork,
}

/// Why a written frame was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectError {
    /// No open handle has this number.
    NoSuchHandle {
        /// The number given.
        handle: u32,
    },
    /// The adapter has been removed (Npcap: STATUS_DEVICE_REMOVED).
    DeviceRemoved,
    /// A frame of no bytes (Npcap: STATUS_INVALID_PARAMETER).
    Empty,
    /// A frame longer than the adapter sends (Npcap: NDIS_STATUS_INVALID_LENGTH).
    TooLong {
        /// Bytes of the frame.
        len: usize,
        /// Most bytes that the adapter sends.
        limit: u32,
    },
    /// The write filter rejects the frame (FreeBSD: EPERM).
    Filtered,
}

/// The rhythm in which the frames of a send queue are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pacing {
    /// All at once (BIOCSENDPACKETSNOSYNC).
    None,
    /// By their times, as Npcap does since 1.70: a call returns when the next frame is more than
    /// 1 000 000 µs later than its first one; a frame that is up to 1000 µs earlier than one before it
    /// is sent at once, an earlier one is an error; gaps of 50 µs and more are slept through.
    Npcap1_70,
    /// By their times, as WinPcap did: a call returns when the seconds of the next frame, without
    /// their fraction, are more than 1 above those of its first one; an earlier frame is sent at once,
    /// however early it is; the CPU spins all the time.
    WinPcap,
}

/// What is to be done after a step of sending a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransmitNext {
    /// The call in progress waits for the time of the next frame.
    Wait {
        /// When that is, in picoseconds.
        until: u64,
        /// The CPU is kept busy until then, rather than left to others.
        spins: bool,
    },
    /// The call has returned, with the queue only partly sent; the user-level loop waits before it
    /// calls again with the rest.
    Returned {
        /// When it calls again, in picoseconds.
        resume_at: u64,
    },
    /// The whole queue is sent.
    Done,
}

/// What one step of sending a queue did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmitted {
    /// What is to be done next.
    pub next: TransmitNext,
    /// What was sent.
    pub injected: Injected,
}

/// What stopped the sending of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransmitError {
    /// Where in the queue, in bytes.
    pub at: usize,
    /// Why.
    pub fault: TransmitFault,
}

/// Why the sending of a queue cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransmitFault {
    /// The bytes are no queue (Npcap: STATUS_INVALID_PARAMETER).
    Malformed(SendQueueFault),
    /// The frame is refused.
    Refused(InjectError),
    /// The frame is too much earlier than one before it (Npcap 1.70: RPC_NT_INVALID_TIMEOUT).
    OutOfOrder {
        /// By how much, in microseconds.
        early: i64,
    },
    /// The frame is due after the end of the clock.
    TooLate,
}

impl From<InjectError> for TransmitFault {
    fn from(error: InjectError) -> Self {
        TransmitFault::Refused(error)
    }
}

impl From<SendQueueFault> for TransmitFault {
    fn from(fault: SendQueueFault) -> Self {
        TransmitFault::Malformed(fault)
    }
}

impl fmt::Display for InjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InjectError::NoSuchHandle { handle } => write!(
                f,
                "handle {handle} is not open; use a number that open() gave and close() did not take"
            ),
            InjectError::DeviceRemoved => {
                write!(f, "the adapter has been removed; nothing can be sent any more")
            }
            InjectError::Empty => write!(f, "a frame of 0 bytes cannot be sent; leave it out"),
            InjectError::TooLong { len, limit } => write!(
                f,
                "a frame of {len} bytes is longer than the {limit} that the adapter sends; shorten it"
            ),
            InjectError::Filtered => {
                write!(f, "the write filter rejects the frame; change the filter or the frame")
            }
        }
    }
}

impl std::error::Error for InjectError {}

impl fmt::Display for TransmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "send queue, byte {}: {}", self.at, self.fault)
    }
}

impl std::error::Error for TransmitError {}

impl fmt::Display for TransmitFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransmitFault::Malformed(SendQueueFault::Header { left }) => write!(
                f,
                "{left} bytes are left, which is less than the header of a frame; cut the queue there"
            ),
            TransmitFault::Malformed(SendQueueFault::Frame { caplen, left }) => write!(
                f,
                "a frame of {caplen} bytes is announced and {left} bytes are left; correct the length"
            ),
            TransmitFault::Refused(error) => error.fmt(f),
            TransmitFault::OutOfOrder { early } => write!(
                f,
                "the frame is {early} µs earlier than one before it; sort the queue by time"
            ),
            TransmitFault::TooLate => {
                write!(f, "the frame is due after the end of the clock; shorten the gaps")
            }
        }
    }
}
