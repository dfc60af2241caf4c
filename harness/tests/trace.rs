//! `rxlab run --trace`: pictures of the virtqueues, or what either side does; and the same run as without.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod common;

const RUN: [&str; 8] = [
    "run",
    "scenarios/fast-reader.toml",
    "--set",
    "traffic.frames=40",
    "--set",
    "channels.combined=1",
    "--set",
    "ring.rx=16",
];

fn stdout(arguments: &[&str]) -> String {
    let (code, stdout, stderr) = common::run(arguments);
    assert_eq!(code, 0, "{stderr}");
    stdout
}

/// Who owns how many of the receive ring's entries, picture by picture: driver, device, used.
fn counts(text: &str) -> Vec<[u32; 3]> {
    let of_ring = |line: &str| {
        let (_, counts) = line.split_once("rx 0, ")?.1.split_once(" entries: ")?;
        let mut numbers = counts.split([' ', ',']).filter_map(|word| word.parse().ok());
        Some([numbers.next()?, numbers.next()?, numbers.next()?])
    };
    text.lines().filter_map(of_ring).collect()
}

#[test]
fn every_descriptor_has_an_owner_and_buffers_go_round() {
    for format in ["split", "packed"] {
        let set = format!("ring.format={format}");
        let arguments = [&RUN[..], &["--set", &set, "--trace", "rings"]].concat();
        let text = stdout(&arguments);
        let counts = counts(&text);
        assert!(counts.len() > 20, "{format}: {text}");
        assert_eq!(counts[0], [0, 16, 0], "{format}: all are posted at first");
        assert!(counts.iter().all(|owners| owners.iter().sum::<u32>() == 16), "{counts:?}");
        assert!(counts.iter().any(|[_, _, used]| *used > 0), "{format}: {counts:?}");
        assert!(counts[1..].contains(&[0, 16, 0]), "{format}: refilled, {counts:?}");
    }
}

#[test]
fn a_traced_run_is_the_same_run() {
    let plain = stdout(&RUN);
    let traced = stdout(&[&RUN[..], &["--trace", "rings", "--pictures", "3"]].concat());
    let digest = |text: &str| text.split("digest ").nth(1).unwrap()[..16].to_owned();
    assert_eq!(digest(&plain), digest(&traced));
    assert_eq!(counts(&traced).len(), 3);
    assert!(traced.contains("--pictures N draws more"));
}

#[test]
fn the_sides_tell_a_frames_way_in_its_order() {
    let traced = stdout(&[&RUN[..], &["--trace", "sides", "--pictures", "2000"]].concat());
    let digest = |text: &str| text.split("digest ").nth(1).unwrap()[..16].to_owned();
    assert_eq!(digest(&stdout(&RUN)), digest(&traced));
    // Each after the one before, in the column of who does it.
    let steps = [
        (12, "frame 4, 590 B, is there"),
        (12, "fetches descriptor 4 of rx 0 for frame 4"),
        (12, "wrote 602 B to descriptor 4 of rx 0: used"),
        (12, "sends vector 1 to CPU"),
        (59, "serves vector 1"),
        (59, "handle 0: 590 B of frame 4 stored"),
        (59, "polled rx 0: "),
        (59, "the reader of handle 0 has 590 B of frame 4"),
    ];
    let mut lines = traced.lines();
    for (column, step) in steps {
        let found = lines.find(|line| line.contains(step));
        let line = found.unwrap_or_else(|| panic!("{step}: {traced}"));
        assert!(line[column..].contains(step) && line[column..column + 1] != *" ", "{line}");
    }
    for told in ["posts ", "rings the doorbell of rx 0", "is told of buffers in rx 0"] {
        assert!(traced.contains(told), "{told}");
    }
}

#[test]
fn the_events_tell_of_the_rings() {
    let out = common::folder("trace");
    let folder = out.to_str().unwrap();
    let set = ["--set", "output.events=all", "--trace", "rings", "--out", folder];
    stdout(&[&RUN[..], &set].concat());
    let events = std::fs::read_to_string(out.join("events.ndjson")).unwrap();
    let rings = events.lines().filter(|line| line.contains("\"ring\"")).count();
    assert!(rings > 20, "{rings} events");
}
