//! A guest in lockstep gives what `rxlab run` gives: the same account, the same events, the same files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]
#![cfg(target_os = "linux")]

mod common;

use std::io::Read;
use std::path::Path;

use harness::lockstep::{Asked, Guest, Run, verify};
use harness::report::json::ResultFile;
use harness::scenario::{EventsOutput, Scenario};
use harness::world::embedded::{Embedded, Unwatched};
use harness::world::{files, setup};
use qemu::image::VFIO_DRIVER;
use qemu::launch::Options;
use qemu::protocol::lockstep::Trace;

use common::process::Process;
use common::{folder, guest};

fn options() -> Options {
    Options { memory: 256, ..guest::options(&VFIO_DRIVER) }
}

fn scenario(name: &str, sets: &[&str]) -> Scenario {
    let path = common::root().join("scenarios").join(name);
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    let mut scenario = Scenario::load(&path, &sets).unwrap().resolved();
    scenario.output.events = EventsOutput::All;
    scenario
}

fn here(scenario: &Scenario, out: &Path) {
    let mut parts = setup::build_recorded(scenario, || files::recorder(scenario, out)).unwrap();
    files::open(&mut parts, scenario, out).unwrap();
    let mut finished = Embedded::new(scenario, parts).run(&mut Unwatched);
    assert_eq!(finished.close_outputs(), Vec::<String>::new());
    let text = ResultFile::new(scenario, &finished.outcome, None).to_text();
    std::fs::write(out.join("result.json"), text).unwrap();
}

/// What a table of scenarios has: its file and what is changed.
type Row = (&'static str, &'static [&'static str]);

fn all_the_same(pairs: u16, rows: &[Row]) {
    let mut guest = Guest::start(options(), pairs).unwrap_or_else(|error| panic!("{error}"));
    println!("{:?}", guest.machine());
    for (index, (name, sets)) in rows.iter().enumerate() {
        let scenario = scenario(name, sets);
        let [one, other] =
            ["here", "there"].map(|side| folder(&format!("lockstep_{pairs}_{index}_{side}")));
        here(&scenario, &one);
        let asked = Asked { out: &other, repeat: "", trace: Trace::Nothing };
        let run = guest.play(&scenario, &asked, &mut Unwatched, &mut |_| {});
        let Run { progress, ready, wall, .. } =
            run.unwrap_or_else(|error| panic!("{name}: {error}"));
        println!("{name} {sets:?}: {} steps, ready {ready:?}, played {wall:?}", progress.steps);
        assert_eq!(verify::compare(&one, &other).unwrap(), None, "{name} {sets:?}");
    }
    guest.end().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_engine_and_faults_as_in_one_process() {
    all_the_same(
        15,
        &[
            ("default.toml", &["traffic.frames=2000"]),
            ("default.toml", &["traffic.frames=1000", "handle.0.engine=segments"]),
            ("default.toml", &["traffic.frames=1000", "handle.0.engine=worker"]),
            ("store-hold-ring.toml", &["traffic.frames=1000", "handle.0.engine=ring"]),
            ("store-hold-ring.toml", &["traffic.frames=1000", "handle.0.engine=store-hold"]),
            ("zero-copy-fork.toml", &["traffic.frames=1000"]),
            ("faults.toml", &["traffic.frames=2000"]),
            ("resets.toml", &["traffic.frames=1000"]),
            ("send.toml", &["traffic.frames=500"]),
            ("refill.toml", &["traffic.frames=500", "ring.format=packed"]),
        ],
    );
}

/// The program, playing so many frames in a guest.
fn rxlab_vm(command: &str, more: &[&str]) -> std::process::Command {
    let mut program = common::rxlab();
    program.args(["vm", command, "scenarios/default.toml", "--accel", "tcg"]).args(more);
    program
}

#[test]
fn the_program_says_that_both_are_the_same() {
    let (code, said, cried) =
        common::told(&rxlab_vm("verify", &["--set", "traffic.frames=200"]).output().unwrap());
    assert_eq!(code, 0, "{cried}");
    assert!(said.starts_with("the same: ") && said.contains("offered 200 = "), "{said}");
}

#[test]
fn whoever_stops_a_run_has_its_account() {
    let mut program = rxlab_vm("run", &["--trace", "--pictures", "1000000"]);
    let mut run = Process::start(&mut program);
    // Until it plays.
    let mut first = [0; 4];
    run.0.as_mut().unwrap().stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    run.signal("INT");
    let (code, said, cried) = common::told(&run.end());
    assert_eq!(code, 130, "{cried}");
    assert!(said.contains("end: interrupted") && said.contains("account: ok"), "{said}");
}

#[test]
fn when_qemu_dies_the_account_up_to_then_is_told() {
    let mut program = rxlab_vm("run", &["--trace", "--pictures", "1000000"]);
    let mut run = Process::start(&mut program);
    let mut first = [0; 4];
    run.0.as_mut().unwrap().stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let qemu = children(run.0.as_ref().unwrap().id());
    assert_eq!(qemu.len(), 1, "{qemu:?}");
    let killed = std::process::Command::new("kill").args(["-KILL", &qemu[0].to_string()]).status();
    assert!(killed.unwrap().success());
    let (code, _, cried) = common::told(&run.end());
    assert_eq!(code, 1, "{cried}");
    assert!(cried.contains("QEMU has ended") && cried.contains("the account after "), "{cried}");
    assert!(cried.contains("the NIC by then: offered "), "{cried}");
    assert!(!Path::new(&format!("/proc/{}", qemu[0])).exists());
}

/// Processes that this one has started.
fn children(of: u32) -> Vec<u32> {
    let parent = |id: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // Behind the name, which may have spaces: state and parent.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| parent(*id) == Some(of)).collect()
}

#[test]
fn what_a_guest_in_lockstep_has_not_is_refused_before_it_boots() {
    for (more, words) in [
        (&["--driver", "linux"][..], "no virtual time"),
        (&["--nic", "qemu"], "no virtual time"),
        (&["--set", "handle.0.filter_engine=jit"], "no compiler"),
    ] {
        let (code, _, cried) =
            common::told(&rxlab_vm("run", &[&["--lockstep"], more].concat()).output().unwrap());
        assert!(code == 2 && cried.contains(words), "{code} {cried}");
        assert!(!cried.contains("hello after"), "{cried}");
    }
}
