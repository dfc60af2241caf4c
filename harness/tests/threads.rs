//! `rxlab run --world threads`: real threads, the same account.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod common;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A traffic that this machine keeps up with, even a loaded one: nothing need be dropped.
const GENTLE: [&str; 12] = [
    "run",
    "--set",
    "traffic.frames=4000",
    "--set",
    "traffic.rate='40kpps'",
    "--set",
    "ring.rx=4096",
    "--set",
    "nic.fifo='16MB'",
    "--set",
    "handle.0.kernel_buffer='64MB'",
    "scenarios/slow-reader.toml",
];

fn threads(args: &[&str]) -> Value {
    let mut all = args.to_vec();
    all.extend(["--world", "threads"]);
    common::result(&all)
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {value:#}"))
}

#[test]
fn every_scenario_that_fits_keeps_its_account_and_the_schema() {
    let mut schemas = boon::Schemas::new();
    let file = common::root().join("schemas/threads.schema.json");
    let schema = boon::Compiler::new().compile(file.to_str().unwrap(), &mut schemas).unwrap();
    let mut played = 0;
    for entry in std::fs::read_dir(common::root().join("scenarios")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        let path = path.to_str().unwrap();
        // The traffic of one scenario comes a thousand frames a second.
        let few = ["--set", "traffic.frames=2000", "--json"];
        let args = [&["run", path, "--world", "threads"], few.as_slice()].concat();
        let (code, stdout, stderr) = common::run(&args);
        if code == 2 {
            assert!(stderr.contains("only in the embedded world"), "{path}: {stderr}");
            continue;
        }
        assert_eq!(code, 0, "{path}: {stderr}");
        let result: Value = serde_json::from_str(&stdout).unwrap();
        schemas.validate(&result, schema).unwrap_or_else(|error| panic!("{path}: {error:#}"));
        assert_eq!(number(&result, "/account/offered"), 2000, "{path}");
        assert_eq!(result["account"]["ok"], true, "{path}");
        played += 1;
        let mut spoilt = result;
        spoilt["account"]["held"] = "none".into();
        assert!(schemas.validate(&spoilt, schema).is_err(), "the schema notices");
    }
    assert!(played >= 10, "{played} scenarios were played");
}

#[test]
fn frames_meet_the_fates_that_they_meet_in_virtual_time() {
    for more in [
        &[][..],
        &["--set", "channels.combined=4"],
        &["--set", "ring.format=packed"],
        &["--set", "nic.mrg_rxbuf=true", "--set", "driver.buffer='256B'"],
        &["--set", "driver.buffer_policy=page-flip", "--set", "driver.spare_buffers=4096"],
    ] {
        let args = [&GENTLE[..], &["--filter", "udp"], more].concat();
        let real = threads(&[&args[..], &["--poll"]].concat());
        let virtual_time = common::result(&args);
        assert_eq!(number(&real, "/account/dropped"), 0, "{more:?}");
        for fate in ["filtered", "delivered"] {
            let path = format!("/handles/0/{fate}");
            assert_eq!(number(&real, &path), number(&virtual_time, &path), "{more:?}: {fate}");
        }
        assert!(
            number(&real, "/handles/0/filtered") > 0 && number(&real, "/handles/0/delivered") > 0
        );
        for (queue, other) in real["queues"]
            .as_array()
            .unwrap()
            .iter()
            .zip(virtual_time["queues"].as_array().unwrap())
        {
            assert_eq!(queue["offered"], other["offered"], "{more:?}: steered alike");
        }
    }
}

#[test]
fn every_engine_delivers_or_says_why_not() {
    for engine in ["ring", "segments", "worker", "packet-queue", "store-hold", "zero-copy"] {
        let all = threads(&[&GENTLE[..], &["--engine", engine]].concat());
        let held = number(&all, "/handles/0/held");
        assert_eq!(number(&all, "/handles/0/delivered") + held, 4000, "{engine}: {all:#}");
        // A shared buffer that was given back is noticed with the next packet, and there may be none.
        assert!(held == 0 || engine == "zero-copy", "{engine}: {all:#}");
        let tight = ["--set", "handle.0.kernel_buffer='64kB'", "--set", "traffic.rate='10Mpps'"];
        let slow = ["--set", "handle.0.reader.frame='20us'", "--engine", engine];
        let some = threads(&[&GENTLE[..], &tight, &slow].concat());
        let [shown, delivered, dropped, held] = ["shown", "delivered", "dropped", "held"]
            .map(|key| number(&some, &format!("/handles/0/{key}")));
        assert_eq!(shown, delivered + dropped + held, "{engine}: {some:#}");
    }
}

fn long_run() -> Child {
    let mut command = common::rxlab();
    command.args(["run", "scenarios/line-rate-64b.toml", "--world", "threads", "--json"]);
    command.args(["--set", "traffic.frames=1000000000"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let sent = std::process::Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn ctrl_c_drains_and_reports_and_sigusr1_tells_on_the_way() {
    let run = long_run();
    std::thread::sleep(Duration::from_millis(1500));
    signal(&run, "-USR1");
    std::thread::sleep(Duration::from_millis(500));
    let asked = Instant::now();
    signal(&run, "-INT");
    let (code, stdout, stderr) = common::told(&run.wait_with_output().unwrap());
    assert_eq!(code, 130, "{stderr}");
    assert!(asked.elapsed() < Duration::from_secs(20), "it ends when it is told to");
    assert!(
        stderr.contains("rxq3") && stderr.contains("capture"),
        "the account on the way: {stderr}"
    );
    let result: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(result["end"], "interrupted");
    assert_eq!((number(&result, "/account/held"), &result["account"]["ok"]), (0, &true.into()));
    assert!(number(&result, "/account/offered") > 0);
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |args: &[&str], says: &str| {
        let (code, _, stderr) = common::run(args);
        assert_eq!(code, 2, "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    };
    let threads = ["run", "--world", "threads"];
    refused(&[&threads[..], &["scenarios/faults.toml"]].concat(), "fault:");
    refused(&[&threads[..], &["--trace", "rings"]].concat(), "--trace");
    refused(&["run", "--poll"], "--world threads");
    refused(&[&threads[..], &["--cpus", "0,4096"]].concat(), "there is no CPU 4096");
    refused(&["run", "--world", "moon"], "possible values: embedded, threads");
}

#[test]
fn a_capture_that_breaks_off_is_told() {
    let folder = common::folder("threads_cut");
    let whole = folder.join("whole.pcap");
    let frame = [&[2u8; 12][..], &[8, 0], &[0; 46]].concat();
    let mut bytes = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes).concat();
    for number in 0..50_u32 {
        let header = [number, 0, frame.len() as u32, frame.len() as u32];
        bytes.extend(header.map(u32::to_le_bytes).concat());
        bytes.extend(&frame);
    }
    bytes.truncate(bytes.len() - 10);
    std::fs::write(&whole, bytes).unwrap();
    let pcap = whole.to_str().unwrap();
    let line = ["--set", "traffic.timing=line"];
    let args = [&["run", "--world", "threads", "--pcap", pcap], &line[..]].concat();
    let (code, stdout, stderr) = common::run(&args);
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stdout.contains("note:") && stdout.contains("account: ok"), "{stdout}");
}

#[test]
fn the_benchmark_of_the_whole_way_measures_something() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        println!("skipped: it needs two CPUs");
        return;
    }
    let args = ["bench", "path", "--rounds", "1", "--window", "100", "--without-linux"];
    let figures = common::result(&args);
    assert!(figures["ours"]["median"].as_f64().unwrap() > 0.0, "{figures:#}");
    assert_eq!(figures["linux"], Value::Null);
}
