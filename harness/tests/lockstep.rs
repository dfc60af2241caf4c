//! A guest in lockstep gives what `rxlab run` gives: the same account, the same events, the same files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]
#![cfg(target_os = "linux")]

mod common;

use std::path::{Path, PathBuf};

use harness::lockstep::{Asked, Guest, Run, verify};
use harness::report::json::ResultFile;
use harness::scenario::{EventsOutput, Scenario};
use harness::world::embedded::{Embedded, Unwatched};
use harness::world::{files, setup};
use qemu::cache::Cache;
use qemu::image::kernel::Kernel;
use qemu::image::{Image, VFIO_DRIVER, agent};
use qemu::launch::{Accel, Options};
use qemu::protocol::lockstep::Trace;

use common::folder;

fn options() -> Options {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = Cache::of_user();
    let (kernel, modules) = (variable("RXLAB_KERNEL"), variable("RXLAB_MODULES"));
    let kernel = Kernel::find(&cache, kernel.as_deref(), modules.as_deref()).unwrap();
    let agent = agent::find(None).unwrap_or_else(|error| panic!("{error}"));
    let image = Image::build(&cache, &kernel, &VFIO_DRIVER, &agent).unwrap();
    Options { qemu: variable("RXLAB_QEMU"), accel: Accel::Tcg, memory: 256, ..Options::of(image) }
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
