//! `rxlab bench filter`: what a filter costs per frame.
//!
//! Four expressions over one mixed set of frames, through machine code, the interpreter, libpcap's
//! `bpf_filter`, and the same predicate in plain Rust. All are called alike: once per frame, through a
//! pointer that the compiler cannot see through. Before anything is timed, all must agree on all frames.

mod frames;
mod predicates;
mod report;

use std::hint::black_box;
use std::time::{Duration, Instant};

use clap::Args;
use npf_core::filter::{Ancillary, Filter, Program};

use super::{Spread, show};
use crate::exit::Exit;
use crate::libpcap::{self, Prepared, RawInstruction};
use frames::Frame;
use predicates::{Predicate, SUBJECTS, Subject};
use report::{Engines, Measured, Ratios, Table};

/// What to measure.
#[derive(Args)]
pub struct FilterArgs {
    /// Timed rounds; in each, every engine has its turn with every expression.
    #[arg(long, default_value_t = 101)]
    rounds: usize,
    /// Frames in the mixed set.
    #[arg(long, default_value_t = 256)]
    frames: usize,
    /// How often a round goes over the set.
    #[arg(long, default_value_t = 100)]
    passes: usize,
    /// Print the figures as JSON instead of the table.
    #[arg(long)]
    json: bool,
}

/// Runs the benchmark.
pub fn filter(args: &FilterArgs) -> Exit {
    show(args.json, measure(args))
}

fn measure(args: &FilterArgs) -> Result<Table, String> {
    let frames = frames::mixed(args.frames.max(1));
    let (rounds, passes) = (args.rounds.max(1), args.passes.max(1));
    let libpcap = libpcap::library_version().map_err(|error| error.to_string());
    if let Err(missing) = &libpcap {
        eprintln!("rxlab: measuring without libpcap's filter: {missing}");
    }
    let mut contests: Vec<Contest> =
        SUBJECTS.iter().map(|subject| Contest::new(subject, &frames)).collect::<Result<_, _>>()?;
    for _ in 0..rounds {
        for contest in &mut contests {
            contest.round(&frames, passes)?;
        }
    }
    let filters = contests.iter().map(Contest::measured).collect();
    Ok(Table { frames: frames.len(), rounds, libpcap: libpcap.ok(), filters })
}

/// One expression and all who judge frames by it, with their times so far.
struct Contest<'a> {
    subject: &'a Subject,
    jit: Filter,
    interpreter: Filter,
    libpcap: Option<Prepared>,
    matching: usize,
    times: Times,
}

/// Nanoseconds per frame, and for a compilation; one entry a round.
#[derive(Default)]
struct Times {
    jit: Vec<f64>,
    interpreter: Vec<f64>,
    libpcap: Vec<f64>,
    rust: Vec<f64>,
    compile: Vec<f64>,
}

impl<'a> Contest<'a> {
    fn new(subject: &'a Subject, frames: &[Frame]) -> Result<Self, String> {
        let program = Program::parse_ddd(subject.program).map_err(|error| error.to_string())?;
        let raw: Vec<RawInstruction> =
            program.instructions().iter().copied().map(RawInstruction::from).collect();
        let jit = Filter::compiled(program.clone());
        if let Some(notice) = jit.notice() {
            eprintln!("rxlab: {}: {notice}", subject.expression);
        }
        let mut contest = Self {
            subject,
            jit,
            interpreter: Filter::interpreted(program),
            libpcap: Prepared::new(raw).ok(),
            matching: 0,
            times: Times::default(),
        };
        for frame in frames {
            contest.matching += usize::from(contest.agreed(frame)? > 0);
        }
        Ok(contest)
    }

    /// What all say about a frame.
    fn agreed(&self, frame: &Frame) -> Result<u32, String> {
        let Frame { data, wire_len } = frame;
        let rust = (self.subject.predicate)(data);
        let interpreter = self.interpreter.run(data, *wire_len, &Ancillary::NONE).accept;
        let jit = self.jit.run(data, *wire_len, &Ancillary::NONE).accept;
        let libpcap = self.libpcap.as_ref().map_or(rust, |it| it.run(data, *wire_len));
        if [interpreter, jit, libpcap] == [rust; 3] {
            return Ok(rust);
        }
        Err(format!(
            "{}: jit {jit}, interpreter {interpreter}, libpcap {libpcap}, rust {rust} on {data:02x?}",
            self.subject.expression
        ))
    }

    fn round(&mut self, frames: &[Frame], passes: usize) -> Result<(), String> {
        let ancillary = black_box(&Ancillary::NONE);
        if self.jit.is_compiled() {
            let jit = black_box(&self.jit);
            let time = time(frames, passes, |data, len| jit.run(data, len, ancillary).accept);
            self.times.jit.push(time);
        }
        let interpreter = black_box(&self.interpreter);
        let judge = |data: &[u8], len| interpreter.run(data, len, ancillary).accept;
        self.times.interpreter.push(time(frames, passes, judge));
        if let Some(libpcap) = black_box(&self.libpcap) {
            self.times.libpcap.push(time(frames, passes, |data, len| libpcap.run(data, len)));
        }
        let predicate: Predicate = black_box(self.subject.predicate);
        self.times.rust.push(time(frames, passes, |data, _| predicate(data)));

        let program = self.jit.program().clone();
        let (compiled, compile) = timed(|| Filter::compiled(program));
        if compiled.is_compiled() {
            self.times.compile.push(compile.as_nanos() as f64);
        }
        Ok(())
    }

    fn measured(&self) -> Measured {
        let times = &self.times;
        Measured {
            expression: self.subject.expression,
            instructions: self.jit.program().len(),
            matching_frames: self.matching,
            ns_per_frame: Engines {
                jit: Spread::of(&times.jit),
                interpreter: Spread::of(&times.interpreter),
                libpcap: Spread::of(&times.libpcap),
                rust: Spread::of(&times.rust),
            },
            ratios: Ratios {
                jit_to_libpcap: Spread::of_ratios(&times.jit, &times.libpcap),
                jit_to_rust: Spread::of_ratios(&times.jit, &times.rust),
                interpreter_to_libpcap: Spread::of_ratios(&times.interpreter, &times.libpcap),
            },
            compile_ns: Spread::of(&times.compile),
        }
    }
}

/// Nanoseconds per frame of `judge`. Not inlined: each kind of judge has a loop of its own with all
/// registers to itself, or one would pay for another.
#[inline(never)]
fn time(frames: &[Frame], passes: usize, judge: impl Fn(&[u8], u32) -> u32) -> f64 {
    let (sum, time) = timed(|| {
        let mut sum = 0u32;
        for _ in 0..passes {
            for frame in black_box(frames) {
                sum = sum.wrapping_add(judge(&frame.data, frame.wire_len));
            }
        }
        sum
    });
    black_box(sum);
    time.as_nanos() as f64 / (frames.len() * passes) as f64
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let done = work();
    (done, started.elapsed())
}

#[cfg(test)]
mod tests;
