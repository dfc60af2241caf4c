//! With DPDK on the other side, its virtio-user driver on our NIC, and our driver on its
//! vhost NIC. What one side gave to each queue the other side has got there, frame by frame.

use crate::common::folder;
use crate::{Nic, PATIENCE, Process, driver_at, ended, lanes, wait_for};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::Receiver;

/// DPDK's testpmd with one port, that forwards.
struct Testpmd {
    process: Process,
    said: Receiver<String>,
}

impl Testpmd {
    /// With this port at a socket.
    fn start(port: &str, socket: &Path, queues: u16, mode: &str) -> Self {
        let there = Command::new("dpdk-testpmd").arg("--version").output().is_ok();
        assert!(there, "dpdk-testpmd is needed (Debian: apt-get install dpdk-dev)");
        // Line by line, or what it says stays in its buffer until it ends.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "dpdk-testpmd", "--lcores", "0@0,1@0", "--no-pci", "--no-huge"]);
        let place = socket.parent().unwrap().file_name().unwrap();
        let prefix = format!("--file-prefix=rxlab{}{}", std::process::id(), place.display());
        command.args(["-m", "256", "--no-telemetry", &prefix, "--vdev", port]);
        command.args(["--", "-i", "--auto-start", "--no-mlockall", "--total-num-mbufs=16384"]);
        command.arg(format!("--forward-mode={mode}"));
        command.args([format!("--rxq={queues}"), format!("--txq={queues}")]);
        let mut process = Process::start(&mut command);
        let stdout = BufReader::new(process.0.as_mut().unwrap().stdout.take().unwrap());
        let (lines, said) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
        });
        let testpmd = Self { process, said };
        testpmd.hear(FORWARDS);
        testpmd
    }

    /// What it says up to the line with these words.
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

    /// What it counts by queue, `rx_q` or `tx_q`, under this name.
    fn counts(&mut self, side: &str, name: &str) -> Vec<u64> {
        // The second command says where the answer to the first one ends.
        self.process.write("show port xstats 0\nshow config rxtx\n");
        let of = |line: &String| {
            let (queue, count) = line.strip_prefix(side)?.split_once(name)?;
            queue.parse::<u16>().ok()?;
            count.strip_prefix(": ")?.trim().parse::<u64>().ok()
        };
        self.hear(FORWARDS).iter().filter_map(of).collect()
    }

    fn end(mut self) {
        self.process.write("quit\n");
        // What it still has to say is read, or it could not end.
        self.said.iter().for_each(drop);
    }
}

/// What it says when its queues run and have been emptied. It speaks of its mode long before that, and the
/// frames that it takes until then are not in its counters.
const FORWARDS: &str = "packet forwarding packets/burst";

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
            let socket = nic.socket();
            let path = socket.display();
            let port = format!("net_virtio_user0,path={path},queues={queues},queue_size=256,{how}");
            let mut testpmd = Testpmd::start(&port, &socket, queues, "rxonly");
            let gave = nic.wait_for_the_last_frame();
            // Every buffer that was filled comes back to the NIC.
            nic.wait_until(|stats| lanes(stats, "available") == vec![256; queues.into()]);
            let got = testpmd.counts("rx_q", "_good_packets");
            assert_eq!(got, lanes(&gave, "delivered"), "{name} {queues}: {gave}");
            testpmd.end();
            nic.stop();
        }
    }
}

#[test]
fn our_driver_gets_what_dpdk_sends() {
    for ring in ["split", "packed"] {
        for queues in [1, 4] {
            let socket = folder(&format!("dpdk_vhost_{ring}_{queues}")).join("nic");
            let port = format!("net_vhost0,iface={},queues={queues}", socket.display());
            let mut testpmd = Testpmd::start(&port, &socket, queues, "txonly");
            let driver = driver_at(&socket, queues, &["--set", &format!("ring.format={ring}")]);
            // What it could not send while nobody was there it does not count.
            wait_for(|| {
                let sent = testpmd.counts("tx_q", "_packets");
                sent.len() == usize::from(queues) && sent.iter().all(|sent| *sent > 1000)
            });
            testpmd.process.write("stop\n");
            testpmd.hear("Done.");
            let sent = testpmd.counts("tx_q", "_packets");
            let got = ended(driver);
            assert_eq!(lanes(&got, "indicated"), sent, "{ring} {queues}: {got}");
            assert_eq!(got["adds_up"], true, "{got}");
            testpmd.end();
        }
    }
}

#[test]
fn the_benchmark_measures_every_pair() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        println!("skipped: it needs two CPUs");
        return;
    }
    let few = ["--rounds", "1", "--window", "100", "--sizes", "60", "--rings", "split"];
    let args = [&["bench", "vhost-user"], &few[..]].concat();
    let figures = crate::common::result(&args);
    let rows = figures["rows"].as_array().unwrap();
    let pairs: Vec<_> = rows.iter().map(|row| (&row["nic"], &row["driver"])).collect();
    assert_eq!(pairs.len(), 4, "{figures:#}");
    assert!(rows.iter().all(|row| row["rate"]["median"].as_f64().unwrap() > 0.0), "{figures:#}");
}
