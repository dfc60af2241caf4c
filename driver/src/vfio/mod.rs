//! The driver's transport over VFIO: a PCI device of this machine, most of all in a guest.
//!
//! [`Device::open`] takes a virtio-net device that is bound to vfio-pci; [`Device::map`] gives memory that it can
//! reach, at addresses of the caller's choice, and [`Device::map_in_place`] memory at its physical addresses for
//! a device that bypasses the IOMMU; [`Device::into_transport`] enables its interrupts.
//!
//! Contract: what the device says of itself (capabilities, BARs, notification offsets) is checked before it is used,
//! and what does not fit is a [`VfioError`]. The device reaches the memory that was mapped and no other, by the
//! IOMMU's doing; where it bypasses the IOMMU ([`Device::bypasses_iommu`]), nothing but its good behaviour
//! says so. Memory stays mapped for the device until it is closed, and pinned until then even if its owner lets go.
//!
//! Sources: Linux, Documentation/driver-api/vfio.rst and include/uapi/linux/vfio.h; virtio 1.x section 4.1.

mod address;
mod capability;
mod device;
mod error;
mod interrupt;
mod map;
mod place;
mod registers;
mod transport;

pub use address::{AddressError, PciAddress};
pub use capability::CapabilityError;
pub use device::Device;
pub use error::VfioError;
pub use place::{Sysfs, VFIO_DRIVER};
pub use transport::PciTransport;

/// Vendor and device id of a virtio-net device that speaks virtio 1.x only (virtio 1.x 4.1.2.1).
pub const VIRTIO_NET: (u16, u16) = (0x1af4, 0x1041);
