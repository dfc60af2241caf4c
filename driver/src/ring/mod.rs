//! The driver's side of a virtqueue, split or packed, for whatever its buffers hold.
//!
//! A ring has a fixed number of *slots*. The owner describes a chain of buffers for a slot as often as it
//! likes while the driver owns the slot, and publishes the slot, many at once, as often as it likes: what
//! was described stays described. A completion names the slot.
//!
//! Contract: everything the driver decides by is kept in the driver's own memory; of what the device
//! writes each value is read once, and checked: an id against the ring and against ownership, the used
//! index against what the device owns, the flags of a packed descriptor against the two states it can be
//! in. The first broken rule ends the use of the ring; the owner of the [`Ring`] sees to that.
//! Not checked here: the length of a completion, which only the owner can judge.

mod error;
mod order;
mod packed;
pub(crate) mod rx;
mod split;
mod table;
pub(crate) mod tx;

#[cfg(test)]
mod tests;

pub use error::RingError;

use crate::dma::{DmaRegion, View};
use crate::layout::RingLayout;
use crate::prefetch::AHEAD;
use crate::spec;
use crate::transport::QueueSetup;
use packed::Packed;
use split::Split;

/// One buffer of a chain. Those the device reads come first (2.7.4.2, 2.8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buffer {
    pub(crate) address: u64,
    pub(crate) len: u32,
    /// The device writes it; otherwise it reads it.
    pub(crate) writable: bool,
}

/// A completion whose id is proven to be a slot that the device owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    /// The slot.
    pub(crate) id: u16,
    /// Bytes the device claims to have written; unchecked.
    pub(crate) len: u32,
}

/// What was agreed about rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RingFeatures {
    pub(crate) packed: bool,
    pub(crate) event_index: bool,
    pub(crate) in_order: bool,
    pub(crate) indirect: bool,
}

impl RingFeatures {
    /// Those among the agreed `features`.
    pub(crate) fn of(features: u64) -> Self {
        Self {
            packed: features & spec::F_RING_PACKED != 0,
            event_index: features & spec::F_EVENT_IDX != 0,
            in_order: features & spec::F_IN_ORDER != 0,
            indirect: features & spec::F_INDIRECT_DESC != 0,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Ring {
    layout: RingLayout,
    format: Format,
}

#[derive(Debug)]
enum Format {
    Split(Split),
    Packed(Packed),
}

/// The same call on either format.
macro_rules! either {
    ($ring:expr, $name:ident => $call:expr) => {
        match $ring {
            Format::Split($name) => $call,
            Format::Packed($name) => $call,
        }
    };
}

impl Ring {
    pub(crate) fn new(layout: RingLayout) -> Self {
        Self { layout, format: Format::Split(Split::new(layout, RingFeatures::default())) }
    }

    /// Back to an empty ring, of the format agreed. The device must not use it meanwhile, as it would
    /// read nonsense.
    pub(crate) fn reset(&mut self, memory: &DmaRegion, agreed: RingFeatures) {
        for window in [self.layout.table, self.layout.available, self.layout.used] {
            memory.view(window).zero();
        }
        self.format = if agreed.packed {
            let ring = Packed::new(self.layout, agreed);
            // Zeros mean an interrupt for each completion; in a split ring with EVENT_IDX, for the first.
            ring.arm(memory);
            Format::Packed(ring)
        } else {
            Format::Split(Split::new(self.layout, agreed))
        };
    }

    /// Entries of the ring.
    pub(crate) fn size(&self) -> u16 {
        self.layout.size
    }

    /// Chains that the ring can have: as many as entries, unless each may take several of them.
    pub(crate) fn slots(&self) -> u16 {
        either!(&self.format, ring => ring.slots())
    }

    /// Chains the device owns.
    pub(crate) fn outstanding(&self) -> u16 {
        either!(&self.format, ring => ring.outstanding())
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

    /// Says what `slot` stands for from its next publication on: at most as many buffers as the layout
    /// has for a chain. The device must not own the slot.
    #[inline]
    pub(crate) fn describe(&mut self, memory: &DmaRegion, slot: u16, buffers: &[Buffer]) {
        either!(&mut self.format, ring => ring.describe(memory, slot, buffers));
    }

    /// Gives the chains of `slots` to the device, all at once. The driver must own them.
    #[inline]
    pub(crate) fn publish(&mut self, memory: &DmaRegion, slots: &[u16]) {
        either!(&mut self.format, ring => ring.publish(memory, slots));
    }

    /// Whether the device wants to hear of what was published since the last time this was asked.
    #[inline]
    pub(crate) fn kick_wanted(&mut self, memory: &DmaRegion) -> bool {
        either!(&mut self.format, ring => ring.kick_wanted(memory))
    }

    /// Whether a completion waits to be taken.
    #[inline]
    pub(crate) fn is_waiting(&self, memory: &DmaRegion) -> Result<bool, RingError> {
        either!(&self.format, ring => ring.is_waiting(memory))
    }

    /// Where the device writes completions, to be passed to [`Ring::take`] for a whole batch.
    #[inline]
    pub(crate) fn used_view<'a>(&self, memory: &'a DmaRegion) -> View<'a> {
        memory.view(match self.format {
            Format::Split(_) => self.layout.used,
            Format::Packed(_) => self.layout.table,
        })
    }

    /// Takes the next completion, if there is one. It is used up also when it is bad.
    #[inline]
    pub(crate) fn take(&mut self, used: &View<'_>) -> Result<Option<Used>, RingError> {
        either!(&mut self.format, ring => ring.take(used))
    }

    /// The slot of a completion some way ahead, if there is one already; as the device says, and not checked.
    #[inline]
    pub(crate) fn slot_ahead(&self, used: &View<'_>) -> Option<u16> {
        either!(&self.format, ring => ring.slot_ahead(used, AHEAD))
    }

    /// Completions in a broken ring that nobody will take, as far as the device tells, with mergeable
    /// buffers several to a frame. The one whose id was false is not among them, as it was taken.
    pub(crate) fn abandoned(&self, memory: &DmaRegion) -> u16 {
        either!(&self.format, ring => ring.abandoned(memory))
    }

    /// Lets the device interrupt from the next completion on. What the device has published before it
    /// sees this stays silent, so the caller must look at [`Ring::is_waiting`] afterwards, not before.
    #[inline]
    pub(crate) fn arm(&self, memory: &DmaRegion) {
        either!(&self.format, ring => ring.arm(memory));
    }

    /// Asks the device not to interrupt. Only a wish: an interrupt may be on its way already. It is to
    /// be renewed after completions were taken.
    #[inline]
    pub(crate) fn suppress(&self, memory: &DmaRegion) {
        either!(&self.format, ring => ring.suppress(memory));
    }
}

/// Whether going from index `old` to `new` passes the entry `event` (virtio 1.x 2.7.7.2, 2.7.10.1).
#[inline]
fn need_event(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}
