//! Writing used descriptors: everything of a batch first, and last the flags of its first one, which is where
//! the driver looks (2.8.2, 2.8.9).

use super::super::access::View;
use super::{Cursor, Packed};
use crate::ring::{False, RingFault, Used, WRONG_ID};
use crate::spec::ring::{
    DESC_F_WRITE, DESCRIPTOR_LEN, PACKED_FLAGS_AT, PACKED_ID_AT, PACKED_LEN_AT,
};
use std::sync::atomic::Ordering;
use vm_memory::GuestMemory;

const LEN: usize = PACKED_LEN_AT as usize;
const FLAGS: usize = PACKED_FLAGS_AT as usize;
const _: () = assert!(LEN == 8 && PACKED_ID_AT == 12 && FLAGS == 14, "they share a le64");

/// Length, id and flags of a used descriptor still to be stored, and where.
type Element = (usize, u64);

impl Packed {
    /// A used descriptor for each chain.
    #[inline(always)]
    pub(super) fn put_all<G: GuestMemory>(
        &mut self,
        memory: &G,
        used: &[Used],
    ) -> Result<(), RingFault> {
        let view = self.view(memory);
        let mut first = None;
        for Used { head, len } in used {
            let element = self.element(*head, *len);
            match first {
                None => first = Some(element),
                // Relaxed: the first one's store orders it.
                Some(_) => self.store(&view, element, Ordering::Relaxed)?,
            }
            let count = self.land(*head);
            self.pass(count);
        }
        // Release: who sees these flags also sees the whole batch, and what it speaks of.
        first.map_or(Ok(()), |element| self.store(&view, element, Ordering::Release))
    }

    /// Of chains used in order the last stands for all, if there is nothing to say of the others (2.8.8).
    pub(super) fn put_last<G: GuestMemory>(
        &mut self,
        memory: &G,
        used: &[Used],
    ) -> Result<(), RingFault> {
        let Some(last) = used.last() else { return Ok(()) };
        let view = self.view(memory);
        let element = self.element(last.head, last.len);
        for Used { head, .. } in used {
            let count = self.land(*head);
            self.pass(count);
        }
        self.store(&view, element, Ordering::Release)
    }

    /// A used descriptor that is a lie.
    pub(super) fn put_lie<G: GuestMemory>(
        &mut self,
        memory: &G,
        element: False,
    ) -> Result<(), RingFault> {
        let view = self.view(memory);
        match element {
            False::WrongId(len) => {
                self.store(&view, self.element(WRONG_ID, len), Ordering::Release)?;
                // It stands where that of the oldest chain should.
                self.oldest.advance(self.counts[usize::from(self.oldest.place())]);
            }
            False::Stale => {
                // Only the flags: the rest is what was there.
                let flags = self.used.used_flags() | DESC_F_WRITE;
                let stored = view.store(self.offset() + FLAGS, flags, Ordering::Release);
                stored.ok_or_else(|| self.fault())?;
            }
        }
        self.pass(1);
        Ok(())
    }

    fn offset(&self) -> usize {
        usize::from(self.used.place()) * DESCRIPTOR_LEN as usize
    }

    /// The next used descriptor, all but its address, which is not the device's to write.
    #[inline(always)]
    fn element(&self, id: u16, len: u32) -> Element {
        let wrote = if len > 0 { DESC_F_WRITE } else { 0 };
        let flags = self.used.used_flags() | wrote;
        (self.offset() + LEN, u64::from(len) | u64::from(id) << 32 | u64::from(flags) << 48)
    }

    #[inline(always)]
    fn store<G: GuestMemory>(
        &self,
        view: &View<'_, G>,
        (at, element): Element,
        order: Ordering,
    ) -> Result<(), RingFault> {
        view.store_long(at, element, order).ok_or_else(|| self.fault())
    }

    #[cold]
    fn fault(&self) -> RingFault {
        RingFault::memory("a descriptor", self.at(self.used.place()))
    }

    /// Goes on behind the used descriptor of a chain that has `count`.
    #[inline(always)]
    fn pass(&mut self, count: u16) {
        self.used.advance(count);
        // A completion that is a lie stands for no chain.
        self.in_flight = self.in_flight.saturating_sub(count);
        self.added = self.added.saturating_add(count).min(self.setup.size);
    }

    /// How many descriptors the chain with this id takes, which is the oldest in flight unless there were
    /// lies.
    #[inline(always)]
    fn land(&mut self, id: u16) -> u16 {
        let (count, oldest) = self.chain_at(self.oldest);
        if oldest == id && self.oldest != self.fetched {
            self.oldest.advance(count);
            return count;
        }
        self.land_later(id)
    }

    /// The same among all in flight: those before it will not be used any more. One that is not in flight
    /// is a lie and takes 1.
    #[cold]
    fn land_later(&mut self, id: u16) -> u16 {
        let mut at = self.oldest;
        // After lies the driver may have overwritten what is walked here.
        for _ in 0..self.setup.size {
            if at == self.fetched {
                break;
            }
            let (count, other) = self.chain_at(at);
            at.advance(count);
            if other == id {
                self.oldest = at;
                return count;
            }
        }
        1
    }

    /// Descriptors and id of the chain in flight that begins here; the id is that of its last descriptor.
    #[inline(always)]
    fn chain_at(&self, start: Cursor) -> (u16, u16) {
        // At least 1, at most the size.
        let count = self.counts[usize::from(start.place())];
        let mut last = start;
        last.advance(count - 1);
        (count, self.copies[usize::from(last.place())].id)
    }
}
