//! What a VM is made of.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::stop::Stop;
use crate::image::Image;

/// Who executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// KVM if there is one and the guest says hello in time under it, else TCG.
    Auto,
    /// QEMU's translator, which works everywhere.
    Tcg,
    /// The host's kernel.
    Kvm,
}

impl std::str::FromStr for Accel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "tcg" => Ok(Self::Tcg),
            "kvm" => Ok(Self::Kvm),
            other => Err(format!("{other}: one of auto, tcg, kvm")),
        }
    }
}

/// What is behind a NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A vhost-user back-end, which is the device itself; it listens here.
    VhostUser(PathBuf),
    /// The device is QEMU's own, and each datagram is a frame of it (`-netdev dgram`): sent to `here`, where QEMU
    /// binds a Unix socket, to be received by the guest; those that the guest sends go to `there`.
    Dgram {
        /// QEMU's end.
        here: PathBuf,
        /// The other end.
        there: PathBuf,
    },
}

/// A virtio NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    /// What is behind it.
    pub wire: Wire,
    /// Queue pairs.
    pub queues: u16,
    /// Its address.
    pub mac: [u8; 6],
    /// Descriptors of each ring, receive and transmit; a power of two, 64 to 1024.
    pub ring: (u16, u16),
    /// The device's addresses go through the machine's IOMMU, which it then has.
    pub iommu_platform: bool,
    /// Packed rings are offered.
    pub packed: bool,
}

impl Nic {
    /// Behind vhost-user, with one queue pair, rings of 256, and no IOMMU.
    #[must_use]
    pub fn at(socket: PathBuf) -> Self {
        Self::on(Wire::VhostUser(socket))
    }

    /// Likewise on another wire.
    #[must_use]
    pub fn on(wire: Wire) -> Self {
        let mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
        Self { wire, queues: 1, mac, ring: (256, 256), iommu_platform: false, packed: false }
    }
}

/// How to start a VM.
#[derive(Clone, Debug)]
pub struct Options {
    /// QEMU's program; `None`: `qemu-system-x86_64` of the path.
    pub qemu: Option<PathBuf>,
    /// Who executes.
    pub accel: Accel,
    /// What is booted.
    pub image: Image,
    /// Memory, MiB.
    pub memory: u32,
    /// Virtual CPUs.
    pub cpus: u16,
    /// The guest's NIC.
    pub nic: Option<Nic>,
    /// The machine has an IOMMU, whether the NIC's addresses go through it or not: VFIO needs one.
    pub iommu: bool,
    /// The guest has a second port, over which its world in lockstep reaches the host's NIC.
    pub device_port: bool,
    /// Where the guest's console goes; `None`: a file that goes with the VM.
    pub console: Option<PathBuf>,
    /// Where the VM's files go, a folder that stays; `None`: a new one, which goes with the VM.
    pub folder: Option<PathBuf>,
    /// What ends every wait for the guest.
    pub stop: Stop,
    /// More words for QEMU's command line.
    pub more: Vec<OsString>,
    /// How long the guest may take to say hello.
    pub patience: Duration,
    /// How long it may under KVM, if that is only tried.
    pub patience_kvm: Duration,
}

impl Options {
    /// Of this image: one CPU, 128 MiB, no NIC, KVM if it works.
    #[must_use]
    pub fn of(image: Image) -> Self {
        Self {
            qemu: None,
            accel: Accel::Auto,
            image,
            memory: 128,
            cpus: 1,
            nic: None,
            iommu: false,
            device_port: false,
            console: None,
            folder: None,
            stop: Stop::default(),
            more: Vec::new(),
            patience: Duration::from_secs(60),
            patience_kvm: Duration::from_secs(5),
        }
    }
}
