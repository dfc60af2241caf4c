//! The machine behind the NIC: CPUs, the time their work takes, how a run ends and what it writes.
//!
//! Contract: pure data. The costs are inputs chosen for teaching, of the order of magnitude of one
//! 3 GHz server core; they are no claim about any machine, and every one can be set.

use serde::{Deserialize, Serialize};

use super::units::Duration;

/// `[cpus]`: the virtual CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cpus {
    /// How many; left out: one per channel and one for the reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u16>,
    /// CPU of each RX queue's interrupt; left out: queue i on CPU i, modulo the count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx: Option<Vec<u16>>,
}

/// `[costs]`: what each piece of work takes on a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Costs {
    /// Taking an interrupt, up to the driver's handler. 500 ns.
    pub interrupt_entry: Duration,
    /// Starting a poll. 100 ns.
    pub poll_entry: Duration,
    /// Driver's work per received frame. 60 ns.
    pub poll_frame: Duration,
    /// Tap's work per frame and handle: lock, header, accounting. 40 ns.
    pub tap_frame: Duration,
    /// One instruction of the filter. 2 ns.
    pub filter_instruction: Duration,
    /// Copying one byte. 60 ps, some 16 GB/s.
    pub copy_byte: Duration,
    /// Posting one receive buffer. 15 ns.
    pub refill_frame: Duration,
    /// Notifying the device (a doorbell write). 300 ns.
    pub kick: Duration,
    /// Entering and leaving the kernel. 300 ns.
    pub system_call: Duration,
    /// From the wake-up of a sleeping reader to its first instruction. 3 us.
    pub wake_up: Duration,
    /// The worker's work per request, in the design that has one: dequeue, lock, header. 250 ns.
    pub worker_request: Duration,
    /// Running a compiled filter once. 5 ns.
    pub filter_compiled: Duration,
    /// One write to a file, beside the system call and the copy. 1 us.
    pub file_write: Duration,
    /// A read's work per record. 30 ns.
    pub read_record: Duration,
    /// The reader's own work per frame. 50 ns.
    pub reader_frame: Duration,
    /// The reader's own work per captured byte. 0 ps.
    pub reader_byte: Duration,
}

impl Default for Costs {
    fn default() -> Self {
        Self {
            interrupt_entry: Duration(500_000),
            poll_entry: Duration(100_000),
            poll_frame: Duration(60_000),
            tap_frame: Duration(40_000),
            filter_instruction: Duration(2_000),
            copy_byte: Duration(60),
            refill_frame: Duration(15_000),
            kick: Duration(300_000),
            system_call: Duration(300_000),
            wake_up: Duration(3_000_000),
            worker_request: Duration(250_000),
            filter_compiled: Duration(5_000),
            file_write: Duration(1_000_000),
            read_record: Duration(30_000),
            reader_frame: Duration(50_000),
            reader_byte: Duration(0),
        }
    }
}

impl Costs {
    /// Every cost by the name that it has in the file.
    pub fn named(&self) -> [(&'static str, Duration); 16] {
        [
            ("interrupt_entry", self.interrupt_entry),
            ("poll_entry", self.poll_entry),
            ("poll_frame", self.poll_frame),
            ("tap_frame", self.tap_frame),
            ("filter_instruction", self.filter_instruction),
            ("copy_byte", self.copy_byte),
            ("refill_frame", self.refill_frame),
            ("kick", self.kick),
            ("system_call", self.system_call),
            ("wake_up", self.wake_up),
            ("worker_request", self.worker_request),
            ("filter_compiled", self.filter_compiled),
            ("file_write", self.file_write),
            ("read_record", self.read_record),
            ("reader_frame", self.reader_frame),
            ("reader_byte", self.reader_byte),
        ]
    }
}

/// `[run]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunOptions {
    /// How long after the last frame the machine may go on emptying its buffers.
    pub drain: Duration,
    /// When the adapter is removed under its handles: what they hold stays readable, and later frames
    /// reach nobody. Left out: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detach_at: Option<Duration>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { drain: Duration(5_000_000_000_000), detach_at: None }
    }
}

/// `[output]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Output {
    /// Which events `events.ndjson` holds.
    pub events: EventsOutput,
    /// Which frames the capture file holds.
    pub capture: CaptureOutput,
}

impl Default for Output {
    fn default() -> Self {
        Self { events: EventsOutput::All, capture: CaptureOutput::Delivered }
    }
}

/// Which events are written down. The digest always covers all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventsOutput {
    /// Every step of every frame: some ten lines a frame.
    All,
    /// Drops only.
    Losses,
    /// No file.
    None,
}

/// Which frames `capture.pcapng` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaptureOutput {
    /// What readers were given.
    Delivered,
    /// Every offered frame, with its fate as a comment.
    All,
    /// No capture file.
    None,
}
