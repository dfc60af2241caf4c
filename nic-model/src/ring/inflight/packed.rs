//! The region of a packed virtqueue: `QueueRegionPacked` and `DescStatePacked` of the vhost-user specification.
//!
//! | word | fields |
//! |---|---|
//! | 0 | features, 0 |
//! | 1 | version, entries, head of the free entries, the same before the batch |
//! | 2 | used index, the same before the batch; wrap counter (1 byte), the same before the batch (1 byte) |
//! | 4 + 4 i | of entry i: in flight (1 byte), 1 byte of nothing, next, last, length of the chain |
//! | 5 + 4 i | of entry i: its turn |
//! | 6 + 4 i | of entry i: id, flags, length (4 bytes) of the descriptor |
//! | 7 + 4 i | of entry i: address of the descriptor |
//!
//! All entries are free at all times, for whoever looks at the list. While a batch is written entry i
//! holds what stood at place i of the ring, if a used descriptor is written there.

use super::{
    InflightError, QueueSetup, ResumeError, Ring, RingFault, Tracked, Used, VERSION, Virtqueue,
    fields, in_flight, word,
};
use crate::spec::ring::{
    DESC_F_AVAIL, DESC_F_USED, DESCRIPTOR_LEN, EVENT_WRAP, PACKED_FLAGS_AT, PACKED_LEN_AT,
};
use std::sync::atomic::Ordering;
use vm_memory::{Bytes, GuestAddress, GuestMemory};

const HEADER: usize = 1;
const PLACES: usize = 2;

/// Words of the region.
pub(super) fn words(entries: u16) -> usize {
    4 + 4 * usize::from(entries)
}

fn entry(place: u16) -> usize {
    4 + 4 * usize::from(place)
}

/// Where the next used descriptor goes, as an event suppression structure names it, now and before the batch.
fn places(now: u16, before: u16) -> u64 {
    let wraps = [now, before].map(|place| u8::from(place & EVENT_WRAP != 0));
    word([now & !EVENT_WRAP, before & !EVENT_WRAP, u16::from_ne_bytes(wraps), 0])
}

impl Tracked {
    pub(super) fn resume_packed<G: GuestMemory>(
        &mut self,
        memory: &G,
        setup: &QueueSetup,
        base: u32,
        entries: u16,
    ) -> Result<(), ResumeError> {
        let header = self.region.load(HEADER);
        let is_used = self.is_used(header, setup.size, words)?;
        let base = if is_used { self.settle_batch(memory, setup)?.into() } else { base };
        if !self.ring.resume(memory, base) {
            return Err(ResumeError::Base);
        }
        self.commit();
        if !is_used {
            // Every entry is in the list of free ones, which ends beyond the last. The version comes last: until
            // then this is memory that nobody has written.
            let entries = entries.max(setup.size);
            for place in 0..entries {
                self.region.store(entry(place), word([0, place + 1, 0, 0]));
            }
            self.region.store(HEADER, word([VERSION, entries, 0, 0]));
        }
        Ok(())
    }

    /// What became of the batch that was being written, if one was: the driver has seen it, or it has not been.
    /// Where the next used descriptor goes.
    fn settle_batch<G: GuestMemory>(
        &self,
        memory: &G,
        setup: &QueueSetup,
    ) -> Result<u16, InflightError> {
        let [now, before, wraps, _] = fields(self.region.load(PLACES));
        let wraps = wraps.to_ne_bytes();
        let cursor = |place: u16, wrap: u8| match place < setup.size && wrap <= 1 {
            true => Ok(place | if wrap == 1 { EVENT_WRAP } else { 0 }),
            false => Err(InflightError::Outside(place)),
        };
        let (now, before) = (cursor(now, wraps[0])?, cursor(before, wraps[1])?);
        let [_, entries, ..] = fields(self.region.load(HEADER));
        let kept: Vec<u16> =
            (0..entries).filter(|place| in_flight(self.region.load(entry(*place)))).collect();
        let mut seen = false;
        if now != before {
            let at = descriptor(setup, before & !EVENT_WRAP) + PACKED_FLAGS_AT;
            let flags = memory.load::<u16>(GuestAddress(at), Ordering::Acquire);
            let flags = flags.map(u16::from_le).map_err(|_| InflightError::Ring)?;
            let offered = if before & EVENT_WRAP != 0 { DESC_F_AVAIL } else { DESC_F_USED };
            seen = flags & (DESC_F_AVAIL | DESC_F_USED) != offered;
        }
        for place in kept {
            if !seen {
                self.restore(memory, setup, place)?;
            }
            self.free(place);
        }
        Ok(if seen { now } else { before })
    }

    /// The descriptor at `place` is again what the driver wrote.
    fn restore<G: GuestMemory>(
        &self,
        memory: &G,
        setup: &QueueSetup,
        place: u16,
    ) -> Result<(), InflightError> {
        if place >= setup.size {
            return Err(InflightError::Outside(place));
        }
        let at = descriptor(setup, place);
        // A device never writes an address: another one there is another descriptor, kept by somebody who
        // keeps them elsewhere.
        let there = memory.load::<u64>(GuestAddress(at), Ordering::Relaxed);
        let there = there.map(u64::from_le).map_err(|_| InflightError::Ring)?;
        if there != self.region.load(entry(place) + 3) {
            return Err(InflightError::Order);
        }
        let [id, flags, len @ ..] = fields(self.region.load(entry(place) + 2));
        let [[a, b], [c, d]] = len.map(u16::to_ne_bytes);
        let len = u32::from_ne_bytes([a, b, c, d]);
        let rest = u64::from(len) | u64::from(id) << 32 | u64::from(flags) << 48;
        memory
            .store(rest.to_le(), GuestAddress(at + PACKED_LEN_AT), Ordering::Release)
            .map_err(|_| InflightError::Ring)
    }

    fn free(&self, place: u16) {
        let [_, next, last, num] = fields(self.region.load(entry(place)));
        self.region.store(entry(place), word([0, next, last, num]));
    }

    /// Publishes a batch, so that it is seen by the driver and by the region or by neither.
    pub(super) fn put_packed<G: GuestMemory>(
        &mut self,
        memory: &G,
        used: &[Used],
    ) -> Result<(), RingFault> {
        let Virtqueue::Packed(ring) = &self.ring else { return Ok(()) };
        let before = used_place(ring.base());
        let (region, kept) = (&self.region, &mut self.kept);
        let after = ring.span(used.len(), |place, address, len, [id, flags]| {
            let [low, high] = halves(len);
            region.store(entry(place) + 2, word([id, flags, low, high]));
            region.store(entry(place) + 3, address);
            let [_, next, ..] = fields(region.load(entry(place)));
            region.store(entry(place), word([u16::from_ne_bytes([1, 0]), next, place, 1]));
            kept.push(place);
        });
        region.store(PLACES, places(after, before));
        self.ring.put_used(memory, used)?;
        self.kept.iter().for_each(|place| self.free(*place));
        self.kept.clear();
        self.commit();
        Ok(())
    }

    /// The ring's place is the region's.
    pub(super) fn commit(&self) {
        let place = used_place(self.ring.base());
        self.region.store(PLACES, places(place, place));
    }
}

/// The upper half of a packed ring's base: where the next used descriptor goes.
fn used_place(base: u32) -> u16 {
    (base >> 16) as u16
}

fn descriptor(setup: &QueueSetup, place: u16) -> u64 {
    setup.descriptor_table + u64::from(place) * DESCRIPTOR_LEN
}

fn halves(value: u32) -> [u16; 2] {
    let [a, b, c, d] = value.to_ne_bytes();
    [[a, b], [c, d]].map(u16::from_ne_bytes)
}
