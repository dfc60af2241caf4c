//! The device's registers and its memory as mappings of this process: the only unsafe code of this transport.
//!
//! # Unsafe
//! - The device's descriptor is borrowed from the library, which only shows its number, to be duplicated.
//! - Memory is given to a device, which may write it at any time from then on. All of it is reached through
//!   vm-memory's volatile and atomic accesses, whoever writes it, and no reference to it is ever made. VFIO pins
//!   the pages, so that letting go of the mapping hurts nobody.
//! - Huge pages are moved from one mapping to another: over a place that nobody has looked at yet, in a mapping
//!   that this module has just made and owns.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use vfio_ioctls::{VfioContainer, VfioDevice};
use vm_memory::mmap::MmapRegionError;
use vm_memory::{FileOffset, GuestAddress, GuestMemoryRegion, GuestRegionMmap, MmapRegion};

use super::error::VfioError;

/// Bytes of a huge page of this machine (x86-64's smallest).
const HUGE: usize = 2 << 20;
/// Bytes of a page, as `/proc/self/pagemap` counts them.
const PAGE: usize = 4096;
const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;
const ANONYMOUS: i32 = libc::MAP_ANONYMOUS | libc::MAP_PRIVATE;

/// Maps `len` bytes at `offset` of the device's descriptor: a BAR, as VFIO's region information says.
///
/// # Errors
/// The system refuses.
pub(super) fn registers(device: &VfioDevice, offset: u64, len: usize) -> io::Result<MmapRegion> {
    // SAFETY: the device keeps its descriptor open while it is borrowed here.
    let fd = unsafe { BorrowedFd::borrow_raw(device.as_raw_fd()) };
    let file = FileOffset::new(File::from(fd.try_clone_to_owned()?), offset);
    MmapRegion::build(Some(file), len, READ_WRITE, libc::MAP_SHARED).map_err(io_error)
}

/// New memory of `len` bytes, a multiple of a page, which has the address `iova` for devices.
///
/// # Errors
/// The system has no such memory, or the addresses wrap around.
pub(super) fn memory(iova: u64, len: usize) -> io::Result<Arc<GuestRegionMmap>> {
    let region = MmapRegion::build(None, len, READ_WRITE, ANONYMOUS | libc::MAP_POPULATE);
    at(iova, region.map_err(io_error)?)
}

/// New memory of at least `len` bytes in one physical piece, with its physical address.
///
/// # Errors
/// There is no such piece among the machine's free huge pages, or the system refuses.
pub(super) fn physical(len: usize) -> Result<Arc<GuestRegionMmap>, VfioError> {
    let system = VfioError::system("huge pages");
    let pages = len.div_ceil(HUGE);
    let none = |longest: usize| VfioError::NotContiguous {
        bytes: len as u64,
        longest: (longest * HUGE) as u64,
    };
    let free = free_huge_pages().map_err(VfioError::system("/proc/meminfo"))?;
    if free < pages {
        return Err(none(free));
    }
    let huge = |pages: usize, flags: i32| {
        let flags = ANONYMOUS | libc::MAP_HUGETLB | flags;
        MmapRegion::build(None, pages * HUGE, READ_WRITE, flags).map_err(io_error)
    };
    // All there are; what is not needed goes back at the end.
    let stock: MmapRegion = huge(free, libc::MAP_POPULATE).map_err(system)?;
    let at_each: Vec<u64> = (0..free)
        .map(|page| physical_address(stock.as_ptr() as usize + page * HUGE))
        .collect::<io::Result<_>>()
        .map_err(VfioError::system("/proc/self/pagemap"))?;
    let run = longest_run(&at_each);
    if run.len() < pages {
        return Err(none(run.len()));
    }
    let home: MmapRegion =
        huge(pages, libc::MAP_NORESERVE).map_err(VfioError::system("huge pages"))?;
    for (index, page) in run.iter().take(pages).enumerate() {
        let from = stock.as_ptr().wrapping_add(page * HUGE);
        let to = home.as_ptr().wrapping_add(index * HUGE);
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: both are whole huge pages of mappings that this function owns and nobody has looked at.
        let moved = unsafe { libc::mremap(from.cast(), HUGE, HUGE, flags, to) };
        if moved == libc::MAP_FAILED {
            return Err(VfioError::system("moving a huge page")(io::Error::last_os_error()));
        }
    }
    at(at_each[run[0]], home).map_err(VfioError::system("huge pages"))
}

/// Lets the device reach these bytes of `region` at their addresses; both ends are multiples of a page.
///
/// # Errors
/// VFIO refuses: the addresses are taken or reserved, or memory cannot be pinned.
pub(super) fn give(
    container: &VfioContainer,
    region: &GuestRegionMmap,
    part: Range<usize>,
) -> Result<(), VfioError> {
    let what = "mapping memory for the device";
    if part.is_empty() || part.end > region.size() {
        return Err(VfioError::system(what)(io::ErrorKind::InvalidInput.into()));
    }
    let iova = region.start_addr().0 + part.start as u64;
    let start = region.as_ptr().wrapping_add(part.start);
    // SAFETY: the part is inside the region, which was made here and is reached by volatile and atomic accesses
    // only; see the module.
    let mapped = unsafe { container.vfio_dma_map(iova, part.len(), start) };
    mapped.map_err(VfioError::vfio(what))
}

fn at(address: u64, region: MmapRegion) -> io::Result<Arc<GuestRegionMmap>> {
    let region = GuestRegionMmap::new(region, GuestAddress(address));
    region.map(Arc::new).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn io_error(error: MmapRegionError) -> io::Error {
    match error {
        MmapRegionError::Mmap(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

fn free_huge_pages() -> io::Result<usize> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("HugePages_Free:"));
    Ok(line.and_then(|number| number.trim().parse().ok()).unwrap_or(0))
}

/// Of the page at a virtual address that has been touched. Linux, Documentation/admin-guide/mm/pagemap.rst.
fn physical_address(at: usize) -> io::Result<u64> {
    const PRESENT: u64 = 1 << 63;
    const FRAME: u64 = (1 << 55) - 1;
    let mut entry = [0; 8];
    File::open("/proc/self/pagemap")?.read_exact_at(&mut entry, (at / PAGE * 8) as u64)?;
    let entry = u64::from_ne_bytes(entry);
    if entry & PRESENT == 0 || entry & FRAME == 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it does not say where pages are: that needs CAP_SYS_ADMIN",
        ));
    }
    Ok((entry & FRAME) * PAGE as u64)
}

/// The pages, as indices, that follow each other physically for the longest.
fn longest_run(at_each: &[u64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..at_each.len()).collect();
    order.sort_by_key(|page| at_each[*page]);
    let runs = order.chunk_by(|one, next| at_each[*next] - at_each[*one] == HUGE as u64);
    runs.max_by_key(|run| run.len()).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::Bytes;

    #[test]
    fn the_longest_run_is_found_whatever_the_order() {
        let page = |number: u64| number * HUGE as u64;
        let run = |numbers: &[u64]| {
            longest_run(&numbers.iter().map(|number| page(*number)).collect::<Vec<_>>())
        };
        assert_eq!(run(&[7, 9, 3, 8, 4, 20]), [0, 3, 1]);
        assert_eq!(run(&[5]), [0]);
        assert!(run(&[]).is_empty());
    }

    #[test]
    fn memory_has_the_address_that_was_asked_for() {
        let region = memory(0x1_0000_0000, 2 * PAGE).unwrap();
        assert_eq!((region.start_addr().0, region.size()), (0x1_0000_0000, 2 * PAGE));
        region.write_obj(7_u64, vm_memory::MemoryRegionAddress(PAGE as u64)).unwrap();
        assert!(memory(u64::MAX - 1, 2 * PAGE).is_err());
    }
}
