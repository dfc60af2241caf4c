//! The guest's NIC over VFIO: found, taken from whoever has it, and given memory.
//!
//! Contract: there is exactly one virtio-net device, and it is taken even if Linux's driver has it.

use driver::DmaRegion;
use driver::vfio::{Device, PciAddress, Sysfs, VfioError};

use super::serve::Refusal;

/// How many huge pages the system is to reserve.
const HUGE_PAGES: &str = "/proc/sys/vm/nr_hugepages";
/// Bytes of one.
const HUGE: u64 = 2 << 20;
/// More of them than are needed: those that there are may not all follow each other.
const SPARE: u64 = 4;

/// Takes the NIC.
///
/// # Errors
/// There is none or more than one, or VFIO cannot have it.
pub fn take() -> Result<(PciAddress, Device), Refusal> {
    let sysfs = Sysfs::default();
    let address = match sysfs.virtio_nets()?.as_slice() {
        [address] => *address,
        [] => return Err(Refusal::Value("the guest has no virtio-net device".into())),
        several => {
            let what = format!("the guest has {} virtio-net devices: give it one", several.len());
            return Err(Refusal::Value(what));
        }
    };
    sysfs.bind(address)?;
    Ok((address, Device::open(address)?))
}

/// Memory of `bytes` for the device: at `iova`, or, where the device bypasses the IOMMU, wherever it is.
///
/// # Errors
/// There is none, or VFIO refuses.
pub fn memory(device: &Device, iova: u64, bytes: u64) -> Result<DmaRegion, Refusal> {
    if !device.bypasses_iommu() {
        return Ok(device.map(iova, bytes)?);
    }
    let pages = bytes.div_ceil(HUGE) + SPARE;
    std::fs::write(HUGE_PAGES, pages.to_string()).map_err(Refusal::system(HUGE_PAGES))?;
    Ok(device.map_in_place(bytes)?)
}

impl From<VfioError> for Refusal {
    fn from(error: VfioError) -> Self {
        Self::Value(error.to_string())
    }
}
