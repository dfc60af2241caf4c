//! The driver's side of a split virtqueue (virtio 1.x section 2.7), for whatever its buffers hold.
//!
//! ```text
//!            driver writes                      device writes
//!   available: flags idx [id id id] used_event    used: flags idx [id,len id,len] avail_event
//!                     |                                  |
//!   next_available ---+ (shadow)          next_used -----+ (shadow)
//! ```
//!
//! Contract: everything the driver decides by is kept in the driver's own memory. The descriptor table
//! and the available ring are written and never read; from the used ring each value is read once, and
//! checked: the index against what the device owns, each id against the ring and against ownership. The
//! first broken rule ends the use of the ring; the owner of the [`Ring`] sees to that.
//! Not checked here: the length of a used element, which only the owner can judge.

pub(crate) mod rx;
pub(crate) mod tx;

use std::fmt;
use std::sync::atomic::Ordering;

use crate::dma::{DmaRegion, View, peer_fence};
use crate::layout::RingLayout;
use crate::spec;
use crate::transport::QueueSetup;

/// One descriptor, as it goes into the table.
pub(crate) struct Descriptor {
    pub(crate) address: u64,
    pub(crate) len: u32,
    pub(crate) flags: u16,
    pub(crate) next: u16,
}

/// A completion whose id is proven to be a chain that the device owned.
pub(crate) struct Used {
    pub(crate) id: u16,
    /// Bytes the device claims to have written; unchecked.
    pub(crate) len: u32,
}

#[derive(Debug)]
pub(crate) struct Ring {
    layout: RingLayout,
    event_index: bool,
    /// Index after the last entry written to the available ring.
    next_available: u16,
    /// Value of `next_available` at the last decision on kicking.
    kick_base: u16,
    /// Index of the next used element to take.
    next_used: u16,
    /// Chains the device owns.
    outstanding: u16,
    /// Per descriptor: the device owns the chain that it heads.
    owned: Vec<bool>,
}

impl Ring {
    pub(crate) fn new(layout: RingLayout) -> Self {
        Self {
            layout,
            event_index: false,
            next_available: 0,
            kick_base: 0,
            next_used: 0,
            outstanding: 0,
            owned: vec![false; layout.size.into()],
        }
    }

    /// Back to an empty ring. The device must be in reset, as it would read nonsense meanwhile.
    pub(crate) fn reset(&mut self, memory: &DmaRegion, event_index: bool) {
        for window in [self.layout.table, self.layout.available, self.layout.used] {
            memory.view(window).zero();
        }
        *self = Self { event_index, ..Self::new(self.layout) };
    }

    pub(crate) fn size(&self) -> u16 {
        self.layout.size
    }

    /// Chains the device owns.
    pub(crate) fn outstanding(&self) -> u16 {
        self.outstanding
    }

    pub(crate) fn setup(&self, memory: &DmaRegion, vector: Option<u16>) -> QueueSetup {
        QueueSetup {
            size: self.layout.size,
            descriptor_table: memory.address_of(self.layout.table),
            available_ring: memory.address_of(self.layout.available),
            used_ring: memory.address_of(self.layout.used),
            vector,
        }
    }

    /// Writes one entry of the descriptor table. The device must not own it.
    #[inline]
    pub(crate) fn describe(&self, memory: &DmaRegion, id: u16, descriptor: &Descriptor) {
        let table = memory.view(self.layout.table);
        let at = usize::from(id) * spec::DESCRIPTOR_BYTES;
        let rest = u64::from(descriptor.len)
            | u64::from(descriptor.flags) << 32
            | u64::from(descriptor.next) << 48;
        table.write_u64(at, descriptor.address);
        table.write_u64(at + 8, rest);
    }

    /// Gives the chains headed by `ids` to the device: all entries first, then the index, once.
    #[inline]
    pub(crate) fn publish(&mut self, memory: &DmaRegion, ids: &[u16]) {
        let available = memory.view(self.layout.available);
        let mask = self.layout.size - 1;
        for id in ids {
            let slot = usize::from(self.next_available & mask);
            available.write_u16(spec::RING_ENTRIES + slot * spec::AVAIL_ENTRY_BYTES, *id);
            self.owned[usize::from(*id)] = true;
            self.next_available = self.next_available.wrapping_add(1);
        }
        // At most a ring's worth of chains exists, so this cannot overflow.
        self.outstanding += ids.len() as u16;
        // Release: who sees the new index also sees the entries and the descriptors they name.
        available.store_u16(spec::RING_INDEX, self.next_available, Ordering::Release);
    }

    /// Whether the device wants to hear of what was published since the last time this was asked.
    #[inline]
    pub(crate) fn kick_wanted(&mut self, memory: &DmaRegion) -> bool {
        let used = memory.view(self.layout.used);
        let (old, new) = (self.kick_base, self.next_available);
        self.kick_base = new;
        // Between the store of avail.idx and the load of what the device last wished: the device
        // stores its wish and then looks at avail.idx once more, so that one of the two sees the other.
        peer_fence();
        // Relaxed: the value only decides on a kick; no data hangs on it.
        if self.event_index {
            let event = used.load_u16(self.avail_event_at(), Ordering::Relaxed);
            return need_event(event, new, old);
        }
        let flags = used.load_u16(spec::RING_FLAGS, Ordering::Relaxed);
        new != old && flags & spec::USED_F_NO_NOTIFY == 0
    }

    /// How many completions wait to be taken.
    #[inline]
    pub(crate) fn waiting(&self, memory: &DmaRegion) -> Result<u16, RingError> {
        // Acquire: pairs with the device's publication of used.idx, so that the used elements and the
        // buffers they speak of, written before it, are seen when read after it.
        let index = self.used_view(memory).load_u16(spec::RING_INDEX, Ordering::Acquire);
        let waiting = index.wrapping_sub(self.next_used);
        if waiting > self.outstanding {
            return Err(RingError::IndexJump {
                index,
                next: self.next_used,
                outstanding: self.outstanding,
            });
        }
        Ok(waiting)
    }

    /// The used ring, to be passed to [`Ring::take`] for a whole batch.
    #[inline]
    pub(crate) fn used_view<'a>(&self, memory: &'a DmaRegion) -> View<'a> {
        memory.view(self.layout.used)
    }

    /// Takes the next completion, of which [`Ring::waiting`] has said that it is there. The element is
    /// used up also when it is bad.
    #[inline]
    pub(crate) fn take(&mut self, used: &View<'_>) -> Result<Used, RingError> {
        let slot = usize::from(self.next_used & (self.layout.size - 1));
        self.next_used = self.next_used.wrapping_add(1);
        // One load for both halves: the device may change them while we look, so each is read once.
        let element = used.read_u64(spec::RING_ENTRIES + slot * spec::USED_ELEMENT_BYTES);
        let (id, len) = (element as u32, (element >> 32) as u32);
        match self.owned.get_mut(id as usize) {
            Some(owned) if *owned => {
                *owned = false;
                self.outstanding -= 1;
                // The table has at most 32768 entries, so a known id fits.
                Ok(Used { id: id as u16, len })
            }
            Some(_) => Err(RingError::DuplicateId { id }),
            None => Err(RingError::UnknownId { id, size: self.layout.size }),
        }
    }

    /// Lets the device interrupt from the next completion on. What the device has published before it
    /// sees this stays silent, so the caller must look at [`Ring::waiting`] afterwards, not before.
    #[inline]
    pub(crate) fn arm(&self, memory: &DmaRegion) {
        let available = memory.view(self.layout.available);
        // Relaxed: the fence below is what orders it.
        if self.event_index {
            available.store_u16(self.used_event_at(), self.next_used, Ordering::Relaxed);
        } else {
            available.store_u16(spec::RING_FLAGS, 0, Ordering::Relaxed);
        }
        // Between the store of our wish and the caller's load of used.idx: the mirror image of
        // `kick_wanted`.
        peer_fence();
    }

    /// Asks the device not to interrupt. Only a wish: an interrupt may be on its way already.
    #[inline]
    pub(crate) fn suppress(&self, memory: &DmaRegion) {
        let available = memory.view(self.layout.available);
        // Relaxed: nothing depends on when the device sees it.
        if self.event_index {
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

/// Whether going from index `old` to `new` passes the entry `event` (virtio 1.x 2.7.7.2, 2.7.10.1).
#[inline]
fn need_event(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

/// How a device has broken the rules of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// The used index is further ahead than there are chains with the device.
    IndexJump {
        /// The index read.
        index: u16,
        /// The next one expected.
        next: u16,
        /// Chains the device owns.
        outstanding: u16,
    },
    /// An id beyond the descriptor table.
    UnknownId {
        /// The id read.
        id: u32,
        /// Entries of the table.
        size: u16,
    },
    /// The id of a chain that the device does not own: returned before, or never given.
    DuplicateId {
        /// The id read.
        id: u32,
    },
}

impl RingError {
    /// The error's name, snake_case, for events.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::IndexJump { .. } => "index_jump",
            Self::UnknownId { .. } => "unknown_id",
            Self::DuplicateId { .. } => "duplicate_id",
        }
    }
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IndexJump { index, next, outstanding } => write!(
                f,
                "the device moved the used index to {index} from {next}, but owns only {outstanding} \
                 chains"
            ),
            Self::UnknownId { id, size } => {
                write!(f, "the device returned descriptor {id} of a ring of {size}")
            }
            Self::DuplicateId { id } => {
                write!(f, "the device returned descriptor {id}, which it does not own")
            }
        }
    }
}

impl std::error::Error for RingError {}
