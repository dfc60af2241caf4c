//! `rxlab run`: load, build, play, write, report.

use super::scenario::{Failure, frames, load, repeat_of};
use super::watch::Watcher;
use super::{RunArgs, World, threads};
use crate::event::{Detail, Recorder};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::file::{OutputError, RecordFile, write_whole};
use crate::output::pcapng::PcapngError;
use crate::output::stdout;
use crate::report::{json::ResultFile, text};
use crate::scenario::{CaptureOutput, EventsOutput, Scenario, Traffic};
use crate::trace::Tracer;
use crate::world::capture::Capture;
use crate::world::embedded::Embedded;
use crate::world::outcome::{End, Outcome};
use crate::world::setup::{self, Parts, SetupError};
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
    let recorder = || match &args.out {
        Some(out) => open_recorder(&scenario, out),
        None => Ok(Recorder::default()),
    };
    let mut parts = setup::build_recorded(&scenario, recorder).map_err(|error| match error {
        SetupError::Output(error) => Failure::Output(error.to_string()),
        error => Failure::Setup(error),
    })?;
    if let Some(out) = &args.out {
        open_captures(&mut parts, &scenario, out)?;
        open_dumps(&mut parts, &scenario, out)?;
    }
    let started = Instant::now();
    let mut watcher = Watcher::new(interrupt, frames(&scenario));
    let mut world = Embedded::new(&scenario, parts);
    if args.trace.is_some() {
        world.trace(Tracer::new(Box::new(std::io::stdout().lock()), args.pictures));
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

/// The worst thing that happened decides.
pub(super) fn exit_of(outcome: &Outcome, failed: &[String]) -> Exit {
    match &outcome.end {
        End::Broken(_) => Exit::AccountBroken,
        End::Stuck(_) => Exit::NoProgress,
        End::Lost(_) => Exit::Unexpected,
        End::Interrupted => Exit::Interrupted,
        End::SourceFault(fault) => {
            eprintln!("rxlab: {fault}");
            Exit::Unexpected
        }
        End::Complete if failed.is_empty() => Exit::Ok,
        End::Complete => Exit::Unexpected,
    }
}

/// Removes what an earlier run left in `out`, so that no file there tells of another run; but never
/// the capture that this run is to play.
fn clear(out: &Path, scenario: &Scenario) -> Result<(), Failure> {
    let played = match &scenario.traffic {
        Traffic::Capture(capture) => scenario.path(&capture.file).canonicalize().ok(),
        Traffic::Generator(_) => None,
    };
    let Ok(entries) = std::fs::read_dir(out) else { return Ok(()) };
    let files = entries.filter_map(Result::ok).map(|entry| entry.path());
    for file in files.filter(|file| is_output(file)) {
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

/// Whether a file has the name of an output: result.json, events.ndjson, and per handle
/// capture.pcapng, dump.pcap, written.pcap, capture-N.pcapng ...
fn is_output(file: &Path) -> bool {
    let Some(name) = file.file_name().and_then(|name| name.to_str()) else { return false };
    let of =
        |kind, ending| name.strip_prefix(kind).and_then(|rest: &str| rest.strip_suffix(ending));
    let numbered = |rest: &str| {
        let number = rest.strip_prefix('-');
        number.is_some_and(|n| !n.is_empty() && n.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let mut files =
        [of("capture", ".pcapng"), of("dump", ".pcap"), of("written", ".pcap")].into_iter();
    ["result.json", "events.ndjson"].contains(&name)
        || files.any(|rest| rest.is_some_and(|rest| rest.is_empty() || numbered(rest)))
}

/// The event stream's file, if the scenario wants one.
fn open_recorder(scenario: &Scenario, out: &Path) -> Result<Recorder, OutputError> {
    let detail = match scenario.output.events {
        EventsOutput::All => Detail::All,
        EventsOutput::Losses => Detail::Losses,
        EventsOutput::None => return Ok(Recorder::default()),
    };
    Ok(Recorder::to_file(RecordFile::create(&out.join("events.ndjson"))?, detail))
}

/// One capture per handle, if the scenario wants any.
fn open_captures(parts: &mut Parts, scenario: &Scenario, out: &Path) -> Result<(), Failure> {
    let output = |error: OutputError| Failure::Output(error.to_string());
    let capture = |error: PcapngError| Failure::Output(error.to_string());
    if scenario.output.capture == CaptureOutput::None {
        return Ok(());
    }
    for (index, handle) in scenario.handle.iter().enumerate() {
        let file = out.join(name_of("capture", index, "pcapng"));
        let file = RecordFile::create(&file).map_err(output)?;
        let with_dropped = scenario.output.capture == CaptureOutput::All;
        parts.book.captures.push(
            Capture::new(
                file,
                scenario.channels.combined,
                scenario.wire.rate.0,
                handle.snaplen,
                handle.filter.as_deref(),
                with_dropped,
            )
            .map_err(capture)?,
        );
    }
    Ok(())
}

/// The files that capture drivers and reading programs write, if the scenario has any.
fn open_dumps(parts: &mut Parts, scenario: &Scenario, out: &Path) -> Result<(), Failure> {
    let create = |kind, index| {
        let file = RecordFile::create(&out.join(name_of(kind, index, "pcap")));
        file.map_err(|error| Failure::Output(error.to_string()))
    };
    for (index, handle) in scenario.handle.iter().enumerate() {
        if handle.ever_dumps() {
            parts.book.dumps[index].file = Some(create("dump", index)?);
        }
        if let Some(writer) = &mut parts.book.writers[index] {
            writer.dump.file = Some(create("written", index)?);
        }
    }
    Ok(())
}

/// The name of a handle's file of one kind; the first handle needs no number.
fn name_of(kind: &str, handle: usize, ending: &str) -> String {
    match handle {
        0 => format!("{kind}.{ending}"),
        _ => format!("{kind}-{handle}.{ending}"),
    }
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

    #[test]
    fn outputs_are_known_by_their_names() {
        for name in [
            "result.json",
            "events.ndjson",
            "capture.pcapng",
            "capture-12.pcapng",
            "dump.pcap",
            "written-3.pcap",
        ] {
            assert!(is_output(&Path::new("out").join(name)), "{name}");
        }
        for name in ["capture-.pcapng", "capture-mine.pcapng", "my-capture.pcapng", "result.txt"] {
            assert!(!is_output(&Path::new("out").join(name)), "{name}");
        }
    }
}
