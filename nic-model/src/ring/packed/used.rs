//! Writing used descriptors: everything of a batch first, and last the flags of its first one, which is where
//! the driver looks (2.8.2, 2.8.9).

use super::super::access::{Access, View};
use super::{Cursor, Packed};
use crate::ring::{False, RingFault, Used, WRONG_ID};
use crate::spec::ring::{
    DESC_F_WRITE, DESCRIPTOR_LEN, PACKED_FLAGS_AT, PACKED_ID_AT, PACKED_LEN_AT,
};
use std::sync::atomic::Ordering;

const LEN: usize = PACKED_LEN_AT as usize;
const FLAGS: usize = PACKED_FLAGS_AT as usize;
const _: () = assert!(LEN == 8 && PACKED_ID_AT == 12 && FLAGS == 14, "they share a le64");

/// Length, id and flags of a used descriptor still to be stored, and where.
type Element = (usize, u64);

impl Packed {
    /// A used descriptor for each chain.
    #[inline(always)]
    pub(super) fn put_all<G: Access>(
        &mut self,
        memory: &G,
        used: &[Used],
    ) -> Result<(), RingFault> {
        let view = self.view(memory);
        let mut first = None;
        // Locals for what changes with each element: read back from the fields it is waited for.
        let (mut at, mut oldest, mut passed) = (self.used, self.oldest, 0_u16);
        for Used { head, len } in used {
            let element = element(at, *head, *len);
            match first {
                None => first = Some(element),
                // Relaxed: the first one's store orders it.
                Some(_) => self.store(&view, element, Ordering::Relaxed)?,
            }
            let count;
            (oldest, count) = self.land(oldest, *head);
            at.advance(count);
            passed = passed.saturating_add(count);
        }
        self.oldest = oldest;
        self.pass(at, passed);
        // Release: who sees these flags also sees the whole batch, and what it speaks of.
        first.map_or(Ok(()), |element| self.store(&view, element, Ordering::Release))
    }

    /// Of chains used in order the last stands for all, if there is nothing to say of the others (2.8.8).
    pub(super) fn put_last<G: Access>(
        &mut self,
        memory: &G,
        used: &[Used],
    ) -> Result<(), RingFault> {
        let Some(last) = used.last() else { return Ok(()) };
        let view = self.view(memory);
        let element = element(self.used, last.head, last.len);
        let (mut at, mut oldest, mut passed) = (self.used, self.oldest, 0_u16);
        for Used { head, .. } in used {
            let count;
            (oldest, count) = self.land(oldest, *head);
            at.advance(count);
            passed = passed.saturating_add(count);
        }
        self.oldest = oldest;
        self.pass(at, passed);
        self.store(&view, element, Ordering::Release)
    }

    /// A used descriptor that is a lie.
    pub(super) fn put_lie<G: Access>(&mut self, memory: &G, lie: False) -> Result<(), RingFault> {
        let view = self.view(memory);
        match lie {
            False::WrongId(len) => {
                self.store(&view, element(self.used, WRONG_ID, len), Ordering::Release)?;
                // It stands where that of the oldest chain should.
                self.oldest.advance(self.counts[usize::from(self.oldest.place())]);
            }
            False::Stale => {
                // Only the flags: the rest is what was there.
                let flags = self.used.used_flags() | DESC_F_WRITE;
                let stored = view.store(offset(self.used) + FLAGS, flags, Ordering::Release);
                stored.ok_or_else(|| self.fault())?;
            }
        }
        let mut at = self.used;
        at.advance(1);
        self.pass(at, 1);
        Ok(())
    }

    #[inline(always)]
    fn store<G: Access>(
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

    /// Goes on at `at`, `count` descriptors further on.
    #[inline(always)]
    fn pass(&mut self, at: Cursor, count: u16) {
        self.used = at;
        // A completion that is a lie stands for no chain.
        self.in_flight = self.in_flight.saturating_sub(count);
        self.added = self.added.saturating_add(count).min(self.setup.size);
    }

    /// How many descriptors the chain with this id takes, which is the oldest in flight unless there were
    /// lies; and where the oldest starts then.
    #[inline(always)]
    fn land(&self, mut oldest: Cursor, id: u16) -> (Cursor, u16) {
        let (count, of_oldest) = self.chain_at(oldest);
        if of_oldest == id && oldest != self.fetched {
            oldest.advance(count);
            return (oldest, count);
        }
        self.land_later(oldest, id)
    }

    /// The same among all in flight: those before it will not be used any more. One that is not in flight
    /// is a lie and takes 1.
    #[cold]
    fn land_later(&self, oldest: Cursor, id: u16) -> (Cursor, u16) {
        let mut at = oldest;
        // After lies the driver may have overwritten what is walked here.
        for _ in 0..self.setup.size {
            if at == self.fetched {
                break;
            }
            let (count, other) = self.chain_at(at);
            at.advance(count);
            if other == id {
                return (at, count);
            }
        }
        (oldest, 1)
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

#[inline(always)]
fn offset(at: Cursor) -> usize {
    usize::from(at.place()) * DESCRIPTOR_LEN as usize
}

/// A used descriptor, all but its address, which is not the device's to write.
#[inline(always)]
fn element(at: Cursor, id: u16, len: u32) -> Element {
    let wrote = if len > 0 { DESC_F_WRITE } else { 0 };
    let flags = at.used_flags() | wrote;
    (offset(at) + LEN, u64::from(len) | u64::from(id) << 32 | u64::from(flags) << 48)
}
