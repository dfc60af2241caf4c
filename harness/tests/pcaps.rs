//! Real captures beside the project, when they are there: played, captured, compared byte for byte.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod common;

use common::{folder, root, tool};
use harness::scenario::Scenario;
use harness::source;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The captures, sorted by name.
fn captures() -> Vec<PathBuf> {
    let folder = root().join("../shared/pcaps");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: there is no folder with captures beside the project");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Every frame of a capture file, in order.
fn frames(file: &Path) -> Vec<Vec<u8>> {
    let sets = [format!("traffic={{ source = \"capture\", file = {:?} }}", file.to_str().unwrap())];
    let scenario = Scenario::parse("", "(test)", &sets).unwrap().resolved();
    let mut source = source::open(&scenario).unwrap();
    let mut frame = Vec::new();
    let mut all = Vec::new();
    while source.next(&mut frame).unwrap().is_some() {
        all.push(frame.clone());
    }
    all
}

/// What the plain laboratory's MTU of 1500 lets through.
fn acceptable(frame: &[u8]) -> bool {
    let is_tag = |at: usize| matches!(frame.get(at..at + 2), Some([0x81, 0x00] | [0x88, 0xa8]));
    let tags = usize::from(is_tag(12)) + usize::from(is_tag(12) && is_tag(16));
    frame.len() >= 14 && frame.len() <= 1514 + 4 * tags
}

fn play(file: &Path, out: &Path, sets: &[&str]) -> Value {
    let mut args = vec!["run", "--pcap", file.to_str().unwrap(), "--out", out.to_str().unwrap()];
    for set in sets {
        args.extend(["--set", set]);
    }
    common::result(&args)
}

fn dropped(result: &Value) -> u64 {
    result["account"]["dropped"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum()
}

#[test]
fn a_fast_reader_gets_every_acceptable_frame_byte_for_byte() {
    for file in captures() {
        let out = folder(&format!("fast_{}", file.file_name().unwrap().to_str().unwrap()));
        let offered = frames(&file);
        let wanted: Vec<_> = offered.iter().filter(|frame| acceptable(frame)).cloned().collect();
        // One queue keeps the order of the file; more would only keep it per queue.
        let result = play(&file, &out, &["channels.combined=1"]);
        assert_eq!(result["account"]["offered"], offered.len(), "{file:?}");
        assert_eq!(result["account"]["delivered"], wanted.len(), "{file:?}: {}", result["account"]);
        assert_eq!(dropped(&result), (offered.len() - wanted.len()) as u64, "{file:?}");
        let capture = out.join("capture.pcapng");
        assert!(frames(&capture) == wanted, "{file:?}: other bytes");
        if let Some(mut capinfos) = tool("capinfos") {
            let output = capinfos.args(["-M", "-c"]).arg(&capture).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            let count = text.lines().find_map(|line| line.strip_prefix("Number of packets:"));
            assert_eq!(count.map(str::trim), Some(&*wanted.len().to_string()), "{file:?}: {text}");
        }
        if let Some(mut tshark) = tool("tshark") {
            let output = tshark
                .args(["-r", capture.to_str().unwrap(), "-T", "fields"])
                .args(["-e", "frame.len", "-e", "frame.packet_id", "-e", "frame.interface_name"])
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8_lossy(&output.stdout);
            assert_eq!(text.lines().count(), wanted.len());
            for (line, frame) in text.lines().zip(&wanted) {
                let len = line.split('\t').next().unwrap();
                assert_eq!(len, frame.len().to_string(), "{file:?}");
                assert!(line.ends_with("rxq0"), "{line}");
            }
        }
    }
}

#[test]
fn a_slow_reader_loses_with_reasons_and_an_account_that_adds_up() {
    let mut lost = 0;
    for file in captures() {
        let out = folder(&format!("slow_{}", file.file_name().unwrap().to_str().unwrap()));
        let result = play(
            &file,
            &out,
            &[
                "traffic.timing=\"line\"",
                "handle.0.kernel_buffer=\"20000B\"",
                "handle.0.reader.frame=\"100us\"",
            ],
        );
        let account = &result["account"];
        assert_eq!(account["ok"], true, "{file:?}");
        let settled = account["delivered"].as_u64().unwrap() + dropped(&result);
        assert_eq!(account["offered"].as_u64().unwrap(), settled, "{file:?}");
        let known = ["giant", "runt", "buffer_full"];
        for reason in account["dropped"].as_object().unwrap().keys() {
            assert!(known.contains(&reason.as_str()), "{file:?}: {reason}");
        }
        lost += account["dropped"]["buffer_full"].as_u64().unwrap_or(0);
    }
    assert!(lost > 0 || captures().is_empty(), "a slow reader with a small buffer lost nothing");
}
