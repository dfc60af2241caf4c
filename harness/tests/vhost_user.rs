//! The daemon and the driver as processes: joined to each other, to DPDK where it is installed, and treated
//! badly.
//!
//! Each NIC offers frames of known number; once it has offered the last one, what it says it delivered to
//! each queue must be what the other side says it got there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]
#![cfg(target_os = "linux")]

mod common;

use common::{folder, rxlab, scenario};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

const FRAMES: u64 = 20_000;
/// The slowest machine has done everything by then.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is ended with its owner.
struct Process(Option<Child>);

impl Process {
    fn start(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(piped.spawn().unwrap()))
    }

    fn signal(&self, name: &str) {
        let id = self.0.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    fn write(&mut self, text: &str) {
        self.0.as_mut().unwrap().stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn end(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

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

fn wait_for(mut what: impl FnMut() -> bool) {
    let started = Instant::now();
    while !what() {
        assert!(started.elapsed() < PATIENCE, "nothing comes of it");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn driver(nic: &Nic, queues: u16, more: &[&str]) -> Process {
    let mut command = rxlab();
    let file = scenario(
        &folder(&format!("{}_driver", nic.folder.file_name().unwrap().display())),
        "[traffic]\nsource = \"generator\"\n[[handle]]\nfilter = \"@../even.ddd\"\n[[handle]]\n",
    );
    let program = Path::new(&file).parent().unwrap().parent().unwrap().join("even.ddd");
    // Accepts frames with an even source port.
    std::fs::write(program, "4\n40 0 0 34\n69 0 1 1\n6 0 0 0\n6 0 0 65535\n").unwrap();
    command.args(["driver", &file, "--json", "--queues", &queues.to_string(), "--socket"]);
    command.arg(nic.socket()).args(more);
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
fn sockets_that_cannot_be_are_refused_with_what_to_do() {
    let folder = folder("sockets");
    let file = folder.join("file");
    std::fs::write(&file, "no socket").unwrap();
    let taken = folder.join("taken");
    let _listener = UnixListener::bind(&taken).unwrap();
    let nowhere = folder.join("nowhere/nic");
    for (path, words) in
        [(&file, "is no socket"), (&taken, "is in use"), (&nowhere, "cannot listen at")]
    {
        let output = rxlab().args(["nic", "--socket"]).arg(path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(words), "{said}");
    }
    assert!(file.exists(), "what is no socket stays");
    let (code, _, said) = common::run(&["nic", "--socket", "x", "--source", "cable:eth0"]);
    assert!(code == 2 && said.contains("tap:NAME"), "{said}");
    let (code, _, said) =
        common::run(&["nic", "--socket", "x", "--source", "packet:no-such-interface"]);
    assert!(code == 2 && said.contains("no-such-interface"), "{said}");
    let (code, _, said) = common::run(&["driver", "--socket", nowhere.to_str().unwrap()]);
    assert!(code == 1 && said.contains("start the back-end first"), "{said}");
    // One that a process has left behind is taken over.
    let left = folder.join("left");
    drop(UnixListener::bind(&left).unwrap());
    let nic = Process::start(rxlab().args(["nic", "--socket"]).arg(&left));
    wait_for(|| UnixStream::connect(&left).is_ok());
    drop(nic);
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

/// DPDK's testpmd with one virtio-user port.
struct Testpmd {
    process: Process,
    said: Receiver<String>,
}

impl Testpmd {
    /// On our NIC; `None` where it is not installed.
    fn start(nic: &Nic, queues: u16, how: &str) -> Option<Self> {
        if Command::new("dpdk-testpmd").arg("--version").output().is_err() {
            eprintln!("skipped: dpdk-testpmd is not here (apt-get install dpdk-dev)");
            return None;
        }
        // Line by line, or what it says stays in its buffer until it ends.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "dpdk-testpmd", "--lcores", "0@0,1@0", "--no-pci", "--no-huge"]);
        let id = nic.process.0.as_ref().unwrap().id();
        command.args(["-m", "256", "--no-telemetry", &format!("--file-prefix=rxlab{id}")]);
        let path = nic.socket();
        let device = format!("net_virtio_user0,path={},queues={queues}", path.display());
        command.arg(format!("--vdev={device},queue_size=256,{how}"));
        command.args(["--", "-i", "--forward-mode=rxonly", "--auto-start", "--no-mlockall"]);
        let queues = [format!("--rxq={queues}"), format!("--txq={queues}")];
        command.arg("--total-num-mbufs=16384").args(queues);
        let mut process = Process::start(&mut command);
        let stdout = BufReader::new(process.0.as_mut().unwrap().stdout.take().unwrap());
        let (lines, said) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
        });
        Some(Self { process, said })
    }

    /// What it says up to the line that begins so.
    fn hear(&self, words: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let line = self.said.recv_timeout(PATIENCE).expect("testpmd says nothing");
            let last = line.contains(words);
            heard.push(line);
            if last {
                return heard;
            }
        }
    }

    /// Asks until it counts so many frames by queue, or some seconds have passed: what it counts then.
    fn count(mut self, wanted: &[u64]) -> Vec<u64> {
        let started = Instant::now();
        loop {
            self.process.write("show port xstats 0\n");
            let lines = self.hear("tx_q0_good_packets");
            let of = |line: &String| {
                let (_, count) = line.strip_prefix("rx_q")?.split_once("_good_packets: ")?;
                count.trim().parse::<u64>().ok()
            };
            let counts: Vec<u64> = lines.iter().filter_map(of).collect();
            if counts == wanted || started.elapsed() > Duration::from_secs(3) {
                self.process.write("stop\nquit\n");
                // What it still has to say is read, or it could not end.
                self.said.iter().for_each(drop);
                return counts;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn dpdk_gets_what_our_nic_delivers() {
    let rings = [
        ("split", "mrg_rxbuf=0,in_order=0", ""),
        ("mergeable", "mrg_rxbuf=1,in_order=0", "[nic]\nmrg_rxbuf = true\n"),
        ("in_order", "mrg_rxbuf=0,in_order=1", "[nic]\nin_order = true\n"),
        ("packed", "mrg_rxbuf=0,in_order=0,packed_vq=1", "[ring]\nformat = \"packed\"\n"),
    ];
    for (name, how, keys) in rings {
        for queues in [1, 4] {
            let nic = Nic::start(&format!("dpdk_{name}_{queues}"), queues, keys);
            let Some(testpmd) = Testpmd::start(&nic, queues, how) else { return };
            // It starts its queues, stops them and starts them anew; then it forwards.
            testpmd.hear("rxonly packet forwarding");
            let gave = nic.wait_for_the_last_frame();
            let delivered = lanes(&gave, "delivered");
            // Every buffer that was filled comes back to the NIC.
            nic.wait_until(|stats| lanes(stats, "available") == vec![256; queues.into()]);
            let got = testpmd.count(&delivered);
            // On a busy machine testpmd's own counters miss some of the frames that it takes while it starts.
            let (counted, given): (u64, u64) = (got.iter().sum(), delivered.iter().sum());
            assert!(got.iter().zip(&delivered).all(|(got, gave)| got <= gave), "{got:?}: {gave}");
            assert!(counted > 0 && given - counted <= 256, "{name} {queues}: {got:?}: {gave}");
            nic.stop();
        }
    }
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
