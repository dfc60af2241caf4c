//! A split virtqueue (virtio 1.x section 2.7).
//!
//! ```text
//!            driver writes                      device writes
//!   available: flags idx [id id id] used_event    used: flags idx [id,len id,len] avail_event
//!                     |                                  |
//!   next_available ---+ (shadow)          next_used -----+ (shadow)
//! ```
//!
//! Contract: descriptor table and available ring are written and never read. Slot i has the descriptors
//! from i << shift on, for ever, so a chain's head says which slot it is.

use std::sync::atomic::Ordering;

use crate::dma::{DmaRegion, View, peer_fence};
use crate::layout::RingLayout;
use crate::ring::order::Order;
use crate::ring::table::{Descriptor, write_indirect};
use crate::ring::{Buffer, RingError, RingFeatures, Used, need_event};
use crate::spec;

#[derive(Debug)]
pub(super) struct Split {
    layout: RingLayout,
    agreed: RingFeatures,
    /// Descriptors per slot, as a power of two.
    shift: u32,
    /// Index after the last entry written to the available ring.
    next_available: u16,
    /// Entries written to the available ring since the last decision on kicking. Saturates, as decisions may
    /// be left out for ever.
    added: u16,
    /// Index of the next used element to take.
    next_used: u16,
    /// The device's used index, as last read and checked.
    seen_used: u16,
    /// Chains the device owns.
    outstanding: u16,
    /// Per slot: the device owns its chain.
    owned: Vec<bool>,
    /// With IN_ORDER.
    order: Option<Order>,
}

impl Split {
    pub(super) fn new(layout: RingLayout, agreed: RingFeatures) -> Self {
        let shift = if agreed.indirect { 0 } else { layout.chain.next_power_of_two().ilog2() };
        let slots = layout.size >> shift;
        Self {
            layout,
            agreed,
            shift,
            next_available: 0,
            added: 0,
            next_used: 0,
            seen_used: 0,
            outstanding: 0,
            owned: vec![false; slots.into()],
            order: agreed.in_order.then(|| Order::new(slots)),
        }
    }

    pub(super) fn slots(&self) -> u16 {
        self.layout.size >> self.shift
    }

    pub(super) fn outstanding(&self) -> u16 {
        self.outstanding
    }

    #[inline]
    pub(super) fn describe(&mut self, memory: &DmaRegion, slot: u16, buffers: &[Buffer]) {
        let table = memory.view(self.layout.table);
        let head = slot << self.shift;
        if self.agreed.indirect && buffers.len() > 1 {
            let indirect = write_indirect(memory, &self.layout, slot, buffers, false);
            write(&table, head, &indirect, 0);
        } else {
            for (id, buffer) in (head..).zip(buffers) {
                let more = usize::from(id - head) + 1 < buffers.len();
                // With IN_ORDER the next descriptor must be the one that follows (2.7.5.1); it is so anyway.
                write(&table, id, &Descriptor::of(buffer, more), if more { id + 1 } else { 0 });
            }
        }
        if let Some(order) = &mut self.order {
            order.describe(slot, buffers);
        }
    }

    /// All entries first, then the index, once.
    #[inline]
    pub(super) fn publish(&mut self, memory: &DmaRegion, slots: &[u16]) {
        let available = memory.view(self.layout.available);
        let mask = self.layout.size - 1;
        for slot in slots {
            let entry = usize::from(self.next_available & mask);
            let head = *slot << self.shift;
            available.write_u16(spec::RING_ENTRIES + entry * spec::AVAIL_ENTRY_BYTES, head);
            self.owned[usize::from(*slot)] = true;
            self.next_available = self.next_available.wrapping_add(1);
        }
        if let Some(order) = &mut self.order {
            slots.iter().for_each(|slot| order.publish(*slot));
        }
        // At most a ring's worth of chains exists, so this cannot overflow.
        self.outstanding += slots.len() as u16;
        self.added = self.added.saturating_add(slots.len() as u16);
        // Release: who sees the new index also sees the entries and the descriptors they name.
        available.store_u16(spec::RING_INDEX, self.next_available, Ordering::Release);
    }

    #[inline]
    pub(super) fn kick_wanted(&mut self, memory: &DmaRegion) -> bool {
        let used = memory.view(self.layout.used);
        let added = std::mem::take(&mut self.added);
        // Between the store of avail.idx and the load of what the device last wished: the device
        // stores its wish and then looks at avail.idx once more, so that one of the two sees the other.
        peer_fence();
        // Relaxed: the value only decides on a kick; no data hangs on it.
        if self.agreed.event_index {
            let event = used.load_u16(self.avail_event_at(), Ordering::Relaxed);
            let new = self.next_available;
            // So many that the index has been everywhere.
            return added == u16::MAX || need_event(event, new, new.wrapping_sub(added));
        }
        let flags = used.load_u16(spec::RING_FLAGS, Ordering::Relaxed);
        added > 0 && flags & spec::USED_F_NO_NOTIFY == 0
    }

    #[inline]
    pub(super) fn is_waiting(&self, memory: &DmaRegion) -> Result<bool, RingError> {
        if self.seen_used != self.next_used {
            return Ok(true);
        }
        Ok(self.used_index(&memory.view(self.layout.used))? != self.next_used)
    }

    /// Completions of a broken ring that nobody will take. After a jump of the index nothing is known.
    pub(super) fn abandoned(&self, memory: &DmaRegion) -> u16 {
        let used = self.used_index(&memory.view(self.layout.used));
        used.map_or(0, |index| index.wrapping_sub(self.next_used))
    }

    /// The device's used index, checked.
    #[inline]
    fn used_index(&self, used: &View<'_>) -> Result<u16, RingError> {
        // Acquire: pairs with the device's publication of used.idx, so that the used elements and the
        // buffers they speak of, written before it, are seen when read after it.
        let index = used.load_u16(spec::RING_INDEX, Ordering::Acquire);
        if index.wrapping_sub(self.next_used) > self.outstanding {
            let (next, outstanding) = (self.next_used, self.outstanding);
            return Err(RingError::IndexJump { index, next, outstanding });
        }
        Ok(index)
    }

    /// The index is read again only when all it told of is taken. An element with a false id is used up.
    #[inline]
    pub(super) fn take(&mut self, used: &View<'_>) -> Result<Option<Used>, RingError> {
        if self.seen_used == self.next_used {
            self.seen_used = self.used_index(used)?;
            if self.seen_used == self.next_used {
                return Ok(None);
            }
        }
        let completion = match self.order.as_mut().and_then(Order::next) {
            Some(completion) => completion,
            None => match self.element(used) {
                Ok(element) => self.first_of(element)?,
                Err(error) => {
                    self.next_used = self.next_used.wrapping_add(1);
                    return Err(error);
                }
            },
        };
        self.next_used = self.next_used.wrapping_add(1);
        self.owned[usize::from(completion.id)] = false;
        self.outstanding -= 1;
        Ok(Some(completion))
    }

    /// The slot of the completion after `ahead` others, of those that the index told of.
    #[inline]
    pub(super) fn slot_ahead(&self, used: &View<'_>, ahead: u16) -> Option<u16> {
        if self.seen_used.wrapping_sub(self.next_used) <= ahead {
            return None;
        }
        let entry = usize::from(self.next_used.wrapping_add(ahead) & (self.layout.size - 1));
        let element = used.read_u64(spec::RING_ENTRIES + entry * spec::USED_ELEMENT_BYTES);
        Some((element as u32 >> self.shift) as u16).filter(|slot| self.is_slot(*slot))
    }

    #[inline]
    fn is_slot(&self, slot: u16) -> bool {
        usize::from(slot) < self.owned.len()
    }

    /// The next used element, its id checked.
    #[inline]
    fn element(&self, used: &View<'_>) -> Result<Used, RingError> {
        let entry = usize::from(self.next_used & (self.layout.size - 1));
        // One load for both halves: the device may change them while we look, so each is read once.
        let element = used.read_u64(spec::RING_ENTRIES + entry * spec::USED_ELEMENT_BYTES);
        let (id, len) = (element as u32, (element >> 32) as u32);
        if id >= u32::from(self.layout.size) {
            return Err(RingError::UnknownId { id, size: self.layout.size });
        }
        // Below the ring's size, so it fits.
        let slot = (id >> self.shift) as u16;
        let is_head = id == u32::from(slot) << self.shift;
        match self.owned.get(usize::from(slot)) {
            Some(true) if is_head => Ok(Used { id: slot, len }),
            _ => Err(RingError::DuplicateId { id }),
        }
    }

    /// The chain that the element completes first. In order, one element may stand for several chains;
    /// the next one is as many entries further on (2.7.9).
    #[inline]
    fn first_of(&mut self, element: Used) -> Result<Used, RingError> {
        let Some(order) = &mut self.order else { return Ok(element) };
        let (batch, used) = (order.batch(element.id), self.seen_used.wrapping_sub(self.next_used));
        if batch > used {
            let id = u32::from(element.id) << self.shift;
            return Err(RingError::BatchTooLong { id, batch, used });
        }
        Ok(order.start(element))
    }

    #[inline]
    pub(super) fn arm(&self, memory: &DmaRegion) {
        let available = memory.view(self.layout.available);
        // Relaxed: the fence below is what orders it.
        if self.agreed.event_index {
            available.store_u16(self.used_event_at(), self.next_used, Ordering::Relaxed);
        } else {
            available.store_u16(spec::RING_FLAGS, 0, Ordering::Relaxed);
        }
        // Between the store of our wish and the caller's load of used.idx: the mirror image of
        // `kick_wanted`.
        peer_fence();
    }

    #[inline]
    pub(super) fn suppress(&self, memory: &DmaRegion) {
        let available = memory.view(self.layout.available);
        // Relaxed: nothing depends on when the device sees it.
        if self.agreed.event_index {
            // Half the index space away is beyond all that the device can publish, as a ring has at
            // most half of it; flags must stay 0 with EVENT_IDX (2.7.7.1).
            let far = self.next_used ^ 0x8000;
            available.store_u16(self.used_event_at(), far, Ordering::Relaxed);
        } else {
            available.store_u16(spec::RING_FLAGS, spec::AVAIL_F_NO_INTERRUPT, Ordering::Relaxed);
        }
    }

    fn used_event_at(&self) -> usize {
        spec::RING_ENTRIES + usize::from(self.layout.size) * spec::AVAIL_ENTRY_BYTES
    }

    fn avail_event_at(&self) -> usize {
        spec::RING_ENTRIES + usize::from(self.layout.size) * spec::USED_ELEMENT_BYTES
    }
}

#[inline]
fn write(table: &View<'_>, id: u16, descriptor: &Descriptor, next: u16) {
    let at = usize::from(id) * spec::DESCRIPTOR_BYTES;
    table.write_u64(at, descriptor.address);
    table.write_u64(at + 8, Descriptor::word(descriptor.len, descriptor.flags, next));
}
