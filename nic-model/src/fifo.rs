//! The packet buffer: frames waiting for the DMA engine, in one list per receive queue and one budget of
//! bytes for all of them.
//!
//! Frames live in blocks of one slab. A block is large enough for an ordinary frame with its virtio
//! header in front, so that most frames are written to guest memory with one copy; longer ones take
//! several blocks. Pages of the slab are allocated when the FIFO is fuller than it ever was and kept for
//! good: none per frame once running. The block last freed is used first, as it is still in the cache.
//!
//! The budget counts bytes of frames, not of blocks. The FIFO does not enforce it: the caller asks
//! [`Fifo::fits`] and may let one frame through an empty FIFO whatever its size.

use crate::spec::header;

const NONE: u32 = u32::MAX;
const BLOCKS_PER_PAGE: usize = 64;
const BLOCK_LEN_MAX: usize = 2048;

/// The buffer.
#[derive(Debug)]
pub(crate) struct Fifo {
    capacity: u64,
    bytes: u64,
    frames: u64,
    header_len: usize,
    block_len: usize,
    pages: Vec<Box<[u8]>>,
    blocks: Vec<Block>,
    free: u32,
    lists: Vec<List>,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    tag: u64,
    /// Bytes of the frame; in its first block only.
    len: u32,
    /// First block of the next frame of the queue; next free block in the free list.
    next: u32,
    /// Next block of the same frame.
    more: u32,
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
    frames: u64,
}

/// A frame in the FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) tag: u64,
    /// Bytes, without header.
    pub(crate) len: u32,
    block: u32,
}

impl Fifo {
    /// A FIFO of `capacity` bytes for `pairs` queues and frames up to `frame_len_max`.
    pub(crate) fn new(capacity: u64, pairs: u16, frame_len_max: usize) -> Self {
        let whole = (header::LEN_WITH_HASH + frame_len_max).next_multiple_of(64);
        let mut fifo = Self {
            capacity,
            bytes: 0,
            frames: 0,
            header_len: header::LEN,
            block_len: whole.min(BLOCK_LEN_MAX),
            pages: Vec::new(),
            blocks: Vec::new(),
            free: NONE,
            lists: vec![List { first: NONE, last: NONE, frames: 0 }; pairs.into()],
        };
        fifo.grow();
        fifo
    }

    /// Bytes of the header from now on; the FIFO must be empty.
    pub(crate) fn set_header_len(&mut self, len: usize) {
        self.header_len = len;
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    pub(crate) fn frames_of(&self, queue: u16) -> u64 {
        self.lists[usize::from(queue)].frames
    }

    /// Is there room for a frame of `len` bytes?
    pub(crate) fn fits(&self, len: u32) -> bool {
        self.bytes + u64::from(len) <= self.capacity
    }

    /// Appends a frame to the list of `queue`. The header is cut to its length.
    #[inline(always)]
    pub(crate) fn push(
        &mut self,
        queue: u16,
        header: &[u8; header::LEN_WITH_HASH],
        frame: &[u8],
        len: u32,
        tag: u64,
    ) {
        let first = self.take_block();
        let mut block = first;
        let header_len = self.header_len;
        let room = self.block_len - header_len;
        let (head, mut rest) = frame.split_at(frame.len().min(room));
        let data = self.block_mut(block);
        // Always the long one, as a copy of constant length is a few moves; the frame covers its end.
        data[..header.len()].copy_from_slice(header);
        data[header_len..header_len + head.len()].copy_from_slice(head);
        while !rest.is_empty() {
            let more = self.take_block();
            self.blocks[block as usize].more = more;
            block = more;
            let (part, after) = rest.split_at(rest.len().min(self.block_len));
            self.block_mut(block)[..part.len()].copy_from_slice(part);
            rest = after;
        }
        let meta = &mut self.blocks[first as usize];
        meta.tag = tag;
        meta.len = len;
        let list = &mut self.lists[usize::from(queue)];
        if list.frames == 0 {
            list.first = first;
        } else {
            self.blocks[list.last as usize].next = first;
        }
        list.last = first;
        list.frames += 1;
        self.frames += 1;
        self.bytes += u64::from(len);
    }

    /// The oldest frame of `queue`.
    #[inline]
    pub(crate) fn front(&self, queue: u16) -> Option<Held> {
        let list = self.lists[usize::from(queue)];
        if list.frames == 0 {
            return None;
        }
        let meta = self.blocks[list.first as usize];
        Some(Held { tag: meta.tag, len: meta.len, block: list.first })
    }

    /// Header and bytes of a frame that is still in the FIFO, piece by piece.
    #[inline]
    pub(crate) fn pieces(&self, held: Held) -> impl Iterator<Item = &[u8]> {
        let mut left = self.header_len + held.len as usize;
        let mut block = held.block;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let len = left.min(self.block_len);
            let piece = &self.block(block)[..len];
            left -= len;
            block = self.blocks[block as usize].more;
            Some(piece)
        })
    }

    /// The same at once, if the frame takes a single block.
    #[inline]
    pub(crate) fn whole(&self, held: Held) -> Option<&[u8]> {
        self.block(held.block).get(..self.header_len + held.len as usize)
    }

    /// Says in the header of a frame that it takes this many buffers.
    pub(crate) fn set_num_buffers(&mut self, held: Held, buffers: u16) {
        let block = self.block_mut(held.block);
        block[header::NUM_BUFFERS..header::NUM_BUFFERS + 2].copy_from_slice(&buffers.to_le_bytes());
    }

    /// Removes the oldest frame of `queue`.
    pub(crate) fn pop(&mut self, queue: u16) -> Option<Held> {
        let held = self.front(queue)?;
        self.remove(queue, held);
        Some(held)
    }

    /// Removes `held`, the oldest frame of `queue`.
    #[inline]
    pub(crate) fn remove(&mut self, queue: u16, held: Held) {
        let list = &mut self.lists[usize::from(queue)];
        list.first = self.blocks[held.block as usize].next;
        list.frames -= 1;
        self.frames -= 1;
        self.bytes -= u64::from(held.len);
        let mut block = held.block;
        while block != NONE {
            let more = self.blocks[block as usize].more;
            self.blocks[block as usize].next = self.free;
            self.free = block;
            block = more;
        }
    }

    /// Removes `held`, the oldest frame of `queue`, which keeps its room until [`Fifo::release`].
    pub(crate) fn withhold(&mut self, queue: u16, held: Held) {
        self.remove(queue, held);
        self.frames += 1;
        self.bytes += u64::from(held.len);
    }

    /// Gives the room of a frame of `len` bytes back that was withheld.
    pub(crate) fn release(&mut self, len: u32) {
        self.frames -= 1;
        self.bytes -= u64::from(len);
    }

    /// Changes the budget. What is there stays.
    pub(crate) fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity;
    }

    fn take_block(&mut self) -> u32 {
        if self.free == NONE {
            self.grow();
        }
        let index = self.free;
        let meta = &mut self.blocks[index as usize];
        self.free = meta.next;
        meta.next = NONE;
        meta.more = NONE;
        index
    }

    fn grow(&mut self) {
        self.pages.push(vec![0; BLOCKS_PER_PAGE * self.block_len].into_boxed_slice());
        for _ in 0..BLOCKS_PER_PAGE {
            // FIFO_BYTES_MAX and the least frame of 14 bytes keep this far below u32::MAX.
            let index = self.blocks.len() as u32;
            self.blocks.push(Block { tag: 0, len: 0, next: self.free, more: NONE });
            self.free = index;
        }
    }

    fn block(&self, index: u32) -> &[u8] {
        let (page, start) = self.place(index);
        &self.pages[page][start..start + self.block_len]
    }

    fn block_mut(&mut self, index: u32) -> &mut [u8] {
        let (page, start) = self.place(index);
        &mut self.pages[page][start..start + self.block_len]
    }

    fn place(&self, index: u32) -> (usize, usize) {
        let index = index as usize;
        (index / BLOCKS_PER_PAGE, index % BLOCKS_PER_PAGE * self.block_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn bytes_of(fifo: &Fifo, held: Held) -> Vec<u8> {
        fifo.pieces(held).flatten().copied().collect()
    }

    const HEADER: [u8; 20] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19];

    #[test]
    fn a_frame_carries_its_header_and_spans_blocks() {
        let mut fifo = Fifo::new(100_000, 1, 9022);
        let frame: Vec<u8> = (0..9014_u32).map(|i| i as u8).collect();
        for header_len in [12, 20] {
            fifo.set_header_len(header_len);
            fifo.push(0, &HEADER, &frame, 9014, 5);
            let held = fifo.front(0).unwrap();
            fifo.set_num_buffers(held, 0x0201);
            assert!(fifo.pieces(held).count() > 1);
            let bytes = bytes_of(&fifo, held);
            assert_eq!(bytes[..10], HEADER[..10]);
            assert_eq!(bytes[10..12], [1, 2]);
            assert_eq!(bytes[12..header_len], HEADER[12..header_len]);
            assert_eq!(bytes[header_len..], frame);
            fifo.pop(0);
        }
    }

    proptest! {
        /// Any order of pushes and pops: each queue gives its frames back in order and unharmed, the
        /// numbers agree with a plain model, and blocks are reused.
        #[test]
        fn agrees_with_plain_queues(
            steps in proptest::collection::vec((0_u16..3, 14_usize..5000, any::<bool>()), 1..300),
        ) {
            let mut fifo = Fifo::new(u64::MAX, 3, 5000);
            let mut model: [VecDeque<(u64, Vec<u8>)>; 3] = Default::default();
            let mut most_blocks = 0;
            for (tag, (queue, len, push)) in steps.into_iter().enumerate() {
                let list = &mut model[usize::from(queue)];
                if push {
                    let frame = vec![tag as u8; len];
                    fifo.push(queue, &HEADER, &frame, len as u32, tag as u64);
                    list.push_back((tag as u64, frame));
                } else {
                    let expected = list.pop_front();
                    if let Some((tag, frame)) = &expected {
                        let held = fifo.front(queue).unwrap();
                        prop_assert_eq!(held.tag, *tag);
                        prop_assert_eq!(&bytes_of(&fifo, held)[12..], &frame[..]);
                        let one_block = frame.len() + 12 <= fifo.block_len;
                        let whole = one_block.then(|| bytes_of(&fifo, held));
                        prop_assert_eq!(fifo.whole(held), whole.as_deref());
                    }
                    prop_assert_eq!(fifo.pop(queue).map(|h| h.tag), expected.map(|e| e.0));
                }
                let frames: usize = model.iter().map(VecDeque::len).sum();
                let bytes: usize = model.iter().flatten().map(|f| f.1.len()).sum();
                prop_assert_eq!(fifo.frames(), frames as u64);
                prop_assert_eq!(fifo.bytes(), bytes as u64);
                let blocks: usize =
                    model.iter().flatten().map(|f| (f.1.len() + 12).div_ceil(fifo.block_len)).sum();
                most_blocks = most_blocks.max(blocks);
                prop_assert!(fifo.blocks.len() <= most_blocks.max(1).next_multiple_of(BLOCKS_PER_PAGE));
            }
        }
    }
}
