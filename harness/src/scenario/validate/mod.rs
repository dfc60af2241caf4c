//! What a scenario may not be, although each value by itself is well written.
//!
//! Contract: a scenario that passes can be run: no value is out of range for the component that
//! takes it, no two values contradict each other, and virtual time does not overflow. The first
//! fault found is reported, with every key that could mend it.

mod fault;
mod host;
mod network;
mod traffic;

use std::fmt;

use super::error::{Fault, Origin};
use super::network::Window;
use super::tree::{Node, Step};
use super::units::Duration;
use super::{Bytes, Scenario};

/// Longest time from the first frame to the last: 100 days of the 213 that `u64` picoseconds hold.
const LONGEST_RUN: Duration = Duration(100 * 86_400 * SECOND);
/// Longest time of one piece of work.
const LONGEST_COST: Duration = Duration(SECOND);
pub(super) const SECOND: u64 = 1_000_000_000_000;
/// Largest memory of one kind: a mistake in the file shall not take the machine down.
const MEMORY_MAX: Bytes = Bytes(1 << 30);

/// Why a scenario cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {what}; {allowed}", keys.first().map_or("", String::as_str))]
pub struct Impossible {
    /// The keys that could mend it, as dotted paths such as `handle.0.reader.cpu`; the first is
    /// the one that is wrong if all are defaults.
    pub keys: Vec<String>,
    /// What is wrong.
    pub what: String,
    /// What is allowed.
    pub allowed: String,
}

impl Scenario {
    /// Checks what [`Scenario::parse`] checks; for scenarios made or changed by a program.
    ///
    /// # Errors
    /// The first value, or pair of values, that no run could have.
    pub fn validate(&self) -> Result<(), Impossible> {
        traffic::check(self)?;
        network::check(self)?;
        host::check(self)?;
        fault::check(self)
    }
}

impl Impossible {
    /// Points at the first of the keys that is written in the file or set.
    pub(super) fn placed(self, tree: &Node) -> Fault {
        let written = self.keys.iter().find_map(|key| find(tree, key));
        let nearest = || self.keys.first().map(|key| tree.nearest(&steps(key)).origin.clone());
        let origin = written.or_else(nearest).unwrap_or(tree.origin.clone());
        // The whole file is no place; its first character is.
        let origin = if origin == tree.origin { Origin { text: 0, span: 0..0 } } else { origin };
        Fault::new(origin, self.what, self.allowed)
    }
}

fn find(tree: &Node, key: &str) -> Option<Origin> {
    let node = steps(key).iter().try_fold(tree, |node, step| node.child(step))?;
    Some(node.origin.clone())
}

fn steps(key: &str) -> Vec<Step> {
    let step = |part: &str| part.parse().map_or_else(|_| Step::Key(part.to_owned()), Step::Index);
    key.split('.').map(step).collect()
}

pub(super) fn wrong<T>(
    keys: &[&str],
    what: impl Into<String>,
    allowed: impl Into<String>,
) -> Result<T, Impossible> {
    let keys = keys.iter().map(|&key| key.to_owned()).collect();
    Err(Impossible { keys, what: what.into(), allowed: allowed.into() })
}

/// `low <= value <= high`.
pub(super) fn within<T: Copy + PartialOrd + fmt::Display>(
    key: &str,
    value: T,
    low: T,
    high: T,
) -> Result<(), Impossible> {
    if value < low {
        return wrong(&[key], format!("{value} is too small"), format!("allowed: {low} to {high}"));
    }
    if value > high {
        return wrong(&[key], format!("{value} is too large"), format!("allowed: {low} to {high}"));
    }
    Ok(())
}

/// Windows that last and do not overlap, in whatever order they are written.
fn windows(key: &str, windows: &[Window]) -> Result<(), Impossible> {
    let mut sorted: Vec<(usize, &Window)> = windows.iter().enumerate().collect();
    sorted.sort_by_key(|(_, window)| window.at);
    let mut last_end = 0;
    for (index, window) in sorted {
        let key = format!("{key}.{index}");
        within(&format!("{key}.at"), window.at, Duration(0), LONGEST_RUN)?;
        within(&format!("{key}.for"), window.lasting, Duration(1), LONGEST_RUN)?;
        if window.at.0 < last_end {
            let what = format!("starts at {} inside the window before it", window.at);
            let allowed = format!("start it at {} or later, or join the two", Duration(last_end));
            return wrong(&[&format!("{key}.at")], what, allowed);
        }
        last_end = window.end_ps();
    }
    Ok(())
}
