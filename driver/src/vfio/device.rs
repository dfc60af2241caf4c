//! A virtio-net device that VFIO has given to this program, before its driver begins.

use std::ops::Range;
use std::sync::Arc;

use vfio_bindings::bindings::vfio::{VFIO_PCI_CONFIG_REGION_INDEX, VFIO_REGION_INFO_FLAG_MMAP};
use vfio_ioctls::{VfioContainer, VfioDevice, VfioOps};
use vm_memory::{GuestMemoryRegion, MmapRegion};

use super::address::PciAddress;
use super::capability::{CONFIG_BYTES, Structures};
use super::error::VfioError;
use super::interrupt::Interrupts;
use super::map;
use super::place::Sysfs;
use super::registers::Registers;
use super::transport::PciTransport;
use crate::dma::DmaRegion;
use crate::spec;

/// Offset of the command register, its bits "memory space" and "bus master" (PCI 3.0, 6.2.2).
const COMMAND: u64 = 4;
const COMMAND_MEMORY_MASTER: u16 = 1 << 1 | 1 << 2;
/// Offset of `max_virtqueue_pairs` in the device's configuration (5.1.4).
const MAX_VIRTQUEUE_PAIRS: u32 = 8;
/// Memory is mapped in whole pages.
const PAGE: u64 = 4096;

/// See [`super`].
pub struct Device {
    registers: Registers,
    // Behind the mappings of its registers: it cannot be closed before them.
    device: VfioDevice,
    container: Arc<VfioContainer>,
}

impl Device {
    /// Takes the device at `address`, which is bound to VFIO's driver, and lets it do DMA.
    ///
    /// # Errors
    /// See [`VfioError`].
    pub fn open(address: PciAddress) -> Result<Self, VfioError> {
        let sysfs = Sysfs::default();
        sysfs.check(address)?;
        let container = VfioContainer::new(None).map_err(VfioError::vfio("opening a container"))?;
        let container = Arc::new(container);
        let ops: Arc<dyn VfioOps> = Arc::clone(&container) as Arc<dyn VfioOps>;
        let device = VfioDevice::new(&sysfs.folder(address), ops, false);
        let device = device.map_err(VfioError::vfio("opening the device"))?;
        let mut config = [0xff; CONFIG_BYTES];
        device.region_read(VFIO_PCI_CONFIG_REGION_INDEX, &mut config, 0);
        let structures = Structures::parse(&config)?;
        let [low, high] = [config[COMMAND as usize], config[COMMAND as usize + 1]];
        let command = u16::from_le_bytes([low, high]) | COMMAND_MEMORY_MASTER;
        device.region_write(VFIO_PCI_CONFIG_REGION_INDEX, &command.to_le_bytes(), COMMAND);
        let bars = map_bars(&device, &structures)?;
        Ok(Self { registers: Registers::new(bars, structures), device, container })
    }

    /// Feature bits 0..=63 that the device offers.
    pub fn features(&self) -> u64 {
        self.registers.device_features()
    }

    /// Whether the device's addresses are physical ones, whatever VFIO maps: it does not offer
    /// VIRTIO_F_ACCESS_PLATFORM (6; QEMU: `iommu_platform=off`). Then only [`Device::map_in_place`] gives memory
    /// that it finds, and nothing keeps it from all other memory.
    pub fn bypasses_iommu(&self) -> bool {
        self.features() & spec::F_ACCESS_PLATFORM == 0
    }

    /// Receive/transmit queue pairs that it has (5.1.4): 1 unless it offers VIRTIO_NET_F_MQ.
    pub fn max_queue_pairs(&self) -> u16 {
        if self.registers.device_features() & spec::NET_F_MQ == 0 {
            return 1;
        }
        let mut pairs = [0; 2];
        self.registers.read_config(MAX_VIRTQUEUE_PAIRS, &mut pairs);
        u16::from_le_bytes(pairs)
    }

    /// New memory of at least `bytes`, which the device reaches at the addresses from `iova` on, a multiple of a
    /// page.
    ///
    /// # Errors
    /// There is no memory, or VFIO refuses the addresses.
    pub fn map(&self, iova: u64, bytes: u64) -> Result<DmaRegion, VfioError> {
        self.map_around(iova, bytes, 0..0)
    }

    /// The same, but the bytes of `hole`, whose ends are multiples of a page, the device does not reach: for seeing
    /// that it cannot.
    ///
    /// # Errors
    /// As [`Device::map`]; the hole is not inside.
    pub fn map_around(
        &self,
        iova: u64,
        bytes: u64,
        hole: Range<u64>,
    ) -> Result<DmaRegion, VfioError> {
        let len = bytes.next_multiple_of(PAGE) as usize;
        let region = map::memory(iova, len);
        let region = region.map_err(VfioError::system("memory for the device"))?;
        let (before, behind) = (0..hole.start as usize, hole.end as usize..len);
        for part in [before, behind] {
            if !part.is_empty() {
                map::give(&self.container, &region, part)?;
            }
        }
        Ok(DmaRegion::new(region))
    }

    /// New memory of at least `bytes` in one physical piece, which the device reaches at its physical addresses. It
    /// is of huge pages, which the system must have reserved.
    ///
    /// # Errors
    /// There is no such piece, or VFIO refuses it.
    pub fn map_in_place(&self, bytes: u64) -> Result<DmaRegion, VfioError> {
        let region = map::physical(bytes as usize)?;
        map::give(&self.container, &region, 0..region.len() as usize)?;
        Ok(DmaRegion::new(region))
    }

    /// Enables `vectors` interrupts (configuration, then one for each receive queue) and gives what a driver
    /// works with.
    ///
    /// # Errors
    /// The device has fewer, or VFIO refuses.
    pub fn into_transport(self, vectors: u16) -> Result<PciTransport, VfioError> {
        let interrupts = Interrupts::enable(&self.device, vectors)?;
        Ok(PciTransport::new(self.registers, interrupts, self.device))
    }
}

/// The BARs that structures lie in.
fn map_bars(
    device: &VfioDevice,
    structures: &Structures,
) -> Result<[Option<MmapRegion>; 6], VfioError> {
    let Structures { common, notify, isr, device: config } = structures;
    let mut bars = [const { None }; 6];
    for place in [*common, notify.place, *isr, *config] {
        let (bar, index, need) = (place.bar, u32::from(place.bar), place.end());
        let has = device.get_region_size(index);
        if has < need {
            return Err(VfioError::BarTooSmall { bar, need, has });
        }
        let slot = &mut bars[usize::from(bar)];
        if slot.is_none() {
            if device.get_region_flags(index) & VFIO_REGION_INFO_FLAG_MMAP == 0 {
                return Err(VfioError::BarNotMappable { bar });
            }
            let mapped = map::registers(device, device.get_region_offset(index), has as usize);
            *slot = Some(mapped.map_err(VfioError::system("mapping a BAR"))?);
        }
    }
    Ok(bars)
}
