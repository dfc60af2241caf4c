//! Same scenario, same seed, same bytes: in two processes, in debug and in release, in every output.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod common;

use common::{folder, root};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A scenario in which everything happens: losses at three places, filters, two handles, stalls.
const BUSY: &str = r#"
seed = 42
[traffic]
source = "generator"
frames = 4000
rate = "line"
size = "imix"
flows = 32
burst = 64
jitter = "30%"
[wire]
bad_fcs = "1/100"
giant = "1/300"
[nic]
fifo = "16KiB"
[ring]
rx = 32
[channels]
combined = 3
[[handle]]
kernel_buffer = "60000B"
[handle.reader]
stall = [{ at = "300us", for = "2ms" }]
[[handle]]
snaplen = 100
read_timeout = "5ms"
"#;

const FILES: [&str; 4] = ["result.json", "events.ndjson", "capture.pcapng", "capture-1.pcapng"];

fn play(program: &Path, scenario: &str, out: &Path) {
    let status = Command::new(program)
        .current_dir(root())
        .args(["run", scenario, "--no-wall", "--out"])
        .arg(out)
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
}

fn assert_same(one: &Path, other: &Path) {
    for file in FILES {
        let [one, other] = [one, other].map(|folder| std::fs::read(folder.join(file)).unwrap());
        assert!(one.len() > 1000, "{file} says little");
        assert!(one == other, "{file} differs");
    }
}

#[test]
fn two_processes_write_the_same_bytes() {
    let folder = folder("two_processes");
    let scenario = common::scenario(&folder, BUSY);
    let program = PathBuf::from(env!("CARGO_BIN_EXE_rxlab"));
    let [one, two] = ["one", "two"].map(|name| folder.join(name));
    play(&program, &scenario, &one);
    play(&program, &scenario, &two);
    assert_same(&one, &two);
}

#[test]
fn debug_and_release_write_the_same_bytes() {
    let folder = folder("debug_and_release");
    let scenario = common::scenario(&folder, BUSY);
    // The README's first command builds this too, so it costs nothing extra in `cargo xtask test`.
    let built = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["build", "--release", "--bin", "rxlab", "--message-format", "json"])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let release = String::from_utf8_lossy(&built.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
        .unwrap();
    let [debug_out, release_out] = ["debug", "release"].map(|name| folder.join(name));
    play(Path::new(env!("CARGO_BIN_EXE_rxlab")), &scenario, &debug_out);
    play(&release, &scenario, &release_out);
    assert_same(&debug_out, &release_out);
}

/// How the device reads its rings is a matter of speed: nothing that happens depends on it.
#[test]
fn both_implementations_of_the_rings_give_the_same_events() {
    let folder = folder("ring_kinds");
    let scenario = common::scenario(&folder, BUSY);
    for more in
        [["nic.event_idx=true", "nic.indirect_desc=true"], ["nic.event_idx=false", "ring.rx=256"]]
    {
        let [reference, batched] = ["reference", "batched"].map(|ring| {
            let set = format!("nic.ring=\"{ring}\"");
            let mut args = vec!["run", &scenario, "--set", &set];
            args.extend(more.iter().flat_map(|set| ["--set", set]));
            let result = common::result(&args);
            (result["digest"].clone(), result["account"].clone())
        });
        assert!(reference.0.is_string());
        assert_eq!(reference, batched, "{more:?}");
    }
}

#[test]
fn the_digest_changes_with_the_seed_and_with_nothing_else() {
    let digest = |args: &[&str]| {
        let mut all = vec!["run", "scenarios/fast-reader.toml", "--set", "traffic.frames=500"];
        all.extend(args);
        common::result(&all)["digest"].as_str().unwrap().to_owned()
    };
    let base = digest(&["--seed", "1"]);
    assert_eq!(base, digest(&["--seed", "0x1"]));
    assert_ne!(base, digest(&["--seed", "2"]));
}

#[test]
fn wall_time_is_the_only_field_that_may_differ() {
    let folder = folder("wall_time");
    let args = ["run", "scenarios/fast-reader.toml", "--set", "traffic.frames=500"];
    let mut timed = common::result(&args);
    assert!(timed["wall_s"].as_f64().unwrap() > 0.0);
    timed["wall_s"] = serde_json::Value::Null;
    let mut args = args.to_vec();
    args.push("--no-wall");
    assert_eq!(timed, common::result(&args));
    drop(folder);
}

/// Switching one random consumer on leaves the draws of all others as they were.
#[test]
fn a_new_random_consumer_leaves_the_others_alone() {
    let offered = |set: &str| {
        let folder = folder(&format!("stream_{}", set.len()));
        let scenario = common::scenario(&folder, BUSY);
        let (code, _, stderr) = common::run(&[
            "run",
            &scenario,
            "--set",
            set,
            "--set",
            "output.events=\"all\"",
            "--out",
            folder.join("out").to_str().unwrap(),
        ]);
        assert_eq!(code, 0, "{stderr}");
        let events = std::fs::read_to_string(folder.join("out/events.ndjson")).unwrap();
        let offered = events
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .filter(|event| event["component"] == "nic" && event["event"] == "offered");
        offered.map(|event| (event["t"].clone(), event["len"].clone())).collect::<Vec<_>>()
    };
    // Bad frame check sequences are drawn on their own: lengths and times of frames stay.
    let (none, many) = (offered("wire.bad_fcs=\"0\""), offered("wire.bad_fcs=\"1/3\""));
    assert_eq!(none.len(), 4000);
    assert_eq!(none, many);
}
