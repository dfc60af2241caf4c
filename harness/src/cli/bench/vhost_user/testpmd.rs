//! DPDK's testpmd with one port, as either side of vhost-user.
//!
//! Contract: it runs without hugepages and without devices of the machine, both of its lcores on one CPU, and
//! ends when it is let go.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::Turn;

/// What its port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// net_vhost: sends.
    Vhost,
    /// virtio-user: receives.
    VirtioUser,
}

/// How long it may say nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// See the module's contract.
pub(super) struct Testpmd {
    process: Child,
    /// It ends with its input.
    input: Option<ChildStdin>,
    said: Receiver<String>,
}

impl Testpmd {
    /// Starts it at `socket`; it has begun to forward.
    pub(super) fn start(turn: &Turn, port: Port, socket: &Path) -> Result<Self, String> {
        let (cpu, mode) = match port {
            Port::Vhost => (turn.nic_cpu, "txonly"),
            Port::VirtioUser => (turn.driver_cpu, "rxonly"),
        };
        let packed = u8::from(turn.packed);
        let device = match port {
            Port::Vhost => format!("net_vhost0,iface={},queues=1", socket.display()),
            Port::VirtioUser => format!(
                "net_virtio_user0,path={},queues=1,queue_size=256,packed_vq={packed}",
                socket.display()
            ),
        };
        let mut command = Command::new("stdbuf");
        command.arg("-oL").arg(&turn.testpmd);
        command.args(["--lcores", &format!("0@{cpu},1@{cpu}"), "--no-telemetry", "--no-pci"]);
        command.args(["--no-huge", "-m", "256", "--vdev", &device]);
        command.args(["--file-prefix", &format!("rxlab-{}-{mode}", std::process::id()), "--"]);
        command.args(["-i", "--auto-start", "--no-mlockall", "--total-num-mbufs=16384"]);
        command.args(["--rxq=1", "--txq=1", &format!("--forward-mode={mode}")]);
        if port == Port::Vhost {
            command.arg(format!("--txpkts={}", turn.len));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let there = Command::new(&turn.testpmd).arg("--version").output();
        there.map_err(|error| {
            format!("{}: {error}; Debian has it in dpdk-dev", turn.testpmd.display())
        })?;
        let mut process = command.spawn().map_err(|error| format!("stdbuf: {error}"))?;
        let input = process.stdin.take();
        let output = process.stdout.take().ok_or("testpmd has no output")?;
        let (tell, said) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.map_while(|line| tell.send(line).ok()).for_each(drop);
        });
        let this = Self { process, input, said };
        this.hear("packet forwarding")?;
        Ok(this)
    }

    /// Frames that its port has received.
    pub(super) fn received(&mut self) -> Result<u64, String> {
        let input = self.input.as_mut().ok_or("testpmd has no input")?;
        writeln!(input, "show port stats 0").map_err(|error| format!("testpmd: {error}"))?;
        let line = self.hear("RX-packets:")?;
        let number =
            line.split("RX-packets:").nth(1).and_then(|rest| rest.split_whitespace().next());
        number
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| format!("testpmd says `{line}`"))
    }

    /// The next line with `words` in it.
    fn hear(&self, words: &str) -> Result<String, String> {
        loop {
            let line = self.said.recv_timeout(PATIENCE).map_err(|_| {
                format!("testpmd does not say `{words}`: is it DPDK's, and may it start?")
            })?;
            if line.contains(words) {
                return Ok(line);
            }
        }
    }
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        if let Some(mut input) = self.input.take() {
            let _ = input.write_all(b"stop\nquit\n");
        }
        for _ in 0..100 {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // It does not end by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
