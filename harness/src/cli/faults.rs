//! `rxlab faults`: every kind of fault that a scenario can ask for, from the table itself.

use crate::exit::Exit;
use crate::fault::{Key, Kind, Notice};

/// Prints the table.
pub(super) fn faults() -> Exit {
    let mut text = String::new();
    for kind in Kind::ALL {
        let facts = kind.facts();
        let legal = if facts.legal { "legal" } else { "illegal" };
        text += &format!("{} ({}, {legal})\n  {}\n", facts.name, facts.place.name(), facts.effect);
        let named = |(name, key): (&str, Key)| match key {
            Key::No => None,
            Key::May => Some(format!(", [{name}]")),
            Key::Must => Some(format!(", {name}")),
        };
        let keys: String = kind.keys().into_iter().filter_map(named).collect();
        text += &format!("  keys: at | frame | chance{keys}\n");
        if facts.notice != Notice::Nobody {
            text += &format!("  must be noticed by: {}\n", facts.notice.name());
        }
        if !facts.counter.is_empty() {
            text += &format!("  counter: {}\n", facts.counter);
        }
    }
    super::print(Ok(text))
}
