//! Guest memory, a span at a time.
//!
//! `vm-memory` walks every span region by region, be it two bytes long. Nearly every span lies within one
//! region; for those one look-up and one copy do. The others take the library's way. [`direct!`] gives
//! guest memory that behaves so to whatever is written against [`GuestMemory`], `virtio-queue` included.

use super::{Front, prefetch};
use crate::spec::header;
use std::iter::FusedIterator;
use std::sync::atomic::Ordering;
use vm_memory::bitmap::{BS, BitmapSlice, MS};
use vm_memory::guest_memory::{
    GuestMemoryBackendSliceIterator, GuestMemorySliceIterator, MemoryRegionAddress, Result,
};
use vm_memory::{
    ByteValued, Bytes, GuestAddress, GuestMemory, GuestMemoryBackend, GuestMemoryRegion,
    Permissions, VolatileMemory, VolatileSlice,
};

/// Evaluates an expression with guest memory replaced by its [`Direct`] form, where there is no translation
/// between the device and the regions. Decided at compile time for memory that is never translated.
macro_rules! direct {
    ($memory:ident => $body:expr) => {
        match $memory.physical_memory() {
            Some(physical) => {
                let $memory = &$crate::ring::access::Direct::new(physical);
                $body
            }
            None => {
                let $memory = &$crate::ring::access::Translated($memory);
                $body
            }
        }
    };
}
pub(super) use direct;

/// Guest memory that gives spans in one piece.
pub(super) trait Access: GuestMemory {
    /// The span, if it lies within one region and is not empty.
    fn whole(
        &self,
        address: u64,
        len: usize,
        access: Permissions,
    ) -> Option<VolatileSlice<'_, BS<'_, Self::Bitmap>>>;
}

/// Guest memory between which and the device there is a translation.
pub(super) struct Translated<'m, G: GuestMemory>(pub(super) &'m G);

impl<G: GuestMemory> GuestMemory for Translated<'_, G> {
    type PhysicalMemory = G::PhysicalMemory;
    type Bitmap = G::Bitmap;

    fn check_range(&self, address: GuestAddress, len: usize, access: Permissions) -> bool {
        self.0.check_range(address, len, access)
    }

    fn get_slices<'a>(
        &'a self,
        address: GuestAddress,
        len: usize,
        access: Permissions,
    ) -> Result<impl GuestMemorySliceIterator<'a, BS<'a, Self::Bitmap>>> {
        self.0.get_slices(address, len, access)
    }

    fn physical_memory(&self) -> Option<&G::PhysicalMemory> {
        self.0.physical_memory()
    }
}

impl<G: GuestMemory> Access for Translated<'_, G> {
    fn whole(
        &self,
        address: u64,
        len: usize,
        access: Permissions,
    ) -> Option<VolatileSlice<'_, BS<'_, Self::Bitmap>>> {
        let first = self.0.get_slices(GuestAddress(address), len, access).ok()?.next()?.ok()?;
        (first.len() == len && len > 0).then_some(first)
    }
}

/// Guest memory of which a span within one region is one look-up, and none if that is the first.
pub(super) struct Direct<'m, P: GuestMemoryBackend + ?Sized> {
    memory: &'m P,
    /// The first region, which is where most spans are.
    first: Option<&'m P::R>,
    /// Where it starts, and its bytes; none if there is none.
    start: u64,
    size: u64,
}

impl<'m, P: GuestMemoryBackend + ?Sized> Direct<'m, P> {
    #[inline(always)]
    pub(super) fn new(memory: &'m P) -> Self {
        let first = memory.iter().next();
        let (start, size) = first.map_or((0, 0), |first| (first.start_addr().0, first.len()));
        Self { memory, first, start, size }
    }

    /// Does the span, which is not empty, lie in the first region?
    #[inline(always)]
    fn is_in_first(&self, address: GuestAddress, len: usize) -> bool {
        let offset = address.0.wrapping_sub(self.start);
        offset < self.size && len as u64 <= self.size - offset && len > 0
    }

    /// The span, if it lies within one region and is not empty.
    #[inline(always)]
    fn span(&self, address: GuestAddress, len: usize) -> Option<VolatileSlice<'_, MS<'_, P>>> {
        match self.first.and_then(|region| within(region, address, len)) {
            Some(span) => Some(span),
            None => self.search(address, len),
        }
    }

    #[cold]
    fn check_all(&self, address: GuestAddress, len: usize) -> bool {
        GuestMemoryBackend::check_range(self.memory, address, len)
    }

    #[cold]
    fn search(&self, address: GuestAddress, len: usize) -> Option<VolatileSlice<'_, MS<'_, P>>> {
        within(self.memory.find_region(address)?, address, len)
    }
}

/// The span, if all of it lies in this region and it is not empty.
#[inline]
fn within<R: GuestMemoryRegion>(
    region: &R,
    address: GuestAddress,
    len: usize,
) -> Option<VolatileSlice<'_, BS<'_, R::B>>> {
    let offset = address.0.checked_sub(region.start_addr().0)?;
    // The region refuses what does not end in it.
    region.get_slice(MemoryRegionAddress(offset), len).ok().filter(|span| !span.is_empty())
}

impl<P: GuestMemoryBackend + ?Sized> GuestMemory for Direct<'_, P> {
    type PhysicalMemory = P;
    type Bitmap = <P::R as GuestMemoryRegion>::B;

    #[inline(always)]
    fn check_range(&self, address: GuestAddress, len: usize, _: Permissions) -> bool {
        self.is_in_first(address, len) || self.check_all(address, len)
    }

    #[inline]
    fn get_slices<'a>(
        &'a self,
        address: GuestAddress,
        len: usize,
        _: Permissions,
    ) -> Result<impl GuestMemorySliceIterator<'a, BS<'a, Self::Bitmap>>> {
        Ok(match self.span(address, len) {
            Some(span) => Spans::Whole(Some(span)),
            None => Spans::Pieces(GuestMemoryBackend::get_slices(self.memory, address, len)),
        })
    }

    fn physical_memory(&self) -> Option<&P> {
        Some(self.memory)
    }
}

impl<P: GuestMemoryBackend + ?Sized> Access for Direct<'_, P> {
    #[inline(always)]
    fn whole(
        &self,
        address: u64,
        len: usize,
        _: Permissions,
    ) -> Option<VolatileSlice<'_, BS<'_, Self::Bitmap>>> {
        self.span(GuestAddress(address), len)
    }
}

/// A span in one piece, or in several, or an error.
enum Spans<'a, P: GuestMemoryBackend + ?Sized> {
    Whole(Option<VolatileSlice<'a, MS<'a, P>>>),
    Pieces(GuestMemoryBackendSliceIterator<'a, P>),
}

impl<'a, P: GuestMemoryBackend + ?Sized> Iterator for Spans<'a, P> {
    type Item = Result<VolatileSlice<'a, MS<'a, P>>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Whole(span) => span.take().map(Ok),
            Self::Pieces(pieces) => pieces.next(),
        }
    }
}

impl<P: GuestMemoryBackend + ?Sized> FusedIterator for Spans<'_, P> {}

impl<'a, P: GuestMemoryBackend + ?Sized> GuestMemorySliceIterator<'a, MS<'a, P>> for Spans<'a, P> {}

/// A table or ring of a virtqueue: translated once, if it lies within one region, as it nearly always does.
pub(super) struct View<'m, G: Access> {
    memory: &'m G,
    address: u64,
    whole: Option<VolatileSlice<'m, BS<'m, G::Bitmap>>>,
}

impl<'m, G: Access> View<'m, G> {
    /// `len` bytes from `address`, which were found to be in memory when the queue was set up.
    #[inline(always)]
    pub(super) fn new(memory: &'m G, address: u64, len: usize, access: Permissions) -> Self {
        Self { memory, address, whole: memory.whole(address, len, access) }
    }

    /// The guest address of an offset.
    pub(super) fn address(&self, offset: usize) -> u64 {
        self.address.wrapping_add(offset as u64)
    }

    /// Reads a value, in one piece if all of this is in one.
    #[inline(always)]
    pub(super) fn read<T: ByteValued>(&self, offset: usize) -> Option<T> {
        match &self.whole {
            Some(whole) => whole.get_ref::<T>(offset).ok().map(|there| there.load()),
            None => self.memory.read_obj(GuestAddress(self.address(offset))).ok(),
        }
    }

    /// Writes a value.
    #[inline(always)]
    pub(super) fn write<T: ByteValued>(&self, offset: usize, value: T) -> Option<()> {
        match &self.whole {
            Some(whole) => whole.get_ref::<T>(offset).ok().map(|there| there.store(value)),
            None => self.memory.write_obj(value, GuestAddress(self.address(offset))).ok(),
        }
    }

    /// Loads a le16 at once.
    #[inline(always)]
    pub(super) fn load(&self, offset: usize, order: Ordering) -> Option<u16> {
        let loaded = match &self.whole {
            Some(whole) => whole.load::<u16>(offset, order).ok(),
            None => self.memory.load(GuestAddress(self.address(offset)), order).ok(),
        };
        loaded.map(u16::from_le)
    }

    /// Stores a le16 at once.
    #[inline(always)]
    pub(super) fn store(&self, offset: usize, value: u16, order: Ordering) -> Option<()> {
        match &self.whole {
            Some(whole) => whole.store(value.to_le(), offset, order).ok(),
            None => {
                self.memory.store(value.to_le(), GuestAddress(self.address(offset)), order).ok()
            }
        }
    }
}

impl<G: Access> View<'_, G> {
    /// Loads a le64, which is aligned, at once.
    #[inline(always)]
    pub(super) fn load_long(&self, offset: usize, order: Ordering) -> Option<u64> {
        let loaded = match &self.whole {
            Some(whole) => whole.load::<u64>(offset, order).ok(),
            None => self.memory.load(GuestAddress(self.address(offset)), order).ok(),
        };
        loaded.map(u64::from_le)
    }

    /// Stores a le64, which is aligned, at once.
    #[inline(always)]
    pub(super) fn store_long(&self, offset: usize, value: u64, order: Ordering) -> Option<()> {
        match &self.whole {
            Some(whole) => whole.store(value.to_le(), offset, order).ok(),
            None => {
                self.memory.store(value.to_le(), GuestAddress(self.address(offset)), order).ok()
            }
        }
    }
}

/// Reads the whole of `out`; false if that is not possible.
#[inline(always)]
pub(super) fn read<G: Access>(memory: &G, address: u64, out: &mut [u8]) -> bool {
    match memory.whole(address, out.len(), Permissions::Read) {
        Some(span) => span.copy_to(out) == out.len(),
        None => memory.read_slice(out, GuestAddress(address)).is_ok(),
    }
}

/// Writes a header and the bytes behind it; false if that is not possible.
#[inline(always)]
pub(super) fn write_behind<G: Access>(
    memory: &G,
    address: u64,
    front: Front,
    bytes: &[u8],
) -> bool {
    let Some(span) = memory.whole(address, front.len + bytes.len(), Permissions::Write) else {
        // In pieces, which begin where the one before ends.
        return write(memory, address, &front.bytes()[..front.len])
            && write(memory, address.wrapping_add(front.len as u64), bytes);
    };
    let (low, high) = front.words;
    let (first, second) = (low as u64, (low >> 64) as u64);
    let stored = match front.len {
        header::LEN => store(&span, 0, first.to_le()) && store(&span, 8, (second as u32).to_le()),
        _ => {
            store(&span, 0, first.to_le())
                && store(&span, 8, second.to_le())
                && store(&span, 16, high.to_le())
        }
    };
    let Ok(behind) = span.offset(front.len) else { return false };
    behind.copy_from(bytes);
    stored
}

#[inline(always)]
fn store<T: ByteValued, B: BitmapSlice>(
    span: &VolatileSlice<'_, B>,
    offset: usize,
    value: T,
) -> bool {
    span.get_ref(offset).map(|there| there.store(value)).is_ok()
}

/// Asks for the first of `len` bytes, which are to be written soon, unless finding them takes long.
#[inline(always)]
pub(super) fn prefetch<G: GuestMemory>(memory: &G, address: u64, len: u32) {
    let Some(first) = memory.physical_memory().and_then(|physical| physical.iter().next()) else {
        return;
    };
    let offset = address.wrapping_sub(first.start_addr().0);
    if offset < first.len()
        && let Ok(start) = first.get_host_address(MemoryRegionAddress(offset))
    {
        prefetch::for_writing(start, len);
    }
}

/// Writes all of `bytes`; false if that is not possible.
#[inline(always)]
pub(super) fn write<G: Access>(memory: &G, address: u64, bytes: &[u8]) -> bool {
    match memory.whole(address, bytes.len(), Permissions::Write) {
        Some(span) => {
            span.copy_from(bytes);
            true
        }
        None => memory.write_slice(bytes, GuestAddress(address)).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::GuestMemoryMmap;

    #[test]
    fn spans_may_cross_regions_but_not_leave_them() {
        let ranges = [0x1000, 0x2000, 0x8000].map(|start| (GuestAddress(start), 0x1000));
        let memory = GuestMemoryMmap::<()>::from_ranges(&ranges).unwrap();
        check(&Translated(&memory));
        check(&Direct::new(&memory));
    }

    fn check(memory: &impl Access) {
        for address in [0x1000, 0x1ffd, 0x2ff6, 0x8000] {
            let bytes: Vec<u8> = (1..=10).collect();
            let mut back = [0; 10];
            assert!(memory.check_range(GuestAddress(address), 10, Permissions::Write));
            assert!(write(memory, address, &bytes) && read(memory, address, &mut back));
            assert_eq!(back[..], bytes);
        }
        for address in [0xfff, 0x2ff7, 0x7fff, 0x8ff7, u64::MAX - 2] {
            assert!(!memory.check_range(GuestAddress(address), 10, Permissions::Read));
            assert!(!write(memory, address, &[0; 10]) && !read(memory, address, &mut [0; 10]));
        }
        let mut slices = memory.get_slices(GuestAddress(0x1000), 0, Permissions::Read).unwrap();
        assert!(slices.next().is_none(), "an empty span has no slices");
    }
}
