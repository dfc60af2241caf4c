//! The account of the threads world as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::Outcome;
use super::account::{Account, QueueAccount};
use crate::guest::account::HandleAccount;
use crate::report::text::count;
use crate::scenario::Scenario;

/// Version of the JSON.
const VERSION: u32 = 1;

/// The report of a run that is over. `repeat` is the command that repeats it.
#[must_use]
pub fn text(scenario: &Scenario, outcome: &Outcome, repeat: &str) -> String {
    let mut text = format!("{}\n", scenario.name);
    for line in scenario.description.trim().lines() {
        text += &format!("  {}\n", line.trim());
    }
    text += "\n";
    text += &account(&outcome.account);
    let ways = if outcome.polled { "polling" } else { "by kicks and interrupts" };
    let _ = match outcome.placed.as_slice() {
        [] => writeln!(text, "threads: NIC and driver {ways}, on any CPU"),
        placed => {
            let places: Vec<String> =
                placed.iter().map(|(nic, driver)| format!("{nic}+{driver}")).collect();
            writeln!(text, "threads: NIC and driver {ways}, on CPUs {}", places.join(", "))
        }
    };
    for fault in &outcome.faults {
        let _ = writeln!(text, "note: {fault}");
    }
    if outcome.interrupted {
        let _ = writeln!(text, "end: interrupted");
    }
    let seconds = outcome.wall.as_secs_f64();
    let rate = outcome.account.offered() as f64 / seconds.max(1e-9) / 1e6;
    let _ = writeln!(text, "seed {}  wall {seconds:.2} s  {rate:.3} Mpps offered", scenario.seed);
    let _ = writeln!(text, "account: {}", outcome.account.check().err().unwrap_or("ok".into()));
    let _ = writeln!(text, "repeat: {repeat}");
    text
}

/// The table of an account, and what its drops are made of.
#[must_use]
pub fn account(account: &Account) -> String {
    let mut text = format!(
        "{:<14}{:>13}{:>13}{:>13}{:>10}{:>10}\n",
        "", "offered", "indicated", "dropped", "in FIFO", "in ring"
    );
    for (number, queue) in account.queues.iter().enumerate() {
        let (fifo, ring) = queue.held();
        let cells = [queue.nic.device.offered, queue.indicated, queue.dropped()].map(count);
        let _ = writeln!(
            text,
            "{:<14}{:>13}{:>13}{:>13}{:>10}{:>10}",
            format!("rxq{number}"),
            cells[0],
            cells[1],
            cells[2],
            count(fifo),
            count(ring)
        );
    }
    let _ = writeln!(
        text,
        "\n{:<14}{:>13}{:>13}{:>13}{:>10}{:>10}",
        "", "shown", "delivered", "filtered", "dropped", "held"
    );
    for handle in &account.handles {
        let counters = &handle.counters;
        let cells = [counters.shown, handle.delivered(), counters.filtered].map(count);
        let _ = writeln!(
            text,
            "{:<14}{:>13}{:>13}{:>13}{:>10}{:>10}",
            handle.name,
            cells[0],
            cells[1],
            cells[2],
            count(counters.dropped_total()),
            count(handle.held())
        );
    }
    text += "\n";
    for (reason, frames) in account.nic_drops() {
        let _ = writeln!(text, "{} {}: {}", count(frames), reason.name(), reason.describe());
    }
    let by_driver: u64 = account.queues.iter().map(|queue| queue.driver_dropped).sum();
    if by_driver > 0 {
        let _ = writeln!(text, "{} dropped by the driver", count(by_driver));
    }
    for handle in &account.handles {
        for (reason, frames) in handle.drops() {
            let _ = writeln!(
                text,
                "{} {} ({}): {}",
                count(frames),
                reason.name(),
                handle.name,
                reason.describe()
            );
        }
    }
    text
}

/// The report as JSON, on several lines (`schemas/threads.schema.json`).
#[must_use]
pub fn json(scenario: &Scenario, outcome: &Outcome) -> String {
    let Outcome { account, wall, placed, polled, interrupted, faults } = outcome;
    let value = json!({
        "v": VERSION,
        "world": "threads",
        "name": scenario.name,
        "seed": scenario.seed,
        "end": if *interrupted { "interrupted" } else { "complete" },
        "account": {
            "offered": account.offered(),
            "indicated": account.indicated(),
            "dropped": account.dropped(),
            "held": account.held(),
            "ok": account.check().is_ok(),
        },
        "queues": account.queues.iter().map(queue).collect::<Vec<_>>(),
        "handles": account.handles.iter().map(HandleAccount::json).collect::<Vec<_>>(),
        "cpus": placed.iter().map(|(nic, driver)| json!({"nic": nic, "driver": driver})).collect::<Vec<_>>(),
        "polled": polled,
        "wall_s": wall.as_secs_f64(),
        "notices": faults,
        "scenario": scenario,
    });
    // Maps have string keys and numbers are finite, so this cannot fail.
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}

fn queue(queue: &QueueAccount) -> Value {
    let (fifo, ring) = queue.held();
    let mut all: Map<String, Value> = queue.nic.json().as_object().cloned().unwrap_or_default();
    all.insert("indicated".into(), queue.indicated.into());
    all.insert("driver_dropped".into(), queue.driver_dropped.into());
    all.insert("held_in".into(), json!({ "fifo": fifo, "ring": ring }));
    all.into()
}
