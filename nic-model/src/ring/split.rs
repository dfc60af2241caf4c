//! The split ring, up to 64 chains in a pass.
//!
//! A pass loads the available index once, translates the available ring and the descriptor table once, and
//! reads and validates every chain it takes. The chains wait in the ring until they are fetched, and count
//! as available until then; nothing of them is read again. A malformed one ends the pass, and is told
//! when its turn comes; so do many segments, so that neither a pass nor what it keeps can be made long.
//! Used elements go through one translated ring, and the index is stored once for all of them.
//!
//! # In order
//!
//! The ring gives chains out in the order of the available ring and the device completes them in that order,
//! each with its own element, which VIRTIO_F_IN_ORDER asks for (2.7.9). The short form, an element for the
//! last chain of a batch only, is not used: a device may leave it, and elements are cheap here.
//!
//! Not checked: what a driver changes after the pass. It may not (2.7.13), and what counts was read.

use super::access::{self, Access, View, direct};
use super::chain::Shelf;
use super::validate::{Only, Rules, read_only};
use super::{
    Chain, False, Fetched, QueueSetup, Ring, RingFault, RingFeatures, Segment, Shape, Used,
    WRONG_ID, prefetch,
};
use crate::spec::ring::{
    AVAIL_F_NO_INTERRUPT, USED_F_NO_NOTIFY, available_ring_len, descriptor_table_len, used_ring_len,
};
use std::sync::atomic::{Ordering, fence};
use vm_memory::{Bytes, GuestAddress, GuestMemory, Permissions};

/// Chains a pass takes at most.
const PASS: u16 = 64;

/// Segments of longer chains after which a pass ends.
const PASS_SEGMENTS: usize = 1024;

/// Offset of the index in both rings; the entries come at 4.
const INDEX: usize = 2;

/// A virtqueue in use.
#[derive(Debug)]
pub struct Split {
    size: u16,
    /// An index modulo the size, which is a power of two.
    mask: u16,
    table: u64,
    available: u64,
    used: u64,
    event_idx: bool,
    indirect: bool,
    /// Available entry that the next fetch takes.
    next_available: u16,
    /// Used entry that is written next.
    next_used: u16,
    /// Elements published since the last interrupt was sent or not wanted.
    unsignalled: u16,
    /// Chains of the last pass: `taken` of `filled` have been fetched.
    pass: Box<[Waiting]>,
    taken: usize,
    filled: usize,
    /// Those of more than one segment.
    longer: Shelf,
    /// One of them while it is read.
    reading: Chain,
    /// What is wrong with the chain behind them.
    fault: Option<RingFault>,
}

/// A chain of the last pass.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    /// Of its one segment; of a longer chain its number on the shelf.
    address: u64,
    /// Bytes of the segment; 0 stands for a longer chain, as no segment is empty.
    len: u32,
    head: u16,
    writable: bool,
}

impl Waiting {
    #[inline(always)]
    fn new(head: u16, Only { segment: Segment { address, len }, writable }: Only) -> Self {
        Self { address, len, head, writable }
    }
}

const _: () = assert!(size_of::<Waiting>() == 16, "four to a cache line");

impl Split {
    /// The queue of a setup that was validated.
    pub(crate) fn new(setup: &QueueSetup, agreed: RingFeatures) -> Self {
        Self {
            size: setup.size,
            // No setup without entries is valid.
            mask: setup.size.saturating_sub(1),
            table: setup.descriptor_table,
            available: setup.available_ring,
            used: setup.used_ring,
            event_idx: agreed.event_idx,
            indirect: agreed.indirect,
            next_available: 0,
            next_used: 0,
            unsignalled: 0,
            pass: vec![Waiting::default(); PASS.min(setup.size).into()].into(),
            taken: 0,
            filled: 0,
            longer: Shelf::default(),
            reading: Chain::default(),
            fault: None,
        }
    }

    /// Takes the next chains out of the rings, all of the last pass being fetched.
    #[inline(never)]
    fn take_pass<G: Access>(&mut self, memory: &G, shape: Shape) -> Result<(), RingFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.taken = 0;
        self.filled = 0;
        self.longer.clear();
        let len = available_ring_len(self.size) as usize;
        let available = View::new(memory, self.available, len, Permissions::Read);
        let offered = self.offered(available.load(INDEX, Ordering::Acquire))?;
        if offered == 0 {
            return Ok(());
        }
        let len = descriptor_table_len(self.size) as usize;
        let table = View::new(memory, self.table, len, Permissions::Read);
        let rules = Rules { size: self.size, indirect: self.indirect, shape };
        for waiting in &mut self.pass[..offered.min(PASS).into()] {
            // A pass is short: the number fits.
            let entry = self.next_available.wrapping_add(self.filled as u16) & self.mask;
            let Some(head) = available.read::<u16>(4 + 2 * usize::from(entry)) else {
                self.fault = Some(RingFault::memory("the available ring", self.available));
                break;
            };
            let head = u16::from_le(head);
            match read_only(memory, &table, head, rules, &mut self.reading) {
                Ok(Some(only)) => *waiting = Waiting::new(head, only),
                Ok(None) => {
                    let number = self.longer.put(&self.reading) as u64;
                    *waiting = Waiting { address: number, head, ..Waiting::default() };
                }
                Err(fault) => {
                    self.fault = Some(fault);
                    break;
                }
            }
            self.filled += 1;
            if self.longer.segments() > PASS_SEGMENTS {
                break;
            }
        }
        match self.fault {
            Some(fault) if self.filled == 0 => Err(fault),
            _ => Ok(()),
        }
    }

    /// Chains that the available index stands for.
    #[inline]
    fn offered(&self, index: Option<u16>) -> Result<u16, RingFault> {
        let index =
            index.ok_or_else(|| RingFault::memory("the available index", self.available))?;
        let offered = index.wrapping_sub(self.next_available);
        if offered > self.size {
            return Err(RingFault::AvailableIndex { offered, size: self.size });
        }
        Ok(offered)
    }

    #[inline]
    fn available_index<G: GuestMemory>(&self, memory: &G) -> Option<u16> {
        let at = self.available + INDEX as u64;
        load(memory, at, Ordering::Acquire)
    }

    /// Writes elements, then the index.
    #[inline(always)]
    fn put<G: Access>(
        &mut self,
        memory: &G,
        elements: impl Iterator<Item = (u32, u32)>,
    ) -> Result<(), RingFault> {
        let len = used_ring_len(self.size) as usize;
        let ring = View::new(memory, self.used, len, Permissions::ReadWrite);
        let fault = || RingFault::memory("the used ring", self.used);
        let mut next = self.next_used;
        for (id, len) in elements {
            let word = u64::from(id) | u64::from(len) << 32;
            let entry = usize::from(next & self.mask);
            ring.write(4 + 8 * entry, word.to_le()).ok_or_else(fault)?;
            next = next.wrapping_add(1);
        }
        ring.store(INDEX, next, Ordering::Release).ok_or_else(fault)?;
        self.unsignalled = self.unsignalled.saturating_add(next.wrapping_sub(self.next_used));
        self.next_used = next;
        Ok(())
    }
}

impl Ring for Split {
    #[inline]
    fn size(&self) -> u16 {
        self.size
    }

    #[inline]
    fn available<G: GuestMemory>(&self, memory: &G) -> Result<u16, RingFault> {
        self.offered(self.available_index(memory))
    }

    #[inline(always)]
    fn fetch<G: GuestMemory>(
        &mut self,
        memory: &G,
        shape: Shape,
        need: u32,
        chain: &mut Chain,
    ) -> Result<Fetched, RingFault> {
        if self.taken == self.filled {
            direct!(memory => self.take_pass(memory, shape))?;
        }
        let Some(next) = self.pass[..self.filled].get(self.taken) else {
            return Ok(Fetched::Empty);
        };
        let Waiting { address, len, head, writable } = *next;
        if len > 0 {
            let capacity = if writable { len } else { 0 };
            if capacity < need {
                return Ok(Fetched::TooSmall { capacity });
            }
            chain.set_only(head, Segment { address, len }, writable);
        } else {
            let number = address as usize;
            let capacity = self.longer.writable_len(number);
            if capacity < need {
                return Ok(Fetched::TooSmall { capacity });
            }
            self.longer.take(number, chain);
        }
        self.taken += 1;
        self.next_available = self.next_available.wrapping_add(1);
        if let Some(soon) = self.pass[..self.filled].get(self.taken + prefetch::CHAINS_AHEAD) {
            access::prefetch(memory, soon.address, soon.len.min(need));
        }
        Ok(Fetched::Chain)
    }

    fn unfetch(&mut self) {
        self.next_available = self.next_available.wrapping_sub(1);
        if self.taken > 0 {
            self.taken -= 1;
        } else {
            // It came with a pass that is gone: it and all behind it are read anew, and nothing of what was
            // read before counts.
            self.filled = 0;
            self.fault = None;
        }
    }

    #[inline(always)]
    fn put_used<G: GuestMemory>(&mut self, memory: &G, used: &[Used]) -> Result<(), RingFault> {
        let elements = used.iter().map(|used| (used.head.into(), used.len));
        direct!(memory => self.put(memory, elements))
    }

    fn put_false<G: GuestMemory>(&mut self, memory: &G, element: False) -> Result<(), RingFault> {
        let element = match element {
            False::WrongId(len) => (WRONG_ID.into(), len),
            False::Stale => {
                let entry = u64::from(self.next_used & self.mask);
                let at = GuestAddress(self.used + 4 + 8 * entry);
                let stale: Result<[u32; 2], _> = memory.read_obj(at);
                let stale = stale.map_err(|_| RingFault::memory("the used ring", self.used))?;
                (u32::from_le(stale[0]), u32::from_le(stale[1]))
            }
        };
        direct!(memory => self.put(memory, std::iter::once(element)))
    }

    #[inline(always)]
    fn wants_interrupt<G: GuestMemory>(&self, memory: &G) -> Result<bool, RingFault> {
        // The used index must be visible before the wish is read: the driver states its wish and then looks
        // at the index, so one of the two sees the other.
        fence(Ordering::SeqCst);
        let fault = || RingFault::memory("the available ring", self.available);
        if !self.event_idx {
            let flags = load(memory, self.available, Ordering::Relaxed).ok_or_else(fault)?;
            return Ok(flags & AVAIL_F_NO_INTERRUPT == 0);
        }
        let at = self.available + available_ring_len(self.size) - 2;
        let used_event = load(memory, at, Ordering::Relaxed).ok_or_else(fault)?;
        // 2.7.10: is the element at `used_event` among those published?
        Ok(self.next_used.wrapping_sub(used_event).wrapping_sub(1) < self.unsignalled)
    }

    #[inline(always)]
    fn settle(&mut self) {
        self.unsignalled = 0;
    }

    fn set_kicks<G: GuestMemory>(&mut self, memory: &G, wanted: bool) -> Result<bool, RingFault> {
        let (at, value) = match (self.event_idx, wanted) {
            (true, true) => (used_ring_len(self.size) - 2, self.next_available),
            // An event that is not moved on is past, and asks for nothing (2.7.10).
            (true, false) => return Ok(false),
            (false, _) => (0, if wanted { 0 } else { USED_F_NO_NOTIFY }),
        };
        direct!(memory => {
            View::new(memory, self.used + at, 2, Permissions::ReadWrite).store(
                0,
                value,
                Ordering::Relaxed,
            )
        })
        .ok_or_else(|| RingFault::memory("the used ring", self.used))?;
        if !wanted {
            return Ok(false);
        }
        // The wish must be visible before the index is read.
        fence(Ordering::SeqCst);
        let index = self.available_index(memory);
        let index =
            index.ok_or_else(|| RingFault::memory("the available index", self.available))?;
        Ok(index != self.next_available)
    }

    fn base(&self) -> u32 {
        self.next_available.into()
    }

    fn resume<G: GuestMemory>(&mut self, memory: &G, base: u32) -> bool {
        let used = memory.load::<u16>(GuestAddress(self.used + INDEX as u64), Ordering::Relaxed);
        let (Ok(available), Ok(used)) = (u16::try_from(base), used) else { return false };
        (self.next_available, self.next_used) = (available, u16::from_le(used));
        true
    }
}

#[inline(always)]
fn load<G: GuestMemory>(memory: &G, address: u64, order: Ordering) -> Option<u16> {
    direct!(memory => View::new(memory, address, 2, Permissions::Read).load(0, order))
}
