//! The ring by way of the `virtio-queue` crate: the reference, not the fastest.
//!
//! Three things that crate does not do are done here: chains are validated ([`super::validate`]),
//! VIRTQ_AVAIL_F_NO_INTERRUPT is obeyed, and the driver's wish can be asked for more than once.

use super::access::{View, direct};
use super::validate::{Rules, read_chain};
use super::{
    Chain, False, Fetched, QueueSetup, Ring, RingFault, RingFeatures, Shape, Used, WRONG_ID,
};
use crate::spec::ring::{AVAIL_F_NO_INTERRUPT, available_ring_len, descriptor_table_len};
use std::sync::atomic::{Ordering, fence};
use virtio_queue::{Error, Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemory, Permissions};

/// A virtqueue in use.
#[derive(Debug)]
pub struct Reference {
    queue: Queue,
    indirect: bool,
    /// Elements published since the last interrupt was sent or not wanted.
    unsignalled: u16,
}

impl Reference {
    /// The queue of a setup that was validated; `None` where the crate refuses it all the same.
    pub(crate) fn new(setup: &QueueSetup, agreed: RingFeatures) -> Option<Self> {
        let mut queue = Queue::new(setup.size).ok()?;
        queue.try_set_size(setup.size).ok()?;
        queue.try_set_desc_table_address(GuestAddress(setup.descriptor_table)).ok()?;
        queue.try_set_avail_ring_address(GuestAddress(setup.available_ring)).ok()?;
        queue.try_set_used_ring_address(GuestAddress(setup.used_ring)).ok()?;
        queue.set_event_idx(agreed.event_idx);
        queue.set_ready(true);
        Some(Self { queue, indirect: agreed.indirect, unsignalled: 0 })
    }

    /// The next chain's head, taken out of the available ring.
    #[inline(always)]
    fn pop<G: GuestMemory>(&mut self, memory: &G) -> Result<Option<u16>, RingFault> {
        let next = match self.queue.iter(memory) {
            Ok(mut chains) => chains.next(),
            Err(error) => return Err(self.fault(memory, &error)),
        };
        if let Some(chain) = next {
            return Ok(Some(chain.head_index()));
        }
        // Nothing there, or the entry could not be read: the crate says the same for both.
        if self.available(memory)? == 0 {
            return Ok(None);
        }
        match self.queue.iter(memory).ok().and_then(|mut chains| chains.next()) {
            Some(chain) => Ok(Some(chain.head_index())),
            None => Err(RingFault::memory("the available ring", self.queue.avail_ring())),
        }
    }

    /// Names what the crate complains of.
    #[cold]
    fn fault<G: GuestMemory>(&self, memory: &G, error: &Error) -> RingFault {
        match (error, self.available(memory)) {
            (Error::InvalidAvailRingIndex, Err(fault)) => fault,
            _ => RingFault::memory("the ring", self.queue.avail_ring()),
        }
    }

    fn used_fault(&self) -> RingFault {
        RingFault::memory("the used ring", self.queue.used_ring())
    }
}

impl Ring for Reference {
    fn size(&self) -> u16 {
        self.queue.size()
    }

    #[inline]
    fn available<G: GuestMemory>(&self, memory: &G) -> Result<u16, RingFault> {
        let index = direct!(memory => self.queue.avail_idx(memory, Ordering::Acquire))
            .map_err(|_| RingFault::memory("the available index", self.queue.avail_ring()))?;
        let offered = index.0.wrapping_sub(self.queue.next_avail());
        if offered > self.queue.size() {
            return Err(RingFault::AvailableIndex { offered, size: self.queue.size() });
        }
        Ok(offered)
    }

    // The callers know the shape, and half of the checks depend on it.
    #[inline(always)]
    fn fetch<G: GuestMemory>(
        &mut self,
        memory: &G,
        shape: Shape,
        need: u32,
        chain: &mut Chain,
    ) -> Result<Fetched, RingFault> {
        let Some(head) = direct!(memory => self.pop(memory))? else {
            return Ok(Fetched::Empty);
        };
        let (table, size) = (self.queue.desc_table(), self.queue.size());
        let rules = Rules { size, indirect: self.indirect, shape };
        let len = descriptor_table_len(size) as usize;
        direct!(memory => {
            let table = View::new(memory, table, len, Permissions::Read);
            read_chain(memory, &table, head, rules, chain)
        })?;
        if chain.writable_len < need {
            self.unfetch();
            return Ok(Fetched::TooSmall { capacity: chain.writable_len });
        }
        Ok(Fetched::Chain)
    }

    fn unfetch(&mut self) {
        self.queue.go_to_previous_position();
    }

    #[inline(always)]
    fn put_used<G: GuestMemory>(&mut self, memory: &G, used: &[Used]) -> Result<(), RingFault> {
        let Some((last, others)) = used.split_last() else { return Ok(()) };
        // The crate stores the index with each element, but those of a merged frame must be seen together
        // (5.1.6.4.1): it is given the last one only, behind the others.
        let mut next = self.queue.next_used();
        for Used { head, len } in others {
            let at = self.queue.used_ring() + 4 + 8 * u64::from(next % self.queue.size());
            let element = [u32::from(*head).to_le(), len.to_le()];
            memory.write_obj(element, GuestAddress(at)).map_err(|_| self.used_fault())?;
            next = next.wrapping_add(1);
        }
        self.queue.set_next_used(next);
        direct!(memory => self.queue.add_used(memory, last.head, last.len))
            .map_err(|_| self.used_fault())?;
        // No more than the queue is long.
        self.unsignalled = self.unsignalled.saturating_add(used.len() as u16);
        Ok(())
    }

    fn put_false<G: GuestMemory>(&mut self, memory: &G, element: False) -> Result<(), RingFault> {
        let slot = u64::from(self.queue.next_used() % self.queue.size());
        let at = GuestAddress(self.queue.used_ring() + 4 + 8 * slot);
        let stale: [u32; 2] = memory.read_obj(at).map_err(|_| self.used_fault())?;
        let lie = match element {
            False::WrongId(len) => [u32::from(WRONG_ID).to_le(), len.to_le()],
            False::Stale => stale,
        };
        // The crate refuses a false number, so it publishes an honest one, which is then overwritten.
        self.queue.add_used(memory, 0, 0).map_err(|_| self.used_fault())?;
        self.unsignalled = self.unsignalled.saturating_add(1);
        memory.write_obj(lie, at).map_err(|_| self.used_fault())
    }

    #[inline(always)]
    fn wants_interrupt<G: GuestMemory>(&self, memory: &G) -> Result<bool, RingFault> {
        // The used index must be visible before the wish is read: the driver states its wish and then looks
        // at the index, so one of the two sees the other.
        fence(Ordering::SeqCst);
        let event_idx = self.queue.event_idx_enabled();
        let ring = self.queue.avail_ring();
        let at = if event_idx { available_ring_len(self.queue.size()) - 2 } else { 0 };
        let wish =
            direct!(memory => memory.load::<u16>(GuestAddress(ring + at), Ordering::Relaxed))
                .map(u16::from_le)
                .map_err(|_| RingFault::memory("the available ring", ring))?;
        if !event_idx {
            return Ok(wish & AVAIL_F_NO_INTERRUPT == 0);
        }
        // 2.7.10: is the element at `used_event` among those published?
        Ok(self.queue.next_used().wrapping_sub(wish).wrapping_sub(1) < self.unsignalled)
    }

    #[inline(always)]
    fn settle(&mut self) {
        self.unsignalled = 0;
    }

    fn set_kicks<G: GuestMemory>(&mut self, memory: &G, wanted: bool) -> Result<bool, RingFault> {
        if wanted {
            self.queue.enable_notification(memory).map_err(|_| self.used_fault())
        } else {
            self.queue.disable_notification(memory).map(|()| false).map_err(|_| self.used_fault())
        }
    }

    fn base(&self) -> u32 {
        self.queue.next_avail().into()
    }

    fn resume<G: GuestMemory>(&mut self, memory: &G, base: u32) -> bool {
        let used = self.queue.used_idx(memory, Ordering::Relaxed);
        let (Ok(available), Ok(used)) = (u16::try_from(base), used) else { return false };
        self.queue.set_next_avail(available);
        self.queue.set_next_used(used.0);
        true
    }
}
