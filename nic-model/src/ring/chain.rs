//! A validated descriptor chain, and the bytes it leads to.
//!
//! Most chains have one segment, which lies in the [`Chain`] itself. The others keep the rest in a vector
//! that is reused from fetch to fetch, so that nothing is allocated once it has grown.
//!
//! Not checked here: anything. [`super::validate`] makes chains, and only right ones.

use super::{RingFault, access};
use crate::spec::header;
use vm_memory::GuestMemory;

/// Part of a chain: guest memory from `address`, `len` bytes, all of it there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Guest address.
    pub address: u64,
    /// Bytes; more than 0.
    pub len: u32,
}

/// The header of a frame, in registers: what has just been stored in small pieces and is loaded in a large
/// one makes a processor wait until the pieces are in its cache, behind all that was stored before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Front {
    /// Its bytes as little-endian numbers, of 16 bytes and of 4.
    pub words: (u128, u32),
    /// How many of the bytes count: 20, or 12.
    pub len: usize,
}

impl Front {
    /// As bytes.
    #[must_use]
    pub fn bytes(self) -> [u8; header::LEN_WITH_HASH] {
        let mut bytes = [0; header::LEN_WITH_HASH];
        bytes[..16].copy_from_slice(&self.words.0.to_le_bytes());
        bytes[16..].copy_from_slice(&self.words.1.to_le_bytes());
        bytes
    }
}

/// A validated chain.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Number of its first descriptor, as the available ring had it; on a packed ring its buffer id.
    pub head: u16,
    /// Segments.
    count: u32,
    /// How many of them are to read; they come first.
    readable: u32,
    /// Bytes to read.
    pub readable_len: u32,
    /// Bytes to write.
    pub writable_len: u32,
    first: Segment,
    /// The second segment and so on.
    rest: Vec<Segment>,
}

impl Chain {
    /// The segments to read.
    pub fn readable(&self) -> impl Iterator<Item = Segment> + '_ {
        self.segments().take(self.readable as usize)
    }

    /// The segments to write.
    pub fn writable(&self) -> impl Iterator<Item = Segment> + '_ {
        self.segments().skip(self.readable as usize)
    }

    /// Appends another chain's segments, which are all to write, as this one's are. The head
    /// stays this one's.
    pub fn merge(&mut self, other: &Self) {
        self.rest.extend(other.segments());
        self.count += other.count;
        self.writable_len = self.writable_len.saturating_add(other.writable_len);
    }

    /// Writes `bytes` into the segments to write: with one copy, if the first has room for them.
    ///
    /// # Errors
    /// The memory is there no longer.
    #[inline]
    pub fn write_one<G: GuestMemory>(&self, memory: &G, bytes: &[u8]) -> Result<(), RingFault> {
        if self.readable > 0 || (self.first.len as usize) < bytes.len() {
            return self.write(memory, std::iter::once(bytes));
        }
        let address = self.first.address;
        if access::direct!(memory => access::write(memory, address, bytes)) {
            Ok(())
        } else {
            Err(RingFault::memory("a buffer", address))
        }
    }

    /// The same, with a header in front of the bytes.
    ///
    /// # Errors
    /// The memory is there no longer.
    #[inline(always)]
    pub fn write_behind<G: GuestMemory>(
        &self,
        memory: &G,
        front: Front,
        bytes: &[u8],
    ) -> Result<(), RingFault> {
        if self.readable > 0 || (self.first.len as usize) < front.len + bytes.len() {
            return self.write(memory, [&front.bytes()[..front.len], bytes].into_iter());
        }
        let address = self.first.address;
        if access::direct!(memory => access::write_behind(memory, address, front, bytes)) {
            Ok(())
        } else {
            Err(RingFault::memory("a buffer", address))
        }
    }

    /// Writes the pieces one after the other into the segments to write, as far as these reach.
    ///
    /// # Errors
    /// The memory is there no longer.
    #[inline]
    pub fn write<'a, G: GuestMemory>(
        &self,
        memory: &G,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), RingFault> {
        let mut segments = self.writable();
        let mut room = Segment::default();
        for mut piece in pieces {
            while !piece.is_empty() {
                if room.len == 0 {
                    // The caller asked for enough room when it fetched.
                    let Some(next) = segments.next() else { return Ok(()) };
                    room = next;
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
    ///
    /// # Errors
    /// The memory is there no longer.
    pub fn read<G: GuestMemory>(&self, memory: &G, out: &mut [u8]) -> Result<usize, RingFault> {
        let mut at = 0;
        for segment in self.readable() {
            let len = (segment.len as usize).min(out.len() - at);
            let part = &mut out[at..at + len];
            if !access::direct!(memory => access::read(memory, segment.address, part)) {
                return Err(RingFault::memory("a buffer", segment.address));
            }
            at += len;
        }
        Ok(at)
    }

    /// Segments, both kinds.
    pub(crate) fn segments_len(&self) -> u32 {
        self.count
    }

    /// All segments, in order.
    fn segments(&self) -> impl Iterator<Item = Segment> + '_ {
        let first = (self.count > 0).then_some(self.first);
        first.into_iter().chain(self.rest.iter().copied())
    }

    /// Empties it.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.readable = 0;
        self.readable_len = 0;
        self.writable_len = 0;
        self.rest.clear();
    }

    /// Makes it a chain of this one segment.
    #[inline(always)]
    pub(super) fn set_only(&mut self, head: u16, segment: Segment, writable: bool) {
        self.head = head;
        self.count = 1;
        self.readable = u32::from(!writable);
        (self.readable_len, self.writable_len) =
            if writable { (0, segment.len) } else { (segment.len, 0) };
        self.first = segment;
        self.rest.clear();
    }

    /// Appends a segment; the caller has seen that the sum of lengths does not overflow, and that none to
    /// read comes after one to write. No chain has more segments than a queue has entries.
    #[inline]
    pub(super) fn push(&mut self, segment: Segment, writable: bool) {
        if writable {
            self.writable_len += segment.len;
        } else {
            self.readable_len += segment.len;
            self.readable += 1;
        }
        if self.count == 0 {
            self.first = segment;
        } else {
            self.rest.push(segment);
        }
        self.count += 1;
    }
}

/// Chains put away for later, all segments in one vector.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    chains: Vec<Shelved>,
    segments: Vec<Segment>,
}

/// A chain but for its segments, and where these are.
#[derive(Clone, Copy, Debug)]
struct Shelved {
    head: u16,
    from: u32,
    count: u32,
    readable: u32,
    writable_len: u32,
}

impl Shelf {
    pub(super) fn clear(&mut self) {
        self.chains.clear();
        self.segments.clear();
    }

    /// Segments of all chains.
    pub(super) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Puts a chain away; its number, counted from 0 since the shelf was cleared.
    pub(super) fn put(&mut self, chain: &Chain) -> usize {
        let Chain { head, count, readable, writable_len, .. } = *chain;
        // The caller ends a pass long before.
        let from = self.segments.len() as u32;
        self.segments.extend(chain.segments());
        self.chains.push(Shelved { head, from, count, readable, writable_len });
        self.chains.len() - 1
    }

    /// Bytes to write of a chain that was put away.
    pub(super) fn writable_len(&self, number: usize) -> u32 {
        self.chains.get(number).map_or(0, |chain| chain.writable_len)
    }

    /// Copies a chain that was put away into `chain`.
    pub(super) fn take(&self, number: usize, chain: &mut Chain) {
        chain.clear();
        let Some(shelved) = self.chains.get(number) else { return };
        chain.head = shelved.head;
        let from = shelved.from as usize;
        for (index, segment) in (0..).zip(&self.segments[from..from + shelved.count as usize]) {
            chain.push(*segment, index >= shelved.readable);
        }
    }
}
