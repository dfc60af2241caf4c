//! `rxlab bench engine`: what it costs to store a frame and to read it, in each capture engine, beside
//! a plain copy of the same bytes.
//!
//! Four ways to do it: the state machine and the form for several threads, each with one thread that
//! stores a group of frames and then reads it; and the form for several threads with one or two
//! producing threads and a reading one, where a frame costs the time of them all together. The plain
//! copy does the same with the two copies alone that no capture system can do without: from the
//! frame to a buffer, from the buffer to the user's. Nothing is lost in any of them, so that every
//! frame is stored and read.
//!
//! Times are medians of several rounds, in each of which every variant has one turn, because
//! machines drift.

mod figures;
mod plain;
mod target;
mod threads;

use self::figures::{Figures, Row};
use self::plain::{Plain, PlainShared};
use self::target::{Alone, Machine, Several, Target, per_queued_frame};
use super::{Spread, show};
use crate::exit::Exit;
use clap::Args;
use npf_core::EngineKind;
use std::time::{Duration, Instant};

/// Lengths of the frames, without FCS.
const SIZES: [usize; 2] = [60, 1514];
/// Frames of one indication.
const BATCH: usize = 64;
/// Bytes that a producer may have stored before they are read.
const GROUP_BYTES: usize = 160_000;

/// What to measure.
#[derive(Args)]
pub(in crate::cli) struct EngineArgs {
    /// Frames of 60 bytes per timed run; of longer ones a fifth.
    #[arg(long, default_value_t = 200_000)]
    frames: u64,
    /// Timed runs of each variant.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Print the figures as JSON instead of the table.
    #[arg(long)]
    json: bool,
}

/// Runs the benchmark.
pub(in crate::cli) fn engine(args: &EngineArgs) -> Exit {
    show(args.json, measure(args))
}

/// What is timed in one run.
#[derive(Debug, Clone, Copy)]
struct Load {
    frames: u64,
    len: usize,
}

impl Load {
    /// Frames of `len` bytes, in whole groups.
    fn new(frames: u64, len: usize) -> Self {
        let frames = if len == SIZES[0] { frames } else { frames / 5 };
        let group = Load { frames, len }.group() as u64;
        Load { frames: frames.max(1).next_multiple_of(group), len }
    }

    /// Frames that a producer may have stored before they are read.
    fn group(self) -> usize {
        (GROUP_BYTES / (self.len + 40)).next_multiple_of(BATCH)
    }

    /// A batch of frames with bytes of their own.
    fn batch(self) -> Vec<Vec<u8>> {
        (0..BATCH).map(|at| (0..self.len).map(|byte| (byte * 7 + at) as u8).collect()).collect()
    }

    fn nanoseconds(self, time: Duration) -> f64 {
        time.as_nanos() as f64 / self.frames as f64
    }
}

/// Whose cost it is.
#[derive(Debug, Clone, Copy)]
enum Subject {
    Plain,
    Engine(EngineKind),
}

/// How it is used.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// The state machine, one thread.
    Machine,
    /// The form for several threads, one thread.
    Shared,
    /// The form for several threads, so many that store and one that reads.
    Threads(u16),
}

const WAYS: [Way; 4] = [Way::Machine, Way::Shared, Way::Threads(1), Way::Threads(2)];

fn measure(args: &EngineArgs) -> Result<Figures, String> {
    let kinds = figures::kinds();
    let subjects: Vec<Subject> =
        std::iter::once(Subject::Plain).chain(kinds.map(Subject::Engine)).collect();
    let rounds = args.rounds.max(1);
    let mut figures = Figures { frames: args.frames, rounds, sizes: Vec::new() };
    for len in SIZES {
        let load = Load::new(args.frames, len);
        let mut times = vec![vec![Vec::new(); WAYS.len()]; subjects.len()];
        for _ in 0..rounds {
            for (subject, times) in subjects.iter().zip(&mut times) {
                for (way, times) in WAYS.into_iter().zip(times) {
                    let time = run(*subject, way, load);
                    let time = time.map_err(|error| format!("{subject:?} {way:?}: {error}"))?;
                    times.push(load.nanoseconds(time));
                }
            }
        }
        let mut rows = Vec::new();
        for (subject, times) in subjects.iter().zip(times) {
            let median = |times: &Vec<f64>| Spread::of(times).map_or(0.0, |spread| spread.median);
            let nanoseconds = times.iter().map(median).collect();
            let (name, memory) = match subject {
                Subject::Plain => ("plain copy", None),
                Subject::Engine(kind) => (kind.name(), Some(per_queued_frame(*kind, load)?)),
            };
            rows.push(Row { name, nanoseconds, memory });
        }
        figures.sizes.push((len, rows));
    }
    Ok(figures)
}

/// The time that one run takes.
fn run(subject: Subject, way: Way, load: Load) -> Result<Duration, String> {
    match (subject, way) {
        (Subject::Plain, Way::Machine | Way::Shared) => alone(&mut Plain::new(load), load),
        (Subject::Plain, Way::Threads(producers)) => {
            threads::run(&PlainShared::new(producers, load), producers, load)
        }
        (Subject::Engine(kind), Way::Machine) => alone(&mut Machine::open(kind)?, load),
        (Subject::Engine(kind), Way::Shared) => alone(&mut Alone::open(kind)?, load),
        (Subject::Engine(kind), Way::Threads(producers)) => {
            threads::run(&Several::open(kind, producers)?, producers, load)
        }
    }
}

/// One thread stores a group of frames and reads it, until all are through.
fn alone(target: &mut impl Target, load: Load) -> Result<Duration, String> {
    let batch = load.batch();
    let frames: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
    let mut left = load.frames;
    let started = Instant::now();
    while left > 0 {
        let group = load.group() as u64;
        for _ in 0..group / BATCH as u64 {
            target.store(&frames);
        }
        let (mut read, mut empty) = (0, 0);
        while read < group {
            let more = target.read()?;
            read += more;
            // The first poll of a reader of shared buffers only begins to wait.
            empty = if more == 0 { empty + 1 } else { 0 };
            if empty > 1 {
                return Err(format!("{read} of {group} stored frames could be read"));
            }
        }
        left -= group;
    }
    Ok(started.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_is_measured_in_every_way() {
        let figures = measure(&EngineArgs { frames: 4000, rounds: 1, json: false }).unwrap();
        assert_eq!(figures.sizes.len(), SIZES.len());
        for (len, rows) in &figures.sizes {
            assert_eq!(rows.len(), 1 + EngineKind::NAMES.len());
            for row in rows {
                assert_eq!(row.nanoseconds.len(), WAYS.len(), "{}", row.name);
                assert!(row.nanoseconds.iter().all(|time| *time > 0.0), "{}", row.name);
                let least = row.memory.unwrap_or([*len as u64; 2]);
                assert!(least.iter().all(|bytes| *bytes >= *len as u64), "{}", row.name);
            }
        }
    }
}
