//! What can go wrong with a source.
//!
//! Contract: each error says what is wrong, where (file, offset, record), and what to do.

use std::path::PathBuf;

/// Why a source cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be opened or read.
    #[error("cannot read the capture {}: {error}; give the path of a pcap or pcapng file (in a scenario, traffic.file starts at the folder of the scenario file)", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is no capture, or damaged in its first bytes.
    #[error(transparent)]
    Damaged(#[from] SourceFault),
}

/// What is wrong inside a capture file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what} (byte {offset}, {records} records read before it); {advice}", path.display())]
pub struct SourceFault {
    /// The file.
    pub path: PathBuf,
    /// Where the damaged header, block or record starts, in bytes from the start of the file.
    pub offset: u64,
    /// Whole records that came before.
    pub records: u64,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub advice: &'static str,
}

/// Something odd that a source met, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its name in machine-readable output.
    pub name: &'static str,
    /// How often.
    pub count: u64,
    /// What it means.
    pub text: &'static str,
}
