//! The only door to memory that the device shares: bounds-checked, volatile or atomic, little-endian.
//!
//! A [`DmaRegion`] is one stretch of one mapped region. A `Window` is a part of it whose place is
//! checked when it is made, so that a `View` on it (a pointer and a length) is had without any search.
//!
//! Orderings, for the whole crate, are chosen by the caller and explained there; this file only offers:
//! - `load_u16` / `store_u16` and their 32-bit forms with an ordering: ring indices, flags and event
//!   indices;
//! - volatile accesses without ordering for everything that an index hands over;
//! - [`peer_fence`]: the one fence that both sides of the event protocol need.
//!
//! Contract: the caller keeps offsets inside the window; they come from ring sizes and masked indices,
//! never from what the device wrote. An offset outside is a broken invariant of this crate and stops it.

use crate::prefetch;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use vm_memory::{Bytes, GuestMemoryRegion, GuestRegionMmap, VolatileMemory, VolatileSlice};

/// A DMA region must start at a multiple of this, in the device's addresses.
pub const REGION_ALIGN: u64 = 4096;

/// The memory that rings and buffers are laid out in: the whole of a mapped region or a part of it.
///
/// Addresses given to the device are those of the region: guest physical, or whatever the device's
/// I/O mapping was given as base.
#[derive(Clone, Debug)]
pub struct DmaRegion {
    region: Arc<GuestRegionMmap>,
    offset: usize,
    len: usize,
}

impl DmaRegion {
    /// All of `region`.
    pub fn new(region: Arc<GuestRegionMmap>) -> Self {
        let len = region.size();
        Self { region, offset: 0, len }
    }

    /// The `len` bytes at address `start`.
    ///
    /// # Errors
    /// They are not all inside `region`.
    pub fn part(region: Arc<GuestRegionMmap>, start: u64, len: u64) -> Result<Self, DmaError> {
        let base = region.start_addr().0;
        let size = region.size() as u64;
        let inside = start
            .checked_sub(base)
            .filter(|offset| *offset <= size && len <= size - offset)
            .ok_or(DmaError::OutsideRegion { start, len, base, size })?;
        // Both fit: they are at most the size of a mapping of this process.
        Ok(Self { region, offset: inside as usize, len: len as usize })
    }

    /// Address of the first byte, as the device sees it.
    pub fn address(&self) -> u64 {
        self.region.start_addr().0 + self.offset as u64
    }

    /// The region that it is the whole or a part of.
    pub fn region(&self) -> &Arc<GuestRegionMmap> {
        &self.region
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        self.len as u64
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes sure that rings and buffers of `need` bytes can be laid out.
    pub(crate) fn check(&self, need: u64) -> Result<(), DmaError> {
        if !self.address().is_multiple_of(REGION_ALIGN) {
            return Err(DmaError::Misaligned { address: self.address() });
        }
        if need > self.len() {
            return Err(DmaError::TooSmall { need, have: self.len() });
        }
        Ok(())
    }

    /// Address of `window`, as the device sees it.
    pub(crate) fn address_of(&self, window: Window) -> u64 {
        self.address() + window.offset as u64
    }

    /// Access to `window`, which must have been laid out for a region of this size.
    #[inline]
    pub(crate) fn view(&self, window: Window) -> View<'_> {
        View(inside(VolatileMemory::get_slice(
            &**self.region,
            self.offset + window.offset,
            window.len,
        )))
    }
}

/// A place in a [`DmaRegion`], relative to its start. The layout proves that it is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

/// Access to one window. All offsets are in bytes from its start.
pub(crate) struct View<'a>(VolatileSlice<'a>);

impl View<'_> {
    #[inline]
    pub(crate) fn load_u16(&self, at: usize, order: Ordering) -> u16 {
        u16::from_le(inside(self.0.load(at, order)))
    }

    #[inline]
    pub(crate) fn store_u16(&self, at: usize, value: u16, order: Ordering) {
        inside(self.0.store(value.to_le(), at, order));
    }

    #[inline]
    pub(crate) fn load_u32(&self, at: usize, order: Ordering) -> u32 {
        u32::from_le(inside(self.0.load(at, order)))
    }

    #[inline]
    pub(crate) fn store_u32(&self, at: usize, value: u32, order: Ordering) {
        inside(self.0.store(value.to_le(), at, order));
    }

    #[inline]
    pub(crate) fn read_u16(&self, at: usize) -> u16 {
        u16::from_le(inside(self.0.get_ref::<u16>(at)).load())
    }

    #[inline]
    pub(crate) fn read_u64(&self, at: usize) -> u64 {
        u64::from_le(inside(self.0.get_ref::<u64>(at)).load())
    }

    #[inline]
    pub(crate) fn write_u64(&self, at: usize, value: u64) {
        inside(self.0.get_ref::<u64>(at)).store(value.to_le());
    }

    #[inline]
    pub(crate) fn write_u32(&self, at: usize, value: u32) {
        inside(self.0.get_ref::<u32>(at)).store(value.to_le());
    }

    #[inline]
    pub(crate) fn write_u16(&self, at: usize, value: u16) {
        inside(self.0.get_ref::<u16>(at)).store(value.to_le());
    }

    #[inline]
    pub(crate) fn copy_out(&self, at: usize, out: &mut [u8]) {
        inside(self.0.subslice(at, out.len())).copy_to(out);
    }

    #[inline]
    pub(crate) fn copy_in(&self, at: usize, bytes: &[u8]) {
        inside(self.0.subslice(at, bytes.len())).copy_from(bytes);
    }

    /// Asks for what is at `at`, which is to be read soon.
    #[inline]
    pub(crate) fn prefetch(&self, at: usize) {
        prefetch::for_reading(self.0.ptr_guard().as_ptr().wrapping_add(at));
    }

    pub(crate) fn zero(&self) {
        const ZEROS: [u8; 256] = [0; 256];
        for at in (0..self.0.len()).step_by(ZEROS.len()) {
            self.copy_in(at, &ZEROS[..ZEROS.len().min(self.0.len() - at)]);
        }
    }
}

/// Orders all earlier stores of this side before all its later loads, as seen by the device.
///
/// Both sides publish something and then read what the other has published: the driver stores
/// avail.idx and reads avail_event, or stores used_event and reads used.idx; the device does the mirror
/// image. Release and Acquire do not order a store before a later load, so without this fence
/// each side could read the other's old value, and both would conclude that nothing need be said.
#[inline]
pub(crate) fn peer_fence() {
    fence(Ordering::SeqCst);
}

/// Unwraps what cannot fail while offsets come from the layout: see the contract of this file.
#[inline]
fn inside<T, E: fmt::Display>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => unreachable!("an offset of the driver's own layout is outside: {error}"),
    }
}

/// Why memory cannot be used for DMA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DmaError {
    /// A part was asked for that the region does not have.
    OutsideRegion {
        /// First address asked for.
        start: u64,
        /// Bytes asked for.
        len: u64,
        /// First address of the region.
        base: u64,
        /// Bytes of the region.
        size: u64,
    },
    /// The region does not start on a page.
    Misaligned {
        /// Where it starts.
        address: u64,
    },
    /// The region is too small for the configuration.
    TooSmall {
        /// Bytes needed, see [`DriverConfig::memory_needed`](crate::DriverConfig::memory_needed).
        need: u64,
        /// Bytes there are.
        have: u64,
    },
}

impl fmt::Display for DmaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutsideRegion { start, len, base, size } => write!(
                f,
                "{len} bytes at {start:#x} are not inside the region of {size} bytes at {base:#x}"
            ),
            Self::Misaligned { address } => write!(
                f,
                "the DMA region starts at {address:#x}; start it at a multiple of {REGION_ALIGN}"
            ),
            Self::TooSmall { need, have } => write!(
                f,
                "rings and buffers need {need} bytes of DMA memory, the region has {have}; give \
                 more, or choose fewer queues, shorter rings or smaller buffers"
            ),
        }
    }
}

impl std::error::Error for DmaError {}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::GuestAddress;

    fn region() -> Arc<GuestRegionMmap> {
        Arc::new(GuestRegionMmap::from_range(GuestAddress(0x10000), 0x4000, None).unwrap())
    }

    #[test]
    fn a_part_must_be_inside() {
        let part = DmaRegion::part(region(), 0x11000, 0x3000).unwrap();
        assert_eq!((part.address(), part.len()), (0x11000, 0x3000));
        let outside = [(0xf000, 0x1000), (0x11000, 0x3001), (0x14001, 0), (0x11000, u64::MAX)];
        for (start, len) in outside {
            assert!(DmaRegion::part(region(), start, len).is_err(), "{start:#x} {len:#x}");
        }
    }

    #[test]
    fn the_check_wants_a_page_and_room() {
        let part = DmaRegion::part(region(), 0x11000, 0x1000).unwrap();
        assert_eq!(part.check(0x1000), Ok(()));
        assert_eq!(part.check(0x1001), Err(DmaError::TooSmall { need: 0x1001, have: 0x1000 }));
        let odd = DmaRegion::part(region(), 0x11040, 0x1000).unwrap();
        assert_eq!(odd.check(1), Err(DmaError::Misaligned { address: 0x11040 }));
    }

    #[test]
    fn accesses_land_at_their_place_in_little_endian() {
        let memory = DmaRegion::part(region(), 0x11000, 0x1000).unwrap();
        let view = memory.view(Window { offset: 0x100, len: 16 });
        view.write_u64(0, 0x0807_0605_0403_0201);
        view.write_u16(8, 0x0a09);
        view.store_u16(10, 0x0c0b, Ordering::Release);
        let mut bytes = [0; 12];
        let all = memory.view(Window { offset: 0, len: 0x1000 });
        all.copy_out(0x100, &mut bytes);
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(view.load_u16(2, Ordering::Acquire), 0x0403);
        assert_eq!(view.read_u64(4), 0x0c0b_0a09_0807_0605);
        view.zero();
        all.copy_out(0x100, &mut bytes);
        assert_eq!(bytes, [0; 12]);
    }
}
