//! `rxlab compare`: the same frames through several engines.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod common;

use common::run;
use serde_json::Value;

const SHORT: [&str; 2] = ["--set", "traffic.frames=3000"];

fn compare(args: &[&str]) -> Value {
    let mut all = vec!["compare", "--json"];
    all.extend(SHORT);
    all.extend(args);
    let (code, stdout, stderr) = run(&all);
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

/// The thread of issue 317 in three columns: segments drop while most of the buffer is empty, the
/// worker's memory grows beyond the buffer, the queue does neither.
#[test]
fn without_arguments_it_tells_the_story_of_issue_317() {
    let (code, stdout, stderr) = run(&[]);
    assert_eq!(code, 0, "{stderr}");
    let row = |name: &str| -> Vec<u64> {
        let line = stdout.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        let numbers = line.split_whitespace().filter_map(|word| word.replace(',', "").parse().ok());
        numbers.collect()
    };
    let [segments, worker, queue] = row("dropped")[..] else { panic!("{stdout}") };
    assert!(segments > 0 && worker == 0 && queue == 0, "{stdout}");
    let free = row("free elsewhere, B")[0];
    assert!(free > 900_000, "the rest of the megabyte was empty: {free}");
    let [_, worker, queue] = row("peak memory, B")[..] else { panic!("{stdout}") };
    assert!(worker > 4 * 1_000_000 && queue < 1_000_000, "{stdout}");
}

#[test]
fn every_engine_is_offered_the_same_and_gives_its_own_account() {
    let result = compare(&["scenarios/slow-reader.toml"]);
    let runs = result["runs"].as_array().unwrap();
    let names: Vec<&str> = runs.iter().map(|run| run["engine"].as_str().unwrap()).collect();
    assert_eq!(names, ["segments", "worker", "packet-queue", "ring", "store-hold", "zero-copy"]);
    for run in runs {
        assert_eq!(run["offered_digest"], runs[0]["offered_digest"]);
        assert_eq!(run["account"]["offered"], 3000);
        assert_eq!(run["account"]["ok"], true);
    }
    assert!(runs.iter().any(|run| run["digest"] != runs[0]["digest"]), "engines differ");
}

#[test]
fn a_column_is_what_a_single_run_says() {
    let result = compare(&["scenarios/small-ring.toml", "--engine", "ring,store-hold"]);
    for run in result["runs"].as_array().unwrap() {
        let engine = run["engine"].as_str().unwrap();
        let mut args = vec!["run", "scenarios/small-ring.toml", "--engine", engine];
        args.extend(SHORT);
        let single = common::result(&args);
        for key in ["digest", "account", "handles", "queues"] {
            assert_eq!(run[key], single[key], "{engine}: {key}");
        }
    }
}

#[test]
fn a_varied_key_gives_a_block_per_value_and_a_picture() {
    let picture = common::folder("compare").join("loss.svg");
    let file = picture.to_str().unwrap();
    let vary = "handle.0.kernel_buffer=20kB,200kB";
    let result = compare(&[
        "scenarios/slow-reader.toml",
        "--engine",
        "ring,packet-queue",
        "--vary",
        vary,
        "--plot",
        file,
    ]);
    assert_eq!(result["key"], "handle.0.kernel_buffer");
    let runs = result["runs"].as_array().unwrap();
    let values: Vec<&str> = runs.iter().map(|run| run["value"].as_str().unwrap()).collect();
    assert_eq!(values, ["20kB", "20kB", "200kB", "200kB"]);
    let lost = |run: &Value| -> u64 {
        let dropped = run["account"]["dropped"].as_object().unwrap();
        dropped.values().map(|count| count.as_u64().unwrap()).sum()
    };
    assert!(lost(&runs[1]) > lost(&runs[3]), "more memory loses less");
    let svg = std::fs::read_to_string(&picture).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for word in ["20kB", "200kB", "ring", "packet-queue", "handle.0.kernel_buffer"] {
        assert!(svg.contains(word), "{word}");
    }
}

#[test]
fn two_comparisons_are_equal_to_the_byte() {
    let args = ["compare", "scenarios/controls.toml", "--json", "--set", "traffic.frames=5000"];
    assert_eq!(run(&args).1, run(&args).1);
}

#[test]
fn results_match_the_schema() {
    let mut schemas = boon::Schemas::new();
    let file = common::root().join("schemas/compare.schema.json");
    let schema = boon::Compiler::new().compile(file.to_str().unwrap(), &mut schemas).unwrap();
    let mut result = compare(&["scenarios/dump.toml"]);
    if let Err(error) = schemas.validate(&result, schema) {
        panic!("{error:#}");
    }
    result["runs"][0]["engine"] = "magic".into();
    assert!(schemas.validate(&result, schema).is_err());
}

#[test]
fn what_cannot_be_compared_is_refused_with_a_way_out() {
    let cases: [(&[&str], &str); 7] = [
        (&["--engine", "ring,magic"], "store-hold"),
        (&["--engine", "ring,ring"], "twice"),
        (&["--vary", "seed"], "key=value"),
        (&["--vary", "no.such.key=1,2"], "unknown key"),
        (&["--vary", "handle.0.engine=bpf"], "packet-queue"),
        (&["no/such.toml"], "no/such.toml"),
        (&["scenarios/dump.toml", "--engine", "ring,zero-copy"], "needs a kernel buffer"),
    ];
    for (args, word) in cases {
        let mut all = vec!["compare"];
        all.extend(args);
        let (code, stdout, stderr) = run(&all);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
        assert!(stderr.contains(word), "{args:?} says {stderr}");
    }
}
