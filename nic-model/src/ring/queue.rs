//! A virtqueue in use, in whichever format and by whichever implementation: one test per call, and the
//! compiler sees through the rest.

use super::inflight::Tracked;
use super::packed::{self, Packed};
use super::reference::Reference;
use super::split::Split;
use super::{Chain, False, Fetched, QueueSetup, Ring, RingFault, Shape, Used};
use crate::spec::feature;
use vm_memory::GuestMemory;

/// How a device does split virtqueues. The results are the same, the speed is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RingKind {
    /// With the `virtio-queue` crate, a chain at a time.
    Reference,
    /// Up to 64 chains in a pass.
    #[default]
    Batched,
}

/// What driver and device have agreed about rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingFeatures {
    /// VIRTIO_F_RING_PACKED.
    pub packed: bool,
    /// VIRTIO_F_EVENT_IDX.
    pub event_idx: bool,
    /// VIRTIO_F_INDIRECT_DESC.
    pub indirect: bool,
    /// VIRTIO_F_IN_ORDER.
    pub in_order: bool,
}

impl RingFeatures {
    /// Those among the features agreed.
    #[must_use]
    pub fn of(features: u64) -> Self {
        Self {
            packed: features & feature::RING_PACKED != 0,
            event_idx: features & feature::EVENT_IDX != 0,
            indirect: features & feature::INDIRECT_DESC != 0,
            in_order: features & feature::IN_ORDER != 0,
        }
    }
}

/// A virtqueue in use.
// There is one per virtqueue, so what the smaller kind wastes is nothing.
#[allow(clippy::large_enum_variant, reason = "a box would be one more step to every chain")]
// With a tag of its own, which is cheaper to look at than one hidden in a length.
#[repr(u8)]
#[derive(Debug)]
pub enum Virtqueue {
    /// Split, by way of `virtio-queue`.
    Reference(Reference),
    /// Split, a pass at a time.
    Split(Split),
    /// Packed.
    Packed(Packed),
    /// Any of these, with what the next back-end needs.
    Tracked(Box<Tracked>),
}

/// The same call on any of them.
macro_rules! each {
    ($queue:expr, $ring:ident => $call:expr) => {
        match $queue {
            Self::Reference($ring) => $call,
            Self::Split($ring) => $call,
            Self::Packed($ring) => $call,
            Self::Tracked($ring) => $call,
        }
    };
}

impl Virtqueue {
    /// The queue of a setup that was validated, of this kind if it is split; `None` where `virtio-queue`
    /// refuses it all the same.
    #[must_use]
    pub fn new(kind: RingKind, setup: &QueueSetup, agreed: RingFeatures) -> Option<Self> {
        let RingFeatures { packed, event_idx, indirect, in_order } = agreed;
        if packed {
            let agreed = packed::Agreed { event_idx, indirect, in_order };
            return Some(Self::Packed(Packed::new(setup, agreed)));
        }
        match kind {
            RingKind::Reference => Reference::new(setup, agreed).map(Self::Reference),
            RingKind::Batched => Some(Self::Split(Split::new(setup, agreed))),
        }
    }
}

impl Ring for Virtqueue {
    fn size(&self) -> u16 {
        each!(self, ring => ring.size())
    }

    #[inline]
    fn available<G: GuestMemory>(&self, memory: &G) -> Result<u16, RingFault> {
        each!(self, ring => ring.available(memory))
    }

    #[inline]
    fn look<G: GuestMemory>(&mut self, memory: &G) -> Result<u16, RingFault> {
        each!(self, ring => ring.look(memory))
    }

    // The callers know the shape, and half of the checks depend on it.
    #[inline(always)]
    fn fetch<G: GuestMemory>(
        &mut self,
        memory: &G,
        shape: Shape,
        need: u32,
        chain: &mut Chain,
    ) -> Result<Fetched, RingFault> {
        each!(self, ring => ring.fetch(memory, shape, need, chain))
    }

    fn unfetch(&mut self) {
        each!(self, ring => ring.unfetch());
    }

    #[inline(always)]
    fn put_used<G: GuestMemory>(&mut self, memory: &G, used: &[Used]) -> Result<(), RingFault> {
        each!(self, ring => ring.put_used(memory, used))
    }

    fn put_false<G: GuestMemory>(&mut self, memory: &G, element: False) -> Result<(), RingFault> {
        each!(self, ring => ring.put_false(memory, element))
    }

    #[inline(always)]
    fn wants_interrupt<G: GuestMemory>(&self, memory: &G) -> Result<bool, RingFault> {
        each!(self, ring => ring.wants_interrupt(memory))
    }

    #[inline(always)]
    fn settle(&mut self) {
        each!(self, ring => ring.settle());
    }

    fn set_kicks<G: GuestMemory>(&mut self, memory: &G, wanted: bool) -> Result<bool, RingFault> {
        each!(self, ring => ring.set_kicks(memory, wanted))
    }

    fn base(&self) -> u32 {
        each!(self, ring => ring.base())
    }

    fn resume<G: GuestMemory>(&mut self, memory: &G, base: u32) -> bool {
        each!(self, ring => ring.resume(memory, base))
    }
}
