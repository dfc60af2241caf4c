//! The exit codes of `rxlab`: a stable, public contract for scripts and CI.
//!
//! A broken account must never look like a full disk, and a mistyped option never like either; hence
//! one code for each kind of end. A code once given out keeps its meaning.

use std::fmt::Write as _;
use std::process::{ExitCode, Termination};

/// How a run of `rxlab` ended. `main` returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// The run ended as it should; lost frames are a result, not an error.
    Ok = 0,
    /// Something outside the model went wrong: a file, memory, a signal handler.
    Unexpected = 1,
    /// The command line or the scenario file is wrong; nothing ran.
    Usage = 2,
    /// The account does not add up, or a drop happened that the state does not justify.
    AccountBroken = 10,
    /// Work was there, and nothing moved any more.
    NoProgress = 11,
    /// The same scenario and seed gave different bytes.
    NotDeterministic = 12,
    /// Two worlds gave the same scenario different accounts.
    WorldsDisagree = 13,
    /// Ctrl-C or SIGTERM stopped the run.
    Interrupted = 130,
}

impl Exit {
    /// All of them, ascending by code.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Unexpected,
        Self::Usage,
        Self::AccountBroken,
        Self::NoProgress,
        Self::NotDeterministic,
        Self::WorldsDisagree,
        Self::Interrupted,
    ];

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The one of this number.
    pub fn of(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| exit.code() == code)
    }

    /// Its meaning in a few words, as help and man page print it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "ok: the run ended and its account adds up (drops are a result)",
            Self::Unexpected => "unexpected: a file, memory or the system failed",
            Self::Usage => "usage: the command line or the scenario is wrong, nothing ran",
            Self::AccountBroken => "account or safety broken: a frame without exactly one fate",
            Self::NoProgress => "no progress: work was left and nothing moved",
            Self::NotDeterministic => "not deterministic: same scenario and seed, other bytes",
            Self::WorldsDisagree => "worlds disagree: same scenario, another account",
            Self::Interrupted => "interrupted by Ctrl-C or SIGTERM",
        }
    }
}

/// The table for help and man page: one `code  meaning` per line.
pub fn table() -> String {
    let mut text = String::new();
    for exit in Exit::ALL {
        let _ = writeln!(text, "{:>5}  {}", exit.code(), exit.meaning());
    }
    text
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_frozen_and_the_table_names_each() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 10, 11, 12, 13, 130]);
        assert!(Exit::ALL.is_sorted());
        let table = table();
        assert_eq!(table.lines().count(), Exit::ALL.len());
        assert!(table.contains("\n   10  account or safety broken"));
        assert!(table.contains("\n  130  interrupted"));
    }
}
