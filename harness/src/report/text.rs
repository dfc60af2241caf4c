//! The report for a terminal.

use crate::account::{Reason, Tally};
use crate::scenario::Scenario;
use crate::world::book::Drop;
use crate::world::outcome::{End, Outcome};
use std::fmt::Write as _;

/// The report of `outcome`: table, reasons, closing lines. `repeat` is the command that repeats it.
#[must_use]
pub fn report(scenario: &Scenario, outcome: &Outcome, wall_s: f64, repeat: &str) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_report(&mut text, scenario, outcome, wall_s, repeat);
    text
}

fn write_report(
    text: &mut String,
    scenario: &Scenario,
    outcome: &Outcome,
    wall_s: f64,
    repeat: &str,
) -> std::fmt::Result {
    writeln!(text, "{}", scenario.name)?;
    for line in scenario.description.trim().lines() {
        writeln!(text, "  {}", line.trim())?;
    }
    writeln!(text)?;
    table(text, outcome)?;
    readers(text, outcome)?;
    cpus(text, outcome)?;
    drops(text, outcome)?;
    faults(text, outcome)?;
    if outcome.sent > 0 {
        writeln!(text, "{} of the frames were sent by handles, not received", count(outcome.sent))?;
    }
    for notice in &outcome.notices {
        writeln!(text, "note: {notice}")?;
    }
    if matches!(outcome.end, End::Complete) && outcome.held.sum() > 0 {
        writeln!(
            text,
            "note: {} frames are still held: {} in the FIFO and {} in used rings, by a fault or on their way; \
             {} in capture buffers, whose reader nothing wakes within run.drain",
            count(outcome.held.sum()),
            count(outcome.held.fifo),
            count(outcome.held.ring),
            count(outcome.held.core)
        )?;
    }
    if !matches!(outcome.end, End::Complete) {
        writeln!(text, "end: {}\n", outcome.end)?;
    }
    closing(text, scenario, outcome, wall_s, repeat)
}

fn table(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    writeln!(
        text,
        "{:<14}{:>13}{:>13}{:>13}{:>13}{:>10}",
        "", "offered", "delivered", "filtered", "dropped", "held"
    )?;
    let mut row = |name: &str, tally: &Tally, held: u64| {
        writeln!(
            text,
            "{name:<14}{:>13}{:>13}{:>13}{:>13}{:>10}",
            count(tally.offered),
            count(tally.delivered),
            count(tally.filtered),
            count(tally.dropped),
            count(held)
        )
    };
    let steered: u64 = outcome.queues.iter().map(|queue| queue.tally.offered).sum();
    let unsteered = outcome.total.offered - outcome.sent - steered;
    if unsteered > 0 {
        let tally = Tally { offered: unsteered, dropped: unsteered, ..Tally::default() };
        row("before RSS", &tally, 0)?;
    }
    for (index, queue) in outcome.queues.iter().enumerate() {
        row(&format!("rxq{index}"), &queue.tally, queue.held.sum())?;
    }
    for (index, handle) in outcome.handles.iter().enumerate() {
        let name =
            if handle.name.is_empty() { format!("handle {index}") } else { handle.name.clone() };
        row(&name, &handle.tally, handle.held)?;
    }
    writeln!(text)
}

fn readers(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    for (index, handle) in outcome.handles.iter().enumerate() {
        writeln!(
            text,
            "reader {index}: {} reads, {} of them empty; wire to reader {} (median), {} at most; \
             buffer {} of {} B at its fullest",
            count(handle.reads),
            count(handle.empty_reads),
            time(handle.latency.quantile(500)),
            time(handle.latency.max),
            count(handle.peak),
            count(handle.capacity),
        )?;
        if handle.refused_reads > 0 {
            writeln!(
                text,
                "note: {} reads of reader {index} were refused",
                count(handle.refused_reads)
            )?;
        }
    }
    Ok(())
}

fn cpus(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    for (index, cpu) in outcome.cpus.iter().enumerate() {
        let [interrupt, poll, reader] = [cpu.interrupt, cpu.poll, cpu.reader].map(time);
        write!(text, "cpu{index}: {interrupt} in interrupts, {poll} in polls, ")?;
        if cpu.worker > 0 {
            write!(text, "{} in workers, ", time(cpu.worker))?;
        }
        writeln!(text, "{reader} in readers")?;
    }
    let waited = outcome.nic_count("no_descriptor_held");
    if waited > 0 {
        writeln!(
            text,
            "not lost: {} frames had no descriptor and waited in the FIFO",
            count(waited)
        )?;
    }
    writeln!(text)
}

/// Why frames were dropped: the rule, and the first case with its numbers.
fn drops(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    for drop in &outcome.first_drops {
        let Drop { reason, at, frame, .. } = *drop;
        let total = outcome.total.reasons[reason.index()];
        writeln!(text, "{} {}: {}", count(total), reason.name(), reason.describe())?;
        write!(text, "  first: frame {frame} at {}", time(at))?;
        if let Some(queue) = drop.queue {
            write!(text, ", rxq{queue}")?;
        }
        if let Some(cpu) = drop.cpu {
            write!(text, ", cpu{cpu}")?;
        }
        if let Some(handle) = drop.handle {
            write!(text, ", handle {handle}")?;
        }
        let unit = reason.unit();
        let (need, capacity) = (count(drop.need), count(drop.capacity));
        match (drop.occupancy, drop.capacity) {
            // Nothing was full: the link was down, or the frame itself was at fault.
            (_, 0) => writeln!(text)?,
            (0, _) => writeln!(text, ": {need} {unit}, the limit is {capacity}")?,
            (used, _) => writeln!(
                text,
                ": {} of {capacity} {unit} in use, {need} needed, {} free elsewhere",
                count(used),
                count(drop.free_elsewhere)
            )?,
        }
    }
    if !outcome.first_drops.is_empty() {
        writeln!(text)?;
    }
    Ok(())
}

/// What was injected and who noticed; nothing in a run without faults.
fn faults(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let notices = &outcome.faults;
    if notices.kinds().next().is_none() {
        return Ok(());
    }
    writeln!(
        text,
        "{:<26}{:>10}{:>11}{:>13}{:>8}{:>12}  by the counter",
        "faults", "injected", "by driver", "by the lab", "moot", "unnoticed"
    )?;
    for kind in notices.kinds() {
        let (facts, of) = (kind.facts(), notices.count(kind));
        let line = format!(
            "  {:<24}{:>10}{:>11}{:>13}{:>8}{:>12}  {}",
            facts.name,
            count(of.injected),
            count(of.driver),
            count(of.laboratory),
            count(of.moot),
            count(notices.unnoticed(kind)),
            facts.counter
        );
        writeln!(text, "{}", line.trim_end())?;
    }
    for kind in notices.kinds().filter(|kind| notices.count(*kind).injected == 0) {
        writeln!(
            text,
            "  note: {} never acted: its occasion did not come, or there was nothing to act on",
            kind.name()
        )?;
    }
    if notices.false_frames + notices.frames_corrupted > 0 {
        writeln!(
            text,
            "  {} completions that were no frames were taken for some and kept back; {} frames reached \
             readers with other bytes",
            count(notices.false_frames),
            count(notices.frames_corrupted)
        )?;
    }
    writeln!(text)
}

/// The last lines: the account, and the command that repeats it.
fn closing(
    text: &mut String,
    scenario: &Scenario,
    outcome: &Outcome,
    wall_s: f64,
    repeat: &str,
) -> std::fmt::Result {
    account(text, outcome)?;
    let sim_s = outcome.sim_time_ps as f64 / 1e12;
    writeln!(
        text,
        "seed {}  digest {:016x}  sim {} in {wall_s:.2} s ({:.2}x)",
        scenario.seed,
        outcome.digest,
        time(outcome.sim_time_ps),
        sim_s / wall_s.max(1e-9)
    )?;
    writeln!(text, "repeat: {repeat}")
}

/// The account of all frames, and what the drops are made of.
///
/// # Errors
/// What `text` says; a `String` never does.
pub fn account(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let total = &outcome.total;
    writeln!(
        text,
        "offered {} = delivered {} + filtered {} + dropped {} + held {}     account: {}",
        count(total.offered),
        count(total.delivered),
        count(total.filtered),
        count(total.dropped),
        count(outcome.held.sum()),
        if outcome.ok() { "ok" } else { "BROKEN" }
    )?;
    if total.dropped > 0 {
        let reasons: Vec<String> =
            total.occurred().map(|(reason, n)| reason_with_place(outcome, reason, n)).collect();
        writeln!(text, "  dropped {} = {}", count(total.dropped), reasons.join(" + "))?;
    }
    Ok(())
}

/// `no_descriptor 6,101 (rxq3 97%)`: the queue is named when most of the drops are there.
fn reason_with_place(outcome: &Outcome, reason: Reason, total: u64) -> String {
    let of_queue = |index: usize| outcome.queues[index].tally.reasons[reason.index()];
    let most = (0..outcome.queues.len()).max_by_key(|index| of_queue(*index));
    let text = format!("{} {}", reason.name(), count(total));
    match most {
        Some(index) if outcome.queues.len() > 1 && of_queue(index) * 2 > total => {
            format!("{text} (rxq{index} {}%)", of_queue(index) * 100 / total)
        }
        _ => text,
    }
}

/// 1234567 as 1,234,567.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Picoseconds in the largest unit that leaves at least one whole digit, with three decimals at most.
#[must_use]
pub fn time(ps: u64) -> String {
    let (unit, name) = match ps {
        1_000_000_000_000.. => (1_000_000_000_000, "s"),
        1_000_000_000.. => (1_000_000_000, "ms"),
        1_000_000.. => (1_000_000, "us"),
        1000.. => (1000, "ns"),
        _ => return format!("{ps} ps"),
    };
    format!("{}.{:03} {name}", ps / unit, ps % unit * 1000 / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn times_choose_their_unit() {
        let cases = [(0, "0 ps"), (999, "999 ps"), (1000, "1.000 ns"), (1_500_000, "1.500 us")];
        for (ps, text) in cases {
            assert_eq!(time(ps), text);
        }
        assert_eq!(time(1_000_250_000_000), "1.000 s");
    }
}
