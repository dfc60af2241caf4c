//! `rxlab filter` as a user calls it: programs shown and written, frames answered, wrong input refused.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod common;

use common::{folder, root, run, rxlab, tool};
use harness::libpcap;
use harness::source::Records;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// `ip` for a snap length of 262,144.
const IP: &str = "4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n";
const IP_HEX: &str = "00280000 0000000c 00150001 00000800 00060000 00040000 00060000 00000000";
const IP_FRAME: &str = "ffffffffffff 020000000001 0800 45";

/// Runs it and expects success and silence; gives what it printed.
fn printed(args: &[&str]) -> String {
    let (code, stdout, stderr) = run(&[&["filter"], args].concat());
    assert_eq!((code, stderr.as_str()), (0, ""), "{args:?}");
    stdout
}

/// Runs it and expects a refusal with these words and nothing on stdout.
fn refused(args: &[&str], words: &str) {
    let (code, stdout, stderr) = run(&[&["filter"], args].concat());
    assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
    assert!(stderr.contains(words), "{args:?}: {stderr}");
}

fn file(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A little-endian pcap of these frames, each with its length on the wire.
fn pcap(frames: &[(&[u8], u32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(0xa1b2_c3d4u32.to_le_bytes());
    bytes.extend([2, 0, 4, 0]);
    for word in [0u32, 0, 262_144, 1] {
        bytes.extend(word.to_le_bytes());
    }
    for (frame, wire) in frames {
        for word in [1, 0, frame.len() as u32, *wire] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(*frame);
    }
    bytes
}

#[test]
fn a_program_is_shown_and_written_in_every_form_and_read_back() {
    let folder = folder("filter_forms");
    let given = format!("@{}", file(&folder, "given", IP));
    let listing = printed(&[&given]);
    assert!(
        listing.starts_with("(000) ldh      [12]\n(001) jeq      #0x800           jt 2\tjf 3\n")
    );
    assert_eq!(printed(&["--program", IP_HEX]), listing);
    assert_eq!(printed(&[&given, "--disassemble"]), listing);
    for form in ["d", "dd", "ddd", "savefile"] {
        let output = rxlab().args(["filter", &given, "--format", form]).output().unwrap();
        assert!(output.status.success());
        let again = format!("@{}", file(&folder, form, &output.stdout));
        assert_eq!(printed(&[&again]), listing, "{form}");
        assert_eq!(printed(&[&again, "--format", "ddd"]), IP, "{form}");
    }
    let shown: Value =
        serde_json::from_str(&printed(&[&given, "--json", "--dialect", "npcap"])).unwrap();
    assert_eq!(shown["dialect"], "npcap");
    assert_eq!(shown["instructions"][1]["k"], 2048);
    assert_eq!(shown["instructions"][0]["text"], "ldh      [12]");
}

#[test]
fn a_program_comes_from_standard_input() {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut child = rxlab()
        .args(["filter", "@-", "--format", "dd"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"1\n6 0 0 96\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"{ 0x6, 0, 0, 0x00000060 },\n");
}

#[test]
fn a_frame_has_one_line() {
    for engine in ["jit", "interpreter"] {
        let ask = |args: &[&str]| printed(&[&["--engine", engine, "--program"], args].concat());
        assert_eq!(ask(&[IP_HEX, "--frame", IP_FRAME]), "262144\n");
        assert_eq!(
            ask(&[IP_HEX, "--frame", "", "--frame", IP_FRAME, "--frame", "0a"]),
            "0\n262144\n0\n"
        );
        // A = length on the wire; keep A.
        let length = "0080000000000000 0016000000000000";
        assert_eq!(ask(&[length, "--frame", "00:11:22"]), "3\n");
        assert_eq!(ask(&[length, "--frame", "001122", "--wire-length", "1514"]), "1514\n");
        let both = ask(&[length, "--frame", "00", "--disassemble"]);
        assert_eq!(both, "(000) ld       #pktlen\n(001) ret      \n1\n");
        let line: Value =
            serde_json::from_str(&ask(&[length, "--frame", "0011", "--json"])).unwrap();
        assert_eq!(
            (&line["frame"], &line["captured"], &line["wire"]),
            (&1.into(), &2.into(), &2.into())
        );
        assert_eq!((&line["accept"], &line["engine"]), (&2.into(), &engine.into()));
        assert_eq!(line["executed"], if engine == "jit" { Value::Null } else { 2.into() });
    }
}

#[test]
fn what_cannot_be_compiled_is_interpreted_with_a_notice() {
    // Adds one until A is 3, by a jump back.
    let back = "0004000000000001 0015010000000003 00050000fffffffd 0006000000000007";
    let args = ["filter", "--program", back, "--frame", "00"];
    let (code, stdout, stderr) = run(&args);
    assert_eq!((code, stdout.as_str()), (0, "7\n"), "{stderr}");
    assert!(stderr.contains("the interpreter runs this program: "), "{stderr}");
    assert_eq!(printed(&[&args[1..], &["--engine", "interpreter"]].concat()), "7\n");
}

#[test]
fn a_dialect_and_what_is_known_of_the_frame_decide() {
    // 2^31 > 1?
    let compare = "0000000080000000 0025000100000001 0006000000000001 0006000000000000";
    for (dialect, kept) in
        [("libpcap", "1\n"), ("npcap", "0\n"), ("winpcap", "0\n"), ("linux", "1\n")]
    {
        assert_eq!(printed(&["--program", compare, "--frame", "00", "--dialect", dialect]), kept);
    }
    // A = protocol, mark; keep A.
    let protocol = ["--dialect", "linux", "--program", "00200000fffff000 0016000000000000"];
    let mark = ["--dialect", "linux", "--program", "00200000fffff014 0016000000000000"];
    let frame = ["--frame", IP_FRAME];
    assert_eq!(printed(&[&protocol[..], &frame].concat()), "2048\n");
    assert_eq!(printed(&[&mark[..], &frame].concat()), "0\n");
    let known = ["--ancillary", "mark=0x1234aaaa,proto=5"];
    assert_eq!(printed(&[&protocol[..], &frame, &known].concat()), "5\n");
    assert_eq!(printed(&[&mark[..], &frame, &known].concat()), "305441450\n");
}

#[test]
fn a_capture_has_a_line_for_each_frame_and_a_fault_after_them() {
    let folder = folder("filter_pcap");
    let ip: Vec<u8> = [&[2; 12][..], &[8, 0], &[0x45; 46]].concat();
    let whole = pcap(&[(&ip, 60), (&[2; 60], 60), (&ip[..14], 1514), (&[], 60)]);
    // Keeps the length on the wire of those that are IP.
    let hex = "00280000 0000000c 00150002 00000800 00800000 00000000 00160000 00000000 \
               00060000 00000000";
    let program = ["--program", hex];
    let at = |name: &str, bytes: &[u8]| file(&folder, name, bytes);
    let path = at("whole.pcap", &whole);
    assert_eq!(printed(&[&program[..], &["--pcap", &path]].concat()), "60\n0\n1514\n0\n");
    let lines = printed(&[&program[..], &["--pcap", &path, "--json"]].concat());
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!((&lines[2]["captured"], &lines[2]["wire"]), (&14.into(), &1514.into()));
    let cut = at("cut.pcap", &whole[..whole.len() - 20]);
    let (code, stdout, stderr) = run(&[&["filter"], &program[..], &["--pcap", &cut]].concat());
    assert_eq!((code, stdout.as_str()), (1, "60\n0\n"), "{stderr}");
    assert!(stderr.contains("cut.pcap"), "{stderr}");
    let none = at("none.pcap", b"nothing of the kind at all");
    refused(&[&program[..], &["--pcap", &none]].concat(), "none.pcap");
    refused(&[&program[..], &["--pcap", "/does/not/exist"]].concat(), "/does/not/exist");
}

#[test]
fn wrong_input_is_refused_in_a_sentence() {
    let folder = folder("filter_wrong");
    let at = |name: &str, text: &str| format!("@{}", file(&folder, name, text));
    refused(&[], "required");
    refused(&[&at("empty", "")], "nothing there");
    refused(&[&at("other", "udp")], "this is no program");
    refused(&[&at("zero", "0\n")], "the program is empty");
    refused(
        &[&at("long", &format!("4097\n{}", "6 0 0 0\n".repeat(4097)))],
        "shorten the filter to 4096",
    );
    refused(
        &[&at("jump", "2\n5 0 0 9\n6 0 0 0")],
        "line 2, column 1: filter instruction 0: the jump",
    );
    refused(
        &[&at("division", "(000) div      #0\n(001) ret      #0")],
        "division by the constant 0",
    );
    refused(&[&at("opcode", "{ 0xffff, 0, 0, 0 },{ 6, 0, 0, 0 }")], "opcode 0xffff does not exist");
    refused(&[&at("return", "1\n0 0 0 0")], "does not return");
    let unset = at("unset", "2\n96 0 0 3\n22 0 0 0");
    refused(&[&unset, "--dialect", "linux"], "scratch word 3 is read but not written");
    assert_eq!(printed(&[&unset, "--frame", "00"]), "0\n");
    refused(&["@/does/not/exist"], "/does/not/exist");
    refused(&[folder.to_str().unwrap(), "--program", IP_HEX], "cannot be used with");
    refused(&["--program", "00"], "an instruction is 8 bytes");
    refused(&["--program", "0g"], "no hexadecimal digit");
    refused(&["--program", ""], "the program is empty");
    refused(&["--program", IP_HEX, "--frame", "1"], "--frame: the last byte has one digit");
    refused(
        &["--program", IP_HEX, "--frame", "0011", "--wire-length", "1"],
        "--wire-length 1 is less",
    );
    refused(&["--program", IP_HEX, "--frame", "00", "--ancillary", "mark"], "NAME=NUMBER");
    refused(&["--program", IP_HEX, "--ancillary", "mark=1", "--engine", "none"], "none");
    refused(&["--program", IP_HEX, "--dialect", "ebpf"], "ebpf");
    refused(&["--check", "1", "--seed", "x"], "--seed: 'x' is no number");
}

#[test]
fn the_engines_agree_on_random_programs() {
    let text = printed_check(&["--check", "300"]);
    assert!(
        text.starts_with("300 programs from seed 1 on, in libpcap, bsd, npcap, winpcap, linux"),
        "{text}"
    );
    assert!(text.ends_with("no other difference\n"), "{text}");
    let json = printed_check(&["--check", "20", "--seed", "0x10", "--dialect", "npcap", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["programs"], &json["seed"], &json["frames"]),
        (&20.into(), &16.into(), &60.into())
    );
    assert_eq!((&json["difference"], &json["dialects"][0]), (&Value::Null, &"npcap".into()));
}

/// As [`printed`], but where there is no libpcap that is said.
fn printed_check(args: &[&str]) -> String {
    let (code, stdout, stderr) = run(&[&["filter"], args].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.is_empty() || stderr.contains("without libpcap"), "{stderr}");
    stdout
}

/// Of every kind that captures may meet.
const EXPRESSIONS: [&str; 8] = [
    "ip or ip6",
    "udp port 53",
    "tcp[13] & 2 != 0",
    "ip[2:2] - ((ip[0] & 15) << 2) > 100",
    "host 10.0.0.1 or net 192.168.0.0/16",
    "len > 200 and not ether broadcast",
    "vlan and ip proto 17",
    "tcp portrange 1-2000 or icmp or vrrp",
];

#[test]
fn real_captures_are_answered_as_libpcap_answers() {
    let captures = captures();
    let mut kept = 0;
    for (expression, path) in EXPRESSIONS.iter().flat_map(|e| captures.iter().map(move |c| (e, c)))
    {
        let Ok(raw) = libpcap::compile(expression, 262_144) else {
            println!("skipped: libpcap is not installed (cargo xtask test installs it)");
            return;
        };
        let (mut records, mut frame) = (Records::open(path).unwrap(), Vec::new());
        let mut theirs = String::new();
        while let Some(wire_len) = records.next(&mut frame).unwrap() {
            let accept = libpcap::offline_filter(&raw, &frame, wire_len).unwrap();
            kept += u64::from(accept > 0);
            theirs += &format!("{accept}\n");
        }
        for engine in ["jit", "interpreter"] {
            let args = [expression, "--pcap", path.to_str().unwrap(), "--engine", engine];
            assert!(printed(&args) == theirs, "{expression} on {}, {engine}", path.display());
        }
    }
    assert!(
        captures.is_empty() || kept > 100,
        "too few frames were kept to mean something: {kept}"
    );
}

/// The captures beside the project.
fn captures() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root().join("../shared/pcaps")) else {
        println!("skipped: there is no folder with captures beside the project");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn programs_are_printed_as_tcpdump_prints_them() {
    for expression in EXPRESSIONS {
        for (option, form) in [("-d", "d"), ("-dd", "dd"), ("-ddd", "ddd")] {
            let Some(mut tcpdump) = tool("tcpdump") else { return };
            let output = tcpdump.args(["-y", "EN10MB", option, expression]).output().unwrap();
            let theirs = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(!theirs.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(printed(&[expression, "--format", form]), theirs, "{expression} {option}");
        }
    }
}
