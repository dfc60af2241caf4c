//! The log of dirty pages, for live migration: one bit per page of 4 KiB, in memory that the front-end gave.
//!
//! Contract: a page that the device writes has its bit set after the write (vhost-user: "Migration"). The
//! log is the front-end's: a page beyond its end has no bit, and marking it does nothing.

use std::sync::atomic::{AtomicU8, Ordering};

use vm_memory::bitmap::{Bitmap, BitmapSlice, WithBitmapSlice};
use vm_memory::{FileOffset, MmapRegion, VolatileMemory};

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// See the module's contract.
#[derive(Debug)]
pub struct Log {
    bits: MmapRegion,
}

impl Log {
    /// Maps the front-end's log.
    ///
    /// # Errors
    /// It cannot be mapped, in words.
    pub(super) fn map(file: FileOffset, size: usize) -> Result<Self, String> {
        let bits = MmapRegion::from_file(file, size)
            .map_err(|error| format!("the log of {size} bytes: {error}"))?;
        Ok(Self { bits })
    }

    fn mark(&self, address: u64, len: usize) {
        let Some(last) = (len as u64).checked_sub(1).and_then(|more| address.checked_add(more))
        else {
            return;
        };
        let bits = self.bits.as_volatile_slice();
        for page in address / PAGE..=last / PAGE {
            // A page that the log has no room for is none of the front-end's interest.
            let Ok(at) = usize::try_from(page / 8) else { return };
            let Ok(byte) = bits.get_atomic_ref::<AtomicU8>(at) else { return };
            let bit = 1 << (page % 8);
            // Most writes go to pages that are dirty already. Relaxed: the front-end orders by stopping the
            // vring before it reads the log for the last time.
            if byte.load(Ordering::Relaxed) & bit == 0 {
                byte.fetch_or(bit, Ordering::Relaxed);
            }
        }
    }

    fn is_marked(&self, address: u64) -> bool {
        let page = address / PAGE;
        let bits = self.bits.as_volatile_slice();
        usize::try_from(page / 8)
            .ok()
            .and_then(|at| bits.get_atomic_ref::<AtomicU8>(at).ok())
            .is_some_and(|byte| byte.load(Ordering::Relaxed) & 1 << (page % 8) != 0)
    }
}

/// A region's share of the log, or nothing.
#[derive(Debug, Default)]
pub struct Dirty {
    pub(super) log: Option<std::sync::Arc<Log>>,
    /// Guest address of the region.
    pub(super) base: u64,
}

/// A part of it.
#[derive(Clone, Copy, Debug)]
pub struct DirtySlice<'a> {
    log: Option<&'a Log>,
    base: u64,
}

impl<'a> WithBitmapSlice<'a> for Dirty {
    type S = DirtySlice<'a>;
}

impl Bitmap for Dirty {
    #[inline]
    fn mark_dirty(&self, offset: usize, len: usize) {
        self.slice_at(0).mark_dirty(offset, len);
    }

    fn dirty_at(&self, offset: usize) -> bool {
        self.slice_at(0).dirty_at(offset)
    }

    #[inline]
    fn slice_at(&self, offset: usize) -> DirtySlice<'_> {
        DirtySlice { log: self.log.as_deref(), base: self.base.wrapping_add(offset as u64) }
    }
}

impl<'a> WithBitmapSlice<'_> for DirtySlice<'a> {
    type S = DirtySlice<'a>;
}

impl BitmapSlice for DirtySlice<'_> {}

impl Bitmap for DirtySlice<'_> {
    #[inline]
    fn mark_dirty(&self, offset: usize, len: usize) {
        if let Some(log) = self.log {
            log.mark(self.base.wrapping_add(offset as u64), len);
        }
    }

    fn dirty_at(&self, offset: usize) -> bool {
        self.log.is_some_and(|log| log.is_marked(self.base.wrapping_add(offset as u64)))
    }

    #[inline]
    fn slice_at(&self, offset: usize) -> Self {
        Self { log: self.log, base: self.base.wrapping_add(offset as u64) }
    }
}
