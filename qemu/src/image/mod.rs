//! What a guest boots: a kernel, and an initramfs with the agent and the modules that it loads.
//!
//! Contract: no root, and no program but the package client, and that only for a kernel that was not given.
//! The same kernel, modules and agent give the same bytes.

pub mod agent;
pub mod cpio;
pub mod error;
pub mod kernel;
pub mod modules;
mod package;

use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::protocol::data::sha256;
use cpio::Archive;
pub use error::ImageError;
use kernel::Kernel;

/// What the modules that a Linux guest with virtio's own driver needs are for: PCI, the port to the host, and
/// the NIC. What these depend on comes along.
pub const LINUX_DRIVER: [&str; 3] = ["virtio_pci", "virtio_console", "virtio_net"];

/// What those are for that a guest needs whose NIC our own driver takes: VFIO in place of virtio's driver.
pub const VFIO_DRIVER: [&str; 4] = ["virtio_pci", "virtio_console", "vfio_pci", "vfio_iommu_type1"];

/// What QEMU boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// A kernel, as a boot loader takes it.
    pub kernel: PathBuf,
    /// The initramfs.
    pub initramfs: PathBuf,
}

impl Image {
    /// Of a kernel, the modules `wanted` with what they depend on, and an agent; kept in `cache`.
    ///
    /// # Errors
    /// A part is missing or wrong, or the cache cannot be written to.
    pub fn build(
        cache: &Cache,
        kernel: &Kernel,
        wanted: &[&str],
        agent: &Path,
    ) -> Result<Self, ImageError> {
        kernel.check()?;
        let agent = std::fs::read(agent).map_err(ImageError::file(agent))?;
        let bytes = initramfs(&agent, &modules::resolve(&kernel.modules, wanted)?);
        let name = format!("initramfs/{}", &sha256(&bytes)[..32]);
        let initramfs = cache
            .entry(&name, |path| std::fs::write(path, &bytes).map_err(ImageError::file(path)))?;
        Ok(Self { kernel: kernel.vmlinuz.clone(), initramfs })
    }
}

/// The archive: agent, modules, and the order in which they are loaded.
fn initramfs(agent: &[u8], modules: &[modules::Module]) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.folder("dev");
    archive.folder("modules");
    // The kernel opens it for its first process before that can mount anything.
    archive.device("dev/console", 5, 1);
    archive.program("init", agent);
    let mut order = String::new();
    for module in modules {
        let path = format!("modules/{}.ko", module.name);
        archive.file(&path, &module.bytes);
        order += &format!("/{path}\n");
    }
    archive.file("modules/order", order.as_bytes());
    archive.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use modules::Module;

    #[test]
    fn the_same_inputs_give_the_same_bytes() {
        let module = |name: &str| Module { name: name.into(), bytes: vec![7; 1001] };
        let modules = [module("a"), module("b")];
        let once = initramfs(b"agent", &modules);
        assert_eq!(once, initramfs(b"agent", &modules));
        let text = String::from_utf8_lossy(&once);
        assert!(text.contains("/modules/a.ko\n/modules/b.ko\n"));
        assert_ne!(once, initramfs(b"agent", &[module("b"), module("a")]));
    }
}
