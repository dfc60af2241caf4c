//! Mergeable receive buffers: a frame over as many chains as it takes (5.1.6.3.1, 5.1.6.4.1).
//!
//! The chains of a frame are fetched together and published together, each but the last one filled to its
//! end. If the ring has too few, all go back, the driver is asked for a kick behind the last of them, and the
//! frame waits or is dropped `no_descriptor`. Two things no waiting mends are `buffer_too_small`: a first
//! chain shorter than the header, and a whole ring that is shorter than header and frame.
//!
//! Without the feature none of this runs: a frame takes one chain.

use super::Device;
use crate::ring::{Chain, Fetched, Ring, RingFault, Shape, Used};
use std::ops::Deref;
use vm_memory::GuestMemory;

/// Chains fetched for one frame.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// Head of each, and its bytes to write; empty for a frame that took its one chain the plain way.
    pub(super) parts: Vec<Used>,
    /// Room for each chain after the first while it is fetched.
    next: Chain,
}

/// What a look for chains came to.
enum Gathered {
    /// They are in `chain`, as if they were one, and in `parts`.
    Enough,
    /// The ring is empty, what was fetched does not do and is still fetched.
    TooFew,
    /// These bytes are what the ring can give at most, or in its first chain; nothing is fetched.
    TooSmall { capacity: u32 },
}

impl Merged {
    /// Fetches until there is room for `need` bytes. `least`: bytes that the first chain must have.
    fn gather<R: Ring, G: GuestMemory>(
        &mut self,
        (ring, memory): (&mut R, &G),
        (need, least): (u32, u32),
        chain: &mut Chain,
    ) -> Result<Gathered, RingFault> {
        let mut room: u64 = self.parts.iter().map(|part| u64::from(part.len)).sum();
        while room < need.into() {
            if self.parts.len() == usize::from(ring.size()) {
                self.put_back(ring);
                // Below `need`.
                return Ok(Gathered::TooSmall { capacity: room as u32 });
            }
            let first = self.parts.is_empty();
            let (into, least) = if first { (&mut *chain, least) } else { (&mut self.next, 1) };
            match ring.fetch(memory, Shape::Receive, least, into)? {
                Fetched::Empty => return Ok(Gathered::TooFew),
                Fetched::TooSmall { capacity } => return Ok(Gathered::TooSmall { capacity }),
                Fetched::Chain => {
                    self.parts.push(Used { head: into.head, len: into.writable_len });
                    room += u64::from(into.writable_len);
                    if !first {
                        chain.merge(&self.next);
                    }
                }
            }
        }
        Ok(Gathered::Enough)
    }

    /// Everything fetched goes back into the ring.
    fn put_back<R: Ring>(&mut self, ring: &mut R) {
        for _ in self.parts.drain(..) {
            ring.unfetch();
        }
    }

    /// The used elements of the frame on the engine; `one`: that of a frame which took its one chain.
    #[inline]
    pub(super) fn elements<'a>(&'a self, one: &'a Used) -> &'a [Used] {
        if self.parts.is_empty() { std::slice::from_ref(one) } else { &self.parts }
    }

    /// The used elements of a frame of `len` bytes, header included: all but the last chain are full.
    #[inline]
    pub(super) fn fill(&mut self, len: u32) {
        let mut left = len;
        for part in &mut self.parts {
            part.len = part.len.min(left);
            left -= part.len;
        }
    }
}

impl<M> Device<M>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    /// Fetches the chains for a frame that takes `need` bytes with its header. If there are too few, the
    /// driver has been asked for a kick and the pair is starved.
    pub(super) fn fetch_merged(&mut self, pair: u16, need: u32) -> Result<Fetched, RingFault> {
        let (index, least) = (2 * usize::from(pair), self.format.header_len as u32);
        self.dma.merged.parts.clear();
        loop {
            let Some(ring) = &mut self.queues[index].ring else { return Ok(Fetched::Empty) };
            let (memory, dma) = (&*self.memory, &mut self.dma);
            // Most frames take one chain, as they would without the feature.
            if dma.merged.parts.is_empty()
                && ring.fetch(memory, Shape::Receive, need, &mut dma.chain)? == Fetched::Chain
            {
                self.end_starvation(pair)?;
                return Ok(Fetched::Chain);
            }
            match dma.merged.gather((ring, memory), (need, least), &mut dma.chain)? {
                Gathered::Enough => {
                    self.end_starvation(pair)?;
                    return Ok(Fetched::Chain);
                }
                Gathered::TooSmall { capacity } => {
                    self.end_starvation(pair)?;
                    return Ok(Fetched::TooSmall { capacity });
                }
                // Asked while they are fetched: the next kick is wanted behind the last of them. Has the
                // ring been filled between the look and the wish, the look goes on.
                Gathered::TooFew => {
                    if !self.set_kicks(index, true)? {
                        if let Some(ring) = &mut self.queues[index].ring {
                            self.dma.merged.put_back(ring);
                        }
                        self.dma.starve(pair);
                        return Ok(Fetched::Empty);
                    }
                    self.dma.asked(pair);
                }
            }
        }
    }

    /// Would the chains that the ring offers do for `need` bytes? Leaves them there. A frame that is too
    /// large for any number of them has enough: it need not wait.
    pub(super) fn merged_would_do(&mut self, pair: u16, need: u32) -> Result<bool, RingFault> {
        let Some(ring) = &mut self.queues[2 * usize::from(pair)].ring else { return Ok(false) };
        let least = self.format.header_len as u32;
        let look = &mut self.scratch.merged;
        look.parts.clear();
        let found =
            look.gather((&mut *ring, &*self.memory), (need, least), &mut self.scratch.chain)?;
        look.put_back(ring);
        Ok(!matches!(found, Gathered::TooFew))
    }
}
