//! The course of a run: boot, start, traffic, rest, stop.

use std::path::Path;
use std::time::{Duration, Instant};

use qemu::launch::{Options, Stop, Stopped, Vm, VmError};
use qemu::protocol::{Blob, Command, Driver as GuestDriver, LiveAccount, Reply, Start, Started};

use super::side::Side;
use super::{Account, Choices, Driver, End, INTERFACE, Machine, Outcome, Watch};
use crate::filter::Compiled;
use crate::nic::build::Origin;
use crate::nic::tally::Tally;
use crate::scenario::Scenario;

/// How long the guest may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the account is taken, and how often until the first frame has come.
const TICK: Duration = Duration::from_millis(25);
const FIRST_TICK: Duration = Duration::from_millis(2);
/// A guest under QEMU's translator may take nothing for so long, and go on.
const LULL: Duration = Duration::from_secs(2);

/// See the module.
pub struct Play<'a> {
    scenario: &'a Scenario,
    choices: &'a Choices,
    side: Side,
    machine: Option<Machine>,
    guest: LiveAccount,
    /// What the NIC has counted, once the guest has stopped.
    nic: Option<Vec<Tally>>,
    notices: Vec<String>,
    wall: Duration,
}

impl<'a> Play<'a> {
    /// Nothing has begun.
    pub fn new(scenario: &'a Scenario, choices: &'a Choices, side: Side) -> Self {
        Self {
            scenario,
            choices,
            side,
            machine: None,
            guest: LiveAccount::default(),
            nic: None,
            notices: Vec::new(),
            wall: Duration::ZERO,
        }
    }

    /// All of it. Whatever it returns, nothing runs any more in the guest, and there is no guest.
    pub fn run(
        &mut self,
        options: &Options,
        compiled: &Compiled,
        watch: &mut dyn Watch,
    ) -> Result<End, Box<VmError>> {
        watch.phase("the guest boots");
        let mut vm = Vm::start(options)?;
        self.notices.extend(vm.notices.clone());
        self.machine = Some(Machine {
            qemu: vm.version,
            accel: vm.accel,
            system: vm.system.clone(),
            msix: vm.msix,
            bypasses_iommu: false,
            boot: vm.boot,
            ready: None,
            first_frame: None,
        });
        watch.phase("the driver comes up");
        let greeted = Instant::now();
        let started = self.start(&mut vm, compiled)?;
        self.notices.extend(started.notices);
        if let Some(machine) = &mut self.machine {
            machine.ready = Some(greeted.elapsed());
            machine.bypasses_iommu = started.bypasses_iommu;
            if self.choices.driver == Driver::Vfio {
                machine.msix = started.msix;
            }
        }
        // From here on it is this loop that ends, with the account at rest.
        vm.heed(Stop::default());
        watch.phase("frames");
        self.side.go();
        let end = self.watch(&mut vm, &options.stop, watch)?;
        self.guest = self.ask(&mut vm, Command::Stop)?;
        // What a guest that powers off unmaps first, and rings break by, is no part of the run.
        self.nic = Some(self.side.tallies());
        vm.power_off()?;
        Ok(end)
    }

    /// What has become of it so far.
    pub fn outcome(self) -> Outcome {
        let account = self.account();
        let mut faults: Vec<String> = Vec::new();
        faults.extend(account.nic.iter().find_map(|nic| nic.feed.fault.clone()));
        for (number, nic) in account.nic.iter().enumerate() {
            faults.extend(nic.broken.map(|error| format!("rxq{number}: {error}")));
        }
        let of_queue = |(number, error): (usize, &Option<String>)| {
            Some(format!("rxq{number}: {}", error.as_ref()?))
        };
        let queues = account.guest.queues.iter().map(|queue| &queue.error);
        faults.extend(queues.enumerate().filter_map(of_queue));
        faults.extend(account.guest.error.clone());
        Outcome {
            end: End::Complete,
            account,
            machine: self.machine,
            wall: self.wall,
            driver: self.choices.driver,
            nic: self.choices.nic,
            notices: self.notices,
            faults,
        }
    }

    fn account(&self) -> Account {
        let nic = self.nic.clone().unwrap_or_else(|| self.side.tallies());
        let shares_traffic = self.choices.from == Origin::Traffic;
        Account { nic, guest: self.guest.clone(), driver: self.choices.driver, shares_traffic }
    }

    fn start(&self, vm: &mut Vm, compiled: &Compiled) -> Result<Started, Box<VmError>> {
        for handle in &self.scenario.handle {
            let Some(file) = handle.filter.as_ref().and_then(|filter| filter.strip_prefix('@'))
            else {
                continue;
            };
            let path = self.absolute(Path::new(file));
            let bytes = std::fs::read(&path)
                .map_err(|error| VmError::System { what: "a filter program", error })?;
            vm.write_file(&path.display().to_string(), &bytes, PATIENCE)?;
        }
        let compiled = compiled.iter();
        let driver = match self.choices.driver {
            Driver::Vfio => GuestDriver::Vfio,
            Driver::Linux => {
                let sockets = self.choices.sockets;
                GuestDriver::Linux { interface: INTERFACE.into(), sockets }
            }
        };
        let start = Start {
            file: self.absolute(Path::new("scenario.toml")).display().to_string(),
            compiled: compiled.map(|(text, len, bytes)| (text.into(), len, Blob(bytes))).collect(),
            driver,
            ..Start::of(self.scenario.to_toml())
        };
        match vm.call(Command::Start(start), PATIENCE)? {
            Reply::Started(started) => Ok(started),
            _ => Err(vm.out_of_words().into()),
        }
    }

    fn absolute(&self, path: &Path) -> std::path::PathBuf {
        let path = self.scenario.path(path);
        std::path::absolute(&path).unwrap_or(path)
    }

    fn ask(&self, vm: &mut Vm, command: Command) -> Result<LiveAccount, Box<VmError>> {
        match vm.call(command, PATIENCE)? {
            Reply::Account(account) => Ok(account),
            _ => Err(vm.out_of_words().into()),
        }
    }

    /// Until no frame is on its way any more.
    fn watch(
        &mut self,
        vm: &mut Vm,
        stop: &Stop,
        watch: &mut dyn Watch,
    ) -> Result<End, Box<VmError>> {
        let begun = Instant::now();
        let drain = Duration::from_nanos(self.scenario.run.drain.0 / 1000).max(LULL);
        let mut end = None;
        let mut moved = (begun, (0, 0));
        loop {
            self.guest = self.ask(vm, Command::Account)?;
            let account = self.account();
            self.note_first(begun);
            watch.look(&account);
            let late = self.choices.traffic_for.is_some_and(|most| begun.elapsed() >= most);
            let stopped = stop.now();
            if (late || stopped.is_some()) && end.is_none() {
                self.side.end_traffic();
                end = Some(match stopped {
                    Some(Stopped::Asked) => End::Interrupted,
                    Some(Stopped::TimeLimit) => End::TimeLimit,
                    None => End::Complete,
                });
            }
            let seen = (account.offered(), account.held());
            if moved.1 != seen || !account.is_fed() {
                moved = (Instant::now(), seen);
            }
            let dead = !self.side.is_connected();
            let given_up = account.guest.error.is_some()
                || account.guest.queues.iter().any(|queue| queue.error.is_some());
            if account.is_fed() && (account.rests() || given_up || moved.0.elapsed() >= drain) {
                self.wall = begun.elapsed();
                return Ok(end.unwrap_or(End::Complete));
            }
            if dead {
                vm.check()?;
                let what = "the NIC's connection to QEMU";
                let error = std::io::ErrorKind::NotConnected.into();
                return Err(Box::new(VmError::System { what, error }));
            }
            let waits = account.guest.first_frame_us.is_none();
            std::thread::sleep(if waits { FIRST_TICK } else { TICK });
        }
    }

    fn note_first(&mut self, begun: Instant) {
        if let Some(machine) = &mut self.machine
            && machine.first_frame.is_none()
            && self.guest.first_frame_us.is_some()
        {
            machine.first_frame = Some(begun.elapsed());
        }
    }
}
