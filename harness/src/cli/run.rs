//! `rxlab run`: load, build, play, write, report.

use super::scenario::{Failure, frames, load, repeat_of};
use super::watch::Watcher;
use super::{RunArgs, Trace, World, threads};
use crate::event::Recorder;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::file::write_whole;
use crate::output::stdout;
use crate::report::{json::ResultFile, text};
use crate::scenario::{Scenario, Traffic};
use crate::trace::{Sides, Tracer};
use crate::world::embedded::Embedded;
use crate::world::files;
use crate::world::outcome::{End, Outcome};
use crate::world::setup::{self, SetupError};
use std::io::stdout;
use std::path::Path;
use std::time::Instant;

/// Plays what `args` name.
pub(super) fn run(args: &RunArgs) -> Exit {
    try_run(args).unwrap_or_else(Failure::tell)
}

fn try_run(args: &RunArgs) -> Result<Exit, Failure> {
    if args.world == World::Threads {
        return threads::run(args);
    }
    if args.poll || !args.cpus.is_empty() {
        return Err(Failure::Usage("--poll and --cpus go with --world threads".into()));
    }
    let interrupt =
        Interrupt::install().map_err(|error| Failure::Output(format!("signals: {error}")))?;
    let scenario = load(&args.scenario, args.engine.as_deref(), None)?;
    if let Some(out) = &args.out {
        clear(out, &scenario)?;
    }
    let recorder = || {
        let recorder = match &args.out {
            Some(out) => files::recorder(&scenario, out)?,
            None => Recorder::default(),
        };
        Ok(match args.trace {
            Some(Trace::Sides) => recorder.told_to(Sides::new(Box::new(stdout()), args.pictures)),
            Some(Trace::Rings) | None => recorder,
        })
    };
    let mut parts = setup::build_recorded(&scenario, recorder).map_err(|error| match error {
        SetupError::Output(error) => Failure::Output(error.to_string()),
        error => Failure::Setup(error),
    })?;
    if let Some(out) = &args.out {
        let opened = files::open(&mut parts, &scenario, out);
        opened.map_err(|error| Failure::Output(error.to_string()))?;
    }
    let started = Instant::now();
    let mut watcher = Watcher::new(interrupt, frames(&scenario));
    let mut world = Embedded::new(&scenario, parts);
    if args.trace == Some(Trace::Rings) {
        world.trace(Tracer::new(Box::new(stdout()), args.pictures));
    }
    let mut finished = world.run(&mut watcher);
    drop(watcher);
    let wall_s = started.elapsed().as_secs_f64();
    let mut failed = finished.close_outputs();
    let outcome = &finished.outcome;
    let recorded_wall = (!args.no_wall).then_some(wall_s);
    let result = ResultFile::new(&scenario, outcome, recorded_wall).to_text();
    if let Some(out) = &args.out
        && let Err(error) = write_whole(&out.join("result.json"), result.as_bytes())
    {
        failed.push(error.to_string());
    }
    let report = if args.json {
        result
    } else {
        text::report(&scenario, outcome, wall_s, &repeat(args, &scenario))
    };
    if let Err(what) = stdout::print(&report) {
        failed.push(what);
    }
    if !outcome.last_events.is_empty() {
        eprintln!("rxlab: {}\nthe last events:\n{}", outcome.end, outcome.last_events);
    }
    for error in &failed {
        eprintln!("rxlab: {error}");
    }
    Ok(exit_of(outcome, &failed))
}

/// Tells what broke the source off, if something did; the exit code.
pub(super) fn exit_of(outcome: &Outcome, failed: &[String]) -> Exit {
    if let End::SourceFault(fault) = &outcome.end {
        eprintln!("rxlab: {fault}");
    }
    outcome.exit(failed.is_empty())
}

/// Removes what an earlier run left in `out`, so that no file there tells of another run; but never
/// the capture that this run is to play.
pub(super) fn clear(out: &Path, scenario: &Scenario) -> Result<(), Failure> {
    let played = match &scenario.traffic {
        Traffic::Capture(capture) => scenario.path(&capture.file).canonicalize().ok(),
        Traffic::Generator(_) => None,
    };
    let Ok(entries) = std::fs::read_dir(out) else { return Ok(()) };
    let files = entries.filter_map(Result::ok).map(|entry| entry.path());
    for file in files.filter(|file| files::is_output(file)) {
        if played.is_some() && file.canonicalize().ok() == played {
            let file = file.display();
            return Err(Failure::Usage(format!(
                "the run would overwrite the capture that it is to play, {file}; give another --out"
            )));
        }
        // What cannot be removed cannot be written either, and that says why.
        let _ = std::fs::remove_file(file);
    }
    Ok(())
}

/// The command that repeats this run, with every choice that `args` made.
fn repeat(args: &RunArgs, scenario: &Scenario) -> String {
    let engine = args.engine.iter().flat_map(|name| ["--engine".to_owned(), name.clone()]);
    repeat_of("run", &args.scenario, engine, scenario)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Kind;
    use crate::world::embedded::Unwatched;

    #[test]
    fn a_fault_that_nobody_notices_breaks_the_run_with_code_10() {
        let text = "[traffic]\nsource = 'generator'\nframes = 100\n";
        let scenario = Scenario::parse(text, "test.toml", &[]).unwrap().resolved();
        for (kind, exit) in
            [(Kind::CompletionWrongId, Exit::AccountBroken), (Kind::LinkFlap, Exit::Ok)]
        {
            let mut parts = setup::build(&scenario).unwrap();
            parts.book.faults.injected(kind);
            let outcome = Embedded::new(&scenario, parts).run(&mut Unwatched).outcome;
            assert_eq!(exit_of(&outcome, &[]), exit, "{}", outcome.end);
            let said = outcome.end.to_string();
            assert_eq!(said.contains("nobody noticed 1 completion_wrong_id"), exit != Exit::Ok);
        }
    }
}
