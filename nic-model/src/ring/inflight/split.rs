//! The region of a split virtqueue: `QueueRegionSplit` and `DescStateSplit` of the vhost-user specification.
//!
//! | word | fields |
//! |---|---|
//! | 0 | features, 0 |
//! | 1 | version, entries, head of the last batch, used index |
//! | 2 + 2 i | of descriptor i: in flight (1 byte), 5 bytes of nothing, next of the last batch |
//! | 3 + 2 i | of descriptor i: its turn |
//!
//! Nothing is ever in flight here, nor in the last batch; what others have left is read.

use super::{
    InflightError, QueueSetup, ResumeError, Ring, Tracked, VERSION, fields, in_flight, word,
};
use std::sync::atomic::Ordering;
use vm_memory::{Bytes, GuestAddress, GuestMemory};

const HEADER: usize = 1;
/// Of the index in both rings, and of the first entry (2.7.6, 2.7.8).
const RING_INDEX_AT: u64 = 2;
const AVAILABLE_RING_AT: u64 = 4;

/// Words of the region.
pub(super) fn words(entries: u16) -> usize {
    2 + 2 * usize::from(entries)
}

fn entry(descriptor: u16) -> usize {
    2 + 2 * usize::from(descriptor)
}

impl Tracked {
    pub(super) fn resume_split<G: GuestMemory>(
        &mut self,
        memory: &G,
        setup: &QueueSetup,
        base: u32,
        entries: u16,
    ) -> Result<(), ResumeError> {
        let header = self.region.load(HEADER);
        let index = |ring: u64| {
            let at = GuestAddress(ring + RING_INDEX_AT);
            let index = memory.load::<u16>(at, Ordering::Acquire).map(u16::from_le);
            index.map_err(|_| InflightError::Ring)
        };
        let used = index(setup.used_ring)?;
        let is_used = self.is_used(header, setup.size, words)?;
        let [_, of, ..] = fields(header);
        let base = if is_used {
            let offered = index(setup.available_ring)?.wrapping_sub(used);
            let flying = self.in_flight(header, used)?;
            // They were fetched in this order, and come first again.
            for (ahead, head) in (0..).zip(&flying) {
                let place = used.wrapping_add(ahead) & (setup.size - 1);
                let at = setup.available_ring + AVAILABLE_RING_AT + 2 * u64::from(place);
                let there = memory.load::<u16>(GuestAddress(at), Ordering::Relaxed);
                let there = there.map_err(|_| InflightError::Ring)?;
                if ahead >= offered || u16::from_le(there) != *head {
                    return Err(InflightError::Order.into());
                }
            }
            flying.iter().for_each(|head| self.region.store(entry(*head), 0));
            used.into()
        } else {
            base
        };
        if !self.ring.resume(memory, base) {
            return Err(ResumeError::Base);
        }
        let entries = if is_used { of } else { entries.max(setup.size) };
        self.used = used;
        self.region.store(HEADER, word([VERSION, entries, 0, used]));
        Ok(())
    }

    /// The heads in flight, in the order of their turns, those of the last batch left out if the driver has
    /// seen it.
    fn in_flight(&self, header: u64, used: u16) -> Result<Vec<u16>, InflightError> {
        let [_, entries, mut head, before] = fields(header);
        // A batch is no longer than the queue.
        let batch = used.wrapping_sub(before);
        if batch > entries {
            return Err(InflightError::Outside(batch));
        }
        for _ in 0..batch {
            if head >= entries {
                return Err(InflightError::Outside(head));
            }
            let [.., next] = fields(self.region.load(entry(head)));
            self.region.store(entry(head), word([0, 0, 0, next]));
            head = next;
        }
        let flies = |head: &u16| in_flight(self.region.load(entry(*head)));
        let mut flying: Vec<u16> = (0..entries).filter(flies).collect();
        flying.sort_by_key(|head| self.region.load(entry(*head) + 1));
        Ok(flying)
    }

    /// So many elements more are in the used ring.
    pub(super) fn published(&mut self, count: u16) {
        self.used = self.used.wrapping_add(count);
        let [version, entries, head, _] = fields(self.region.load(HEADER));
        self.region.store(HEADER, word([version, entries, head, self.used]));
    }
}
