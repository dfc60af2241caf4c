//! `rxlab bench sim`: how fast the laboratory itself is, and how much memory it takes.
//!
//! Times are medians of several runs, the variants in turn, because machines drift; a single time
//! means nothing. Memory is measured in processes of their own, because a peak never falls.

use super::{Figures, Spread, show};
use crate::cli::print;
use crate::exit::Exit;
use crate::report::text::count;
use crate::scenario::Scenario;
use crate::world::embedded::{Embedded, Unwatched};
use crate::world::outcome::End;
use crate::world::setup;
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

/// The scenario that is timed: 64-byte frames at line rate, no filter, a reader that keeps up.
const SCENARIO: &str = include_str!("../../../../scenarios/line-rate-64b.toml");

/// Numbers of queues whose cost per frame is compared.
const QUEUES: [u16; 4] = [1, 4, 16, 64];

/// What to measure.
#[derive(Args)]
pub struct SimArgs {
    /// Frames per timed run.
    #[arg(long, default_value_t = 1_000_000)]
    frames: u64,
    /// Timed runs of each variant.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Frames of the larger memory run; the smaller one has a tenth.
    #[arg(long, default_value_t = 10_000_000)]
    memory_frames: u64,
    /// Print the figures as JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// Play so many frames once and print this process's peak memory in KiB.
    #[arg(long, hide = true)]
    memory_probe: Option<u64>,
}

/// Runs the benchmark.
pub fn sim(args: &SimArgs) -> Exit {
    match args.memory_probe {
        Some(frames) => print(probe(frames)),
        None => show(args.json, measure(args)),
    }
}

/// The figures.
#[derive(Serialize)]
struct Table {
    frames: u64,
    runs: usize,
    queues: Vec<Row>,
    /// Peak memory, small run and large run.
    memory: [Memory; 2],
}

/// So many queues.
#[derive(Serialize)]
struct Row {
    queues: u16,
    frames_per_s: u64,
    ns_per_frame: u64,
    events_per_s: u64,
}

/// The most memory that a process took which played so many frames.
#[derive(Serialize)]
struct Memory {
    frames: u64,
    peak_kib: u64,
}

impl Figures for Table {
    const BENCH: &'static str = "sim";

    fn value(&self) -> Result<Value, String> {
        serde_json::to_value(self).map_err(|error| error.to_string())
    }

    fn text(&self) -> String {
        let mut table = format!(
            "{} frames of 64 B per run, one thread, account and digest on, no files; median of {}\n",
            count(self.frames),
            self.runs
        );
        table +=
            &format!("{:>7}{:>16}{:>14}{:>12}\n", "queues", "frames/s", "ns/frame", "events/s");
        for Row { queues, frames_per_s, ns_per_frame, events_per_s } in &self.queues {
            let [frames, events] = [frames_per_s, events_per_s].map(|figure| count(*figure));
            table += &format!("{queues:>7}{frames:>16}{ns_per_frame:>14}{events:>12}\n");
        }
        let [less, more] = &self.memory;
        table += &format!(
            "peak memory, 4 queues: {} KiB for {} frames, {} KiB for {} frames\n",
            count(less.peak_kib),
            count(less.frames),
            count(more.peak_kib),
            count(more.frames)
        );
        table
    }
}

fn measure(args: &SimArgs) -> Result<Table, String> {
    let runs = args.runs.max(1);
    let mut times = vec![Vec::new(); QUEUES.len()];
    let mut events = [0; QUEUES.len()];
    for _ in 0..runs {
        for (variant, queues) in QUEUES.into_iter().enumerate() {
            let (time, seen) = play(args.frames, queues)?;
            times[variant].push(time.as_nanos() as f64);
            events[variant] = seen;
        }
    }
    let row = |(variant, queues): (usize, u16)| {
        let median = Spread::of(&times[variant]).map_or(0.0, |spread| spread.median);
        let median = (median as u64).max(1);
        let per_second = |n: u64| (u128::from(n) * 1_000_000_000 / u128::from(median)) as u64;
        Row {
            queues,
            frames_per_s: per_second(args.frames),
            ns_per_frame: median / args.frames.max(1),
            events_per_s: per_second(events[variant]),
        }
    };
    let memory = |frames: u64| peak_of(frames).map(|peak_kib| Memory { frames, peak_kib });
    let large = args.memory_frames;
    Ok(Table {
        frames: args.frames,
        runs,
        queues: QUEUES.into_iter().enumerate().map(row).collect(),
        memory: [memory(large / 10)?, memory(large)?],
    })
}

/// The peak memory, in KiB, of a process that plays so many frames.
fn peak_of(frames: u64) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(["bench", "sim", "--memory-probe", &frames.to_string()])
        .output()
        .map_err(|error| format!("cannot start the memory probe: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| format!("the memory probe printed `{}`", text.trim()))
}

fn probe(frames: u64) -> Result<String, String> {
    play(frames, 4)?;
    let status = std::fs::read_to_string("/proc/self/status")
        .map_err(|error| format!("/proc/self/status: {error}"))?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next())
        .ok_or("/proc/self/status has no VmHWM")?;
    Ok(format!("{peak}\n"))
}

/// Plays the scenario once: how long it took, and how many events there were.
fn play(frames: u64, queues: u16) -> Result<(Duration, u64), String> {
    let sets = [format!("traffic.frames={frames}"), format!("channels.combined={queues}")];
    let scenario = Scenario::parse(SCENARIO, "(line-rate-64b)", &sets)
        .map_err(|error| format!("{:?}", miette::Report::new(error)))?
        .resolved();
    let parts = setup::build(&scenario).map_err(|error| error.to_string())?;
    let started = Instant::now();
    let outcome = Embedded::new(&scenario, parts).run(&mut Unwatched).outcome;
    let time = started.elapsed();
    match outcome.end {
        End::Complete => Ok((time, outcome.events)),
        end => Err(end.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_number_of_queues() {
        let row = |queues| Row { queues, frames_per_s: 1_000, ns_per_frame: 1, events_per_s: 9 };
        let memory = |frames| Memory { frames, peak_kib: 7 };
        let queues = QUEUES.map(row).into();
        let table = Table { frames: 5, runs: 1, queues, memory: [memory(100), memory(1000)] };
        let text = table.text();
        assert_eq!(text.lines().count(), 2 + QUEUES.len() + 1, "{text}");
        assert!(text.ends_with("7 KiB for 100 frames, 7 KiB for 1,000 frames\n"), "{text}");
        assert_eq!(table.value().unwrap()["queues"][3]["queues"], 64);
    }
}
