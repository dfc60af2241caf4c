//! `rxlab faults`: every kind of fault that a scenario can ask for, from the table itself.

use crate::exit::Exit;
use crate::fault::{Key, Kind, Notice, Unit};
use crate::output::stdout;

/// Prints the table.
pub(super) fn faults() -> Exit {
    let mut text = String::new();
    for kind in Kind::ALL {
        let facts = kind.facts();
        let legal = if facts.legal { "legal" } else { "illegal" };
        text += &format!("{} ({}, {legal})\n  {}\n", facts.name, facts.place.name(), facts.effect);
        let cpu = if kind == Kind::CpuStolen { Key::Must } else { Key::No };
        let amount = if facts.amount == Unit::None { Key::No } else { Key::Must };
        let keys = [
            ("for", facts.lasting),
            ("queue", facts.queue),
            ("count", facts.count),
            ("amount", amount),
            ("cpu", cpu),
        ];
        let named = |(name, key): (&str, Key)| match key {
            Key::No => None,
            Key::May => Some(format!(", [{name}]")),
            Key::Must => Some(format!(", {name}")),
        };
        let keys: String = keys.into_iter().filter_map(named).collect();
        text += &format!("  keys: at | frame | chance{keys}\n");
        if facts.notice != Notice::Nobody {
            text += &format!("  must be noticed by: {}\n", facts.notice.name());
        }
        if !facts.counter.is_empty() {
            text += &format!("  counter: {}\n", facts.counter);
        }
    }
    match stdout::print(&text) {
        Ok(()) => Exit::Ok,
        Err(what) => {
            eprintln!("rxlab: {what}");
            Exit::Unexpected
        }
    }
}
