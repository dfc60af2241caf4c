//! A packed virtqueue (2.8), which `virtio-queue` does not have.
//!
//! ```text
//!   descriptors:   f f f f r r r a a . . u u     f: in flight, its chain is fetched
//!                  |       |     |               r: read ahead    a: available, not looked at yet
//!   used ----------+       |     |               u: used and not available again
//!   fetched ---------------+     |
//!   seen ------------------------+
//! ```
//!
//! Whose turn a descriptor is stands in two bits of its flags, against a wrap counter that turns at the end
//! of the ring (2.8.1). The flags are looked at with acquire ordering; what they make available is copied at
//! once, and only the copy counts from then on: nothing is read twice. One look copies as many chains as it
//! finds, up to a bound; a chain is validated when it is fetched.
//!
//! A used descriptor takes the place of the first of its chain, so the device writes its own from `used` on
//! and goes on by as many descriptors as the chain had (2.8.6). Of a batch the first descriptor's flags are
//! stored last, with release ordering: the driver cannot look past it.
//!
//! Not checked: buffer ids. They are the driver's own (2.8.1), any will do, and come back as they were.

mod ahead;
mod chain;
mod cursor;
mod used;

use super::access::{self, Access, View, direct};
use super::validate::{Only, only};
use super::{Chain, False, Fetched, QueueSetup, Ring, RingFault, Shape, Used, prefetch};
use crate::spec::ring::{
    DESCRIPTOR_LEN, EVENT_DESC, EVENT_DISABLE, EVENT_ENABLE, EVENT_FLAGS, descriptor_table_len,
};
use chain::read_chain;
use cursor::{Cursor, need_event};
use std::sync::atomic::{Ordering, fence};
use vm_memory::{Bytes, GuestAddress, GuestMemory, Permissions};

/// Chains that one fetch reads ahead.
const AHEAD: u16 = 64;

/// What may be used of the ring features.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agreed {
    pub(crate) event_idx: bool,
    pub(crate) indirect: bool,
    pub(crate) in_order: bool,
}

/// A packed virtqueue in use.
#[derive(Debug)]
pub struct Packed {
    setup: QueueSetup,
    agreed: Agreed,
    /// Copies of the descriptors from `used` to `seen`, by place.
    copies: Vec<Descriptor>,
    /// Where the next used descriptor goes.
    used: Cursor,
    /// Where the next chain to fetch starts.
    fetched: Cursor,
    /// Where the next descriptor to look at is.
    seen: Cursor,
    /// Descriptors from `used` to `fetched`, and from `fetched` to `seen`.
    in_flight: u16,
    ahead: u16,
    /// Whole chains among those ahead.
    chains: u16,
    /// The last descriptor ahead says that its chain goes on.
    open: bool,
    /// Bytes to write of the next chain, once it was found too small: it need not be validated again to say
    /// so again.
    too_small: Option<u32>,
    /// Where the oldest chain in flight starts: at `used`, unless completions were lies.
    oldest: Cursor,
    /// Descriptors of each chain in flight, by the place of its first and of its last.
    counts: Vec<u16>,
    /// Descriptors used since the last interrupt was sent or not wanted: a lap at most, as places of
    /// different laps have the same names.
    added: u16,
}

/// What a descriptor said when it was read.
#[derive(Clone, Copy, Debug, Default)]
struct Descriptor {
    address: u64,
    len: u32,
    id: u16,
    flags: u16,
}

impl Packed {
    /// The queue of a setup that was validated.
    pub(crate) fn new(setup: &QueueSetup, agreed: Agreed) -> Self {
        let start = Cursor::start(setup.size);
        Self {
            setup: *setup,
            agreed,
            copies: vec![Descriptor::default(); setup.size.into()],
            used: start,
            fetched: start,
            seen: start,
            in_flight: 0,
            ahead: 0,
            chains: 0,
            open: false,
            too_small: None,
            oldest: start,
            counts: vec![1; setup.size.into()],
            added: 0,
        }
    }

    fn at(&self, place: u16) -> u64 {
        // The ring was checked to lie in memory when the queue was set up: no overflow.
        self.setup.descriptor_table + u64::from(place) * DESCRIPTOR_LEN
    }

    /// The descriptor ring, translated.
    #[inline(always)]
    fn view<'m, G: Access>(&self, memory: &'m G) -> View<'m, G> {
        // At most 512 KiB.
        let len = descriptor_table_len(self.setup.size) as usize;
        View::new(memory, self.setup.descriptor_table, len, Permissions::ReadWrite)
    }

    /// Takes the next chain out of those ahead, of which there is one.
    #[inline(always)]
    fn take<G: Access>(
        &mut self,
        memory: &G,
        shape: Shape,
        chain: &mut Chain,
    ) -> Result<u16, RingFault> {
        let first = usize::from(self.fetched.place());
        let Descriptor { address, len, id, flags } = self.copies[first];
        let only = only(memory, (address, len), flags, shape);
        let count = if let Some(Only { segment, writable }) = only {
            chain.set_only(id, segment, writable);
            self.counts[first] = 1;
            1
        } else {
            let (copies, indirect) = (&self.copies, self.agreed.indirect);
            let count = read_chain(memory, copies, self.fetched, indirect, shape, chain)?;
            let mut last = self.fetched;
            last.advance(count - 1);
            self.counts[first] = count;
            self.counts[usize::from(last.place())] = count;
            count
        };
        self.fetched.advance(count);
        self.in_flight += count;
        self.ahead -= count;
        self.chains -= 1;
        Ok(count)
    }

    /// Tells where the used descriptors of the oldest `chains` chains in flight go, and what was read there:
    /// place, address, length, id and flags. Where the next one goes then, as an event suppression structure
    /// names it.
    pub(super) fn span(&self, chains: usize, mut tell: impl FnMut(u16, u64, u32, [u16; 2])) -> u16 {
        let (mut at, mut chain) = (self.used, self.oldest);
        for _ in 0..chains {
            let Descriptor { address, len, id, flags } = self.copies[usize::from(at.place())];
            tell(at.place(), address, len, [id, flags]);
            let count = self.counts[usize::from(chain.place())];
            at.advance(count);
            chain.advance(count);
        }
        at.event()
    }

    /// When the driver wants an interrupt: a place, and the flags that say what it means.
    fn wish<G: Access>(&self, memory: &G) -> Result<(u16, u16), RingFault> {
        let at = self.setup.available_ring;
        // Both fields with one load, as they belong together.
        let wish = memory
            .load::<u32>(GuestAddress(at), Ordering::Relaxed)
            .map(u32::from_le)
            .map_err(|_| RingFault::memory("the driver's event suppression", at))?;
        Ok((wish as u16, (wish >> 16) as u16 & EVENT_FLAGS))
    }
}

impl Ring for Packed {
    fn size(&self) -> u16 {
        self.setup.size
    }

    fn available<G: GuestMemory>(&self, memory: &G) -> Result<u16, RingFault> {
        direct!(memory => self.count(memory))
    }

    #[inline(always)]
    fn look<G: GuestMemory>(&mut self, memory: &G) -> Result<u16, RingFault> {
        direct!(memory => self.read_ahead(memory, u16::MAX))
    }

    #[inline(always)]
    fn fetch<G: GuestMemory>(
        &mut self,
        memory: &G,
        shape: Shape,
        need: u32,
        chain: &mut Chain,
    ) -> Result<Fetched, RingFault> {
        if self.chains == 0 && direct!(memory => self.read_ahead(memory, AHEAD))? == 0 {
            return Ok(Fetched::Empty);
        }
        if let Some(capacity) = self.too_small.filter(|capacity| *capacity < need) {
            return Ok(Fetched::TooSmall { capacity });
        }
        direct!(memory => self.take(memory, shape, chain))?;
        self.too_small = None;
        if usize::from(self.chains) > prefetch::CHAINS_AHEAD {
            let mut soon = self.fetched;
            soon.advance(prefetch::CHAINS_AHEAD as u16);
            let Descriptor { address, len, .. } = self.copies[usize::from(soon.place())];
            access::prefetch(memory, address, len.min(need));
        }
        if chain.writable_len < need {
            let capacity = chain.writable_len;
            self.unfetch();
            self.too_small = Some(capacity);
            return Ok(Fetched::TooSmall { capacity });
        }
        Ok(Fetched::Chain)
    }

    fn unfetch(&mut self) {
        self.too_small = None;
        if self.oldest != self.fetched {
            self.fetched.retreat(1);
            let count = self.counts[usize::from(self.fetched.place())];
            self.fetched.retreat(count - 1);
            self.in_flight = self.in_flight.saturating_sub(count);
            self.ahead += count;
            self.chains += 1;
        }
    }

    #[inline(always)]
    fn put_used<G: GuestMemory>(&mut self, memory: &G, used: &[Used]) -> Result<(), RingFault> {
        // Nothing was written into any of them, as by a transmit queue.
        let silent = self.agreed.in_order && used.len() > 1 && used.iter().all(|u| u.len == 0);
        direct!(memory => match silent {
            true => self.put_last(memory, used),
            false => self.put_all(memory, used),
        })
    }

    fn put_false<G: GuestMemory>(&mut self, memory: &G, element: False) -> Result<(), RingFault> {
        direct!(memory => self.put_lie(memory, element))
    }

    #[inline(always)]
    fn wants_interrupt<G: GuestMemory>(&self, memory: &G) -> Result<bool, RingFault> {
        // The flags must be visible before the wish is read: the driver stores its wish and then looks at
        // the flags, so one of the two sees the other.
        fence(Ordering::SeqCst);
        let (event, flags) = direct!(memory => self.wish(memory))?;
        Ok(match flags {
            EVENT_DISABLE => false,
            EVENT_DESC if self.agreed.event_idx => {
                let (event, now) = (self.used.relative(event), self.used.place());
                need_event(event, now, now.wrapping_sub(self.added))
            }
            // Enabled, or without a meaning: an interrupt too many does no harm.
            _ => true,
        })
    }

    #[inline(always)]
    fn settle(&mut self) {
        self.added = 0;
    }

    fn set_kicks<G: GuestMemory>(&mut self, memory: &G, wanted: bool) -> Result<bool, RingFault> {
        let (event, flags) = match (wanted, self.agreed.event_idx) {
            (false, _) => (0, EVENT_DISABLE),
            (true, false) => (0, EVENT_ENABLE),
            (true, true) => (self.seen.event(), EVENT_DESC),
        };
        let at = self.setup.used_ring;
        let wish = u32::from(event) | u32::from(flags) << 16;
        memory
            .store(wish.to_le(), GuestAddress(at), Ordering::Relaxed)
            .map_err(|_| RingFault::memory("the device's event suppression", at))?;
        if !wanted {
            return Ok(false);
        }
        // Between the store of the wish and the look at the ring: the mirror image of the driver's.
        fence(Ordering::SeqCst);
        Ok(self.look(memory)? > 0)
    }

    fn base(&self) -> u32 {
        u32::from(self.fetched.event()) | u32::from(self.used.event()) << 16
    }

    fn resume<G: GuestMemory>(&mut self, _memory: &G, base: u32) -> bool {
        // Chains are used in the order fetched, so nothing was in flight, and the upper half says the same
        // or, from some front-ends, nothing.
        let Some(at) = Cursor::at_event(base as u16, self.setup.size) else { return false };
        (self.fetched, self.seen, self.used, self.oldest) = (at, at, at, at);
        true
    }
}
