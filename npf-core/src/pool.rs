//! Shared, counted copies of frames, kept in blocks that are used again.
//!
//! ```text
//!   class 0: 64 B blocks   [copy][free][copy] ...     one byte array per class,
//!   class 1: 128 B blocks  [copy][copy] ...           block i at i * size
//!   ...                                               free blocks: a stack, last freed first used
//! ```
//!
//! Contract: [`Pool::insert`] copies once and hands out the first reference; each holder adds its own
//! with [`Pool::retain`] and gives it back with [`Pool::release`]; at zero the block is free again.
//! Memory is only taken while more copies of a size class live than ever before, and never given
//! back while the adapter lives.
//!
//! Not checked: a [`CopyRef`] used after its last release shows another frame's bytes.

use std::num::NonZeroU32;

/// Smallest block, in bytes; the classes are its doublings.
const SMALLEST: usize = 64;
/// Classes up to 4 GiB, the longest copy a record header can describe.
pub(crate) const CLASSES: usize = 27;

/// A reference to one copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CopyRef {
    /// One more than the place of the block, so that having none takes no byte of its own.
    number: NonZeroU32,
    class: u8,
}

impl CopyRef {
    #[inline]
    fn index(self) -> usize {
        self.number.get() as usize - 1
    }
}

/// All copies of one adapter.
#[derive(Debug)]
pub(crate) struct Pool {
    classes: [Class; CLASSES],
}

/// The blocks of one size.
#[derive(Debug, Default)]
struct Class {
    bytes: Vec<u8>,
    references: Vec<u32>,
    free: Vec<u32>,
}

impl Pool {
    pub(crate) fn new() -> Self {
        Pool { classes: std::array::from_fn(|_| Class::default()) }
    }

    /// Copies `data`, at most 4 GiB; the caller holds the one reference.
    #[inline]
    pub(crate) fn insert(&mut self, data: &[u8]) -> CopyRef {
        let class = class_of(data.len());
        let size = block_size(class);
        let blocks = &mut self.classes[class];
        let index = match blocks.free.pop() {
            Some(index) => index,
            None => blocks.grow(size),
        };
        let start = index as usize * size;
        blocks.bytes[start..start + data.len()].copy_from_slice(data);
        blocks.references[index as usize] = 1;
        // Far fewer blocks than 2^32 fit into memory.
        CopyRef { number: NonZeroU32::MIN.saturating_add(index), class: class as u8 }
    }

    /// One more holder.
    #[inline]
    pub(crate) fn retain(&mut self, copy: CopyRef) {
        self.classes[usize::from(copy.class)].references[copy.index()] += 1;
    }

    /// One holder less.
    #[inline]
    pub(crate) fn release(&mut self, copy: CopyRef) {
        let blocks = &mut self.classes[usize::from(copy.class)];
        let references = &mut blocks.references[copy.index()];
        *references -= 1;
        if *references == 0 {
            blocks.free.push(copy.index() as u32);
        }
    }

    /// The first `len` bytes of a copy; `len` is at most what was inserted.
    #[inline]
    pub(crate) fn bytes(&self, copy: CopyRef, len: usize) -> &[u8] {
        let class = usize::from(copy.class);
        let start = copy.index() * block_size(class);
        &self.classes[class].bytes[start..start + len]
    }
}

impl Class {
    /// A block that never was; the only place that takes memory.
    #[cold]
    fn grow(&mut self, size: usize) -> u32 {
        let index = self.references.len();
        self.references.push(0);
        self.bytes.resize((index + 1) * size, 0);
        // All blocks may become free at once; then `release` must not allocate.
        self.free.reserve(index + 1);
        index as u32
    }
}

/// Bytes of the block that a copy lives in.
#[inline]
pub(crate) fn block_bytes(copy: CopyRef) -> usize {
    block_size(usize::from(copy.class))
}

/// Bytes of the blocks of a class.
pub(crate) const fn block_size(class: usize) -> usize {
    SMALLEST << class
}

/// The class of the smallest blocks that take `len` bytes.
#[inline]
pub(crate) fn class_of(len: usize) -> usize {
    let blocks = len.div_ceil(SMALLEST).max(1);
    blocks.next_power_of_two().trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_the_smallest_that_fit() {
        for (len, size) in [
            (0, 64),
            (1, 64),
            (64, 64),
            (65, 128),
            (1514, 2048),
            (65_536, 65_536),
            (65_537, 131_072),
        ] {
            assert_eq!(block_size(class_of(len)), size, "{len}");
        }
        assert_eq!(class_of(u32::MAX as usize), CLASSES - 1);
    }

    #[test]
    fn a_block_is_used_again_only_after_its_last_release() {
        let mut pool = Pool::new();
        let first = pool.insert(b"first");
        pool.retain(first);
        pool.release(first);
        let second = pool.insert(b"second");
        assert_eq!(pool.bytes(first, 5), b"first");
        assert_eq!(pool.bytes(second, 6), b"second");
        pool.release(first);
        let third = pool.insert(b"third");
        assert_eq!(pool.bytes(third, 5), b"third");
        assert_eq!(pool.bytes(second, 6), b"second");
        assert_eq!(pool.classes[0].references.len(), 2, "the freed block is reused");
    }

    #[test]
    fn no_memory_is_taken_in_steady_state() {
        let mut pool = Pool::new();
        let held: Vec<_> = (0..100).map(|_| pool.insert(&[7; 60])).collect();
        held.iter().for_each(|copy| pool.release(*copy));
        let before = (pool.classes[0].bytes.capacity(), pool.classes[0].free.capacity());
        for _ in 0..10 {
            let held: Vec<_> = (0..100).map(|_| pool.insert(&[9; 64])).collect();
            held.iter().for_each(|copy| pool.release(*copy));
        }
        assert_eq!(before, (pool.classes[0].bytes.capacity(), pool.classes[0].free.capacity()));
    }
}
