//! `rxlab vm`: a scenario in a guest, and what a guest is made of.

mod image;
mod lockstep;
mod machine;
mod run;
mod verify;

use clap::{Args, Subcommand};
use std::path::PathBuf;

pub(super) use self::machine::modules_for;
use super::{ScenarioArgs, Trace};
use crate::exit::Exit;

/// What to do with guests.
#[derive(Args)]
pub(super) struct VmArgs {
    #[command(subcommand)]
    command: VmCommand,
}

#[derive(Subcommand)]
enum VmCommand {
    /// Play a scenario with its driver and NPF core in a guest of QEMU, and account for every frame.
    ///
    /// The NIC is in this process, behind QEMU's vhost-user; the guest boots Debian's kernel with an agent as its
    /// first process. Time is the wall clock, unless it runs in lockstep.
    Run(Box<RunArgs>),
    /// Play a scenario here and in a guest in lockstep, and name the first difference.
    Verify(Box<VerifyArgs>),
    /// Make, or find, the kernel and the initramfs that a guest boots.
    Image(ImageArgs),
}

/// The machine.
#[derive(Args, Clone, Debug)]
pub(super) struct MachineArgs {
    /// Who executes the guest: auto tries KVM, and takes tcg if the guest says nothing under it.
    #[arg(long, value_name = "auto|tcg|kvm", default_value = "auto")]
    accel: qemu::launch::Accel,
    #[command(flatten)]
    pub(super) kernel: KernelArgs,
    /// QEMU's program, instead of the qemu-system-x86_64 of the path (or RXLAB_QEMU).
    #[arg(long, value_name = "PROGRAM")]
    qemu: Option<PathBuf>,
    /// The guest's memory, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(32..))]
    memory: u32,
    /// The guest's CPUs; one, or two for several queues, unless it is given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    cpus: Option<u16>,
    /// Keep the folder with the VM's files (console, what QEMU said), and say where it is.
    #[arg(long)]
    keep: bool,
    /// Write the guest's console to this file.
    #[arg(long, value_name = "FILE")]
    console: Option<PathBuf>,
    /// One more word for QEMU's command line; may be repeated.
    #[arg(long = "qemu-args", value_name = "WORD", allow_hyphen_values = true)]
    qemu_args: Vec<std::ffi::OsString>,
    /// Stop everything after so long, as in 90s.
    #[arg(long, value_name = "TIME", default_value = "600s")]
    time_limit: String,
}

/// Which kernel.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct KernelArgs {
    /// The guest's kernel, instead of Debian's (or RXLAB_KERNEL).
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The folder with its modules, as in /lib/modules/VERSION (or RXLAB_MODULES).
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
}

/// What to play, where, and what to write.
#[derive(Args, Clone)]
struct RunArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Capture engine for every handle.
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// Queue pairs, instead of the scenario's.
    #[arg(long, value_name = "N")]
    queues: Option<u16>,
    /// Who drives the NIC in the guest: our driver over VFIO, or Linux's virtio_net with the core behind a packet
    /// socket and Linux's own capture beside it.
    #[arg(long, value_name = "DRIVER", default_value = "vfio")]
    driver: DriverName,
    /// Which NIC the guest has: ours, or QEMU's own virtio-net (one queue pair).
    #[arg(long, value_name = "NIC", default_value = "rxlab")]
    nic: NicName,
    /// In virtual time, step by step: the same account, events and files as `rxlab run`.
    #[arg(long)]
    lockstep: bool,
    /// Before the report draw every virtqueue after each step that has changed it, or tell each event of a frame's
    /// way; in lockstep.
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "sides")]
    trace: Option<Trace>,
    /// How many pictures a trace draws, or lines it tells.
    #[arg(long, value_name = "N", default_value_t = crate::trace::PICTURES, requires = "trace")]
    pictures: u64,
    #[command(flatten)]
    machine: MachineArgs,
    /// Print the result as JSON instead of the report.
    #[arg(long)]
    json: bool,
    /// Write result.json to this folder; in lockstep all that `rxlab run` writes.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What to play twice, and where.
#[derive(Args, Clone)]
struct VerifyArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Capture engine for every handle.
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// Queue pairs, instead of the scenario's.
    #[arg(long, value_name = "N")]
    queues: Option<u16>,
    #[command(flatten)]
    machine: MachineArgs,
    /// Keep what the two have written, in the folders embedded and guest of this one.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum DriverName {
    Vfio,
    Linux,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum NicName {
    Rxlab,
    Qemu,
}

/// Which image, and where it goes.
#[derive(Args, Clone)]
struct ImageArgs {
    #[command(flatten)]
    kernel: KernelArgs,
    /// Who is to drive the NIC in the guest: it decides which modules the image has.
    #[arg(long, value_name = "DRIVER", default_value = "vfio")]
    driver: DriverName,
    /// Copy both files into this folder, as vmlinuz and initramfs.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print what it is as JSON.
    #[arg(long)]
    json: bool,
}

/// Does it.
pub(super) fn vm(args: &VmArgs) -> Exit {
    match &args.command {
        VmCommand::Run(args) if args.lockstep || args.trace.is_some() => lockstep::run(args),
        VmCommand::Run(args) => run::run(args),
        VmCommand::Verify(args) => verify::verify(args),
        VmCommand::Image(args) => image::image(args),
    }
}
