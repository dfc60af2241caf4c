//! Writing used descriptors: everything of a batch first, and last the flags of its first one, which is where
//! the driver looks (2.8.2, 2.8.9).

use super::super::access::View;
use super::Packed;
use crate::ring::{False, RingFault, Used, WRONG_ID};
use crate::spec::ring::{
    DESC_F_WRITE, DESCRIPTOR_LEN, PACKED_FLAGS_AT, PACKED_ID_AT, PACKED_LEN_AT,
};
use std::sync::atomic::Ordering;
use vm_memory::GuestMemory;

const LEN: usize = PACKED_LEN_AT as usize;
const ID: usize = PACKED_ID_AT as usize;
const FLAGS: usize = PACKED_FLAGS_AT as usize;

/// Flags still to be stored, and where.
type Flags = (usize, u16);

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
            let flags = self.put(&view, *head, *len)?;
            match first {
                None => first = Some(flags),
                // Relaxed: the first one's store orders it.
                Some(_) => self.store_flags(&view, flags, Ordering::Relaxed)?,
            }
            let count = self.land(*head);
            self.pass(count);
        }
        // Release: who sees these flags also sees the whole batch, and what it speaks of.
        first.map_or(Ok(()), |flags| self.store_flags(&view, flags, Ordering::Release))
    }

    /// Of chains used in order the last stands for all, if there is nothing to say of the others (2.8.8).
    pub(super) fn put_last<G: GuestMemory>(
        &mut self,
        memory: &G,
        used: &[Used],
    ) -> Result<(), RingFault> {
        let Some(last) = used.last() else { return Ok(()) };
        let view = self.view(memory);
        let flags = self.put(&view, last.head, last.len)?;
        for Used { head, .. } in used {
            let count = self.land(*head);
            self.pass(count);
        }
        self.store_flags(&view, flags, Ordering::Release)
    }

    /// A used descriptor that is a lie.
    pub(super) fn put_lie<G: GuestMemory>(
        &mut self,
        memory: &G,
        element: False,
    ) -> Result<(), RingFault> {
        let view = self.view(memory);
        let flags = match element {
            False::WrongId(len) => self.put(&view, WRONG_ID, len)?,
            // Only the flags: the rest is what was there.
            False::Stale => (self.offset() + FLAGS, self.used.used_flags() | DESC_F_WRITE),
        };
        self.pass(1);
        self.store_flags(&view, flags, Ordering::Release)
    }

    fn offset(&self) -> usize {
        usize::from(self.used.place()) * DESCRIPTOR_LEN as usize
    }

    /// Writes a used descriptor but for its flags.
    #[inline(always)]
    fn put<G: GuestMemory>(
        &self,
        view: &View<'_, G>,
        id: u16,
        len: u32,
    ) -> Result<Flags, RingFault> {
        let at = self.offset();
        let wrote = if len > 0 { DESC_F_WRITE } else { 0 };
        let written = view.write(at + LEN, len.to_le()).and(view.write(at + ID, id.to_le()));
        written.ok_or_else(|| self.fault())?;
        Ok((at + FLAGS, self.used.used_flags() | wrote))
    }

    #[inline(always)]
    fn store_flags<G: GuestMemory>(
        &self,
        view: &View<'_, G>,
        (at, flags): Flags,
        order: Ordering,
    ) -> Result<(), RingFault> {
        view.store(at, flags, order).ok_or_else(|| self.fault())
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

    /// How many descriptors the chain with this id takes; one that is not in flight is a lie and takes 1.
    #[inline(always)]
    fn land(&mut self, id: u16) -> u16 {
        match self.flying.front() {
            Some((front, count)) if *front == id => {
                let count = *count;
                self.flying.pop_front();
                count
            }
            _ => self.land_out_of_order(id),
        }
    }

    #[cold]
    fn land_out_of_order(&mut self, id: u16) -> u16 {
        let place = self.flying.iter().position(|(other, _)| *other == id);
        place.and_then(|place| self.flying.remove(place)).map_or(1, |(_, count)| count)
    }
}
