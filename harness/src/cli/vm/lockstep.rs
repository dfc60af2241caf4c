//! `rxlab vm run --lockstep`: the scenario in virtual time, with driver and core in a guest.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use qemu::protocol::lockstep as wire;

use super::run::{repeat, scenario_of};
use super::{MachineArgs, NicName, RunArgs};
use crate::cli::Trace;
use crate::cli::run::clear;
use crate::cli::scenario::{Failure, frames, repeat_of};
use crate::cli::watch::Watcher;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::lockstep::{self, Asked, Guest, LockstepError, Run};
use crate::output::stdout;
use crate::scenario::Scenario;
use crate::vm::Driver;

/// Plays what `args` name.
pub(super) fn run(args: &RunArgs) -> Exit {
    try_run(args).unwrap_or_else(Failure::tell)
}

fn try_run(args: &RunArgs) -> Result<Exit, Failure> {
    if Driver::from(args.driver) != Driver::Vfio {
        return Err(Failure::Usage(
            "in lockstep our driver drives the NIC: Linux's has no virtual time; leave --driver out".into(),
        ));
    }
    if args.nic != NicName::Rxlab {
        return Err(Failure::Usage(
            "in lockstep the NIC is ours: QEMU's has no virtual time; leave --nic out".into(),
        ));
    }
    if !args.lockstep {
        eprintln!("rxlab vm: --trace plays in lockstep: the wall clock would be disturbed by it");
    }
    let interrupt =
        Interrupt::install().map_err(|error| Failure::Output(format!("signals: {error}")))?;
    let scenario = scenario_of(&args.scenario, args.queues, args.engine.as_deref())?;
    lockstep::check(&scenario).map_err(|error| failure(&args.machine, error))?;
    let queues = scenario.channels.combined;
    let machine = args.machine.machine(Driver::Vfio, queues, interrupt.flag())?;
    let own = machine.place.path().join("files");
    let out = args.out.as_deref().unwrap_or(&own);
    if args.out.is_some() {
        clear(out, &scenario)?;
    }
    made(out)?;
    let mut words = vec!["--lockstep".to_owned()];
    words.extend(repeat(args));
    let repeat = repeat_of("vm run", &args.scenario, words, &scenario);
    let trace = match args.trace {
        None => wire::Trace::Nothing,
        Some(Trace::Rings) => wire::Trace::Rings(args.pictures),
        Some(Trace::Sides) => wire::Trace::Sides(args.pictures),
    };
    let asked = Asked { out, repeat: &repeat, trace };
    let failure = |error| failure(&args.machine, error);
    let mut guest = Guest::start(machine.options, queues).map_err(failure)?;
    let (run, exit) = played(&mut guest, &scenario, &asked, interrupt).map_err(failure)?;
    let end = guest.end();
    written(&run)?;
    let name = if args.json { "result.json" } else { REPORT };
    let report = read(&out.join(name))?;
    // What is for people goes with the report.
    let _ = std::fs::remove_file(out.join(REPORT));
    stdout::print(&report).map_err(Failure::Output)?;
    if !run.ended.last_events.is_empty() {
        eprintln!("rxlab: {}\nthe last events:\n{}", run.ended.end, run.ended.last_events);
    }
    end.map_err(failure)?;
    Ok(exit)
}

/// The report for people, among the guest's files.
pub(super) const REPORT: &str = "report.txt";

/// Plays `scenario` in `guest`, and says what the machine is.
pub(super) fn played(
    guest: &mut Guest,
    scenario: &Scenario,
    asked: &Asked<'_>,
    interrupt: Interrupt,
) -> Result<(Run, Exit), LockstepError> {
    // From here on it ends between two lots of steps, and its account is whole.
    guest.heed(Arc::new(AtomicBool::new(false)));
    let machine = guest.machine().clone();
    for notice in &machine.notices {
        eprintln!("rxlab vm: {notice}");
    }
    let mut watcher = Watcher::new(interrupt, frames(scenario));
    let run = guest.play(scenario, asked, &mut watcher, &mut |text| {
        // Whoever closes the pipe has seen enough; the report tells the same error.
        let _ = stdout::print(text);
    })?;
    drop(watcher);
    let wall = run.wall.as_secs_f64().max(1e-9);
    eprintln!(
        "rxlab vm: {} on QEMU {}, hello after {:.1} s, driver up {:.1} s later, {} steps in {wall:.1} s ({:.0}/s)",
        machine.system,
        machine.qemu,
        machine.boot.as_secs_f64(),
        run.ready.as_secs_f64(),
        run.progress.steps,
        run.progress.steps as f64 / wall
    );
    let exit = Exit::of(run.ended.exit).unwrap_or(Exit::Unexpected);
    Ok((run, exit))
}

/// Whether the guest could write all its files, which lie in its memory until the run is over.
pub(super) fn written(run: &Run) -> Result<(), Failure> {
    match run.ended.failed.as_slice() {
        [] => Ok(()),
        failed => Err(Failure::Output(format!(
            "the guest could not write its files, after {} steps ({}): {}; give it more memory (--memory), or play \
             fewer frames",
            run.progress.steps,
            run.ended.end,
            failed.join("; ")
        ))),
    }
}

/// What an error of a guest in lockstep means to a user.
pub(super) fn failure(machine: &MachineArgs, error: LockstepError) -> Failure {
    match error {
        LockstepError::Scenario(what) => Failure::Usage(what),
        LockstepError::Setup(error) => Failure::Setup(error),
        LockstepError::Vm { error, .. } if error.is_before_the_machine() => machine.failure(&error),
        error => Failure::Ended(error.exit(), error.to_string()),
    }
}

/// A folder that is there.
pub(super) fn made(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::Output(format!("{}: {error}", folder.display())))
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::Output(format!("{}: {error}", path.display())))
}
