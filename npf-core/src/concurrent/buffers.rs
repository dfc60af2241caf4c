//! The copies of packets that wait in the queue, each a block that one side owns at a time.
//!
//! ```text
//!   CPU: [free] --take, copy--> batch --> list --> reader: copies out --> [returned] --> CPU
//! ```
//!
//! Contract: a block belongs to the CPU that made it and comes back to that CPU, so that CPUs share
//! nothing here, and bytes are copied with no lock held that anybody else waits for. Memory is taken
//! only while more blocks of a size are out than ever before, and never given back.

use super::sync::{Apart, Mutex, lock};
use crate::pool::{CLASSES, block_size, class_of};

/// A copy, and what is free behind it.
pub(super) type Block = Box<[u8]>;

/// The free blocks of one CPU.
#[derive(Debug)]
pub(super) struct Free {
    classes: [Vec<Block>; CLASSES],
}

impl Free {
    pub(super) fn new() -> Self {
        Free { classes: std::array::from_fn(|_| Vec::new()) }
    }

    /// Copies `data` into a block: a free one, one that was returned, or a new one.
    #[inline]
    pub(super) fn copy(&mut self, data: &[u8], returned: &Returned) -> Block {
        let class = class_of(data.len());
        if self.classes[class].is_empty() {
            self.fetch(returned);
        }
        let block = self.classes[class].pop();
        let mut block = block.unwrap_or_else(|| vec![0; block_size(class)].into());
        block[..data.len()].copy_from_slice(data);
        block
    }

    /// Takes a block back.
    #[inline]
    pub(super) fn put(&mut self, block: Block) {
        self.classes[class_of(block.len())].push(block);
    }

    /// Takes back everything that was returned.
    fn fetch(&mut self, returned: &Returned) {
        let mut returned = lock(&returned.0.0);
        while let Some(block) = returned.pop() {
            self.put(block);
        }
    }
}

/// Blocks of one CPU that the reader has done with.
#[derive(Debug)]
pub(super) struct Returned(Apart<Mutex<Vec<Block>>>);

impl Returned {
    pub(super) fn new() -> Self {
        Returned(Apart(Mutex::new(Vec::new())))
    }

    /// Gives blocks back to their CPU.
    pub(super) fn put(&self, blocks: impl Iterator<Item = Block>) {
        lock(&self.0.0).extend(blocks);
    }
}
