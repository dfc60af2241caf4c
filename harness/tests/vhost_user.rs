//! The daemon and the driver as processes: joined to each other, to DPDK where it is installed, and treated
//! badly.
//!
//! Each NIC offers frames of known number; once it has offered the last one, what it says it delivered to
//! each queue must be what the other side says it got there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]
#![cfg(target_os = "linux")]

mod common;
#[path = "vhost_user/dpdk.rs"]
mod dpdk;
#[path = "vhost_user/sockets.rs"]
mod sockets;

use common::process::{PATIENCE, Process, wait_for};
use common::{folder, rxlab, scenario};
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

const FRAMES: u64 = 20_000;

/// A daemon with its sockets in a folder of its own.
struct Nic {
    process: Process,
    folder: PathBuf,
}

impl Nic {
    fn start(name: &str, queues: u16, more: &str) -> Self {
        let folder = folder(name);
        let text = format!(
            "[channels]\ncombined = {queues}\n[traffic]\nsource = \"generator\"\nframes = {FRAMES}\n\
             rate = \"20kpps\"\nflows = 64\nsize = \"imix\"\n{more}"
        );
        let file = scenario(&folder, &text);
        Self::with(folder, &["--scenario", &file, "--hold"])
    }

    fn with(folder: PathBuf, args: &[&str]) -> Self {
        let mut command = rxlab();
        command.arg("nic").args(args).arg("--json");
        command.arg("--socket").arg(folder.join("nic")).arg("--control").arg(folder.join("ctl"));
        let process = Process::start(&mut command);
        wait_for(|| folder.join("ctl").exists());
        Self { process, folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("nic")
    }

    fn ctl(&self, args: &[&str]) -> Value {
        let output = rxlab()
            .args(["nic", "ctl", "--control"])
            .arg(self.folder.join("ctl"))
            .args(args)
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn wait_until(&self, what: impl Fn(&Value) -> bool) -> Value {
        let mut stats = Value::Null;
        wait_for(|| {
            stats = self.ctl(&["stats"]);
            what(&stats)
        });
        stats
    }

    /// Begins the traffic, if it has not. When the last frame has been offered, and nothing waits for
    /// descriptors: the account.
    fn wait_for_the_last_frame(&self) -> Value {
        self.ctl(&["go"]);
        self.wait_until(|stats| stats["total"]["offered"] == FRAMES && stats["total"]["held"] == 0)
    }

    /// Ends it; its account, which must add up.
    fn stop(self) -> Value {
        self.process.signal("INT");
        let output = self.process.end();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn driver(nic: &Nic, queues: u16, more: &[&str]) -> Process {
    driver_at(&nic.socket(), queues, more)
}

/// Our driver on whoever listens there, in a folder of its own.
fn driver_at(socket: &Path, queues: u16, more: &[&str]) -> Process {
    let mut command = rxlab();
    let place = socket.parent().unwrap().file_name().unwrap();
    let file = scenario(
        &folder(&format!("{}_driver", place.display())),
        "[traffic]\nsource = \"generator\"\n[[handle]]\nfilter = \"@even.ddd\"\n[[handle]]\n",
    );
    let program = Path::new(&file).parent().unwrap().join("even.ddd");
    // Accepts frames with an even source port.
    std::fs::write(program, "4\n40 0 0 34\n69 0 1 1\n6 0 0 0\n6 0 0 65535\n").unwrap();
    command.args(["driver", &file, "--json", "--queues", &queues.to_string(), "--socket"]);
    command.arg(socket).args(more);
    Process::start(&mut command)
}

/// What a driver says when it is told to end.
fn ended(driver: Process) -> Value {
    driver.signal("INT");
    let output = driver.end();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn lanes(of: &Value, key: &str) -> Vec<u64> {
    of["lanes"].as_array().unwrap().iter().map(|lane| lane[key].as_u64().unwrap()).collect()
}

#[test]
fn our_driver_gets_what_our_nic_delivers() {
    let rings = [
        ("split", "", ""),
        ("packed", "[ring]\nformat = \"packed\"\n", "ring.format=packed"),
        (
            "mergeable",
            "[nic]\nmrg_rxbuf = true\nin_order = true\nindirect_desc = true\n",
            "nic.mrg_rxbuf=true",
        ),
    ];
    for (name, nic_keys, driver_key) in rings {
        for queues in [1, 4] {
            for poll in [&[][..], &["--poll"]] {
                let nic =
                    Nic::start(&format!("own_{name}_{queues}_{}", poll.len()), queues, nic_keys);
                let set: &[&str] = if driver_key.is_empty() { &[] } else { &["--set", driver_key] };
                let driver = driver(&nic, queues, &[set, poll].concat());
                nic.wait_for_the_last_frame();
                let (got, gave) = (ended(driver), nic.stop());
                assert_eq!(lanes(&got, "indicated"), lanes(&gave, "delivered"), "{name} {queues}");
                assert!(got["indicated"].as_u64().unwrap() > 0, "{gave}");
                assert_eq!(got["adds_up"], true, "{got}");
                let [filtering, all] = &got["handles"].as_array().unwrap()[..] else { panic!() };
                assert!(filtering["filtered"].as_u64().unwrap() > 0);
                assert_eq!(all["filtered"], 0);
            }
        }
    }
}

#[test]
fn a_front_end_that_dies_leaves_a_daemon_that_serves_the_next() {
    let nic = Nic::start("dies", 1, "");
    let first = driver(&nic, 1, &[]);
    nic.ctl(&["go"]);
    nic.wait_until(|stats| stats["total"]["delivered"].as_u64().unwrap() > 100);
    drop(first);
    nic.wait_until(|stats| stats["connected"] == false);
    let before = nic.ctl(&["stats"])["total"]["delivered"].as_u64().unwrap();
    let second = driver(&nic, 1, &[]);
    nic.wait_for_the_last_frame();
    let (got, gave) = (ended(second), nic.stop());
    let total = &gave["total"];
    assert_eq!(before + got["indicated"].as_u64().unwrap(), total["delivered"].as_u64().unwrap());
    // What came while nobody was there has its reason.
    assert!(total["dropped"].as_u64().unwrap() > 0 && total["adds_up"] == true, "{gave}");
}

#[test]
fn bad_peers_are_turned_away_by_name_and_the_next_is_served() {
    let nic = Nic::start("bad_peers", 1, "");
    let whole = |mut stream: UnixStream| {
        let mut bytes = Vec::new();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // The daemon hangs up.
        let _ = stream.read_to_end(&mut bytes);
        bytes
    };
    for bytes in [&[0xff; 12][..], &[1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0], b"GET / HTTP/1.1\r\n\r\n"]
    {
        let mut stream = UnixStream::connect(nic.socket()).unwrap();
        stream.write_all(bytes).unwrap();
        assert_eq!(whole(stream), b"");
    }
    // A request that needs an answer and is refused gets the refusal first.
    let mut stream = UnixStream::connect(nic.socket()).unwrap();
    let message = |code: u32, body: u64| {
        let header = [code, 1 | 8, 8].map(u32::to_ne_bytes).concat();
        [header, body.to_ne_bytes().to_vec()].concat()
    };
    // SET_PROTOCOL_FEATURES with REPLY_ACK, then SET_FEATURES with a bit that there is not.
    stream.write_all(&message(16, 8)).unwrap();
    stream.write_all(&message(2, 1 << 63)).unwrap();
    let answers = whole(stream);
    assert_eq!(answers.len(), 2 * 20);
    assert_eq!((answers[12], answers[32]), (0, 1), "{answers:?}");
    // Half a header, and gone.
    UnixStream::connect(nic.socket()).unwrap().write_all(&[1, 0]).unwrap();
    nic.wait_until(|stats| stats["connections"]["dropped"] == 5);
    let driver = driver(&nic, 1, &[]);
    nic.wait_for_the_last_frame();
    ended(driver);
    let folder = nic.folder.clone();
    nic.process.signal("TERM");
    let output = nic.process.end();
    let words = String::from_utf8(output.stderr).unwrap();
    for said in [
        "SET_FEATURES with bits 0x8000000000000000",
        "in the middle of a message",
        "protocol version",
    ] {
        assert!(words.contains(said), "{said}: {words}");
    }
    assert!(!folder.join("nic").exists() && !folder.join("ctl").exists());
}

#[test]
fn one_front_end_at_a_time() {
    let nic = Nic::start("one", 1, "");
    let first = UnixStream::connect(nic.socket()).unwrap();
    nic.wait_until(|stats| stats["connected"] == true);
    let mut second = UnixStream::connect(nic.socket()).unwrap();
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(second.read(&mut [0]).unwrap(), 0, "it is hung up on");
    drop(first);
    nic.wait_until(|stats| stats["connections"]["turned_away"] == 1 && stats["connected"] == false);
}

#[test]
fn commands_do_what_they_say_and_bad_ones_are_answered() {
    let folder = folder("commands");
    let plain = "[channels]\ncombined = 2\n[traffic]\nsource = \"generator\"\nframes = 20000\nrate = \"4kpps\"\nflows = 64\n";
    let file = scenario(&folder, plain);
    let nic = Nic::with(folder, &["--scenario", &file]);
    let driver = driver(&nic, 2, &[]);
    nic.wait_until(|stats| stats["total"]["delivered"].as_u64().unwrap() > 10);
    assert_eq!(nic.ctl(&["link", "down"])["ok"], true);
    nic.wait_until(|stats| stats["total"]["drop_reasons"]["link_down"].as_u64().unwrap_or(0) > 0);
    assert_eq!(nic.ctl(&["link", "up"])["ok"], true);
    assert_eq!(nic.ctl(&["rss", "--table", "1"])["ok"], true);
    let lane = |stats: &Value, lane: usize| stats["lanes"][lane]["offered"].as_u64().unwrap();
    let at = nic.ctl(&["stats"]);
    let later = nic.wait_until(|stats| lane(stats, 1) > lane(&at, 1) + 500);
    assert!(lane(&later, 0) <= lane(&at, 0) + 200, "all but what was under way goes to queue 1");
    for (args, words) in [
        (&["rss", "--table", "0,1,2"][..], "a power of two"),
        (&["rss", "--table", "7"], "queues are 0 to 1"),
        (&["rss", "--key", "12"], "it must have 40"),
        (&["fault", "nonsense"], "one of fifo_shrink"),
        (&["fault", "dma_slow"], "needs \"amount\""),
        (&["fault", "dma_slow", "--amount", "2", "--lane", "9"], "there are 0 to 1"),
    ] {
        let answer = nic.ctl(args);
        assert!(
            answer["ok"] == false && answer["error"].as_str().unwrap().contains(words),
            "{answer}"
        );
    }
    let mut stream = UnixStream::connect(nic.folder.join("ctl")).unwrap();
    stream.write_all(b"{\"command\":\"dance\"}\nnot json\n").unwrap();
    let mut answers = [0; 2];
    wait_for(|| stream.read(&mut answers).unwrap() > 0);
    nic.wait_for_the_last_frame();
    ended(driver);
    assert_eq!(nic.ctl(&["stop"])["ok"], true);
    assert!(nic.process.end().status.success());
}

#[test]
fn an_endless_source_needs_nobody_to_say_poll() {
    let folder = folder("endless");
    let nic = Nic::with(folder, &["--source", "endless"]);
    let driver = driver(&nic, 1, &[]);
    // Far more than the driver's ring has buffers.
    nic.wait_until(|stats| stats["total"]["delivered"].as_u64().unwrap() > 5000);
    ended(driver);
    let gave = nic.stop();
    assert!(gave["total"]["adds_up"] == true && gave["total"]["sleeps"] == 0, "{gave}");
}
