//! What is due when: a heap of (time, sequence), earliest first.
//!
//! Contract: actions at the same picosecond run in the order in which they were scheduled, so the
//! order is a function of the scenario alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What may be scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// The running job of `cpu` ends, unless it was paused since (then `token` is stale).
    JobEnds {
        /// Virtual CPU.
        cpu: u16,
        /// Which start of a job this belongs to.
        token: u64,
    },
    /// The read timeout of a waiting reader, unless it was woken since.
    ReadTimeout {
        /// Handle.
        handle: u32,
        /// Which wait this belongs to.
        token: u64,
    },
    /// A reader that stalls, or keeps its period, may read again.
    ReaderResumes {
        /// Handle.
        handle: u32,
    },
    /// A control of a handle.
    Control {
        /// Handle.
        handle: u32,
        /// Which of its controls.
        index: u32,
    },
    /// Something is done to the driver.
    DriverControl {
        /// Which of its controls.
        index: u32,
    },
    /// The process that reads a handle forks.
    Fork {
        /// Handle.
        handle: u32,
    },
    /// The dump thread of a handle looks, whether or not it was woken.
    DumpPeriod {
        /// Handle.
        handle: u32,
    },
    /// A program sends, or goes on sending.
    Send {
        /// Handle.
        handle: u32,
        /// Which of its sends.
        index: u32,
    },
    /// The device asks the driver to announce itself.
    Announce,
    /// The adapter is removed under its handles.
    Detach,
    /// The link goes up or down.
    Link {
        /// New state.
        up: bool,
    },
    /// A fault begins.
    FaultBegins {
        /// Which `[[fault]]`.
        index: usize,
    },
    /// A fault ends.
    FaultEnds {
        /// Which `[[fault]]`.
        index: usize,
    },
    /// A message that a fault has kept or doubled arrives.
    Message {
        /// MSI-X vector.
        vector: u16,
        /// Virtual CPU.
        cpu: u16,
    },
}

/// The heap. See the module's contract.
#[derive(Default)]
pub struct Schedule {
    heap: BinaryHeap<Reverse<(u64, u64, Action)>>,
    sequence: u64,
}

impl Schedule {
    /// Schedules `action` for `at`.
    #[inline]
    pub fn add(&mut self, at: u64, action: Action) {
        self.sequence += 1;
        self.heap.push(Reverse((at, self.sequence, action)));
    }

    /// When the next action is due.
    #[inline]
    #[must_use]
    pub fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Whether such an action is ever due.
    #[must_use]
    pub fn any(&self, is: impl Fn(&Action) -> bool) -> bool {
        self.heap.iter().any(|Reverse((.., action))| is(action))
    }

    /// Takes the next action.
    #[inline]
    pub fn take(&mut self) -> Option<Action> {
        self.heap.pop().map(|Reverse((.., action))| action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_keep_the_order_of_scheduling() {
        let mut schedule = Schedule::default();
        schedule.add(5, Action::Link { up: true });
        schedule.add(5, Action::JobEnds { cpu: 0, token: 0 });
        schedule.add(4, Action::ReaderResumes { handle: 0 });
        assert_eq!(schedule.next_at(), Some(4));
        assert_eq!(schedule.take(), Some(Action::ReaderResumes { handle: 0 }));
        assert_eq!(schedule.take(), Some(Action::Link { up: true }));
        assert_eq!(schedule.take(), Some(Action::JobEnds { cpu: 0, token: 0 }));
        assert_eq!(schedule.take(), None);
    }
}
