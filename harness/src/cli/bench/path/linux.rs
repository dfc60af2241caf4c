//! The path through Linux: tcpreplay, a veth pair in a network namespace of its own, tcpdump.
//!
//! Contract: what is made here is gone when it is let go. It needs root, and the programs `ip`, `tcpreplay`,
//! `tcpdump` and `taskset`.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use npf_core::capture::{Dumper, Packet};

use crate::scenario::Scenario;
use crate::source;

/// Frames that are played over and over, as many as an endless feed has.
const FRAMES: usize = 1024;
/// Time from the beginning of traffic to that of the measurement.
const RUN_UP: Duration = Duration::from_millis(500);

/// See the module's contract.
pub(super) struct Path {
    namespace: String,
    capture: PathBuf,
    filter: String,
    cpus: [usize; 2],
}

impl Path {
    /// A namespace with a veth pair in it, and the frames in a file.
    pub(super) fn new(scenario: &Scenario, filter: &str, cpus: [usize; 2]) -> Result<Self, String> {
        for program in ["tcpreplay", "tcpdump", "taskset", "ip"] {
            if Command::new(program)
                .arg("-V")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_err()
            {
                return Err(format!("{program} is not installed"));
            }
        }
        let id = std::process::id();
        let path = Self {
            namespace: format!("rxlab-bench-{id}"),
            capture: std::env::temp_dir().join(format!("rxlab-bench-{id}.pcap")),
            filter: filter.into(),
            cpus,
        };
        capture(scenario, &path.capture)?;
        run(Command::new("ip").args(["netns", "add", &path.namespace]))?;
        run(path.inside("ip").args(["link", "add", "v0", "type", "veth", "peer", "name", "v1"]))?;
        for name in ["v0", "v1"] {
            run(path.inside("ip").args(["link", "set", name, "up"]))?;
        }
        Ok(path)
    }

    /// Frames per second that reach the end where tcpdump listens.
    pub(super) fn rate(&self, window: Duration) -> Result<f64, String> {
        let [sender, reader] = self.cpus.map(|cpu| cpu.to_string());
        let dump = ["-c", &reader, "tcpdump", "-i", "v1", "-n", "-w", "/dev/null", &self.filter];
        let _dump = Running::start(self.inside("taskset").args(dump))?;
        std::thread::sleep(RUN_UP);
        let capture = self.capture.display().to_string();
        let play = ["-c", &sender, "tcpreplay", "-q", "-K", "--topspeed", "--loop=0", "-i", "v0"];
        let _play = Running::start(self.inside("taskset").args(play).arg(capture))?;
        std::thread::sleep(RUN_UP);
        let (first, from) = (self.received()?, Instant::now());
        std::thread::sleep(window);
        let (last, to) = (self.received()?, Instant::now());
        Ok((last - first) as f64 / (to - from).as_secs_f64())
    }

    fn received(&self) -> Result<u64, String> {
        let output = self
            .inside("cat")
            .arg("/sys/class/net/v1/statistics/rx_packets")
            .output()
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().map_err(|_| format!("rx_packets of v1 is `{}`", text.trim()))
    }

    fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, program]);
        command
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        // Its interfaces go with it.
        let _ = Command::new("ip").args(["netns", "del", &self.namespace]).status();
        let _ = std::fs::remove_file(&self.capture);
    }
}

/// A program that ends when it is let go.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Result<Self, String> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Self).map_err(|error| error.to_string())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // `ip netns exec` and `taskset` become the program they start.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let says = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| says.trim().to_owned())
}

/// Writes the scenario's first frames into a savefile.
fn capture(scenario: &Scenario, path: &std::path::Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut source = source::open(scenario).map_err(|error| error.to_string())?;
    let file = BufWriter::new(File::create(path).map_err(failed)?);
    let mut dumper = Dumper::new(file, 65_535).map_err(failed)?;
    let mut frame = Vec::new();
    for _ in 0..FRAMES {
        if source.next(&mut frame).map_err(|error| error.to_string())?.is_none() {
            break;
        }
        let len = frame.len() as u32;
        let packet = Packet { sec: 0, usec: 0, caplen: len, len, data: &frame };
        dumper.dump(&packet).map_err(failed)?;
    }
    dumper.flush().map_err(failed)
}
