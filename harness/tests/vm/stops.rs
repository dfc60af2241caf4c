//! What ends a run before its traffic does: signals, the time limit, the death of QEMU.

use std::time::Duration;

use serde_json::Value;

use crate::common::process::wait_for;
use crate::common::{folder, told};
use crate::world::{self, Run, number, valid};

/// Traffic for minutes.
const LONG: [&str; 4] = ["--set", "traffic.frames=10000000", "--set", "channels.combined=1"];

/// What the agent tells the console then.
const UP: &str = "rxlab-agent: frames are taken";

/// A run in whose guest the driver is up, so that frames are on their way.
fn under_way(more: &[&str]) -> Run {
    let run = Run::start(&[&LONG[..], more].concat());
    let console = run.folder().join("console");
    wait_for(|| std::fs::read_to_string(&console).is_ok_and(|text| text.contains(UP)));
    std::thread::sleep(Duration::from_secs(2));
    run
}

#[test]
fn signals_end_a_run_with_its_account() {
    world::alone(|| {
        for signal in ["INT", "TERM"] {
            let run = under_way(&["--json", "--driver", "linux"]);
            run.signal(signal);
            let (code, stdout, stderr) = run.end();
            assert_eq!(code, 130, "{signal}: {stderr}");
            let result: Value = serde_json::from_str(&stdout).unwrap();
            valid(&result);
            assert_eq!(result["end"], "interrupted");
            assert_eq!(result["account"]["ok"], true, "{signal}: {result:#}");
            assert!(number(&result, "/account/offered") > 0);
        }
        // In the middle of the boot.
        let run = Run::start(&LONG);
        wait_for(|| run.qemu().is_some());
        run.signal("INT");
        let (code, stdout, _) = run.end();
        assert!(code == 130 && stdout.contains("end: interrupted"), "{stdout}");
    });
}

#[test]
fn the_time_limit_ends_everything() {
    world::alone(|| {
        let run = Run::start(&[&LONG[..], &["--time-limit", "12s", "--json"]].concat());
        let (code, stdout, stderr) = run.end();
        assert_eq!(code, 11, "{stderr}");
        assert!(stderr.contains("--time-limit"), "{stderr}");
        let result: Value = serde_json::from_str(&stdout).unwrap();
        valid(&result);
        assert_eq!(
            (&result["end"], &result["account"]["ok"]),
            (&"time_limit".into(), &true.into())
        );
    });
}

#[test]
fn qemu_killed_under_traffic_is_told_with_the_account_up_to_then() {
    world::alone(|| {
        let out = folder("vm_killed");
        let run = under_way(&["--out", out.to_str().unwrap()]);
        let id = run.qemu().unwrap().to_string();
        let mut kill = std::process::Command::new("kill");
        assert_eq!(told(&kill.args(["-KILL", &id]).output().unwrap()).0, 0);
        let (code, stdout, stderr) = run.end();
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("QEMU has ended (signal: 9"), "{stderr}");
        assert!(stdout.contains("end: failed; the account up to then"), "{stdout}");
        let result = std::fs::read_to_string(out.join("result.json")).unwrap();
        let result: Value = serde_json::from_str(&result).unwrap();
        valid(&result);
        assert_eq!((&result["end"], &result["account"]["ok"]), (&"failed".into(), &false.into()));
        assert!(number(&result, "/account/indicated") > 0, "{result:#}");
        std::fs::remove_dir_all(out).unwrap();
    });
}
