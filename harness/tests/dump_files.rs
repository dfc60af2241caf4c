//! Capture files that the driver writes in dump mode, and those that a reading program writes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod common;

use std::path::Path;

fn play(mode: &str, out: &Path, more: &[&str]) -> serde_json::Value {
    let mode = format!("handle.0.mode={mode}");
    let mut args = vec!["run", "scenarios/dump.toml", "--set", "traffic.frames=2000"];
    args.extend(["--set", &mode, "--out", out.to_str().unwrap()]);
    args.extend(more);
    common::result(&args)
}

/// Two ways to the same file: one copy, or three.
#[test]
fn the_driver_and_a_program_write_the_same_file() {
    let folder = common::folder("dump_files");
    let (dumped, captured) = (folder.join("dumped"), folder.join("captured"));
    let by_driver = play("dump", &dumped, &[]);
    let by_program = play("capture", &captured, &[]);
    let dump = std::fs::read(dumped.join("dump.pcap")).unwrap();
    assert_eq!(dump, std::fs::read(captured.join("written.pcap")).unwrap());
    assert_eq!(by_driver["handles"][0]["core"]["dumped"], 2000);
    assert_eq!(by_program["handles"][0]["core"]["delivered"], 2000);

    // And it is a capture: played again, it offers each frame.
    let file = dumped.join("dump.pcap");
    let again = common::result(&["run", "--pcap", file.to_str().unwrap()]);
    assert_eq!(again["account"]["offered"], 2000);
}

/// The limits are those of the file, and what comes later is dropped for that reason.
#[test]
fn a_dump_ends_at_its_limits() {
    let folder = common::folder("dump_limits");
    let result = play("dump", &folder, &["--set", "handle.0.dump.max_packets=7"]);
    assert_eq!(result["handles"][0]["core"]["dumped"], 7);
    assert_eq!(result["account"]["dropped"]["dump_ended"], 1993);
    let result = play("dump", &folder, &["--set", "handle.0.dump.max_bytes=10kB"]);
    let size = std::fs::metadata(folder.join("dump.pcap")).unwrap().len();
    assert!(size <= 10_000 && size > 10_000 - 1514 - 16, "{size}");
    assert_eq!(result["handles"][0]["core"]["dump_bytes"], size);
}
