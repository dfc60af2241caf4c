//! Looking at descriptors, and reading those that are available ahead.

use super::super::access::{Access, View};
use super::{Cursor, Descriptor, Packed};
use crate::ring::{ChainFault, RingFault};
use crate::spec::ring::{
    DESC_F_AVAIL, DESC_F_NEXT, DESC_F_USED, DESCRIPTOR_LEN, PACKED_FLAGS_AT, PACKED_ID_AT,
    PACKED_LEN_AT,
};
use std::sync::atomic::Ordering;

impl Packed {
    /// Reads ahead until there are `enough` chains or no more available descriptors; the chains ahead.
    #[inline(never)]
    pub(super) fn read_ahead<G: Access>(
        &mut self,
        memory: &G,
        enough: u16,
    ) -> Result<u16, RingFault> {
        let view = self.view(memory);
        // Locals for what changes with each descriptor: with the fields a frame costs a third more.
        let (mut seen, mut chains, mut open) = (self.seen, self.chains, self.open);
        let room = self.setup.size.saturating_sub(self.in_flight + self.ahead);
        let mut read = 0;
        let mut result = Ok(());
        while chains < enough && read < room {
            match copy(&view, seen) {
                Ok(Some(descriptor)) => {
                    self.copies[usize::from(seen.place())] = descriptor;
                    seen.advance(1);
                    read += 1;
                    open = descriptor.flags & DESC_F_NEXT != 0;
                    chains += u16::from(!open);
                }
                Ok(None) => break,
                Err(fault) => {
                    result = Err(fault);
                    break;
                }
            }
        }
        (self.seen, self.chains, self.open) = (seen, chains, open);
        self.ahead += read;
        result?;
        self.check_end()
    }

    /// Chains that could be fetched, without reading more of them than it takes to know.
    pub(super) fn count<G: Access>(&self, memory: &G) -> Result<u16, RingFault> {
        let view = self.view(memory);
        let (mut chains, mut ahead) = (self.chains, self.in_flight + self.ahead);
        let mut seen = self.seen;
        while ahead < self.setup.size
            && let Some(flags) = available(&view, seen)?
        {
            seen.advance(1);
            ahead += 1;
            chains += u16::from(flags & DESC_F_NEXT == 0);
        }
        Ok(chains)
    }

    /// The driver makes the first descriptor of a chain available last (2.8.17), so where a chain begins
    /// it also ends.
    #[inline(always)]
    fn check_end(&self) -> Result<u16, RingFault> {
        if self.chains == 0 && self.open {
            let fault = match self.in_flight + self.ahead < self.setup.size {
                true => ChainFault::Incomplete,
                false => ChainFault::Loop,
            };
            return Err(RingFault::Chain { head: self.fetched.place(), fault });
        }
        Ok(self.chains)
    }
}

const LEN: usize = PACKED_LEN_AT as usize;
const FLAGS: usize = PACKED_FLAGS_AT as usize;
const _: () = assert!(LEN == 8 && PACKED_ID_AT == 12 && FLAGS == 14, "they share a le64");

#[inline(always)]
fn offset(cursor: Cursor) -> usize {
    usize::from(cursor.place()) * DESCRIPTOR_LEN as usize
}

#[cold]
fn fault<G: Access>(view: &View<'_, G>, cursor: Cursor) -> RingFault {
    RingFault::memory("a descriptor", view.address(offset(cursor)))
}

/// The descriptor at `cursor`, if the driver has made it available.
#[inline(always)]
fn copy<G: Access>(view: &View<'_, G>, cursor: Cursor) -> Result<Option<Descriptor>, RingFault> {
    let at = offset(cursor);
    // Length, id and flags at once. Acquire, as below: the address is seen when read next.
    let rest = view.load_long(at + LEN, Ordering::Acquire).ok_or_else(|| fault(view, cursor))?;
    let [len, id, flags] = [rest, rest >> 32, rest >> 48];
    let (len, id, flags) = (len as u32, id as u16, flags as u16);
    if flags & (DESC_F_AVAIL | DESC_F_USED) != cursor.available_flags() {
        return Ok(None);
    }
    let address = view.read(at).map(u64::from_le).ok_or_else(|| fault(view, cursor))?;
    Ok(Some(Descriptor { address, len, id, flags }))
}

/// The flags of the descriptor at `cursor`, if the driver has made it available.
#[inline(always)]
fn available<G: Access>(view: &View<'_, G>, cursor: Cursor) -> Result<Option<u16>, RingFault> {
    // Acquire: pairs with the driver's store of the flags, so that the rest is seen when read next.
    let flags = view.load(offset(cursor) + FLAGS, Ordering::Acquire);
    let flags = flags.ok_or_else(|| fault(view, cursor))?;
    Ok((flags & (DESC_F_AVAIL | DESC_F_USED) == cursor.available_flags()).then_some(flags))
}
