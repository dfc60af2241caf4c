//! `rxlab capture`: tcpdump over the laboratory.
//!
//! Contract: packets go to stdout or to the savefile, talk to stderr: what is listened to, and at the
//! end tcpdump's three lines and the account. A program that is told to stop, by its count or by a
//! stdout that nobody reads any more, ends the run there: what was under way is held. Packets that a
//! read gave and nobody looked at were delivered all the same; they are counted in a line of their own.

mod line;
mod output;

use super::CaptureArgs;
use super::run::exit_of;
use super::scenario::{Failure, load};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::report::text;
use crate::scenario::{Scenario, Traffic};
use crate::world::embedded::Watch;
use crate::world::laboratory::Laboratory;
use crate::world::setup;
use npf_core::capture::{Capture, CaptureError, CaptureStats};
use output::Output;
use std::path::Path;

/// Captures what `args` name.
pub(super) fn capture(args: &CaptureArgs) -> Exit {
    try_capture(args).unwrap_or_else(Failure::tell)
}

fn try_capture(args: &CaptureArgs) -> Result<Exit, Failure> {
    let interrupt =
        Interrupt::install().map_err(|error| Failure::Output(format!("signals: {error}")))?;
    let scenario = load(&args.scenario, args.engine.as_deref(), None)?;
    let handle = handle_named(&scenario, args.handle.as_deref())?;
    let parts = setup::build(&scenario).map_err(Failure::Setup)?;
    let mut laboratory =
        Laboratory::new(&scenario, parts, handle, Signal(interrupt)).map_err(refused)?;
    let mut capture = Capture::create(&mut laboratory);
    if let Some(bytes) = args.snaplen {
        capture.set_snaplen(bytes).map_err(refused)?;
    }
    if args.immediate_mode {
        capture.set_immediate_mode(true).map_err(refused)?;
    }
    for warning in capture.activate().map_err(refused)? {
        eprintln!("rxlab: {warning}");
    }
    let snaplen = capture.snapshot().map_err(refused)?;
    let options = &scenario.handle[handle as usize];
    let mut output = match &args.write {
        Some(file) => {
            spare_the_played(file, &scenario)?;
            Output::savefile(file, snaplen)
        }
        None => Output::lines(options.mode),
    }
    .map_err(Failure::Output)?;
    eprintln!(
        "rxlab: listening on {}, link-type EN10MB (Ethernet), snapshot length {snaplen} bytes",
        options.name
    );

    let stop = capture.break_handle();
    let mut captured = 0u64;
    let read = capture.loop_(args.count.unwrap_or(-1), |packet| {
        if output.take(&packet) {
            captured += u64::from(packet.marker().is_none());
        } else {
            stop.break_loop();
        }
    });
    let stats = capture.stats().unwrap_or_default();
    let finished = laboratory.finish();
    if let Err(error) = read
        && error != CaptureError::Break
    {
        eprintln!("rxlab: {error}");
    }
    let failed: Vec<String> = output.finish().err().into_iter().collect();
    for error in &failed {
        eprintln!("rxlab: {error}");
    }
    let outcome = &finished.outcome;
    let seen = outcome.handles[handle as usize].tally.delivered;
    eprint!("{}", closing(captured, stats));
    if options.mode == crate::scenario::Mode::Capture && seen > captured {
        eprintln!("{} read and not looked at", packets(seen - captured));
    }
    let mut account = String::new();
    // A String takes everything.
    let _ = text::account(&mut account, outcome);
    eprint!("{account}");
    Ok(exit_of(outcome, &failed))
}

/// tcpdump's closing lines.
fn closing(captured: u64, stats: CaptureStats) -> String {
    let CaptureStats { recv, drop, .. } = stats;
    format!(
        "{} captured\n{} received by filter\n{} dropped by kernel\n",
        packets(captured),
        packets(recv),
        packets(drop)
    )
}

fn packets(count: u64) -> String {
    format!("{count} packet{}", if count == 1 { "" } else { "s" })
}

/// The handle of that name or number, or the first one.
fn handle_named(scenario: &Scenario, name: Option<&str>) -> Result<u32, Failure> {
    let Some(name) = name else { return Ok(0) };
    let by_name = scenario.handle.iter().position(|handle| handle.name == name);
    let number = || name.parse().ok().filter(|number| *number < scenario.handle.len());
    match by_name.or_else(number) {
        Some(handle) => Ok(handle as u32),
        None => {
            let known: Vec<&str> =
                scenario.handle.iter().map(|handle| handle.name.as_str()).collect();
            let known = known.join(", ");
            Err(Failure::Usage(format!("there is no handle `{name}`; the scenario has {known}")))
        }
    }
}

/// Refuses a savefile that is the capture which is to be played.
fn spare_the_played(file: &Path, scenario: &Scenario) -> Result<(), Failure> {
    let Traffic::Capture(capture) = &scenario.traffic else { return Ok(()) };
    let played = scenario.path(&capture.file).canonicalize();
    match (played, file.canonicalize()) {
        (Ok(played), Ok(file)) if played == file => Err(Failure::Usage(format!(
            "the savefile would overwrite the capture that is to be played, {}; write another",
            file.display()
        ))),
        _ => Ok(()),
    }
}

fn refused(error: CaptureError) -> Failure {
    Failure::Usage(error.to_string())
}

/// Ctrl-C ends the capture.
struct Signal(Interrupt);

impl Watch for Signal {
    fn stop(&mut self, _offered: u64, _now_ps: u64) -> bool {
        self.0.requested()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_packet_is_no_packets() {
        let stats = CaptureStats { recv: 2, drop: 0, ifdrop: 0, capt: None };
        let text = "1 packet captured\n2 packets received by filter\n0 packets dropped by kernel\n";
        assert_eq!(closing(1, stats), text);
    }
}
