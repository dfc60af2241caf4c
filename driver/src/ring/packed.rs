//! A packed virtqueue (virtio 1.x section 2.8).
//!
//! ```text
//!   descriptors, written by both in turn:   U U a a a a U U     a: available, the device owns it
//!                                               |       |       U: used, or never made available
//!                        next_used, used_wrap --+       +-- next_available, available_wrap
//! ```
//!
//! Whose turn it is stands in two bits of a descriptor's flags: the driver makes it available with AVAIL =
//! its wrap counter and USED = the inverse; the device uses it with both = the wrap counter. The counters
//! start at 1 and turn at the end of the ring. A used descriptor overwrites the first of its chain; the
//! next one is as many descriptors further on as the chain had (2.8.6).
//!
//! Contract: what a chain consists of is kept here, as the device overwrites the ring. Of a descriptor
//! the driver reads flags first, and id and length only if the flags say that it is used.

use std::sync::atomic::Ordering;

use crate::dma::{DmaRegion, View, peer_fence};
use crate::layout::RingLayout;
use crate::ring::order::Order;
use crate::ring::table::{Descriptor, write_indirect};
use crate::ring::{Buffer, RingError, RingFeatures, Used, need_event};
use crate::spec;

#[derive(Debug)]
pub(super) struct Packed {
    layout: RingLayout,
    agreed: RingFeatures,
    /// Where the next descriptor is made available, and where the next used one is expected.
    available: Cursor,
    used: Cursor,
    /// Descriptors made available since the last decision on kicking.
    added: u16,
    /// Chains the device owns.
    outstanding: u16,
    chains: Vec<Chain>,
    /// `stride` descriptors per slot.
    descriptors: Vec<Descriptor>,
    stride: usize,
    /// With IN_ORDER.
    order: Option<Order>,
    /// A descriptor was used under a false id: where the next one is can be told only if each chain takes
    /// one.
    astray: bool,
}

/// A place in the ring, and the wrap counter there.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    at: u16,
    wrap: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    /// Descriptors it takes in the ring.
    len: u16,
    /// The device owns it.
    owned: bool,
}

impl Packed {
    pub(super) fn new(layout: RingLayout, agreed: RingFeatures) -> Self {
        let stride = if agreed.indirect { 1 } else { layout.chain.next_power_of_two() };
        let slots = layout.size / stride;
        let start = Cursor { at: 0, wrap: true };
        Self {
            layout,
            agreed,
            available: start,
            used: start,
            added: 0,
            outstanding: 0,
            chains: vec![Chain::default(); slots.into()],
            descriptors: vec![Descriptor::default(); usize::from(slots) * usize::from(stride)],
            stride: stride.into(),
            order: agreed.in_order.then(|| Order::new(slots)),
            astray: false,
        }
    }

    pub(super) fn slots(&self) -> u16 {
        self.chains.len() as u16
    }

    pub(super) fn outstanding(&self) -> u16 {
        self.outstanding
    }

    #[inline]
    pub(super) fn describe(&mut self, memory: &DmaRegion, slot: u16, buffers: &[Buffer]) {
        let first = usize::from(slot) * self.stride;
        let chain = &mut self.chains[usize::from(slot)];
        if self.agreed.indirect && buffers.len() > 1 {
            self.descriptors[first] = write_indirect(memory, &self.layout, slot, buffers, true);
            chain.len = 1;
        } else {
            for (place, buffer) in buffers.iter().enumerate() {
                self.descriptors[first + place] = Descriptor::of(buffer, place + 1 < buffers.len());
            }
            chain.len = buffers.len() as u16;
        }
        if let Some(order) = &mut self.order {
            order.describe(slot, buffers);
        }
    }

    /// Everything first, then the flags of the first descriptor of all: the device cannot look past it.
    #[inline]
    pub(super) fn publish(&mut self, memory: &DmaRegion, slots: &[u16]) {
        let ring = memory.view(self.layout.table);
        let mut head = None;
        for slot in slots {
            let chain = &mut self.chains[usize::from(*slot)];
            chain.owned = true;
            let first = usize::from(*slot) * self.stride;
            for descriptor in &self.descriptors[first..first + usize::from(chain.len)] {
                let at = usize::from(self.available.at) * spec::DESCRIPTOR_BYTES;
                let flags = descriptor.flags | self.available.available_flags();
                ring.write_u64(at, descriptor.address);
                if head.is_some() {
                    ring.write_u64(at + 8, Descriptor::word(descriptor.len, *slot, flags));
                } else {
                    ring.write_u32(at + spec::PACKED_LENGTH, descriptor.len);
                    ring.write_u16(at + spec::PACKED_ID, *slot);
                    head = Some((at, flags));
                }
                self.available.advance(1, self.layout.size);
            }
            // Decisions may be left out for ever.
            self.added = self.added.saturating_add(chain.len);
            if let Some(order) = &mut self.order {
                order.publish(*slot);
            }
        }
        self.outstanding += slots.len() as u16;
        if let Some((at, flags)) = head {
            // Release: who sees these flags also sees all descriptors of the batch and what they name.
            ring.store_u16(at + spec::PACKED_FLAGS, flags, Ordering::Release);
        }
    }

    #[inline]
    pub(super) fn kick_wanted(&mut self, memory: &DmaRegion) -> bool {
        let added = std::mem::take(&mut self.added);
        // Between the store of the flags and the load of what the device last wished: the device stores
        // its wish and then looks at the flags once more, so that one of the two sees the other.
        peer_fence();
        // Relaxed: the value only decides on a kick. One load for both fields, as they belong together.
        let wish = memory.view(self.layout.used).load_u32(0, Ordering::Relaxed);
        let (event, flags) = (wish as u16, (wish >> 16) as u16 & spec::EVENT_FLAGS);
        match flags {
            spec::EVENT_DISABLE => false,
            spec::EVENT_DESC if self.agreed.event_index => {
                let event = self.available.relative(event, self.layout.size);
                let at = self.available.at;
                // So many that the ring was gone round.
                added == u16::MAX || need_event(event, at, at.wrapping_sub(added))
            }
            // Enabled, or a value that has no meaning: a kick too many does no harm.
            _ => added > 0,
        }
    }

    #[inline]
    pub(super) fn is_waiting(&self, memory: &DmaRegion) -> Result<bool, RingError> {
        if self.order.as_ref().is_some_and(Order::has_more) {
            return Ok(true);
        }
        Ok(self.used_flags(&memory.view(self.layout.table))?.is_some())
    }

    /// The flags of the next descriptor, if it is used.
    #[inline]
    fn used_flags(&self, ring: &View<'_>) -> Result<Option<u16>, RingError> {
        let at = usize::from(self.used.at) * spec::DESCRIPTOR_BYTES;
        // Acquire: pairs with the device's store of the flags, so that id, length and the buffers they
        // speak of, written before it, are seen when read after it.
        let flags = ring.load_u16(at + spec::PACKED_FLAGS, Ordering::Acquire);
        let both = spec::DESC_F_BOTH;
        // What is there until the device uses it: as the driver made it available, or, in a ring
        // without chains, as either side left it one round before.
        let untouched = match self.outstanding {
            0 => (flags ^ self.used.used_flags()) & spec::DESC_F_AVAIL != 0,
            _ => flags & both == self.used.available_flags(),
        };
        if flags & both == self.used.used_flags() {
            Ok(Some(flags))
        } else if untouched {
            Ok(None)
        } else {
            Err(RingError::DescriptorFlags { position: self.used.at, flags })
        }
    }

    #[inline]
    pub(super) fn take(&mut self, ring: &View<'_>) -> Result<Option<Used>, RingError> {
        let completion = match self.order.as_mut().and_then(Order::next) {
            Some(completion) => completion,
            None => match self.used_flags(ring)? {
                Some(flags) => self.descriptor(ring, flags).inspect_err(|_| self.go_astray())?,
                None => return Ok(None),
            },
        };
        let chain = &mut self.chains[usize::from(completion.id)];
        chain.owned = false;
        self.used.advance(chain.len, self.layout.size);
        self.outstanding -= 1;
        Ok(Some(completion))
    }

    /// The slot of the completion after `ahead` others, if the device has used it and each chain takes one descriptor.
    #[inline]
    pub(super) fn slot_ahead(&self, ring: &View<'_>, ahead: u16) -> Option<u16> {
        if self.stride > 1 || self.outstanding <= ahead {
            return None;
        }
        let mut there = self.used;
        there.advance(ahead, self.layout.size);
        let at = usize::from(there.at) * spec::DESCRIPTOR_BYTES;
        let flags = ring.load_u16(at + spec::PACKED_FLAGS, Ordering::Relaxed);
        let slot = ring.read_u16(at + spec::PACKED_ID);
        let used = flags & spec::DESC_F_BOTH == there.used_flags();
        (used && usize::from(slot) < self.chains.len()).then_some(slot)
    }

    /// Completions of a broken ring that nobody will take: as far as used descriptors with good ids go on. In
    /// order, one may stand for several, and which ones is not worth believing.
    pub(super) fn abandoned(&self, memory: &DmaRegion) -> u16 {
        if self.order.is_some() || self.astray && self.stride > 1 {
            return 0;
        }
        let ring = memory.view(self.layout.table);
        let (mut used, mut count) = (self.used, 0);
        while count < self.outstanding {
            let at = usize::from(used.at) * spec::DESCRIPTOR_BYTES;
            let flags = ring.load_u16(at + spec::PACKED_FLAGS, Ordering::Acquire);
            let chain = self.chains.get(usize::from(ring.read_u16(at + spec::PACKED_ID)));
            match chain.filter(|chain| chain.owned) {
                Some(chain) if flags & spec::DESC_F_BOTH == used.used_flags() => {
                    used.advance(chain.len, self.layout.size);
                    count += 1;
                }
                _ => break,
            }
        }
        count
    }

    /// What the next descriptor, which is used, completes first.
    #[inline]
    fn descriptor(&mut self, ring: &View<'_>, flags: u16) -> Result<Used, RingError> {
        let at = usize::from(self.used.at) * spec::DESCRIPTOR_BYTES;
        // One load for both fields, like the element of a split ring.
        let word = ring.read_u64(at + spec::PACKED_LENGTH);
        let slot = (word >> 32) as u16;
        // Without WRITE the device has written nothing, and the field means nothing (2.8.4).
        let len = if flags & spec::DESC_F_WRITE != 0 { word as u32 } else { 0 };
        let id = u32::from(slot);
        match self.chains.get(usize::from(slot)) {
            Some(chain) if chain.owned => {}
            Some(_) => return Err(RingError::DuplicateId { id }),
            None => return Err(RingError::UnknownId { id, size: self.slots() }),
        }
        let used = Used { id: slot, len };
        Ok(match &mut self.order {
            // One descriptor may stand for all chains up to this one (2.8.8).
            Some(order) => order.start(used),
            None => used,
        })
    }

    /// The descriptor at hand is used up, whatever it is.
    #[cold]
    fn go_astray(&mut self) {
        self.astray = true;
        self.used.advance(1, self.layout.size);
    }

    #[inline]
    pub(super) fn arm(&self, memory: &DmaRegion) {
        if self.agreed.event_index {
            self.wish(memory, self.used.event(), spec::EVENT_DESC);
        } else {
            self.wish(memory, 0, spec::EVENT_ENABLE);
        }
        // Between the store of our wish and the caller's load of the flags: the mirror image of
        // `kick_wanted`.
        peer_fence();
    }

    #[inline]
    pub(super) fn suppress(&self, memory: &DmaRegion) {
        self.wish(memory, 0, spec::EVENT_DISABLE);
    }

    /// Both fields with one store, as the device reads them with one load.
    #[inline]
    fn wish(&self, memory: &DmaRegion, event: u16, flags: u16) {
        let wish = u32::from(event) | u32::from(flags) << 16;
        // Relaxed: what must be ordered is ordered by a fence after it.
        memory.view(self.layout.available).store_u32(0, wish, Ordering::Relaxed);
    }
}

impl Cursor {
    #[inline]
    fn advance(&mut self, by: u16, size: u16) {
        self.at += by;
        if self.at >= size {
            self.at -= size;
            self.wrap = !self.wrap;
        }
    }

    fn available_flags(self) -> u16 {
        if self.wrap { spec::DESC_F_AVAIL } else { spec::DESC_F_USED }
    }

    fn used_flags(self) -> u16 {
        if self.wrap { spec::DESC_F_AVAIL | spec::DESC_F_USED } else { 0 }
    }

    /// The place as an event suppression structure names it.
    fn event(self) -> u16 {
        self.at | if self.wrap { spec::EVENT_WRAP } else { 0 }
    }

    /// A place named so, counted on from this round's start: one of the round before is negative.
    fn relative(self, event: u16, size: u16) -> u16 {
        let at = event & !spec::EVENT_WRAP;
        if (event & spec::EVENT_WRAP != 0) == self.wrap { at } else { at.wrapping_sub(size) }
    }
}
