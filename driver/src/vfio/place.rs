//! What sysfs says about a PCI device, and binding it to VFIO's driver.
//!
//! Contract: [`Sysfs::check`] refuses a device that [`super::Device::open`] could not use, by the reason that a
//! person can do something about. Files: Linux, Documentation/ABI/testing/sysfs-bus-pci and
//! sysfs-kernel-iommu_groups.

use std::io;
use std::path::{Path, PathBuf};

use super::VIRTIO_NET;
use super::address::PciAddress;
use super::error::VfioError;

/// The kernel's driver that lets a program have a PCI device.
pub const VFIO_DRIVER: &str = "vfio-pci";
/// Drivers beside whose devices a group is still free: bridges do no DMA of their own (vfio.rst).
const HARMLESS: [&str; 3] = [VFIO_DRIVER, "pci-stub", "pcieport"];

/// The tree, at its usual place or elsewhere.
#[derive(Clone, Debug)]
pub struct Sysfs {
    root: PathBuf,
}

impl Default for Sysfs {
    fn default() -> Self {
        Self { root: "/sys".into() }
    }
}

impl Sysfs {
    /// Mounted at `root`.
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder of a device.
    pub fn folder(&self, address: PciAddress) -> PathBuf {
        self.root.join(format!("bus/pci/devices/{address}"))
    }

    /// All virtio-net devices that speak virtio 1.x only, in the order of their addresses.
    ///
    /// # Errors
    /// There is no PCI, or it cannot be read.
    pub fn virtio_nets(&self) -> Result<Vec<PciAddress>, VfioError> {
        let path = self.root.join("bus/pci/devices");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(sysfs(&path))? {
            let name = entry.map_err(sysfs(&path))?.file_name();
            let Some(address) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            if self.ids(address)? == VIRTIO_NET {
                found.push(address);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Whether VFIO can give the device.
    ///
    /// # Errors
    /// It cannot; see [`VfioError`].
    pub fn check(&self, address: PciAddress) -> Result<(), VfioError> {
        let folder = self.folder(address);
        if !folder.exists() {
            return Err(VfioError::NoDevice { address });
        }
        let found = self.ids(address)?;
        if found != VIRTIO_NET {
            return Err(VfioError::WrongDevice { address, found });
        }
        let group = folder.join("iommu_group");
        if !group.exists() {
            return Err(VfioError::NoIommu { address });
        }
        let driver = self.driver(address)?;
        if driver.as_deref() != Some(VFIO_DRIVER) {
            return Err(VfioError::NotBound { address, driver });
        }
        let others = self.others(address, &group.join("devices"))?;
        if others.is_empty() { Ok(()) } else { Err(VfioError::SharedGroup { address, others }) }
    }

    /// Gives the device to VFIO's driver, which must be loaded, whoever has it now.
    ///
    /// # Errors
    /// There is no such device, or the system refuses.
    pub fn bind(&self, address: PciAddress) -> Result<(), VfioError> {
        let folder = self.folder(address);
        if !folder.exists() {
            return Err(VfioError::NoDevice { address });
        }
        let write = |path: PathBuf, text: &str| std::fs::write(&path, text).map_err(sysfs(&path));
        write(folder.join("driver_override"), VFIO_DRIVER)?;
        if self.driver(address)?.is_some() {
            write(folder.join("driver/unbind"), &address.to_string())?;
        }
        write(self.root.join("bus/pci/drivers_probe"), &address.to_string())
    }

    /// Vendor and device id.
    fn ids(&self, address: PciAddress) -> Result<(u16, u16), VfioError> {
        let id = |name: &str| {
            let path = self.folder(address).join(name);
            let text = std::fs::read_to_string(&path).map_err(sysfs(&path))?;
            let digits = text.trim().trim_start_matches("0x");
            let bad = |error| sysfs(&path)(io::Error::new(io::ErrorKind::InvalidData, error));
            u16::from_str_radix(digits, 16).map_err(bad)
        };
        Ok((id("vendor")?, id("device")?))
    }

    fn driver(&self, address: PciAddress) -> Result<Option<String>, VfioError> {
        let link = self.folder(address).join("driver");
        match std::fs::read_link(&link) {
            Ok(to) => Ok(to.file_name().map(|name| name.to_string_lossy().into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(sysfs(&link)(error)),
        }
    }

    /// Devices of the group that somebody else may drive.
    fn others(&self, address: PciAddress, group: &Path) -> Result<Vec<String>, VfioError> {
        let mut others = Vec::new();
        for entry in std::fs::read_dir(group).map_err(sysfs(group))? {
            let name = entry.map_err(sysfs(group))?.file_name().to_string_lossy().into_owned();
            let Ok(other) = name.parse::<PciAddress>() else {
                others.push(name);
                continue;
            };
            if other == address {
                continue;
            }
            if let Some(driver) = self.driver(other)?
                && !HARMLESS.contains(&driver.as_str())
            {
                others.push(format!("{other} ({driver})"));
            }
        }
        others.sort();
        Ok(others)
    }
}

fn sysfs(path: &Path) -> impl FnOnce(io::Error) -> VfioError + use<> {
    let path = path.to_owned();
    move |error| VfioError::Sysfs { path, error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A device: address, ids, driver, group.
    type Entry<'a> = (&'a str, (&'a str, &'a str), Option<&'a str>, Option<u32>);

    fn tree(name: &str, devices: &[Entry<'_>]) -> Sysfs {
        let root = std::env::temp_dir().join(format!("rxlab-sysfs-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        for (address, (vendor, device), driver, group) in devices {
            let folder = root.join("bus/pci/devices").join(address);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("vendor"), format!("0x{vendor}\n")).unwrap();
            std::fs::write(folder.join("device"), format!("0x{device}\n")).unwrap();
            if let Some(driver) = driver {
                let to = root.join("bus/pci/drivers").join(driver);
                std::fs::create_dir_all(&to).unwrap();
                symlink(to, folder.join("driver")).unwrap();
            }
            if let Some(group) = group {
                let group = root.join(format!("kernel/iommu_groups/{group}"));
                std::fs::create_dir_all(group.join("devices")).unwrap();
                symlink(&folder, group.join("devices").join(address)).unwrap();
                symlink(group, folder.join("iommu_group")).unwrap();
            }
        }
        Sysfs::at(root)
    }

    const NET: (&str, &str) = ("1af4", "1041");

    #[test]
    fn each_reason_is_told_apart() {
        let sysfs = tree(
            "reasons",
            &[
                ("0000:00:01.0", ("8086", "100e"), None, Some(1)),
                ("0000:00:02.0", NET, Some("vfio-pci"), None),
                ("0000:00:03.0", NET, Some("virtio-pci"), Some(3)),
                ("0000:00:04.0", NET, None, Some(4)),
                ("0000:00:05.0", NET, Some("vfio-pci"), Some(5)),
                ("0000:00:05.1", ("8086", "2918"), Some("lpc_ich"), Some(5)),
                ("0000:00:05.2", ("8086", "2919"), Some("pcieport"), Some(5)),
                ("0000:00:06.0", NET, Some("vfio-pci"), Some(6)),
            ],
        );
        let check = |function: &str| sysfs.check(format!("0000:00:{function}").parse().unwrap());
        let said = |function: &str| check(function).unwrap_err().to_string();
        assert!(said("09.0").contains("no PCI device 0000:00:09.0"));
        assert!(said("01.0").contains("is 8086:100e, not 1af4:1041"));
        assert!(said("02.0").contains("no IOMMU group") && said("02.0").contains("intel_iommu=on"));
        assert!(said("03.0").contains("belongs to the driver virtio-pci; bind it to vfio-pci"));
        assert!(said("04.0").contains("belongs to no driver"));
        assert!(said("05.0").contains("with 0000:00:05.1 (lpc_ich);"), "{}", said("05.0"));
        check("06.0").unwrap();
        let nets = sysfs.virtio_nets().unwrap();
        assert_eq!(nets.len(), 5);
        assert_eq!(nets[0].to_string(), "0000:00:02.0");
        std::fs::remove_dir_all(sysfs.root).unwrap();
    }

    #[test]
    fn binding_writes_what_the_kernel_reads() {
        let sysfs = tree("bind", &[("0000:00:03.0", NET, Some("virtio-pci"), Some(3))]);
        let address = "0000:00:03.0".parse().unwrap();
        sysfs.bind(address).unwrap();
        let read = |path: &str| std::fs::read_to_string(sysfs.root.join(path)).unwrap();
        assert_eq!(read("bus/pci/devices/0000:00:03.0/driver_override"), "vfio-pci");
        assert_eq!(read("bus/pci/drivers/virtio-pci/unbind"), "0000:00:03.0");
        assert_eq!(read("bus/pci/drivers_probe"), "0000:00:03.0");
        assert!(sysfs.bind("0000:00:04.0".parse().unwrap()).is_err());
        std::fs::remove_dir_all(sysfs.root).unwrap();
    }
}
