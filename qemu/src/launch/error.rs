//! Why there is no VM, or none any more.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::protocol::VersionError;
use crate::protocol::frame::FrameError;

use super::stop::Stopped;
use super::version::Version;

/// What went wrong with a VM.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// QEMU is not there.
    #[error(
        "{program} cannot be run: {error}; install it (Debian: apt-get install qemu-system-x86) or name one",
        program = program.display()
    )]
    NoQemu {
        /// What was tried.
        program: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Some other program.
    #[error("{program} does not say that it is QEMU, but {said:?}", program = program.display())]
    NoVersion {
        /// Which.
        program: PathBuf,
        /// What it says.
        said: String,
    },
    /// An old QEMU.
    #[error("QEMU {found} is too old: {} or newer", Version::OLDEST)]
    TooOld {
        /// Which one it is.
        found: Version,
    },
    /// KVM was asked for.
    #[error("no KVM: /dev/kvm: {0}; let QEMU translate instead (tcg)")]
    NoKvm(io::Error),
    /// The back-end of the NIC is not there.
    #[error(
        "there is no socket at {path}: start the NIC first (rxlab nic --socket)",
        path = path.display()
    )]
    NoNic {
        /// Where.
        path: PathBuf,
    },
    /// The system refuses something that a VM needs.
    #[error("{what}: {error}")]
    System {
        /// What for.
        what: &'static str,
        /// What it says.
        error: io::Error,
    },
    /// QEMU has ended.
    #[error(
        "QEMU has ended ({status}) {doing}{}{}",
        said("QEMU said", qemu),
        said("the console's last lines", console)
    )]
    Ended {
        /// How.
        status: ExitStatus,
        /// While what.
        doing: String,
        /// Its stderr.
        qemu: String,
        /// The end of the guest's console.
        console: String,
    },
    /// It was not waited for any longer.
    #[error("{stopped} {doing}{}", said("the console's last lines", console))]
    Stopped {
        /// Why.
        stopped: Stopped,
        /// While what.
        doing: String,
        /// The end of the guest's console.
        console: String,
    },
    /// The guest does not answer.
    #[error(
        "the guest has been silent for {:.1} s {doing}{}{}",
        waited.as_secs_f64(),
        said("QEMU said", qemu),
        said("the console's last lines", console)
    )]
    Silent {
        /// For how long.
        waited: Duration,
        /// While what.
        doing: String,
        /// QEMU's stderr.
        qemu: String,
        /// The end of the guest's console.
        console: String,
    },
    /// What came is no message of the protocol, or the port is closed.
    #[error("from the guest {doing}: {error}{}", said("the console's last lines", console))]
    Port {
        /// What is wrong.
        error: FrameError,
        /// While what.
        doing: String,
        /// The end of the guest's console.
        console: String,
    },
    /// The agent is of another version.
    #[error("the guest's agent: {0}")]
    Version(#[from] VersionError),
    /// The guest gave up.
    #[error(
        "the guest's agent gave up {doing}: {why}{}",
        said("the console's last lines", console)
    )]
    Fault {
        /// What it says.
        why: String,
        /// While what.
        doing: String,
        /// The end of the guest's console.
        console: String,
    },
    /// The guest could not do what it was told. It goes on.
    #[error("the guest refuses {doing}: {why}")]
    Refused {
        /// What it says.
        why: String,
        /// What it was told.
        doing: String,
    },
    /// The guest does not keep to the protocol.
    #[error("the guest's agent said {said} {doing}")]
    OutOfTurn {
        /// What it said.
        said: &'static str,
        /// While what.
        doing: String,
    },
    /// QEMU itself refuses something.
    #[error("QEMU refuses {command}: {why}")]
    Control {
        /// What it was told.
        command: String,
        /// What it says.
        why: String,
    },
    /// QEMU did not get along with the back-end, and serves the guest itself: its frames go nowhere.
    #[error("QEMU does without the NIC that it was given: {line}")]
    WithoutNic {
        /// What it said.
        line: String,
    },
}

fn said(what: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("\n  {what}:\n{text}") }
}

impl VmError {
    /// Whether there was no machine at all: QEMU is not there, cannot be used, or not with KVM.
    #[must_use]
    pub fn is_before_the_machine(&self) -> bool {
        matches!(
            self,
            Self::NoQemu { .. } | Self::NoVersion { .. } | Self::TooOld { .. } | Self::NoKvm(_)
        )
    }
}
