//! The device's rings: fetch, write, return.

use std::time::{Duration, Instant};

use nic_model::RingKind;
use nic_model::ring::{Chain, Fetched, Ring, RingFault, RingFeatures, Shape, Used, Virtqueue};
use vm_memory::GuestMemoryMmap;

use super::Side;
use super::place::{ENTRIES, Place};

/// Chains returned at once by a batched ring.
pub(super) const BATCH: usize = 64;

pub(super) struct DeviceSide {
    name: &'static str,
    place: Place,
    server: Server,
}

/// What serves a ring, and its room to work in.
pub(super) struct Server {
    ring: Virtqueue,
    batch: usize,
    chain: Chain,
    used: Vec<Used>,
}

impl DeviceSide {
    pub(super) fn reference() -> Result<Self, String> {
        Self::new("device: virtio-queue, validated", RingKind::Reference, false, 1)
    }

    pub(super) fn batched() -> Result<Self, String> {
        Self::new("device: split, 64 in a pass, validated", RingKind::Batched, false, BATCH)
    }

    pub(super) fn packed() -> Result<Self, String> {
        Self::new("device: packed, 64 in a pass, validated", RingKind::Batched, true, BATCH)
    }

    fn new(name: &'static str, kind: RingKind, packed: bool, batch: usize) -> Result<Self, String> {
        let place = Place::new(packed)?;
        let agreed = RingFeatures { packed, event_idx: true, indirect: true, in_order: false };
        let ring = Virtqueue::new(kind, &place.setup, agreed).ok_or("the ring is refused")?;
        Ok(Self { name, place, server: Server::new(ring, batch) })
    }
}

impl Side for DeviceSide {
    fn name(&self) -> &'static str {
        self.name
    }

    fn lap(&mut self, frame: &[u8]) -> Result<Duration, String> {
        self.place.refill()?;
        let started = Instant::now();
        let frames = self.server.serve(&self.place.memory, frame);
        let time = started.elapsed();
        match frames {
            Ok(ENTRIES) => Ok(time),
            other => Err(format!("{} took {other:?} of {ENTRIES} frames", self.name)),
        }
    }

    fn check(&self, frame: &[u8]) -> Result<(), String> {
        self.place.check(frame)
    }
}

impl Server {
    pub(super) fn new(ring: Virtqueue, batch: usize) -> Self {
        Self { ring, batch, chain: Chain::default(), used: Vec::with_capacity(batch) }
    }

    /// Writes the frame into every chain there is; how many there were.
    #[inline(never)]
    pub(super) fn serve(
        &mut self,
        memory: &GuestMemoryMmap,
        frame: &[u8],
    ) -> Result<u16, RingFault> {
        let Self { ring, batch, chain, used } = self;
        let len = frame.len() as u32;
        let mut frames = 0;
        while ring.fetch(memory, Shape::Receive, len, chain)? == Fetched::Chain {
            chain.write_one(memory, frame)?;
            used.push(Used { head: chain.head, len });
            frames += 1;
            if used.len() == *batch {
                ring.put_used(memory, used)?;
                used.clear();
            }
        }
        if !used.is_empty() {
            ring.put_used(memory, used)?;
            used.clear();
        }
        Ok(frames)
    }
}
