//! Wrong input on purpose: exit codes, messages that help, outputs that stay well-formed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod common;

use common::{folder, run, scenario, told};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Runs a scenario that must be refused: exit 2, and the message holds every one of `words`.
fn refused(text: &str, words: &[&str]) {
    let folder = folder(&format!("refused_{:x}", text.len() * 31 + words.join("").len()));
    let path = scenario(&folder, text);
    let (code, stdout, stderr) = run(&["run", &path]);
    assert_eq!(code, 2, "{text}\n{stderr}");
    assert!(stdout.is_empty(), "talk belongs to stderr: {stdout}");
    for word in words {
        assert!(stderr.contains(word), "`{word}` is missing in:\n{stderr}");
    }
}

#[test]
fn scenario_errors_point_into_the_file() {
    refused("[ring]\nrx = 300\n", &["scenario.toml:2", "power of two"]);
    refused("[ring]\nrxx = 256\n", &["scenario.toml:2", "rxx", "rx"]);
    refused("[wire]\nrate = \"10Gbit\"\n", &["scenario.toml:2", "bit/s"]);
    refused("[channels]\ncombined = 8\n[nic]\nvectors = 4\n", &["vectors"]);
    refused("[traffic]\nsource = \"generator\"\nrate = \"0pps\"\n", &["scenario.toml:3", "rate"]);
    refused("[ring\n", &["scenario.toml:1"]);
    refused("[driver]\nbuffer = 2048\n", &["scenario.toml:2", "buffer"]);
}

#[test]
fn features_that_do_not_go_together_are_refused_with_the_rule() {
    let words = ["VIRTIO_NET_F_RSS", "VIRTIO_NET_F_CTRL_VQ", "5.1.3.1", "nic.ctrl_vq = true"];
    refused("[nic]\nctrl_vq = false\n[channels]\ncombined = 1", &words);
    let words = ["VIRTIO_NET_F_HASH_REPORT", "VIRTIO_NET_F_CTRL_VQ", "5.1.4"];
    let bare = "[nic]\nctrl_vq = false\nhash_report = true\n[channels]\ncombined = 1";
    refused(&format!("{bare}\n[rxfh]\nenabled = false"), &words);
}

#[test]
fn errors_in_set_point_at_the_option() {
    let (code, _, stderr) = run(&["run", "--set", "ring.rx=300"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("--set") && stderr.contains("power of two"), "{stderr}");
}

#[test]
fn a_missing_scenario_is_named() {
    let (code, _, stderr) = run(&["run", "no/such.toml"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("no/such.toml"), "{stderr}");
}

#[test]
fn an_unknown_engine_is_answered_with_the_known_ones() {
    let (code, _, stderr) = run(&["run", "--engine", "magic"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("packet-queue"), "{stderr}");
}

#[test]
fn filters_say_what_is_wrong_and_where() {
    let folder = folder("filters");
    let file = folder.join("bad.ddd");
    std::fs::write(&file, "2\n40 0 0 12\n21 9 9 2048\n").unwrap();
    let (code, _, stderr) = run(&["run", "--filter", &format!("@{}", file.display())]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("bad.ddd") && stderr.contains('1'), "{stderr}");
    let (code, _, stderr) = run(&["run", "--filter", "@no/such.ddd"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("no/such.ddd"), "{stderr}");
    let (code, _, stderr) = run(&["run", "--filter", "udp prt 53"]);
    assert_eq!(code, 2, "{stderr}");
    // libpcap's own words where it is installed; how to get it where it is not.
    assert!(stderr.contains("syntax error") || stderr.contains("libpcap"), "{stderr}");
}

/// A classic pcap header: little endian, microseconds.
fn pcap_header(link_type: u32) -> Vec<u8> {
    let mut bytes = 0xa1b2_c3d4u32.to_le_bytes().to_vec();
    bytes.extend([2, 0, 4, 0]);
    bytes.extend([0; 8]);
    bytes.extend(262_144u32.to_le_bytes());
    bytes.extend(link_type.to_le_bytes());
    bytes
}

fn pcap_record(bytes: &mut Vec<u8>, claimed: u32, frame: &[u8]) {
    bytes.extend([0; 8]);
    bytes.extend(claimed.to_le_bytes());
    bytes.extend(claimed.to_le_bytes());
    bytes.extend(frame);
}

#[test]
fn a_truncated_capture_keeps_what_was_read_before() {
    let folder = folder("truncated");
    let file = folder.join("cut.pcap");
    let mut bytes = pcap_header(1);
    pcap_record(&mut bytes, 60, &[1; 60]);
    pcap_record(&mut bytes, 60, &[2; 60]);
    pcap_record(&mut bytes, 60, &[3; 17]);
    std::fs::write(&file, bytes).unwrap();
    let (code, stdout, stderr) = run(&["run", "--pcap", file.to_str().unwrap(), "--json"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("cut.pcap"), "{stderr}");
    let result: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(result["account"]["offered"], 2);
    assert_eq!(result["account"]["delivered"], 2);
    assert_eq!(result["end"], "source_fault");
}

#[test]
fn captures_that_cannot_be_played_are_refused_by_name() {
    let folder = folder("captures");
    let refused = |name: &str, bytes: &[u8], words: &[&str]| {
        let file = folder.join(name);
        std::fs::write(&file, bytes).unwrap();
        let (code, _, stderr) = run(&["run", "--pcap", file.to_str().unwrap()]);
        assert_eq!(code, 2, "{stderr}");
        for word in words.iter().chain([&name]) {
            assert!(stderr.contains(word), "`{word}` is missing in: {stderr}");
        }
    };
    refused("magic.pcap", b"this is no capture at all", &["pcap"]);
    refused("empty.pcap", b"", &[]);
    // 802.11 frames cannot enter an Ethernet port.
    refused("wifi.pcap", &pcap_header(105), &["105", "Ethernet"]);
    let (code, _, stderr) = run(&["run", "--pcap", "no/such.pcap"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("no/such.pcap"), "{stderr}");
}

#[test]
fn a_frame_longer_than_the_mtu_is_traffic_and_dropped_as_a_giant() {
    let folder = folder("giant");
    let file = folder.join("giant.pcap");
    let mut bytes = pcap_header(1);
    pcap_record(&mut bytes, 9000, &[7; 9000]);
    pcap_record(&mut bytes, 60, &[7; 60]);
    std::fs::write(&file, bytes).unwrap();
    let result = common::result(&["run", "--pcap", file.to_str().unwrap()]);
    assert_eq!(result["account"]["dropped"]["giant"], 1);
    assert_eq!(result["account"]["delivered"], 1);
}

#[test]
fn an_output_folder_that_cannot_be_made_is_named() {
    let folder = folder("no_output");
    let file = folder.join("file");
    std::fs::write(&file, "").unwrap();
    let out = file.join("out");
    let (code, _, stderr) = run(&["run", "--out", out.to_str().unwrap()]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains(out.to_str().unwrap()), "{stderr}");
}

/// Every line of an event file is JSON, and the last one ends.
fn assert_whole_lines(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect(line);
    }
}

#[test]
fn a_full_disk_leaves_whole_records_and_says_so() {
    let out = folder("full_disk");
    let status = std::process::Command::new("bash")
        .args(["-c", "ulimit -f 64; exec \"$0\" run scenarios/fast-reader.toml --out \"$1\" --set output.events='\"all\"'"])
        .arg(env!("CARGO_BIN_EXE_rxlab"))
        .arg(&out)
        .current_dir(common::root())
        .output()
        .unwrap();
    let (code, stdout, stderr) = told(&status);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("events.ndjson"), "{stderr}");
    assert!(stdout.contains("account: ok"), "the account outlives its log: {stdout}");
    assert_whole_lines(&out.join("events.ndjson"));
    let written = std::fs::metadata(out.join("events.ndjson")).unwrap().len();
    assert!(written > 32 * 1024, "{written} bytes");
}

#[test]
fn control_c_ends_with_the_account_of_the_moment() {
    let out = folder("control_c");
    let child = common::rxlab()
        .args(["run", "scenarios/line-rate-64b.toml", "--set", "traffic.frames=1000000000"])
        .args(["--set", "output.events=\"losses\"", "--out", out.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Long enough to be in the middle of it; too early would only stop it sooner.
    std::thread::sleep(Duration::from_millis(1500));
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let (code, stdout, stderr) = told(&child.wait_with_output().unwrap());
    assert_eq!(code, 130, "{stderr}");
    assert!(stdout.contains("account: ok"), "{stdout}");
    assert_whole_lines(&out.join("events.ndjson"));
    let result = std::fs::read_to_string(out.join("result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["end"], "interrupted");
    assert!(result["account"]["offered"].as_u64().unwrap() > 0);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = common::rxlab()
        .args(["run", "scenarios/fast-reader.toml", "--set", "traffic.frames=100"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let _ = child.stdin.take().unwrap().write_all(b"");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    for args in [&["run", "--set", "traffic.frames=100"][..], &["reasons"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = common::rxlab().args(args).stdout(full).output().unwrap();
        let (code, _, stderr) = told(&output);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("standard output"), "{stderr}");
    }
}

#[test]
fn a_run_never_overwrites_the_capture_that_it_plays() {
    let folder = folder("own_input");
    let file = folder.join("capture.pcapng");
    let mut bytes = pcap_header(1);
    pcap_record(&mut bytes, 60, &[1; 60]);
    std::fs::write(&file, &bytes).unwrap();
    let (code, _, stderr) =
        run(&["run", "--pcap", file.to_str().unwrap(), "--out", folder.to_str().unwrap()]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("give another --out"), "{stderr}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

#[test]
fn outputs_of_an_earlier_run_do_not_stay_beside_those_of_a_new_one() {
    let out = folder("earlier");
    let mut args = vec!["run", "scenarios/fast-reader.toml", "--set", "traffic.frames=100"];
    args.extend(["--out", out.to_str().unwrap()]);
    assert_eq!(run(&args).0, 0);
    std::fs::write(out.join("notes.txt"), "mine").unwrap();
    args.extend(["--set", "output.events=none", "--set", "output.capture=none"]);
    assert_eq!(run(&args).0, 0);
    let mut left: Vec<_> =
        std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["notes.txt", "result.json"]);
}

/// Without a watchdog a driver that re-arms blindly sleeps on waiting frames; its reader's time-outs are no
/// progress.
#[test]
fn a_driver_that_sleeps_for_ever_is_told_by_the_exit_code() {
    let folder = folder("sleeps");
    let text = |rearm: &str| {
        format!(
            "[traffic]\nsource = 'generator'\nframes = 20000\nrate = '500kpps'\nflows = 16\nburst = 100\n\
             [channels]\ncombined = 1\n[ring]\nrx = 128\n[nic]\nfifo = '4KiB'\n[driver]\nrearm = '{rearm}'\n\
             [[handle]]\nread_timeout = '10ms'\n"
        )
    };
    let (code, stdout, stderr) = run(&["run", &scenario(&folder, &text("blind"))]);
    assert_eq!(code, 11, "{stdout}{stderr}");
    assert!(stdout.contains("no progress: ") && stdout.contains("account: ok"), "{stdout}");
    let (code, _, stderr) = run(&["run", &scenario(&folder, &text("look-again"))]);
    assert_eq!(code, 0, "{stderr}");
}
