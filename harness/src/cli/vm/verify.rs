//! `rxlab vm verify`: a scenario here and in a guest in lockstep, and the first difference.

use std::path::Path;

use super::VerifyArgs;
use super::lockstep::{REPORT, failure, made, played, written};
use super::run::scenario_of;
use crate::cli::run::clear;
use crate::cli::scenario::Failure;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::lockstep::verify::compare;
use crate::lockstep::{self, Asked, Guest};
use crate::output::file::write_whole;
use crate::output::stdout;
use crate::report::json::ResultFile;
use crate::report::text::count;
use crate::scenario::{EventsOutput, Scenario};
use crate::vm::Driver;
use crate::world::embedded::{Embedded, Unwatched};
use crate::world::outcome::Outcome;
use crate::world::{files, setup};

/// Plays what `args` name twice.
pub(super) fn verify(args: &VerifyArgs) -> Exit {
    try_verify(args).unwrap_or_else(Failure::tell)
}

fn try_verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    let interrupt =
        Interrupt::install().map_err(|error| Failure::Output(format!("signals: {error}")))?;
    let mut scenario = scenario_of(&args.scenario, args.queues, args.engine.as_deref())?;
    // An event says where two runs part, a sum only that they do.
    scenario.output.events = EventsOutput::All;
    lockstep::check(&scenario).map_err(|error| failure(&args.machine, error))?;
    let queues = scenario.channels.combined;
    let machine = args.machine.machine(Driver::Vfio, queues, interrupt.flag())?;
    let folder = args.out.as_deref().unwrap_or(machine.place.path());
    let (one, other) = (folder.join("embedded"), folder.join("guest"));
    for folder in [&one, &other] {
        clear(folder, &scenario)?;
        made(folder)?;
    }
    let here = embedded(&scenario, &one)?;
    let asked = Asked { out: &other, repeat: "", trace: qemu::protocol::lockstep::Trace::Nothing };
    let failure = |error| failure(&args.machine, error);
    let mut guest = Guest::start(machine.options, queues).map_err(failure)?;
    let (run, exit) = played(&mut guest, &scenario, &asked, interrupt).map_err(failure)?;
    let end = guest.end();
    let _ = std::fs::remove_file(other.join(REPORT));
    written(&run)?;
    if exit == Exit::Interrupted {
        eprintln!("rxlab vm: interrupted: nothing was compared");
        return Ok(exit);
    }
    let found = compare(&one, &other);
    let found = found.map_err(|error| Failure::Output(format!("comparing the two: {error}")))?;
    let text = match &found {
        None => format!(
            "the same: {} events, digest {:016x}, {}; {}\n",
            count(here.events),
            run.ended.digest,
            here.end,
            account(&here)
        ),
        Some(found) => format!(
            "the worlds differ: {}\n  embedded  {}\n  guest     {}\n",
            found.place, found.one, found.other
        ),
    };
    stdout::print(&text).map_err(Failure::Output)?;
    end.map_err(failure)?;
    Ok(if found.is_some() { Exit::WorldsDisagree } else { here.exit(true) })
}

/// Plays it here, and writes what it writes.
fn embedded(scenario: &Scenario, out: &Path) -> Result<Outcome, Failure> {
    let parts = setup::build_recorded(scenario, || files::recorder(scenario, out));
    let mut parts = parts.map_err(Failure::Setup)?;
    let failed = |error: String| Failure::Output(error);
    files::open(&mut parts, scenario, out).map_err(|error| failed(error.to_string()))?;
    let mut finished = Embedded::new(scenario, parts).run(&mut Unwatched);
    if let Some(error) = finished.close_outputs().into_iter().next() {
        return Err(failed(error));
    }
    let result = ResultFile::new(scenario, &finished.outcome, None).to_text();
    let written = write_whole(&out.join("result.json"), result.as_bytes());
    written.map_err(|error| failed(error.to_string()))?;
    Ok(finished.outcome)
}

fn account(outcome: &Outcome) -> String {
    let total = &outcome.total;
    format!(
        "offered {} = delivered {} + filtered {} + dropped {} + held {}",
        count(total.offered),
        count(total.delivered),
        count(total.filtered),
        count(total.dropped),
        count(outcome.held.sum())
    )
}
