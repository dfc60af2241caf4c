//! A virtqueue that can be taken over from a back-end that died: what it needs is kept in memory that outlives
//! the process (vhost-user: "Inflight I/O tracking").
//!
//! # Why no chain is marked when it is fetched
//! This device uses chains in the order in which it fetches them. So a chain that was fetched and not used still
//! lies where the driver put it, behind the last one used, and the next back-end finds it there by itself; the
//! specification says so of back-ends that work in order. What it cannot find by itself is kept:
//!
//! | ring | what is kept | why |
//! |---|---|---|
//! | split | the used index | nothing is lost without it; a back-end of another make compares it |
//! | packed | the place and wrap counter of the next used descriptor | they are nowhere in guest memory |
//! | packed | while a batch is written: what its used descriptors overwrite | the first is written last: until then the driver has seen none of them, and all are its buffers still |
//!
//! A split ring publishes a batch with one store of its index, a packed one with the flags of its first
//! descriptor. So a batch is seen or not, and frames of a batch that was not seen are the next back-end's to
//! write again, into the same buffers: none is counted by the driver twice, and no buffer is lost.
//!
//! Contract: a ring that is not tracked does nothing of this. What another back-end has left in the region is
//! taken over if it worked in order too, and refused if not: its chains cannot be told from those that it
//! has used. Not checked: a device that was made to lie about completions ([`Ring::put_false`]) has used more than it
//! fetched, and is taken over behind its lies.

mod packed;
mod split;

use super::{Chain, False, Fetched, QueueSetup, Ring, RingFault, Shape, Used, Virtqueue};
use std::fmt;
use vm_memory::GuestMemory;

/// What a queue's part of the shared memory begins at a multiple of.
pub const REGION_ALIGN: u64 = 64;

/// The only version that there is; 0 is memory that nobody has written.
const VERSION: u16 = 1;

/// A queue's part of memory that outlives this process, as words of 8 bytes in the machine's own order.
pub trait Region: fmt::Debug + Send {
    /// How many words there are.
    fn words(&self) -> usize;

    /// A word, with acquire ordering; 0 for one that there is not.
    fn load(&self, word: usize) -> u64;

    /// Stores a word at once, with release ordering.
    fn store(&self, word: usize, value: u64);
}

/// Why a queue cannot be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InflightError {
    /// The region has no room for the queue.
    Short {
        /// Words there are.
        words: usize,
        /// Words needed.
        needed: usize,
    },
    /// The region is of another version than 1.
    Version(u16),
    /// The region is of a queue of so many entries, fewer than this one has.
    Entries(u16),
    /// A place or entry in the region lies outside of the queue.
    Outside(u16),
    /// The chains in flight are not those that follow what was used: whoever left them works out of order.
    Order,
    /// The queue's ring cannot be read or written.
    Ring,
}

impl fmt::Display for InflightError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { words, needed } => {
                write!(f, "its inflight region has {words} words of 8 bytes, {needed} are needed")
            }
            Self::Version(version) => {
                write!(f, "its inflight region is of version {version}, not 1")
            }
            Self::Entries(entries) => {
                write!(f, "its inflight region is for {entries} entries, the queue has more")
            }
            Self::Outside(place) => {
                write!(f, "its inflight region names {place}, beyond the queue")
            }
            Self::Order => write!(
                f,
                "the chains in flight in its inflight region do not follow the last one used: a back-end that \
                 works out of order left them, and this one cannot take them over"
            ),
            Self::Ring => write!(f, "its ring cannot be read or written"),
        }
    }
}

/// Bytes of a queue's region, up to where the next one begins.
#[must_use]
pub fn region_len(packed: bool, entries: u16) -> u64 {
    let words = if packed { packed::words(entries) } else { split::words(entries) };
    (8 * words as u64).next_multiple_of(REGION_ALIGN)
}

/// A virtqueue, tracked.
#[derive(Debug)]
pub struct Tracked {
    ring: Virtqueue,
    region: Box<dyn Region>,
    /// The used index of a split ring.
    used: u16,
    /// Places of a packed ring whose descriptors are kept while a batch is written.
    kept: Vec<u16>,
}

impl Tracked {
    /// Goes on where the region says, or at `base` if nobody has written it. `entries` is what the region was
    /// made for.
    pub(crate) fn resume<G: GuestMemory>(
        ring: Virtqueue,
        memory: &G,
        setup: &QueueSetup,
        base: u32,
        entries: u16,
        region: Box<dyn Region>,
    ) -> Result<Self, ResumeError> {
        let mut tracked = Self { ring, region, used: 0, kept: Vec::new() };
        match tracked.ring {
            Virtqueue::Packed(_) => tracked.resume_packed(memory, setup, base, entries)?,
            _ => tracked.resume_split(memory, setup, base, entries)?,
        }
        Ok(tracked)
    }

    /// Whether somebody has written the region, for a queue of this size. `header` holds version and entries in
    /// its first two fields.
    fn is_used(
        &self,
        header: u64,
        size: u16,
        words: fn(u16) -> usize,
    ) -> Result<bool, InflightError> {
        let [version, entries, ..] = fields(header);
        let check = |entries: u16| match (self.region.words(), words(entries)) {
            (words, needed) if words < needed => Err(InflightError::Short { words, needed }),
            _ => Ok(()),
        };
        match version {
            0 => check(size).map(|()| false),
            VERSION if entries < size => Err(InflightError::Entries(entries)),
            VERSION => check(entries).map(|()| true),
            other => Err(InflightError::Version(other)),
        }
    }
}

/// Why a queue does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResumeError {
    /// There is no such place.
    Base,
    /// The region.
    Inflight(InflightError),
}

impl From<InflightError> for ResumeError {
    fn from(error: InflightError) -> Self {
        Self::Inflight(error)
    }
}

/// A word's four fields of 2 bytes, in the order of a C structure.
fn fields(word: u64) -> [u16; 4] {
    let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
    [[a, b], [c, d], [e, f], [g, h]].map(u16::from_ne_bytes)
}

/// The word of these fields.
fn word(fields: [u16; 4]) -> u64 {
    let [[a, b], [c, d], [e, f], [g, h]] = fields.map(u16::to_ne_bytes);
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

/// The first byte of a descriptor's first word: it is in flight.
fn in_flight(word: u64) -> bool {
    word.to_ne_bytes()[0] != 0
}

impl Ring for Tracked {
    fn size(&self) -> u16 {
        self.ring.size()
    }

    fn available<G: GuestMemory>(&self, memory: &G) -> Result<u16, RingFault> {
        self.ring.available(memory)
    }

    fn look<G: GuestMemory>(&mut self, memory: &G) -> Result<u16, RingFault> {
        self.ring.look(memory)
    }

    // Not inlined: this is a virtqueue within a virtqueue.
    #[inline(never)]
    fn fetch<G: GuestMemory>(
        &mut self,
        memory: &G,
        shape: Shape,
        need: u32,
        chain: &mut Chain,
    ) -> Result<Fetched, RingFault> {
        self.ring.fetch(memory, shape, need, chain)
    }

    fn unfetch(&mut self) {
        self.ring.unfetch();
    }

    #[inline(never)]
    fn put_used<G: GuestMemory>(&mut self, memory: &G, used: &[Used]) -> Result<(), RingFault> {
        match &self.ring {
            Virtqueue::Packed(_) => self.put_packed(memory, used),
            _ => {
                self.ring.put_used(memory, used)?;
                self.published(used.len() as u16);
                Ok(())
            }
        }
    }

    #[inline(never)]
    fn put_false<G: GuestMemory>(&mut self, memory: &G, element: False) -> Result<(), RingFault> {
        self.ring.put_false(memory, element)?;
        match &self.ring {
            Virtqueue::Packed(_) => self.commit(),
            _ => self.published(1),
        }
        Ok(())
    }

    #[inline(never)]
    fn wants_interrupt<G: GuestMemory>(&self, memory: &G) -> Result<bool, RingFault> {
        self.ring.wants_interrupt(memory)
    }

    #[inline(never)]
    fn settle(&mut self) {
        self.ring.settle();
    }

    fn set_kicks<G: GuestMemory>(&mut self, memory: &G, wanted: bool) -> Result<bool, RingFault> {
        self.ring.set_kicks(memory, wanted)
    }

    fn base(&self) -> u32 {
        self.ring.base()
    }

    fn resume<G: GuestMemory>(&mut self, memory: &G, base: u32) -> bool {
        self.ring.resume(memory, base)
    }
}
