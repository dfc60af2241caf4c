//! Lockstep: the guest plays a scenario in virtual time, against a NIC that the host has.
//!
//! The world of the scenario (driver, NPF core, readers, clock) is in the guest. What it asks of the NIC goes
//! to the host over a port of its own, [`DEVICE_PORT`]; doorbells and interrupts are the machine's.

use serde::{Deserialize, Serialize};

use crate::Blob;

/// The virtio-serial port for what the guest's world asks of the host's NIC. Its messages are
/// [`frame::read_bytes`](crate::frame::read_bytes)'.
pub const DEVICE_PORT: &str = "org.rxlab.device";

/// A part of a run. [`Lockstep::Begin`] comes first, [`Lockstep::End`] last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Lockstep {
    /// The NIC is taken, the driver brought up. [`Reply::Nothing`](crate::Reply::Nothing).
    Begin {
        /// The scenario as a file.
        scenario: String,
        /// The name of that file; files in it are relative to its folder.
        file: String,
        /// Its filter expressions, each with a snap length and the program, 8 bytes an instruction.
        compiled: Vec<(String, u32, Blob)>,
        /// The folder that outputs go to.
        out: String,
        /// What is to be shown of it.
        trace: Trace,
    },
    /// So many steps of the schedule at most. [`Reply::Progress`](crate::Reply::Progress).
    Play {
        /// How many.
        steps: u64,
    },
    /// The run is over, or is ended here. [`Reply::Ended`](crate::Reply::Ended).
    End {
        /// Somebody wants it to end here.
        interrupted: bool,
        /// The command that repeats it, for the report.
        repeat: String,
    },
}

/// What is shown of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Trace {
    /// Nothing.
    #[default]
    Nothing,
    /// Pictures of virtqueues, so many at most.
    Rings(u64),
    /// Lines of what either side does, so many at most.
    Sides(u64),
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Steps of the schedule.
    pub steps: u64,
    /// Frames offered.
    pub offered: u64,
    /// Virtual time, in picoseconds.
    pub now_ps: u64,
    /// It is over.
    pub over: bool,
    /// Shown since the last time.
    pub shown: String,
    /// The account so far, as it is in `result.json`.
    pub account: String,
}

/// What a run has come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// The exit code that it would have in a program of its own.
    pub exit: u8,
    /// In words.
    pub end: String,
    /// The digest of all events.
    pub digest: u64,
    /// Whether the account adds up.
    pub adds_up: bool,
    /// Files that lie in the folder now, and their lengths.
    pub files: Vec<(String, u64)>,
    /// What went wrong with them.
    pub failed: Vec<String>,
    /// The last events, as lines of JSON, of a run that did not end well.
    pub last_events: String,
}
