//! What a guest of the tests boots on: the kernel and QEMU that the environment names, else Debian's and the path's.

use std::path::PathBuf;

use qemu::cache::Cache;
use qemu::image::kernel::Kernel;
use qemu::image::{Image, agent};
use qemu::launch::{Accel, Options};

/// The kernel.
pub fn kernel() -> Kernel {
    let (kernel, modules) = (variable("RXLAB_KERNEL"), variable("RXLAB_MODULES"));
    let kernel = Kernel::find(&Cache::of_user(), kernel.as_deref(), modules.as_deref());
    kernel.unwrap_or_else(|error| panic!("{error}"))
}

/// A machine without a NIC under TCG, whose image has these modules.
pub fn options(modules: &[&str]) -> Options {
    let agent = agent::find(None).unwrap_or_else(|error| panic!("{error}"));
    let image = Image::build(&Cache::of_user(), &kernel(), modules, &agent);
    let image = image.unwrap_or_else(|error| panic!("{error}"));
    Options { qemu: variable("RXLAB_QEMU"), accel: Accel::Tcg, memory: 192, ..Options::of(image) }
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)
}
