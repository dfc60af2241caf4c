//! What these tests are played in: a network namespace of their own, with a TAP interface that our NIC serves
//! and this kernel answers at, and a guest with Linux's driver on the other side.

use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use qemu::image::LINUX_DRIVER;
use qemu::launch::{Nic, Options, Vm};
use qemu::protocol::{self, Reply};
use serde_json::Value;

use crate::common::guest;
use crate::common::process::{PATIENCE, Process, wait_for};
use crate::common::{folder, rxlab};

/// This kernel's end, and the guest's.
pub const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const GUEST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The guest's name of its interface, and this kernel's.
pub const ETH: &str = "eth0";

/// Runs `test` in a network namespace of its own: by this program again, for the one test of this name.
pub fn alone(name: &str, test: impl FnOnce()) {
    /// One VM at a time: there may be two CPUs only.
    static ONE: Mutex<()> = Mutex::new(());
    const INSIDE: &str = "RXLAB_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        // Whatever becomes of the outer process.
        let kill = Some(rustix::process::Signal::KILL);
        rustix::process::set_parent_process_death_signal(kill).unwrap();
        return test();
    }
    let _one = ONE.lock();
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
    let output = command.output().expect("unshare (util-linux) is needed");
    let [said, cried] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    println!("{said}{cried}");
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{name} failed in its network namespace ({}): {cried}",
        output.status
    );
}

/// A TAP interface, our NIC on it.
pub struct World {
    folder: PathBuf,
    tap: &'static str,
    queues: u16,
    nic: Option<Process>,
}

impl World {
    /// With so many queue pairs.
    pub fn new(name: &str, queues: u16) -> Self {
        // What this kernel would say by itself would be in the way of counting.
        let _ = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        let world = Self::on("rx0", name, queues);
        ip(&format!("address add {HOST}/24 dev rx0"));
        world
    }

    /// Another NIC with another interface, for a guest that moves.
    pub fn beside(&self, name: &str) -> Self {
        Self::on("rx1", name, self.queues)
    }

    fn on(tap: &'static str, name: &str, queues: u16) -> Self {
        let add = format!("tuntap add dev {tap} mode tap");
        ip(&if queues > 1 { format!("{add} multi_queue") } else { add });
        ip(&format!("link set {tap} up"));
        let mut world = Self { folder: folder(name), tap, queues, nic: None };
        world.start_nic();
        world
    }

    pub fn start_nic(&mut self) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(rxlab().get_program()).arg("nic");
        command.args(["--json", "--source", &format!("tap:{}", self.tap), "--queues"]);
        command.arg(self.queues.to_string()).arg("--socket").arg(self.folder.join("nic"));
        command.arg("--control").arg(self.folder.join("ctl"));
        self.nic = Some(Process::start(&mut command));
        wait_for(|| self.ask("stats").is_some());
    }

    /// Kills the NIC, as a crash would.
    pub fn kill_nic(&mut self) {
        self.nic = None;
    }

    /// Ends the NIC; its account.
    pub fn stop_nic(&mut self) -> Value {
        let nic = self.nic.take().unwrap();
        nic.signal("TERM");
        let output = nic.end();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        print!("{said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn ask(&self, command: &str) -> Option<Value> {
        let mut stream = UnixStream::connect(self.folder.join("ctl")).ok()?;
        writeln!(stream, "{{\"command\":\"{command}\"}}").ok()?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).ok()?;
        serde_json::from_str(&answer).ok()
    }

    /// The NIC's account.
    pub fn stats(&self) -> Value {
        self.ask("stats").expect("the NIC answers")
    }

    /// What the guest has for a NIC.
    pub fn card(&self) -> Nic {
        Nic { queues: self.queues, ..Nic::at(self.folder.join("nic")) }
    }

    /// A guest with this NIC, up and with an address.
    pub fn boot(&self, nic: Nic) -> Guest {
        let options = options(nic);
        let vm = Vm::start(&options).unwrap_or_else(|error| panic!("{error}"));
        println!("{} on QEMU {}, hello after {:?}", vm.system, vm.version, vm.boot);
        let mut guest = Guest { vm };
        let command = protocol::Command::Configure {
            interface: ETH.into(),
            address: GUEST,
            prefix: 24,
            mtu: None,
        };
        assert_eq!(guest.call(command), Reply::Nothing);
        guest
    }
}

fn options(nic: Nic) -> Options {
    let cpus = if nic.queues > 1 { 2 } else { 1 };
    Options { cpus, nic: Some(nic), ..guest::options(&LINUX_DRIVER) }
}

impl Drop for World {
    fn drop(&mut self) {
        // What the NIC said may be why the test has failed.
        if std::thread::panicking()
            && let Some(nic) = self.nic.take()
        {
            nic.signal("TERM");
            let output = nic.end();
            println!("{}", String::from_utf8_lossy(&output.stderr));
            println!("{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

/// A guest, which does what it is told.
pub struct Guest {
    pub vm: Vm,
}

impl Guest {
    pub fn call(&mut self, command: protocol::Command) -> Reply {
        self.vm.call(command, PATIENCE).unwrap_or_else(|error| panic!("{error}"))
    }

    /// It moves, while it runs, into another QEMU with another NIC; from now on it is reached there.
    pub fn moves(self, there: &World) -> Self {
        let options = options(there.card());
        let vm = self.vm.migrate(&options, PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        ip(&format!("route replace {GUEST}/32 dev {} src {HOST}", there.tap));
        Self { vm }
    }

    /// The result of what was begun.
    pub fn finish(&mut self) -> Reply {
        self.vm.finish(PATIENCE).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What Linux's driver has counted.
    pub fn statistics(&mut self) -> std::collections::BTreeMap<String, u64> {
        match self.call(protocol::Command::Statistics { interface: ETH.into() }) {
            Reply::Statistics(all) => all,
            other => panic!("{other:?}"),
        }
    }

    /// Echo requests to this kernel; how many were answered.
    pub fn ping(&mut self, count: u32, size: u32) -> u32 {
        let wait_ms = Duration::from_secs(2).as_millis() as u64;
        match self.call(protocol::Command::Ping { to: HOST, count, size, wait_ms }) {
            Reply::Ping { answered, .. } => answered,
            other => panic!("{other:?}"),
        }
    }
}

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output();
    let output = output.expect("ip is needed (Debian: apt-get install iproute2)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {words}: {said}");
}
