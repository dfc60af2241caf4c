//! The comparison for a terminal: engines side by side, one line per number.

use super::{Block, Column, Comparison};
use crate::account::Reason;
use crate::report::text::{count, time};
use crate::scenario::Scenario;
use crate::world::outcome::{End, HandleOutcome};
use npf_core::HandleCounters;
use std::fmt::Write as _;

/// Width of the first column.
const NAME: usize = 38;
/// Width of the others.
const VALUE: usize = 15;

/// A counter's name and where it comes from.
type Counter = (&'static str, fn(&HandleCounters) -> u64);
/// A number's name and how a run's is shown.
type Shown = (&'static str, fn(&Column) -> String);

/// Counters that are shown where one of them is not 0.
const COUNTS: [Counter; 7] = [
    ("counted", |counters| counters.counted),
    ("dumped", |counters| counters.dumped),
    ("sent", |counters| counters.sent),
    ("skipped", |counters| counters.skipped),
    ("truncated", |counters| counters.truncated),
    ("markers", |counters| counters.markers),
    ("resets", |counters| counters.resets),
];

/// How the driver worked: shown where a key outside the handles is varied.
const DRIVER: [Shown; 7] = [
    ("interrupts", |column| count(column.outcome.driver_count("interrupts"))),
    ("polls", |column| count(column.outcome.driver_count("polls"))),
    ("kicks", |column| count(column.outcome.driver_count("kicks"))),
    ("found by the watchdog", |column| {
        let outcome = &column.outcome;
        let kicks = outcome.driver_count("watchdog_kicks");
        count(outcome.driver_count("watchdog_recovered") + kicks)
    }),
    ("bytes copied by the driver", |column| count(column.outcome.driver_count("copied_bytes"))),
    ("spare buffers missing", |column| count(column.outcome.driver_count("spares_exhausted"))),
    ("CPU time of interrupts and polls", |column| {
        time(column.outcome.cpus.iter().map(|cpu| cpu.interrupt + cpu.poll).sum())
    }),
];

/// The tables of `comparison`, one per value of the varied key, and the closing lines. `repeat` is the
/// command that repeats it.
#[must_use]
pub fn table(scenario: &Scenario, comparison: &Comparison, wall_s: f64, repeat: &str) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_tables(&mut text, scenario, comparison, wall_s, repeat);
    text
}

fn write_tables(
    text: &mut String,
    scenario: &Scenario,
    comparison: &Comparison,
    wall_s: f64,
    repeat: &str,
) -> std::fmt::Result {
    writeln!(text, "{}", scenario.name)?;
    for line in scenario.description.trim().lines() {
        writeln!(text, "  {}", line.trim())?;
    }
    for block in &comparison.blocks {
        writeln!(text)?;
        if let (Some(key), Some(value)) = (&comparison.key, &block.value) {
            writeln!(text, "{key} = {value}")?;
        }
        write_block(text, block)?;
    }
    if comparison.blocks.len() > 1 {
        write_summary(text, comparison)?;
    }
    writeln!(text)?;
    closing(text, scenario, comparison, wall_s, repeat)
}

/// One table: what happened to the frames, then what it cost, per handle.
fn write_block(text: &mut String, block: &Block) -> std::fmt::Result {
    let columns = &block.columns;
    let names: Vec<String> = columns.iter().map(|c| c.engine.name().to_owned()).collect();
    line(text, "", &names)?;
    let counts = |of: &dyn Fn(&Column) -> u64| -> Vec<String> {
        columns.iter().map(|column| count(of(column))).collect()
    };
    line(text, "offered", &counts(&|c| c.outcome.total.offered))?;
    line(text, "delivered", &counts(&|c| c.outcome.total.delivered))?;
    line(text, "filtered", &counts(&|c| c.outcome.total.filtered))?;
    line(text, "dropped", &counts(&|c| c.outcome.total.dropped))?;
    for reason in Reason::all() {
        let of = |column: &Column| column.outcome.total.reasons[reason.index()];
        if columns.iter().any(|column| of(column) > 0) {
            line(text, &format!("  {}", reason.name()), &counts(&of))?;
        }
    }
    line(text, "held", &counts(&|c| c.outcome.held.sum()))?;
    let copies: Vec<String> = columns.iter().map(copies).collect();
    line(text, "times that each byte was copied", &copies)?;
    let handles = columns.first().map_or(0, |column| column.outcome.handles.len());
    for handle in 0..handles {
        if handles > 1 {
            let name = &columns[0].outcome.handles[handle].name;
            writeln!(text, "{name}:")?;
        }
        write_handle(text, columns, handle)?;
    }
    Ok(())
}

fn write_handle(text: &mut String, columns: &[Column], handle: usize) -> std::fmt::Result {
    let each = |of: &dyn Fn(&HandleOutcome) -> String| -> Vec<String> {
        columns.iter().map(|column| of(&column.outcome.handles[handle])).collect()
    };
    let first = |of: &dyn Fn(&crate::world::book::Drop) -> String| -> Vec<String> {
        let drop = |column: &Column| column.outcome.handles[handle].first_drop;
        columns.iter().map(|column| drop(column).map_or("-".into(), |drop| of(&drop))).collect()
    };
    line(text, "at its first drop: used here, B", &first(&|drop| count(drop.occupancy)))?;
    line(text, "                   free elsewhere, B", &first(&|drop| count(drop.free_elsewhere)))?;
    line(text, "buffer at its fullest, B", &each(&|h| count(h.peak)))?;
    line(text, "peak memory, B", &each(&|h| count(h.peak_memory)))?;
    for (name, of) in COUNTS {
        if columns.iter().any(|column| of(&column.outcome.handles[handle].counters) > 0) {
            line(text, name, &each(&|h| count(of(&h.counters))))?;
        }
    }
    line(text, "reads", &each(&|h| count(h.reads)))?;
    line(text, "wake-ups", &each(&|h| count(h.wakes)))?;
    line(text, "wire to reader, median", &each(&|h| time(h.latency.quantile(500))))?;
    line(text, "                99th percentile", &each(&|h| time(h.latency.quantile(990))))?;
    line(text, "                maximum", &each(&|h| time(h.latency.max)))
}

/// Bytes copied behind the driver for each byte that a handle kept or counted, with two decimals.
fn copies(column: &Column) -> String {
    let outcome = &column.outcome;
    match (outcome.copied * 100).checked_div(outcome.accepted_bytes) {
        Some(hundredths) => format!("{}.{:02}", hundredths / 100, hundredths % 100),
        None => "-".into(),
    }
}

/// What the varied key changes, at a glance: one small table per number.
fn write_summary(text: &mut String, comparison: &Comparison) -> std::fmt::Result {
    let Some(first) = comparison.blocks.first() else { return Ok(()) };
    let names: Vec<String> = first.columns.iter().map(|c| c.engine.name().to_owned()).collect();
    let key = comparison.key.as_deref().unwrap_or_default();
    let numbers: [Shown; 4] = [
        ("lost", loss),
        ("reads", |column| count(sum(column, |handle| handle.reads))),
        ("median latency", |column| {
            let worst = column.outcome.handles.iter().map(|handle| handle.latency.quantile(500));
            time(worst.max().unwrap_or(0))
        }),
        ("peak memory, B", |column| count(sum(column, |handle| handle.peak_memory))),
    ];
    // What the driver did tells nothing about a key of a handle.
    let driver: &[Shown] = if key.starts_with("handle.") { &[] } else { &DRIVER };
    for (number, of) in numbers.iter().chain(driver) {
        writeln!(text)?;
        line(text, &format!("{number} by {key}"), &names)?;
        for block in &comparison.blocks {
            let value = format!("  {}", block.value.as_deref().unwrap_or_default());
            line(text, &value, &block.columns.iter().map(*of).collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

/// One number over all handles of a run.
fn sum(column: &Column, of: fn(&HandleOutcome) -> u64) -> u64 {
    column.outcome.handles.iter().map(of).sum()
}

/// Dropped frames in per cent of the offered ones, with three decimals; integers only.
fn loss(column: &Column) -> String {
    let per_mille = super::loss_per_100_000(column);
    format!("{}.{:03} %", per_mille / 1000, per_mille % 1000)
}

fn line(text: &mut String, name: &str, values: &[String]) -> std::fmt::Result {
    write!(text, "{name:<NAME$}")?;
    // A name that is too long keeps its distance from the first value.
    if name.len() >= NAME {
        write!(text, "\n{:NAME$}", "")?;
    }
    for value in values {
        write!(text, "{value:>VALUE$}")?;
    }
    writeln!(text)
}

/// The last lines: whether every account adds up, and the command that repeats it.
fn closing(
    text: &mut String,
    scenario: &Scenario,
    comparison: &Comparison,
    wall_s: f64,
    repeat: &str,
) -> std::fmt::Result {
    let mut frames = 0;
    let mut broken = 0;
    for (value, column) in comparison.columns() {
        frames += column.outcome.total.offered;
        broken += u64::from(!column.outcome.ok());
        if !matches!(column.outcome.end, End::Complete) {
            let value = value.map_or(String::new(), |value| format!(" at {value}"));
            writeln!(text, "{}{value}: {}", column.engine.name(), column.outcome.end)?;
        }
    }
    let runs = comparison.columns().count();
    writeln!(
        text,
        "{runs} runs, each offered the same frames; offered = delivered + filtered + dropped + held in {}     account: {}",
        if broken == 0 { "each".into() } else { format!("all but {broken}") },
        if broken == 0 { "ok" } else { "BROKEN" }
    )?;
    writeln!(text, "seed {}  {} frames in {wall_s:.2} s", scenario.seed, count(frames))?;
    writeln!(text, "repeat: {repeat}")
}
