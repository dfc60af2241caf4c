//! The guest's NIC over VFIO: found, taken from whoever has it, and given memory.
//!
//! Contract: there is exactly one virtio-net device, and it is taken even if Linux's driver has it.

use std::ops::Range;

use driver::DmaRegion;
use driver::vfio::{Device, PciAddress, Sysfs, VfioError};
use vm_memory::{Bytes, VolatileMemory, VolatileMemoryError, VolatileSlice};

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

/// What the device is not let reach of the driver's memory, filled with a pattern to see whether it did.
pub struct Hole {
    memory: DmaRegion,
    place: Range<usize>,
}

impl Hole {
    const PATTERN: u8 = 0xa5;

    /// Memory as [`memory`] gives it, but for `len` bytes from `start` on.
    ///
    /// # Errors
    /// As there; or nothing can keep the device from them.
    pub fn in_memory(
        device: &Device,
        iova: u64,
        bytes: u64,
        (start, len): (u64, u64),
    ) -> Result<(DmaRegion, Self), Refusal> {
        if device.bypasses_iommu() {
            let what = "the device bypasses the IOMMU: nothing keeps it from any memory";
            return Err(Refusal::Value(what.into()));
        }
        let end = start.checked_add(len).filter(|end| *end <= bytes && len > 0);
        let end =
            end.ok_or_else(|| Refusal::Value("the hole is not in the driver's memory".into()))?;
        let memory = device.map_around(iova, bytes, start..end)?;
        let hole = Self { memory: memory.clone(), place: start as usize..end as usize };
        hole.slice()?.write_slice(&vec![Self::PATTERN; len as usize], 0)?;
        Ok((memory, hole))
    }

    /// Bytes that are not as they were.
    pub fn changed(&self) -> Result<u64, Refusal> {
        let mut bytes = vec![0; self.place.len()];
        self.slice()?.read_slice(&mut bytes, 0)?;
        Ok(bytes.iter().filter(|byte| **byte != Self::PATTERN).count() as u64)
    }

    fn slice(&self) -> Result<VolatileSlice<'_>, Refusal> {
        Ok(VolatileMemory::get_slice(&***self.memory.region(), self.place.start, self.place.len())?)
    }
}

impl From<VolatileMemoryError> for Refusal {
    fn from(error: VolatileMemoryError) -> Self {
        Self::Value(format!("the device's memory: {error}"))
    }
}
