//! Why a device cannot be had over VFIO.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::address::PciAddress;
use super::capability::CapabilityError;
use super::place::VFIO_DRIVER;

/// What is missing or wrong, and what to do.
#[derive(Debug)]
pub enum VfioError {
    /// There is no such device.
    NoDevice {
        /// Where it should be.
        address: PciAddress,
    },
    /// What the system says about its devices cannot be read or written.
    Sysfs {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is another kind of device.
    WrongDevice {
        /// Where.
        address: PciAddress,
        /// Vendor and device id.
        found: (u16, u16),
    },
    /// Another driver has it, or none.
    NotBound {
        /// Where.
        address: PciAddress,
        /// Who has it.
        driver: Option<String>,
    },
    /// It belongs to no IOMMU group: the machine has no IOMMU, or it is off.
    NoIommu {
        /// Where.
        address: PciAddress,
    },
    /// It shares its IOMMU group with devices that other drivers have.
    SharedGroup {
        /// Where.
        address: PciAddress,
        /// The others, each with its driver.
        others: Vec<String>,
    },
    /// VFIO refuses.
    Vfio {
        /// What was asked.
        what: &'static str,
        /// What the library says.
        error: vfio_ioctls::VfioError,
    },
    /// The device's configuration space makes no sense.
    Capability(CapabilityError),
    /// A BAR is shorter than what should be in it.
    BarTooSmall {
        /// Which.
        bar: u8,
        /// Bytes that the capabilities name.
        need: u64,
        /// Bytes it has.
        has: u64,
    },
    /// A BAR that cannot be mapped: it is none of memory, or shares a page.
    BarNotMappable {
        /// Which.
        bar: u8,
    },
    /// There are fewer MSI-X vectors than the driver needs.
    TooFewVectors {
        /// One for the configuration, and one for each receive queue.
        need: u16,
        /// As many there are.
        has: u32,
    },
    /// It can interrupt in no way that VFIO passes on.
    NoInterrupt,
    /// Memory or a descriptor cannot be had.
    System {
        /// What for.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// No memory that is physically in one piece.
    NotContiguous {
        /// Bytes wanted.
        bytes: u64,
        /// Bytes of the longest piece.
        longest: u64,
    },
}

impl fmt::Display for VfioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDevice { address } => {
                write!(f, "there is no PCI device {address}; lspci -D lists those there are")
            }
            Self::Sysfs { path, error } => write!(f, "{}: {error}", path.display()),
            Self::WrongDevice { address, found: (vendor, device) } => write!(
                f,
                "PCI device {address} is {vendor:04x}:{device:04x}, not 1af4:1041, a virtio-net device that \
                 speaks virtio 1.x only (QEMU: virtio-net-pci,disable-legacy=on)"
            ),
            Self::NotBound { address, driver } => {
                match driver {
                    Some(driver) => {
                        write!(f, "PCI device {address} belongs to the driver {driver}")?;
                    }
                    None => write!(f, "PCI device {address} belongs to no driver")?,
                }
                write!(f, "; bind it to {VFIO_DRIVER} (driver_override, then drivers_probe)")
            }
            Self::NoIommu { address } => write!(
                f,
                "PCI device {address} belongs to no IOMMU group: give the machine an IOMMU (QEMU: -device \
                 intel-iommu,intremap=on) and its kernel intel_iommu=on"
            ),
            Self::SharedGroup { address, others } => write!(
                f,
                "PCI device {address} shares its IOMMU group with {}; put it on a bus of its own, or bind those \
                 to {VFIO_DRIVER} as well",
                others.join(", ")
            ),
            Self::Vfio { what, error } => write!(f, "VFIO, {what}: {error}"),
            Self::Capability(error) => error.fmt(f),
            Self::BarTooSmall { bar, need, has } => {
                write!(
                    f,
                    "BAR {bar} has {has} bytes, and the device's capabilities name {need} of it"
                )
            }
            Self::BarNotMappable { bar } => write!(f, "VFIO does not let BAR {bar} be mapped"),
            Self::TooFewVectors { need, has } => write!(
                f,
                "the device has {has} MSI-X vectors, the driver needs {need}: one per receive queue and one for \
                 the configuration (QEMU: vectors=)"
            ),
            Self::NoInterrupt => write!(f, "the device has neither MSI-X nor an interrupt line"),
            Self::System { what, error } => write!(f, "{what}: {error}"),
            Self::NotContiguous { bytes, longest } => write!(
                f,
                "the device bypasses the IOMMU and needs {bytes} bytes in one physical piece; the longest of \
                 huge pages that there is has {longest}: reserve more (vm.nr_hugepages), early"
            ),
        }
    }
}

impl std::error::Error for VfioError {}

impl From<CapabilityError> for VfioError {
    fn from(error: CapabilityError) -> Self {
        Self::Capability(error)
    }
}

impl VfioError {
    /// Of what the library says.
    pub(super) fn vfio(what: &'static str) -> impl FnOnce(vfio_ioctls::VfioError) -> Self {
        move |error| Self::Vfio { what, error }
    }

    /// Of what the system says.
    pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System { what, error }
    }
}
