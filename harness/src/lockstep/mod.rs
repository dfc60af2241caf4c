//! Lockstep: a scenario in virtual time whose driver and NPF core run in a guest, and whose NIC is here.
//!
//! ```text
//!   here                                        the guest
//!     run: "so many steps"   --- agent's port --->  the world of the scenario (agent, lockstep)
//!     nic: the device model  <-- device port  ----    registers, frames, time: each call is answered
//!     bus: memory, doorbells, interrupts  <- QEMU ->  VFIO: DMA memory, PCI doorbells, MSI-X
//! ```
//!
//! Contract: the same scenario and seed give the same account, the same events and the same files as `rxlab run`
//! does; [`verify`] says where they do not. When any part fails, everything that was started is stopped, and what
//! was known of the account by then comes with the error.

mod bus;
mod nic;
pub mod verify;

use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use nic_model::vhost_user::server::Server;
use qemu::launch::{Folder, Nic as Card, Options, Stop, Stopped, Vm, VmError};
use qemu::protocol::lockstep::{Ended, Lockstep, Progress, Trace};
use qemu::protocol::{Blob, Command, Reply};

use crate::exit::Exit;
use crate::nic::build::whole_offer;
use crate::nic::session::Session;
use crate::scenario::{FilterEngine, Scenario, Traffic};
use crate::world::embedded::Watch;
use crate::world::setup::{self, SetupError};
use bus::{Bus, BusPort};
pub use nic::Seen;

/// Where the guest writes.
const OUT: &str = "/out";
/// Steps at once, at first and at most: between two lots somebody may stop the run.
const STEPS: (u64, u64) = (64, 8192);
/// A lot shall take so long.
const LOT: Duration = Duration::from_millis(300);
/// How long the guest may take for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// A run that has come to its end.
#[derive(Clone, Debug)]
pub struct Run {
    /// What it has come to.
    pub ended: Ended,
    /// How far it went.
    pub progress: Progress,
    /// What the NIC's side has seen.
    pub seen: Seen,
    /// Until its driver was up.
    pub ready: Duration,
    /// For the steps alone.
    pub wall: Duration,
}

/// The machine that a run had.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The guest's kernel.
    pub system: String,
    /// QEMU's version.
    pub qemu: String,
    /// From QEMU's start to the guest's hello.
    pub boot: Duration,
    /// What a user should know.
    pub notices: Vec<String>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum LockstepError {
    /// The scenario asks for what a guest does not have.
    #[error("{0}")]
    Scenario(String),
    /// A filter does not compile.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The machine.
    #[error("{error}{}", so_far(.progress, .seen))]
    Vm {
        /// What is wrong with it.
        error: Box<VmError>,
        /// How far the run was.
        progress: Box<Progress>,
        /// What the NIC had seen.
        seen: Box<Seen>,
    },
    /// This system refuses something.
    #[error("{what}: {error}")]
    System {
        /// What for.
        what: String,
        /// What it says.
        error: io::Error,
    },
}

impl LockstepError {
    /// How a program ends that it ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Scenario(_) | Self::Setup(_) => Exit::Usage,
            Self::System { .. } => Exit::Unexpected,
            Self::Vm { error, .. } => match **error {
                VmError::Stopped { stopped: Stopped::Asked, .. } => Exit::Interrupted,
                VmError::Stopped { stopped: Stopped::TimeLimit, .. } | VmError::Silent { .. } => {
                    Exit::NoProgress
                }
                _ => Exit::Unexpected,
            },
        }
    }
}

/// A guest that plays one scenario after the other.
pub struct Guest {
    vm: Vm,
    // The NIC goes after the guest, which may still wait for it.
    nic: nic::Nic,
    _session: Session,
    _folder: Folder,
    machine: Machine,
    until: Option<Instant>,
}

impl Guest {
    /// Starts a guest of `options`, but for the NIC, which is chosen here: with so many queue pairs.
    ///
    /// # Errors
    /// See [`LockstepError`]; nothing is left running then.
    pub fn start(options: Options, pairs: u16) -> Result<Self, LockstepError> {
        let folder = Folder::new().map_err(system("a folder for the NIC"))?;
        let socket = folder.0.join("nic");
        let bus = Arc::new(Bus::default());
        let listener = UnixListener::bind(&socket).map_err(system("the NIC's socket"))?;
        let server = Server::new(listener, whole_offer(pairs), BusPort(Arc::clone(&bus)));
        let server = server.map_err(system("the NIC's socket"))?;
        let session = Session::start(server).map_err(system("a thread for the session"))?;
        let card = Card { queues: pairs, iommu_platform: true, ..Card::at(socket) };
        let until = options.stop.at;
        let options = Options { nic: Some(card), device_port: true, ..options };
        let mut vm = Vm::start(&options).map_err(early)?;
        let none = || system("the device's port")(io::ErrorKind::NotConnected.into());
        let port = vm.take_device_port().ok_or_else(none)?;
        let nic = nic::Nic::start(bus, port).map_err(system("a thread for the NIC"))?;
        let machine = Machine {
            system: vm.system.clone(),
            qemu: vm.version.to_string(),
            boot: vm.boot,
            notices: vm.notices.clone(),
        };
        Ok(Self { vm, nic, _session: session, _folder: folder, machine, until })
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Whoever wants the end sets `asked` from now on.
    pub fn heed(&mut self, asked: Arc<AtomicBool>) {
        self.vm.heed(Stop { asked, at: self.until });
    }

    /// Plays `scenario`, and puts its files where it is asked to. `shown` gets what is traced.
    ///
    /// # Errors
    /// See [`LockstepError`]. After one of [`LockstepError::Vm`] the guest is of no use any more.
    pub fn play(
        &mut self,
        scenario: &Scenario,
        asked: &Asked<'_>,
        watch: &mut impl Watch,
        shown: &mut dyn FnMut(&str),
    ) -> Result<Run, LockstepError> {
        possible(scenario)?;
        let compiled = setup::compiled(scenario)?;
        self.nic.expect(scenario.clone());
        let mut play = Play { vm: &mut self.vm, nic: &self.nic, progress: NOTHING };
        let began = Instant::now();
        play.put_files(scenario)?;
        play.begin(scenario, &compiled, asked)?;
        let (ready, started) = (began.elapsed(), Instant::now());
        let interrupted = play.steps(watch, shown)?;
        let wall = started.elapsed();
        let ended = play.end(interrupted, asked)?;
        Ok(Run { ended, progress: play.progress, seen: self.nic.seen(), ready, wall })
    }

    /// Ends the guest.
    ///
    /// # Errors
    /// It does not end by itself, and was killed.
    pub fn end(self) -> Result<(), LockstepError> {
        let seen = self.nic.seen();
        self.vm.power_off().map_err(|error| late(error, &NOTHING, &seen))
    }
}

/// What of a run is not the scenario.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Where files go; they are made anew.
    pub out: &'a Path,
    /// The command that repeats it.
    pub repeat: &'a str,
    /// What is to be shown of it.
    pub trace: Trace,
}

const NOTHING: Progress = Progress {
    steps: 0,
    offered: 0,
    now_ps: 0,
    over: false,
    shown: String::new(),
    account: String::new(),
};

struct Play<'a> {
    vm: &'a mut Vm,
    nic: &'a nic::Nic,
    progress: Progress,
}

impl Play<'_> {
    /// Files that the scenario reads, at the same places.
    fn put_files(&mut self, scenario: &Scenario) -> Result<(), LockstepError> {
        for path in read_by(scenario) {
            let path = absolute(&scenario.path(&path))?;
            let bytes = std::fs::read(&path).map_err(system(&path.display().to_string()))?;
            let at = path.display().to_string();
            let put = self.vm.write_file(&at, &bytes, PATIENCE);
            put.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    fn begin(
        &mut self,
        scenario: &Scenario,
        compiled: &crate::filter::Compiled,
        asked: &Asked<'_>,
    ) -> Result<(), LockstepError> {
        let file = absolute(&scenario.path(Path::new("scenario.toml")))?;
        let compiled = compiled
            .iter()
            .map(|(filter, snaplen, program)| (filter.to_owned(), snaplen, Blob(program)));
        self.call(Lockstep::Begin {
            scenario: scenario.to_toml(),
            file: file.display().to_string(),
            compiled: compiled.collect(),
            out: OUT.into(),
            trace: asked.trace,
        })?;
        Ok(())
    }

    /// Plays to the end; whether somebody has stopped it before.
    fn steps(
        &mut self,
        watch: &mut impl Watch,
        shown: &mut dyn FnMut(&str),
    ) -> Result<bool, LockstepError> {
        let mut steps = STEPS.0;
        loop {
            let started = Instant::now();
            let Reply::Progress(mut progress) = self.call(Lockstep::Play { steps })? else {
                return Err(self.failed(self.vm.out_of_words()));
            };
            if !progress.shown.is_empty() {
                shown(&std::mem::take(&mut progress.shown));
            }
            let (over, offered, now) = (progress.over, progress.offered, progress.now_ps);
            self.progress = progress;
            if over {
                return Ok(false);
            }
            if watch.stop(offered, now) {
                return Ok(true);
            }
            if started.elapsed() < LOT {
                steps = (steps * 2).min(STEPS.1);
            }
        }
    }

    fn end(&mut self, interrupted: bool, asked: &Asked<'_>) -> Result<Ended, LockstepError> {
        let repeat = asked.repeat.to_owned();
        let Reply::Ended(ended) = self.call(Lockstep::End { interrupted, repeat })? else {
            return Err(self.failed(self.vm.out_of_words()));
        };
        for (name, _) in &ended.files {
            let path = asked.out.join(name);
            let what = path.display().to_string();
            let mut file = std::fs::File::create(&path).map_err(system(&what))?;
            let read = self.vm.read_file(&format!("{OUT}/{name}"), &mut file, PATIENCE);
            read.map_err(|error| self.failed(error))?;
        }
        Ok(ended)
    }

    fn call(&mut self, part: Lockstep) -> Result<Reply, LockstepError> {
        let answer = self.vm.call(Command::Lockstep(part), PATIENCE);
        answer.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: VmError) -> LockstepError {
        late(error, &self.progress, &self.nic.seen())
    }
}

/// Whether a guest can play it: worth asking before one boots.
///
/// # Errors
/// It asks for what a guest does not have, or a filter does not compile.
pub fn check(scenario: &Scenario) -> Result<(), LockstepError> {
    possible(scenario)?;
    setup::compiled(scenario)?;
    Ok(())
}

/// A guest has no compiler for filters.
fn possible(scenario: &Scenario) -> Result<(), LockstepError> {
    let jit = scenario.handle.iter().find(|handle| handle.filter_engine == FilterEngine::Jit);
    match jit {
        None => Ok(()),
        Some(handle) => Err(LockstepError::Scenario(format!(
            "handle {:?} has filter_engine = \"jit\": the guest's agent has no compiler; take \"interpreter\"",
            handle.name
        ))),
    }
}

/// The files that a scenario reads.
fn read_by(scenario: &Scenario) -> Vec<PathBuf> {
    let mut files = Vec::new();
    if let Traffic::Capture(capture) = &scenario.traffic {
        files.push(capture.file.clone());
    }
    for handle in &scenario.handle {
        let changed = handle.control.iter().map(|control| &control.filter);
        let filters = std::iter::once(&handle.filter).chain(changed).flatten();
        files.extend(filters.filter_map(|filter| filter.strip_prefix('@')).map(PathBuf::from));
    }
    files
}

fn absolute(path: &Path) -> Result<PathBuf, LockstepError> {
    std::path::absolute(path).map_err(system(&path.display().to_string()))
}

fn system(what: &str) -> impl FnOnce(io::Error) -> LockstepError {
    let what = what.to_owned();
    move |error| LockstepError::System { what, error }
}

fn early(error: VmError) -> LockstepError {
    late(error, &NOTHING, &Seen::default())
}

fn late(error: VmError, progress: &Progress, seen: &Seen) -> LockstepError {
    let (progress, seen) = (Box::new(progress.clone()), Box::new(seen.clone()));
    LockstepError::Vm { error: Box::new(error), progress, seen }
}

/// What is known of a run that has broken off.
fn so_far(progress: &Progress, seen: &Seen) -> String {
    let mut text = String::new();
    if let Some(why) = &seen.stopped {
        text += &format!("\nthe NIC had stopped: {why}");
    }
    if progress.steps > 0 {
        text += &format!(
            "\nthe account after {} steps, at {} of virtual time: {}",
            progress.steps,
            crate::scenario::Duration(progress.now_ps),
            progress.account
        );
    }
    if seen.calls > 0 {
        let counters = &seen.counters;
        text += &format!(
            "\nthe NIC by then: offered {}, written {}, dropped {}",
            counters.offered,
            counters.written,
            counters.dropped_total()
        );
    }
    text
}
