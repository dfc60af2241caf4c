//! What ends a wait for a guest before its patience does: somebody who wants the end, or a moment.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// See the module. Nothing ends a wait by default.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Set by who wants the end.
    pub asked: Arc<AtomicBool>,
    /// The moment.
    pub at: Option<Instant>,
}

/// Which of them it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Somebody wants the end.
    Asked,
    /// The time is over.
    TimeLimit,
}

impl Stop {
    /// What says that it is to end now, if anything does.
    #[must_use]
    pub fn now(&self) -> Option<Stopped> {
        let late = || self.at.is_some_and(|at| Instant::now() >= at);
        match self.asked.load(Ordering::Relaxed) {
            true => Some(Stopped::Asked),
            false => late().then_some(Stopped::TimeLimit),
        }
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "stopped",
            Self::TimeLimit => "the time limit is reached",
        })
    }
}
