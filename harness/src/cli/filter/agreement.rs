//! `rxlab filter --check N`: random programs through every engine, and how long each took.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget};
use npf_core::filter::Dialect;
use serde_json::json;

use super::{Failure, FilterArgs, dialect, numbers};
use crate::exit::Exit;
use crate::filter::check::{self, Report, Settings};
use crate::interrupt::Interrupt;
use crate::libpcap;
use crate::output::stdout;

/// Compares the engines on so many programs.
pub(super) fn check(args: &FilterArgs, programs: u64) -> Result<Exit, Failure> {
    let usage = |what| Failure::Usage(format!("--seed: {what}"));
    let seed = args.seed.as_deref().map_or(Ok(1), |seed| numbers::number(seed, u64::MAX));
    let settings = Settings {
        programs,
        seed: seed.map_err(usage)?,
        dialects: dialect(args).map_or(Dialect::ALL.to_vec(), |dialect| vec![dialect]),
    };
    if let Err(error) = libpcap::library_version() {
        eprintln!("rxlab: without libpcap's interpreter: {error}");
    }
    let interrupt =
        Interrupt::install().map_err(|error| Failure::Output(format!("signals: {error}")))?;
    let bar = ProgressBar::new(programs);
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
    let started = Instant::now();
    let report = check::check(&settings, |done| {
        bar.set_position(done);
        interrupt.requested()
    });
    bar.finish_and_clear();
    let report = report.map_err(|error| Failure::Output(error.to_string()))?;
    let took = started.elapsed();
    let text = if args.json {
        format!("{}\n", as_json(&settings, &report, took))
    } else {
        as_text(&settings, &report, took)
    };
    stdout::print(&text).map_err(Failure::Output)?;
    if let Some(difference) = &report.difference {
        eprintln!("rxlab: the engines disagree\n{difference}");
        return Ok(Exit::WorldsDisagree);
    }
    Ok(if report.stopped { Exit::Interrupted } else { Exit::Ok })
}

fn as_text(settings: &Settings, report: &Report, took: Duration) -> String {
    let dialects: Vec<&str> = settings.dialects.iter().map(|dialect| dialect.name()).collect();
    let Report { programs, frames, kept, compiled, .. } = report;
    let mut text = format!(
        "{programs} programs from seed {} on, in {}, on {frames} frames, {kept} of them kept: {:.1} s\n",
        settings.seed,
        dialects.join(", "),
        took.as_secs_f64(),
    );
    let each = |time: Duration, count: u64| time.as_nanos() / u128::from(count.max(1));
    let _ = writeln!(
        text,
        "  interpreter  {:>9} ns a frame, all of them",
        each(report.interpreter_time, *frames)
    );
    let _ = writeln!(
        text,
        "  jit          {:>9} ns a frame, {compiled} programs, {} ns to compile one",
        each(report.compiled_time, compiled * (frames / (*programs).max(1))),
        each(report.compile_time, *programs),
    );
    let _ = writeln!(
        text,
        "  libpcap      {:>9} ns a frame with its validator, {} frames",
        each(report.libpcap_time, report.libpcap),
        report.libpcap
    );
    for (rule, count) in &report.explained {
        let _ = writeln!(text, "  {count} frames differ from libpcap by the dialect: {rule}");
    }
    let end = match report.difference {
        Some(_) => "one difference that nothing explains",
        None => "no other difference",
    };
    let _ = writeln!(text, "  {end}");
    text
}

fn as_json(settings: &Settings, report: &Report, took: Duration) -> serde_json::Value {
    let dialects: Vec<&str> = settings.dialects.iter().map(|dialect| dialect.name()).collect();
    json!({
        "programs": report.programs,
        "seed": settings.seed,
        "dialects": dialects,
        "frames": report.frames,
        "kept": report.kept,
        "compiled": report.compiled,
        "libpcap_frames": report.libpcap,
        "explained": report.explained,
        "difference": report.difference.as_ref().map(ToString::to_string),
        "wall_s": took.as_secs_f64(),
        "interpreter_s": report.interpreter_time.as_secs_f64(),
        "compile_s": report.compile_time.as_secs_f64(),
        "compiled_s": report.compiled_time.as_secs_f64(),
        "libpcap_s": report.libpcap_time.as_secs_f64(),
    })
}
