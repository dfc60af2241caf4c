//! From the command line to a machine: kernel, image, folder, what ends it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use qemu::cache::Cache;
use qemu::image::kernel::Kernel;
use qemu::image::{Image, ImageError, LINUX_DRIVER, VFIO_DRIVER, agent};
use qemu::launch::{Folder, Options, Stop, VmError};

use super::{KernelArgs, MachineArgs};
use crate::cli::scenario::Failure;
use crate::scenario;
use crate::vm::Driver;

/// A machine that can be started, and its folder.
pub(in crate::cli) struct Machine {
    /// How to start it; it has no NIC yet.
    pub options: Options,
    /// Its files; they go with this value, or stay.
    pub place: Place,
}

/// The folder of a VM.
pub(in crate::cli) struct Place {
    /// What takes it away in the end.
    _folder: Option<Folder>,
    path: PathBuf,
}

impl Place {
    fn new(keep: bool) -> Result<Self, Failure> {
        let folder = Folder::new()
            .map_err(|error| Failure::Output(format!("a folder for the VM: {error}")))?;
        let path = folder.0.clone();
        if keep {
            eprintln!("rxlab vm: the VM's files stay in {}", path.display());
            std::mem::forget(folder);
            return Ok(Self { _folder: None, path });
        }
        Ok(Self { _folder: Some(folder), path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl MachineArgs {
    /// The machine for so many queues; `asked` is set when somebody wants the end.
    pub(in crate::cli) fn machine(
        &self,
        driver: Driver,
        queues: u16,
        asked: Arc<AtomicBool>,
    ) -> Result<Machine, Failure> {
        let limit = self.limit()?;
        let image = self.kernel.image(driver)?;
        let stop = Stop { asked, at: Instant::now().checked_add(limit) };
        let options = Options {
            qemu: self.qemu.clone().or_else(|| variable("RXLAB_QEMU")),
            accel: self.accel,
            memory: self.memory,
            cpus: self.cpus.unwrap_or(if queues > 1 { 2 } else { 1 }),
            console: self.console.clone(),
            stop,
            more: self.qemu_args.clone(),
            ..Options::of(image)
        };
        if let Some(console) = &self.console {
            // QEMU would say it in its own words.
            std::fs::File::create(console)
                .map_err(|error| Failure::Usage(format!("{}: {error}", console.display())))?;
        }
        Ok(Machine { options, place: Place::new(self.keep)? })
    }

    fn limit(&self) -> Result<Duration, Failure> {
        let limit: scenario::Duration = self
            .time_limit
            .parse()
            .map_err(|why| Failure::Usage(format!("--time-limit {}: {why}", self.time_limit)))?;
        Ok(Duration::from_nanos(limit.0 / 1000))
    }

    /// What it means that QEMU could not be started: what was given is wrong, or the system lacks it.
    pub(in crate::cli) fn failure(&self, error: &VmError) -> Failure {
        let given = match error {
            VmError::NoQemu { .. } | VmError::NoVersion { .. } | VmError::TooOld { .. } => {
                self.qemu.is_some()
            }
            VmError::NoKvm(_) => true,
            _ => false,
        };
        match given {
            true => Failure::Usage(error.to_string()),
            false => Failure::Output(error.to_string()),
        }
    }

    /// The words that ask for the same machine.
    pub(in crate::cli) fn words(&self) -> Vec<String> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let accel = match self.accel {
            qemu::launch::Accel::Auto => None,
            qemu::launch::Accel::Tcg => Some("tcg".to_owned()),
            qemu::launch::Accel::Kvm => Some("kvm".to_owned()),
        };
        let memory = (self.memory != MEMORY).then(|| self.memory.to_string());
        let options = [
            ("--accel", accel),
            ("--kernel", path(&self.kernel.kernel)),
            ("--modules", path(&self.kernel.modules)),
            ("--qemu", path(&self.qemu)),
            ("--memory", memory),
            ("--cpus", self.cpus.map(|cpus| cpus.to_string())),
        ];
        let mut words = Vec::new();
        for (option, value) in options {
            words.extend(value.into_iter().flat_map(|value| [option.to_owned(), value]));
        }
        for word in &self.qemu_args {
            words.push(format!("--qemu-args={}", word.display()));
        }
        words
    }
}

/// MiB of a guest's memory that was given none.
pub(super) const MEMORY: u32 = 256;

impl KernelArgs {
    /// The kernel, given or Debian's.
    pub(in crate::cli) fn find(&self, cache: &Cache) -> Result<Kernel, Failure> {
        let kernel = self.kernel.clone().or_else(|| variable("RXLAB_KERNEL"));
        let modules = self.modules.clone().or_else(|| variable("RXLAB_MODULES"));
        Kernel::find(cache, kernel.as_deref(), modules.as_deref())
            .map_err(|error| self.failure(&error))
    }

    /// What is booted.
    pub(super) fn image(&self, driver: Driver) -> Result<Image, Failure> {
        let cache = Cache::of_user();
        let kernel = self.find(&cache)?;
        let agent = agent::find(None).map_err(|error| self.failure(&error))?;
        Image::build(&cache, &kernel, modules_for(driver), &agent)
            .map_err(|error| self.failure(&error))
    }

    /// What was given is wrong, or the system lacks something.
    pub(super) fn failure(&self, error: &ImageError) -> Failure {
        match self.kernel.is_some() || self.modules.is_some() {
            true => Failure::Usage(error.to_string()),
            false => Failure::Output(error.to_string()),
        }
    }
}

/// The modules that the guest's driver needs.
pub(in crate::cli) fn modules_for(driver: Driver) -> &'static [&'static str] {
    match driver {
        Driver::Vfio => &VFIO_DRIVER,
        Driver::Linux => &LINUX_DRIVER,
    }
}

/// What the environment says instead of an option.
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)
}
