//! Guest memory, a span at a time.
//!
//! `vm-memory` looks the region up at each access and walks a span that may cross regions piece by piece.
//! Nearly every span lies within one region; for those one look-up and one copy do. The others take the
//! library's way.

use vm_memory::{Bytes, GuestAddress, GuestMemory, Permissions, VolatileSlice, bitmap::BS};

/// Is every byte of the span accessible?
#[inline]
pub(super) fn contains<G: GuestMemory>(
    memory: &G,
    address: u64,
    len: usize,
    access: Permissions,
) -> bool {
    whole(memory, address, len, access).is_some()
        || memory.check_range(GuestAddress(address), len, access)
}

/// Reads the whole of `out`; false if that is not possible.
#[inline]
pub(super) fn read<G: GuestMemory>(memory: &G, address: u64, out: &mut [u8]) -> bool {
    match whole(memory, address, out.len(), Permissions::Read) {
        Some(span) => span.read_slice(out, 0).is_ok(),
        None => memory.read_slice(out, GuestAddress(address)).is_ok(),
    }
}

/// Writes all of `bytes`; false if that is not possible.
#[inline]
pub(super) fn write<G: GuestMemory>(memory: &G, address: u64, bytes: &[u8]) -> bool {
    match whole(memory, address, bytes.len(), Permissions::Write) {
        Some(span) => span.write_slice(bytes, 0).is_ok(),
        None => memory.write_slice(bytes, GuestAddress(address)).is_ok(),
    }
}

/// The span, if it lies within one region.
#[inline]
fn whole<G: GuestMemory>(
    memory: &G,
    address: u64,
    len: usize,
    access: Permissions,
) -> Option<VolatileSlice<'_, BS<'_, G::Bitmap>>> {
    let first = memory.get_slices(GuestAddress(address), len, access).ok()?.next()?.ok()?;
    (first.len() == len).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::GuestMemoryMmap;

    #[test]
    fn spans_may_cross_regions_but_not_leave_them() {
        let ranges = [(GuestAddress(0x1000), 0x1000), (GuestAddress(0x2000), 0x1000)];
        let memory = GuestMemoryMmap::<()>::from_ranges(&ranges).unwrap();
        for address in [0x1000, 0x1ffd, 0x2ff6] {
            let bytes: Vec<u8> = (1..=10).collect();
            let mut back = [0; 10];
            assert!(contains(&memory, address, 10, Permissions::Write));
            assert!(write(&memory, address, &bytes) && read(&memory, address, &mut back));
            assert_eq!(back[..], bytes);
        }
        for address in [0xfff, 0x2ff7, u64::MAX - 2] {
            assert!(!contains(&memory, address, 10, Permissions::Read));
            assert!(!write(&memory, address, &[0; 10]) && !read(&memory, address, &mut [0; 10]));
        }
    }
}
