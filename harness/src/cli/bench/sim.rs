//! `rxlab bench sim`: how fast the laboratory itself is, and how much memory it takes.
//!
//! Times are medians of several runs, the variants in turn, because machines drift; a single time
//! means nothing. Memory is measured in processes of their own, because a peak never falls.

use crate::exit::Exit;
use crate::output::stdout;
use crate::report::text::count;
use crate::scenario::Scenario;
use crate::world::embedded::{Embedded, Unwatched};
use crate::world::outcome::End;
use crate::world::setup;
use clap::Args;
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
    /// Play so many frames once and print this process's peak memory in KiB.
    #[arg(long, hide = true)]
    memory_probe: Option<u64>,
}

/// Runs the benchmark.
pub fn sim(args: &SimArgs) -> Exit {
    let result = match args.memory_probe {
        Some(frames) => probe(frames),
        None => measure(args),
    };
    match result {
        Ok(()) => Exit::Ok,
        Err(what) => {
            eprintln!("rxlab: {what}");
            Exit::Unexpected
        }
    }
}

fn measure(args: &SimArgs) -> Result<(), String> {
    stdout::print(&speed(args)?)?;
    stdout::print(&memory(args)?)
}

fn speed(args: &SimArgs) -> Result<String, String> {
    let runs = args.runs.max(1);
    let mut table = format!(
        "{} frames of 64 B per run, one thread, account and digest on, no files; median of {runs}\n",
        count(args.frames)
    );
    table += &format!("{:>7}{:>16}{:>14}{:>12}\n", "queues", "frames/s", "ns/frame", "events/s");
    let mut times = vec![Vec::new(); QUEUES.len()];
    let mut events = [0; QUEUES.len()];
    for _ in 0..runs {
        for (variant, queues) in QUEUES.into_iter().enumerate() {
            let (time, seen) = play(args.frames, queues)?;
            times[variant].push(time);
            events[variant] = seen;
        }
    }
    for (variant, queues) in QUEUES.into_iter().enumerate() {
        let median = median(&mut times[variant]).as_nanos().max(1) as u64;
        let per_second = |n: u64| (u128::from(n) * 1_000_000_000 / u128::from(median)) as u64;
        table += &format!(
            "{queues:>7}{:>16}{:>14}{:>12}\n",
            count(per_second(args.frames)),
            median / args.frames.max(1),
            count(per_second(events[variant])),
        );
    }
    Ok(table)
}

fn memory(args: &SimArgs) -> Result<String, String> {
    let large = args.memory_frames;
    let small = large / 10;
    let [less, more] = [peak_of(small)?, peak_of(large)?];
    Ok(format!(
        "peak memory, 4 queues: {} KiB for {} frames, {} KiB for {} frames\n",
        count(less),
        count(small),
        count(more),
        count(large)
    ))
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

fn probe(frames: u64) -> Result<(), String> {
    play(frames, 4)?;
    let status = std::fs::read_to_string("/proc/self/status")
        .map_err(|error| format!("/proc/self/status: {error}"))?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next())
        .ok_or("/proc/self/status has no VmHWM")?;
    stdout::print(&format!("{peak}\n"))
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

/// The middle one of several times.
pub(super) fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
