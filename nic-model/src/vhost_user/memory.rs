//! The guest's memory, as the front-end's regions give it.
//!
//! Contract: [`Table`] maps each region once and lets it go when it is taken away and no device holds the
//! [`Memory`] any more that was built of it. Regions lie apart, for the guest and for the front-end. A file
//! shorter than its region is refused. Not checked: that it is not cut short later. A front-end that does that
//! ends this process, like every process that has mapped it, with SIGBUS.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use rustix::mm::{MapFlags, ProtFlags};
use vm_memory::iommu::IommuMemory;
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{FileOffset, GuestAddress, GuestMemoryMmap, GuestRegionMmap};

use super::iotlb::{Shared, Translations};
use super::log::{Dirty, Log, PAGE};
use super::request::Region;

/// Guest memory as a device behind vhost-user sees it: translated if the driver has an IOMMU before it, and
/// logged while the guest migrates.
pub type Memory = IommuMemory<GuestMemoryMmap<Dirty>, Shared>;

/// Most regions at once. QEMU has a few; as many as others allow.
pub const SLOTS_MAX: usize = 509;

/// The regions of a session.
#[derive(Debug, Default)]
pub struct Table {
    slots: Vec<Slot>,
    log: Option<Arc<Log>>,
}

#[derive(Debug)]
struct Slot {
    region: Region,
    file: FileOffset,
    mapped: Arc<GuestRegionMmap<Dirty>>,
    /// How often it was added, and not taken away.
    times: u32,
}

impl Slot {
    /// Whether it is this region, of the same file.
    fn is(&self, region: &Region, file: &File) -> bool {
        let of = |file: &File| file.metadata().map(|data| (data.dev(), data.ino())).ok();
        self.region == *region && of(self.file.file()).is_some_and(|ours| of(file) == Some(ours))
    }
}

impl Table {
    /// Replaces all regions.
    ///
    /// # Errors
    /// One cannot be had: which, and why. Then there are none.
    pub fn replace(&mut self, regions: &[Region], files: Vec<OwnedFd>) -> Result<(), String> {
        self.slots.clear();
        let added = regions
            .iter()
            .zip(files)
            .try_for_each(|(region, file)| self.insert(*region, file.into()));
        if added.is_err() {
            self.slots.clear();
        }
        added
    }

    /// One more; whether it is new. QEMU up to 7.2 sends each region once for every queue pair, and takes it
    /// away as often: it is counted.
    ///
    /// # Errors
    /// It cannot be had, and why.
    pub fn add(&mut self, region: Region, file: OwnedFd) -> Result<bool, String> {
        let file = File::from(file);
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.is(&region, &file)) {
            slot.times = slot.times.saturating_add(1);
            return Ok(false);
        }
        self.insert(region, file).map(|()| true)
    }

    fn insert(&mut self, region: Region, file: File) -> Result<(), String> {
        if self.slots.len() >= SLOTS_MAX {
            return Err(format!("there are {SLOTS_MAX} regions already, and no slot for another"));
        }
        for Slot { region: other, .. } in &self.slots {
            let overlap = |a: u64, b: u64| a < b + other.size && b < a + region.size;
            if overlap(region.guest, other.guest) || overlap(region.user, other.user) {
                return Err(format!("{} and {} overlap", tell(&region), tell(other)));
            }
        }
        let len = file.metadata().map_err(|error| format!("{}: {error}", tell(&region)))?.len();
        // A device has no length of its own; whether it can be mapped shows.
        let ends_at = region.offset + region.size;
        if len > 0 && len < ends_at {
            return Err(format!("{} ends at byte {ends_at} of a file of {len}", tell(&region)));
        }
        let file = FileOffset::new(file, region.offset);
        let mapped = map(&region, &file, self.log.clone())?;
        self.slots.push(Slot { region, file, mapped, times: 1 });
        Ok(())
    }

    /// One less; whether it has gone, for one that was added more than once stays.
    ///
    /// # Errors
    /// There is none like that.
    pub fn remove(&mut self, region: &Region) -> Result<bool, String> {
        let same = |slot: &Slot| {
            let Region { guest, size, user, .. } = slot.region;
            (guest, size, user) == (region.guest, region.size, region.user)
        };
        let Some(at) = self.slots.iter().position(same) else {
            return Err(format!("{} is not there", tell(region)));
        };
        let slot = &mut self.slots[at];
        slot.times -= 1;
        let gone = slot.times == 0;
        if gone {
            self.slots.remove(at);
        }
        Ok(gone)
    }

    /// Writes are logged there from now on, or not at all.
    ///
    /// # Errors
    /// A region cannot be mapped once more.
    pub fn set_log(&mut self, log: Option<Arc<Log>>) -> Result<(), String> {
        for slot in &mut self.slots {
            slot.mapped = map(&slot.region, &slot.file, log.clone())?;
        }
        self.log = log;
        Ok(())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The guest address of an address of the front-end's, if so many bytes from there on lie in one region.
    #[must_use]
    pub fn guest_address(&self, user: u64, len: u64) -> Option<u64> {
        self.slots.iter().find_map(|Slot { region, .. }| {
            let offset = user.checked_sub(region.user)?;
            (offset < region.size && len <= region.size - offset).then(|| region.guest + offset)
        })
    }

    /// The memory, with `translations` before it if they are to be used. `None` without regions.
    #[must_use]
    pub fn memory(&self, translations: &Arc<Translations>, translate: bool) -> Option<Arc<Memory>> {
        let mut slots: Vec<&Slot> = self.slots.iter().collect();
        slots.sort_by_key(|slot| slot.region.guest);
        let regions = slots.iter().map(|slot| Arc::clone(&slot.mapped)).collect();
        let memory = GuestMemoryMmap::from_arc_regions(regions).ok()?;
        // With an IOMMU it is its addresses that are logged (vhost-user: "IOMMU support").
        let dirty = Dirty { log: self.log.clone(), base: 0 };
        Some(Arc::new(IommuMemory::new(memory, Shared(Arc::clone(translations)), translate, dirty)))
    }
}

/// Memory of one page that nobody shares, for a device without a front-end.
///
/// # Errors
/// The system has none.
pub fn empty() -> Result<Arc<Memory>, String> {
    let mapping = MmapRegionBuilder::new_with_bitmap(PAGE as usize, Dirty::default())
        .with_mmap_prot((ProtFlags::READ | ProtFlags::WRITE).bits() as i32)
        .build()
        .map_err(|error| error.to_string())?;
    let region = GuestRegionMmap::new(mapping, GuestAddress(0)).ok_or("a page at 0")?;
    let memory = GuestMemoryMmap::from_regions(vec![region]).map_err(|error| error.to_string())?;
    let translations = Shared(Arc::default());
    Ok(Arc::new(IommuMemory::new(memory, translations, false, Dirty::default())))
}

fn map(
    region: &Region,
    file: &FileOffset,
    log: Option<Arc<Log>>,
) -> Result<Arc<GuestRegionMmap<Dirty>>, String> {
    let size = usize::try_from(region.size)
        .map_err(|_| format!("{} is larger than this machine's addresses", tell(region)))?;
    let mapping = MmapRegionBuilder::new_with_bitmap(size, Dirty { log, base: region.guest })
        .with_file_offset(file.clone())
        .with_mmap_prot((ProtFlags::READ | ProtFlags::WRITE).bits() as i32)
        .with_mmap_flags((MapFlags::SHARED | MapFlags::NORESERVE).bits() as i32)
        .build()
        .map_err(|error| format!("{} cannot be mapped: {error}", tell(region)))?;
    GuestRegionMmap::new(mapping, GuestAddress(region.guest))
        .map(Arc::new)
        .ok_or_else(|| format!("{} ends beyond the guest's addresses", tell(region)))
}

fn tell(region: &Region) -> String {
    format!("the region of {:#x} bytes at {:#x}", region.size, region.guest)
}
