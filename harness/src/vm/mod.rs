//! A scenario in a guest that runs freely: the NIC in this process, driver and core behind PCI and interrupts.
//!
//! ```text
//!   this process                                 the guest
//!     lanes of the NIC  <- vhost-user -> QEMU  <->  driver (ours over VFIO, or Linux's and a packet socket)
//!                                                     | tap
//!     play: start, account, stop  <- agent's port ->  handles, readers
//! ```
//!
//! Contract: time is the wall clock on either side, and the account is exact at rest ([`Account::check`]). Whatever
//! happens, everything that was started is stopped when [`run`] returns, and the outcome has the account up to
//! then. What a user may do about an error is in its words.

pub mod account;
pub mod fit;
mod play;
pub mod report;
mod side;

use std::path::PathBuf;
use std::time::Duration;

use qemu::launch::{Accel, Options, Stopped, Version, VmError};
use qemu::protocol::Sockets;

pub use self::account::Account;
use self::play::Play;
use self::side::Side;
use crate::nic::build::Origin;
use crate::nic::served::NicError;
use crate::scenario::Scenario;
use crate::world::setup::{self, SetupError};

/// Who drives the NIC in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Ours, over VFIO.
    Vfio,
    /// Linux's, with the core behind a packet socket, and Linux's own capture beside it.
    Linux,
}

impl Driver {
    /// As the command line has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vfio => "vfio",
            Self::Linux => "linux",
        }
    }
}

/// What NIC the guest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicKind {
    /// Ours, in this process.
    Rxlab,
    /// QEMU's own virtio-net; frames go to it as datagrams.
    Qemu,
}

impl NicKind {
    /// As the command line has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rxlab => "rxlab",
            Self::Qemu => "qemu",
        }
    }
}

/// The first interface of a guest without udev.
const INTERFACE: &str = "eth0";

/// How to run.
#[derive(Clone, Debug)]
pub struct Choices {
    /// Who drives the NIC.
    pub driver: Driver,
    /// What NIC it is.
    pub nic: NicKind,
    /// Where frames come from; QEMU's NIC gets the scenario's traffic.
    pub from: Origin,
    /// With Linux's driver, which sockets take frames.
    pub sockets: Sockets,
    /// The traffic is ended after so long; `None`: it ends by itself.
    pub traffic_for: Option<Duration>,
    /// The machine, without its NIC.
    pub options: Options,
    /// The VM's folder.
    pub folder: PathBuf,
}

/// What a run has come to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The last that was counted: at rest, if nothing went wrong.
    pub account: Account,
    /// What it ran on, if the guest came up.
    pub machine: Option<Machine>,
    /// From the first frame's time to the last that was taken.
    pub wall: Duration,
    /// Who drives the NIC.
    pub driver: Driver,
    /// What NIC it is.
    pub nic: NicKind,
    /// What a user should know.
    pub notices: Vec<String>,
    /// What went wrong on the way, and ended nothing: a source that broke off, a ring, a driver that gave up.
    pub faults: Vec<String>,
}

impl Outcome {
    /// Whether the account adds up; `None`: the guest was not asked at rest.
    #[must_use]
    pub fn check(&self) -> Option<Result<(), String>> {
        let ready = self.machine.as_ref().is_some_and(|machine| machine.ready.is_some());
        let rests = ready && !matches!(self.end, End::Failed { .. });
        rests.then(|| self.account.check())
    }
}

/// How a run ended.
#[derive(Clone, Debug)]
pub enum End {
    /// All frames have been taken.
    Complete,
    /// Somebody wanted the end.
    Interrupted,
    /// Its time was over.
    TimeLimit,
    /// Something went wrong with the machine; what.
    Failed {
        /// In words.
        error: String,
        /// The guest was silent: nothing moved any more.
        silent: bool,
    },
}

/// What a run had for a machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// QEMU's version.
    pub qemu: Version,
    /// Who executed the guest.
    pub accel: Accel,
    /// The guest's kernel.
    pub system: String,
    /// Each ring of the NIC had an interrupt of its own.
    pub msix: bool,
    /// The NIC's addresses went through no IOMMU.
    pub bypasses_iommu: bool,
    /// From QEMU's start to the guest's hello.
    pub boot: Duration,
    /// From there until the first frame could come.
    pub ready: Option<Duration>,
    /// From there to the first frame that the guest says it has captured.
    pub first_frame: Option<Duration>,
}

/// Why a run has not begun.
#[derive(Debug, thiserror::Error)]
pub enum VmRunError {
    /// The scenario asks for what a guest has not.
    #[error(transparent)]
    Unfit(#[from] fit::UnfitForGuest),
    /// A filter does not compile.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// There is no NIC.
    #[error(transparent)]
    Nic(#[from] NicError),
    /// The NIC has no place for its socket.
    #[error("{path}: {error}", path = path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// QEMU cannot be started.
    #[error(transparent)]
    Vm(Box<VmError>),
}

/// Who watches a run.
pub trait Watch {
    /// What goes on now.
    fn phase(&mut self, what: &str);

    /// The account, every now and then.
    fn look(&mut self, account: &Account);
}

/// Plays `scenario`, which must be resolved.
///
/// # Errors
/// Nothing has been played.
pub fn run(
    scenario: &Scenario,
    choices: &Choices,
    watch: &mut dyn Watch,
) -> Result<Outcome, VmRunError> {
    fit::check(scenario, choices.nic)?;
    let compiled = setup::compiled(scenario)?;
    let (side, card) = Side::new(scenario, choices)?;
    let options = Options {
        nic: Some(card),
        folder: Some(choices.folder.clone()),
        ..choices.options.clone()
    };
    let mut play = Play::new(scenario, choices, side);
    let result = play.run(&options, &compiled, watch);
    let mut outcome = play.outcome();
    outcome.end = match result {
        Ok(end) => end,
        Err(error) => match *error {
            VmError::Stopped { stopped: Stopped::Asked, .. } => End::Interrupted,
            VmError::Stopped { stopped: Stopped::TimeLimit, .. } => End::TimeLimit,
            // Nothing has run yet.
            error if error.is_before_the_machine() => return Err(VmRunError::Vm(Box::new(error))),
            error => {
                let silent = matches!(error, VmError::Silent { .. });
                // A kernel that does not fit ends before it has a console.
                let mute = matches!(&error, VmError::Ended { status, console, .. }
                    if status.success() && console.is_empty());
                let mut error = error.to_string();
                if mute || MEMORY.iter().any(|said| error.contains(said)) {
                    error += "\n  the guest may want more memory (--memory)";
                }
                End::Failed { error, silent }
            }
        },
    };
    Ok(outcome)
}

/// What a guest without memory says.
const MEMORY: [&str; 6] = [
    "Out of memory",
    "out_of_memory",
    "out of memory",
    "deadlocked on memory",
    "Initramfs unpacking failed",
    "Cannot allocate memory",
];
