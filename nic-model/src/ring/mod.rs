//! The seam between the device and its virtqueues.
//!
//! A [`Ring`] gives the device validated descriptor chains and takes used entries back. What it promises:
//!
//! - a [`Chain`] was read once, descriptor by descriptor, and only what was read counts from then on: the
//!   driver may change the table afterwards, and nothing is fetched twice;
//! - it ends properly, is no longer than the queue, has no empty, indirect or misplaced descriptor, and
//!   every byte of it lies in guest memory;
//! - [`Ring::put_used`] writes all elements, then stores the index once, with release ordering;
//! - a fault leaves the ring as it is; the device stops using it.
//!
//! [`Reference`] does this with the `virtio-queue` crate. Another implementation must give the same
//! chains and leave the same bytes in the used ring.
//!
//! Not checked: that chains do not share descriptors or buffers, and that rings do not overlap; a driver
//! that does so harms itself only.

mod access;
mod fault;
mod packed;
mod queue;
mod reference;
mod setup;
mod validate;

pub use fault::{ChainFault, DeviceError, RingFault};
pub(crate) use queue::{RingFeatures, Virtqueue};
pub use setup::{QueueError, QueueSetup};

use vm_memory::GuestMemory;

/// A split virtqueue, from the device's side.
pub(crate) trait Ring {
    /// Entries of the queue.
    fn size(&self) -> u16;

    /// Chains the driver offers that have not been fetched.
    fn available<G: GuestMemory>(&self, memory: &G) -> Result<u16, RingFault>;

    /// The same; what it has cost to find out is not spent again.
    fn look<G: GuestMemory>(&mut self, memory: &G) -> Result<u16, RingFault> {
        self.available(memory)
    }

    /// Fetches the next chain into `chain`, if there is one and it has at least `need` bytes to write.
    fn fetch<G: GuestMemory>(
        &mut self,
        memory: &G,
        shape: Shape,
        need: u32,
        chain: &mut Chain,
    ) -> Result<Fetched, RingFault>;

    /// Puts the chain fetched last back, as if it had not been.
    fn unfetch(&mut self);

    /// Publishes used entries in this order, all at once.
    fn put_used<G: GuestMemory>(&mut self, memory: &G, used: &[Used]) -> Result<(), RingFault>;

    /// Publishes one element that is a lie, for a fault.
    fn put_false<G: GuestMemory>(&mut self, memory: &G, element: False) -> Result<(), RingFault>;

    /// Does the driver want an interrupt for what was published since the last call? By `used_event` with
    /// VIRTIO_F_EVENT_IDX, otherwise by VIRTQ_AVAIL_F_NO_INTERRUPT.
    fn wants_interrupt<G: GuestMemory>(&mut self, memory: &G) -> Result<bool, RingFault>;

    /// Asks the driver for notifications, or not to bother. Having asked: have chains come meanwhile?
    fn set_kicks<G: GuestMemory>(&mut self, memory: &G, wanted: bool) -> Result<bool, RingFault>;
}

/// A completion that is a lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum False {
    /// It names a descriptor that no ring has, with this length.
    WrongId(u32),
    /// What has stood in its place since a lap ago.
    Stale,
}

/// The descriptor number of [`False::WrongId`]: beyond the largest queue (2.7).
pub(crate) const WRONG_ID: u16 = u16::MAX;

/// What [`Ring::fetch`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// The ring is empty.
    Empty,
    /// The next chain has only so many bytes to write; it stays in the ring.
    TooSmall { capacity: u32 },
    /// The chain was taken out of the ring.
    Chain,
}

/// Which descriptors belong in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The device writes them all.
    Receive,
    /// The device reads them all.
    Transmit,
    /// Some to read, then some to write.
    Control,
}

/// Part of a chain: guest memory from `address`, `len` bytes, all of it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) address: u64,
    pub(crate) len: u32,
}

/// A validated chain. Reused from fetch to fetch, so that nothing is allocated once it has grown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    pub(crate) head: u16,
    /// Segments to read first, then those to write.
    pub(crate) segments: Vec<Segment>,
    /// How many are to read.
    pub(crate) readable: usize,
    /// Bytes to read.
    pub(crate) readable_len: u32,
    /// Bytes to write.
    pub(crate) writable_len: u32,
}

/// A used element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) head: u16,
    pub(crate) len: u32,
}

impl Chain {
    /// Forgets everything.
    #[inline(always)]
    fn clear(&mut self) {
        self.segments.clear();
        (self.readable, self.readable_len, self.writable_len) = (0, 0, 0);
    }

    /// Writes `bytes` into the segments to write: with one copy, if the first has room for them.
    #[inline]
    pub(crate) fn write_one<G: GuestMemory>(
        &self,
        memory: &G,
        bytes: &[u8],
    ) -> Result<(), RingFault> {
        match self.segments.get(self.readable) {
            Some(first) if first.len as usize >= bytes.len() => {
                if access::direct!(memory => access::write(memory, first.address, bytes)) {
                    Ok(())
                } else {
                    Err(RingFault::memory("a buffer", first.address))
                }
            }
            _ => self.write(memory, std::iter::once(bytes)),
        }
    }

    /// Writes the pieces one after the other into the segments to write.
    #[inline]
    pub(crate) fn write<'a, G: GuestMemory>(
        &self,
        memory: &G,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), RingFault> {
        let mut segments = self.segments[self.readable..].iter();
        let mut room = Segment { address: 0, len: 0 };
        for mut piece in pieces {
            while !piece.is_empty() {
                if room.len == 0 {
                    // The caller asked for enough room when it fetched.
                    let Some(next) = segments.next() else { return Ok(()) };
                    room = *next;
                }
                let (part, rest) = piece.split_at(piece.len().min(room.len as usize));
                if !access::direct!(memory => access::write(memory, room.address, part)) {
                    return Err(RingFault::memory("a buffer", room.address));
                }
                // Within a validated segment: neither address nor length can wrap.
                room.address += part.len() as u64;
                room.len -= part.len() as u32;
                piece = rest;
            }
        }
        Ok(())
    }

    /// Reads the segments to read into `out`, as far as it reaches; the bytes read.
    pub(crate) fn read<G: GuestMemory>(
        &self,
        memory: &G,
        out: &mut [u8],
    ) -> Result<usize, RingFault> {
        let mut at = 0;
        for segment in &self.segments[..self.readable] {
            let len = (segment.len as usize).min(out.len() - at);
            if !access::read(memory, segment.address, &mut out[at..at + len]) {
                return Err(RingFault::memory("a buffer", segment.address));
            }
            at += len;
        }
        Ok(at)
    }
}
