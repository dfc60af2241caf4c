//! `result.json` and the shipped scenarios: what they say is what their schema and names promise.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod common;

use serde_json::Value;

/// The scenarios in `scenarios/`, as paths from the root.
fn shipped() -> Vec<String> {
    let mut files: Vec<String> = std::fs::read_dir(common::root().join("scenarios"))
        .unwrap()
        .map(|entry| format!("scenarios/{}", entry.unwrap().file_name().to_str().unwrap()))
        .filter(|name| name.ends_with(".toml"))
        .collect();
    files.sort();
    assert!(files.len() >= 5);
    files
}

fn short(scenario: &str) -> Value {
    common::result(&["run", scenario, "--set", "traffic.frames=20000"])
}

#[test]
fn results_match_the_schema() {
    let mut schemas = boon::Schemas::new();
    let file = common::root().join("schemas/result.schema.json");
    let schema = boon::Compiler::new().compile(file.to_str().unwrap(), &mut schemas).unwrap();
    for scenario in shipped() {
        let mut result = short(&scenario);
        if let Err(error) = schemas.validate(&result, schema) {
            panic!("{scenario}: {error:#}");
        }
        // And the schema is strict enough to notice.
        result["account"]["held"] = "none".into();
        assert!(schemas.validate(&result, schema).is_err());
    }
}

#[test]
fn every_shipped_scenario_keeps_its_account() {
    for scenario in shipped() {
        let result = short(&scenario);
        let account = &result["account"];
        assert_eq!(account["ok"], true, "{scenario}");
        // Those that a program sent come on top.
        let offered = account["offered"].as_u64().unwrap();
        assert!(offered == 20_000 || scenario.ends_with("send.toml") && offered > 20_000);
        let sum = |tally: &Value| {
            let dropped =
                tally["dropped"].as_object().unwrap().values().map(|n| n.as_u64().unwrap());
            let rest = ["delivered", "filtered", "held"].map(|key| tally[key].as_u64().unwrap());
            dropped.sum::<u64>() + rest.iter().sum::<u64>()
        };
        assert_eq!(sum(account), offered, "{scenario}");
        for part in ["queues", "handles"] {
            for tally in result[part].as_array().unwrap() {
                assert_eq!(tally["offered"], sum(tally), "{scenario}: {part}");
            }
        }
    }
}

#[test]
fn each_scenario_tells_its_story() {
    let fast = common::result(&["run", "scenarios/fast-reader.toml"]);
    assert_eq!(fast["account"]["offered"], fast["account"]["delivered"]);
    let slow = common::result(&["run", "scenarios/slow-reader.toml"]);
    assert!(slow["account"]["dropped"]["buffer_full"].as_u64() > Some(0));
    let small = common::result(&["run", "scenarios/small-ring.toml"]);
    let held = small["queues"].as_array().unwrap().iter();
    let held: u64 =
        held.map(|q| q["counters"]["nic"]["no_descriptor_held"].as_u64().unwrap()).sum();
    assert!(held > 0, "a small ring makes frames wait in the FIFO");
}

#[test]
fn the_bursts_lose_frames_at_each_place() {
    let result = common::result(&["run", "scenarios/bursts.toml"]);
    let dropped = result["account"]["dropped"].as_object().unwrap();
    for reason in ["link_down", "bad_fcs", "giant", "no_descriptor", "buffer_full"] {
        assert!(dropped.contains_key(reason), "{reason} is missing in {dropped:?}");
    }
    for drop in result["first_drops"].as_array().unwrap() {
        assert!(dropped.contains_key(drop["reason"].as_str().unwrap()));
    }
}

/// `--filter` with a program file works without libpcap, and filtered frames are counted as such.
#[test]
fn a_program_file_filters_every_handle() {
    let result = common::result(&[
        "run",
        "scenarios/fast-reader.toml",
        "--filter",
        "@tests/programs/even.ddd",
    ]);
    let account = &result["account"];
    // The program keeps even source ports: of many flows it refuses some and keeps some.
    assert!(account["filtered"].as_u64() > Some(0) && account["delivered"].as_u64() > Some(0));
    let settled = ["delivered", "filtered"].map(|key| account[key].as_u64().unwrap());
    assert_eq!(settled.iter().sum::<u64>(), account["offered"].as_u64().unwrap());
}

#[test]
fn reasons_are_printed_from_the_enums() {
    let (code, stdout, _) = common::run(&["reasons"]);
    assert_eq!(code, 0);
    for word in ["no_descriptor", "buffer_full", "short_completion", "rx_missed_errors"] {
        assert!(stdout.contains(word), "{word} is missing in:\n{stdout}");
    }
}

#[test]
fn the_events_file_tells_what_the_digest_covers() {
    let out = common::folder("events");
    let scenario = "scenarios/slow-reader.toml";
    let args = ["run", scenario, "--set", "traffic.frames=3000", "--out", out.to_str().unwrap()];
    let mut all = args.to_vec();
    all.extend(["--set", "output.events=\"all\""]);
    let result = common::result(&all);
    let lines = std::fs::read_to_string(out.join("events.ndjson")).unwrap();
    assert_eq!(result["events"], lines.lines().count());
    let events: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (seq, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], seq);
    }
    assert!(events.is_sorted_by_key(|event| event["t"].as_u64().unwrap()), "time goes back");
    let drops = events.iter().filter(|event| event["event"] == "dropped").count();
    let counted = result["account"]["dropped"].as_object().unwrap().values();
    assert_eq!(drops as u64, counted.map(|n| n.as_u64().unwrap()).sum::<u64>());
}

/// A cost that nobody charges would be a promise to the reader of a scenario that nothing keeps.
#[test]
fn every_cost_in_the_table_is_charged() {
    let digest = |more: &[&str], cost: Option<&str>| {
        let mut args = vec!["run", "scenarios/small-ring.toml", "--set", "traffic.frames=300"];
        args.extend(["--filter", "@tests/programs/even.ddd"]);
        // Several reads, so that what one costs shows in the next.
        args.extend(["--set", "handle.0.user_buffer=2kB", "--set", "handle.0.min_to_copy=0B"]);
        args.extend(more);
        let set = cost.map(|name| format!("costs.{name}=77ns"));
        args.extend(set.iter().flat_map(|set| ["--set", set]));
        common::result(&args)["digest"].as_str().unwrap().to_owned()
    };
    let scenario = harness::scenario::Scenario::parse("", "(test)", &[]).unwrap();
    for (name, _) in scenario.costs.named() {
        // Some work only some settings do.
        let more: &[&str] = match name {
            "worker_request" => &["--engine", "worker"],
            "filter_compiled" => &["--set", "handle.0.filter_engine=jit"],
            "file_write" => &["--set", "handle.0.reader.write=true"],
            _ => &[],
        };
        assert_ne!(digest(more, Some(name)), digest(more, None), "costs.{name} changes nothing");
    }
}

/// Under Linux's names each frame is counted once, as in the account.
#[test]
fn ethtool_statistics_are_the_account() {
    // The faults in the rings come late.
    let whole = "scenarios/faults.toml";
    let shortened = shipped().into_iter().filter(|scenario| scenario != whole);
    let mut results: Vec<(String, Value)> =
        shortened.map(|scenario| (scenario.clone(), short(&scenario))).collect();
    results.push((whole.into(), common::result(&["run", whole])));
    for (scenario, result) in results {
        let of = |name: &str| result["ethtool"][name].as_u64().unwrap();
        let account = &result["account"];
        let offered = account["offered"].as_u64().unwrap() - account["sent"].as_u64().unwrap();
        let fifo: u64 = result["queues"]
            .as_array()
            .unwrap()
            .iter()
            .map(|queue| {
                let held = &queue["held_in"];
                held["fifo"].as_u64().unwrap() + held["ring"].as_u64().unwrap()
            })
            .sum();
        let names = [
            "rx_packets",
            "rx_dropped",
            "rx_left_behind",
            "rx_missed_errors",
            "rx_fifo_errors",
            "rx_crc_errors",
            "rx_length_errors",
            "rx_nic_other",
        ];
        assert_eq!(names.map(of).iter().sum::<u64>() + fifo, offered, "{scenario}");
        let missed = account["dropped"]["no_descriptor"].as_u64().unwrap_or(0);
        assert_eq!(of("rx_missed_errors"), missed, "{scenario}");
        let queues = 0..result["queues"].as_array().unwrap().len();
        let packets: u64 = queues.map(|queue| of(&format!("rx_queue_{queue}_packets"))).sum();
        assert_eq!(packets, of("rx_packets") + of("rx_false_packets"), "{scenario}");
        let falsely = of("rx_false_packets") + of("rx_false_drops");
        assert_eq!(falsely > 0, scenario == whole, "{scenario}");
    }
}
