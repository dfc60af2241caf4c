//! A back-end dies after any of its writes, and the next one goes on: no buffer is lost or used twice, and no frame
//! is seen by the driver in part.

use crate::fuse::{burn, until_dead};
use crate::lab::{BASIC, Lab, setup};
use nic_model::ring::inflight::region_len;
use nic_model::ring::{InflightError, Region};
use nic_model::spec::feature::{EVENT_IDX, MRG_RXBUF, RING_PACKED};
use nic_model::{Device, DeviceConfig, QueueError, RingKind};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use vm_memory::{Bytes, GuestAddress};

const SIZE: u16 = 16;
/// What the regions are made for.
const ENTRIES: u16 = 32;

/// Words that outlive whoever writes them.
#[derive(Clone, Debug)]
struct Kept(Arc<Mutex<Vec<u64>>>);

impl Kept {
    fn new(packed: bool) -> Self {
        Self(Arc::new(Mutex::new(vec![0; region_len(packed, ENTRIES) as usize / 8])))
    }
}

impl Region for Kept {
    fn words(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn load(&self, word: usize) -> u64 {
        self.0.lock().unwrap()[word]
    }

    fn store(&self, word: usize, value: u64) {
        self.0.lock().unwrap()[word] = value;
        burn();
    }
}

/// A front-end with its driver, which keeps the regions.
struct House {
    lab: Lab,
    regions: [Kept; 2],
    /// Slots given and not come back, by queue.
    owed: [VecDeque<u16>; 2],
    /// What the last frame was filled with.
    last: u8,
    mergeable: bool,
    /// Where a new ring begins.
    start: u32,
}

impl House {
    fn new(features: u64, kind: RingKind) -> Self {
        let packed = features & RING_PACKED != 0;
        let lab = Lab::of_kind(SIZE, features, kind);
        let regions = [Kept::new(packed), Kept::new(packed)];
        let mergeable = features & MRG_RXBUF != 0;
        let owed = Default::default();
        Self { lab, regions, owed, last: 0, mergeable, start: if packed { 1 << 15 } else { 0 } }
    }

    /// Another device, which knows what is in memory and nothing else: a front-end does not know where a dead
    /// back-end was.
    fn next_back_end(&mut self) {
        let base = self.start;
        // Frames are written at once, so that a burst is published as one batch.
        let config = DeviceConfig { dma_frame_ps: 0, ..self.lab.device.config().clone() };
        let next = Device::new(config, Arc::clone(&self.lab.memory));
        self.lab.device = next.unwrap();
        let regions = self.regions.clone();
        self.lab.bring_up(|device, queue| {
            let region = Box::new(regions[usize::from(queue)].clone());
            device.resume_tracked(queue, &setup(queue, SIZE), base, ENTRIES, region).unwrap();
        });
    }

    fn give_all(&mut self) {
        for (queue, lens) in [(0, [60_u32, 40]), (1, [12, 60])] {
            for slot in 0..4 {
                if !self.owed[queue].contains(&slot) {
                    self.lab.rings[queue].give(slot, &Lab::buffers(queue, slot, &lens));
                    self.owed[queue].push_back(slot);
                }
            }
        }
    }

    /// What the next take gives, which must be the oldest.
    fn take(&mut self, queue: usize) -> Option<u16> {
        let (slot, _) = self.lab.rings[queue].take()?;
        assert_eq!(Some(slot), self.owed[queue].pop_front(), "queue {queue}");
        Some(slot)
    }

    fn take_all(&mut self) {
        while let Some(slot) = self.take(0) {
            let header = self.lab.bytes(crate::lab::room(0, slot, 0), 13);
            let buffers = u16::from_le_bytes([header[10], header[11]]);
            assert!(header[12] > self.last, "{} after {}", header[12], self.last);
            self.last = header[12];
            assert_eq!(buffers, if self.mergeable { 2 } else { 1 });
            for _ in 1..buffers {
                self.take(0).expect("a frame is seen whole");
            }
        }
        while self.take(1).is_some() {}
    }

    /// Frames in one burst, and a look at the transmit queue.
    fn work(lab: &mut Lab, first: u64) {
        let Lab { device, log, now, .. } = lab;
        // Two buffers of 100 bytes each if they are merged, one if not.
        let len = if device.config().features & MRG_RXBUF != 0 { 150 } else { 80 };
        device.burst(log, |device, log| {
            for tag in first..first + 2 {
                device.receive(*now, &vec![tag as u8; len], true, tag, log);
            }
        });
        device.poll_queue(*now, 1, log);
    }

    /// Frames until no buffer is left; more than enough.
    fn drain(&mut self, first: u64) {
        for tag in 0..4 {
            Self::work(&mut self.lab, first + 2 * tag);
            self.take_all();
        }
        assert_eq!(self.lab.fault(), None);
        assert!(self.owed.iter().all(VecDeque::is_empty), "{:?}", self.owed);
    }

    fn round(&mut self, first: u64) {
        self.give_all();
        Self::work(&mut self.lab, first);
        self.take_all();
    }
}

/// Each format with each implementation, with and without frames over several buffers.
fn rings() -> impl Iterator<Item = (u64, RingKind)> {
    let rings = [
        (0, RingKind::Batched),
        (EVENT_IDX, RingKind::Reference),
        (RING_PACKED, RingKind::Batched),
        (RING_PACKED | EVENT_IDX, RingKind::Batched),
    ];
    let with = |(ring, kind), more| (BASIC | ring | more, kind);
    rings.into_iter().flat_map(move |ring| [with(ring, 0), with(ring, MRG_RXBUF)])
}

#[test]
fn a_back_end_that_dies_after_any_write_is_succeeded_without_loss() {
    for (features, kind) in rings() {
        let mut deaths = 0;
        // Different rounds begin at different places of the ring and with different wrap counters.
        for rounds in [0, 1, 3, 6] {
            for writes in 1.. {
                let mut house = House::new(features, kind);
                house.next_back_end();
                (0..rounds).for_each(|round| house.round(1 + 2 * round));
                house.give_all();
                let lab = &mut house.lab;
                let lived = until_dead(writes, || House::work(lab, 101));
                // Some of the successors die while they take over.
                until_dead(1 + writes % 7, || house.next_back_end());
                house.next_back_end();
                house.take_all();
                (0..6).for_each(|round| house.round(121 + 2 * round));
                house.drain(201);
                if lived {
                    break;
                }
                deaths += 1;
            }
        }
        assert!(deaths > 4 * 10, "{deaths}");
    }
}

#[test]
fn a_back_end_that_dies_while_it_begins_is_succeeded_too() {
    for (features, kind) in rings() {
        for writes in 1.. {
            let mut house = House::new(features, kind);
            let began = until_dead(writes, || house.next_back_end());
            house.next_back_end();
            (0..6).for_each(|round| house.round(1 + 2 * round));
            house.drain(201);
            if began {
                assert!(writes > 2, "{writes}");
                break;
            }
        }
    }
}

/// What `change` makes of a region that a back-end has left, and what the next one says.
fn refused(packed: bool, change: impl FnOnce(&mut Vec<u64>)) -> QueueError {
    let features = BASIC | if packed { RING_PACKED } else { 0 };
    let mut house = House::new(features, RingKind::Batched);
    house.next_back_end();
    house.round(1);
    house.give_all();
    change(&mut house.regions[0].0.lock().unwrap());
    let Lab { device, log, now, .. } = &mut house.lab;
    device.stop_queue(*now, 0, log).unwrap();
    let region = Box::new(house.regions[0].clone());
    let refused = device.resume_tracked(0, &setup(0, SIZE), 0, ENTRIES, region).unwrap_err();
    assert!(!refused.to_string().is_empty());
    assert_eq!(device.queue_setup(0), None, "nothing is left of it");
    refused
}

/// A word of four fields.
fn word(fields: [u16; 4]) -> u64 {
    let mut bytes = [0; 8];
    for (to, field) in bytes.chunks_mut(2).zip(fields) {
        to.copy_from_slice(&field.to_ne_bytes());
    }
    u64::from_ne_bytes(bytes)
}

#[test]
fn regions_that_cannot_be_are_refused() {
    use InflightError::{Entries, Order, Outside, Short, Version};
    let header =
        |version, entries| move |words: &mut Vec<u64>| words[1] = word([version, entries, 0, 2]);
    for packed in [false, true] {
        let say = |error| QueueError::Inflight(error);
        assert_eq!(refused(packed, header(2, ENTRIES)), say(Version(2)));
        assert_eq!(refused(packed, header(1, 8)), say(Entries(8)));
        let short = refused(packed, |words| words.truncate(20));
        assert!(matches!(short, QueueError::Inflight(Short { words: 20, .. })), "{short}");
        let short = refused(packed, |words| *words = vec![0; 5]);
        assert!(matches!(short, QueueError::Inflight(Short { words: 5, .. })), "{short}");
        // More than it has room for.
        let short = refused(packed, header(1, 1000));
        assert!(matches!(short, QueueError::Inflight(Short { .. })), "{short}");
    }
    // A batch longer than the queue, and one whose list leads out of it.
    let lists = [[1, ENTRIES, 0, 60_000], [1, ENTRIES, 77, 0]];
    for (fields, outside) in lists.into_iter().zip([5538, 77]) {
        let error = refused(false, |words| words[1] = word(fields));
        assert_eq!(error, QueueError::Inflight(Outside(outside)));
    }
    // In flight, and not the next to be used.
    let error = refused(false, |words| words[2 + 2 * 12] = word([1, 0, 0, 0]));
    assert_eq!(error, QueueError::Inflight(Order));
    let error = refused(true, |words| words[2] = word([99, 99, 1, 0]));
    assert_eq!(error, QueueError::Inflight(Outside(99)));
    // Kept by somebody who keeps it elsewhere, and beyond the queue.
    for place in [0, SIZE] {
        let error = refused(true, |words| {
            let entry = 4 + 4 * usize::from(place);
            (words[entry], words[entry + 3]) = (word([1, 0, 0, 0]), 0xdead);
        });
        let wanted = if place == 0 { Order } else { Outside(SIZE) };
        assert_eq!(error, QueueError::Inflight(wanted));
    }
}

/// Those whom another back-end has marked, which worked in order too, come again and first.
#[test]
fn what_another_back_end_has_in_flight_in_order_is_taken_over() {
    let mut house = House::new(BASIC, RingKind::Batched);
    house.next_back_end();
    house.round(1);
    let used: u16 = house.lab.memory.read_obj(GuestAddress(setup(0, SIZE).used_ring + 2)).unwrap();
    house.give_all();
    // Two of the four are in flight, with their turns.
    let owed: Vec<u16> = house.owed[0].iter().map(|slot| 4 * slot).collect();
    // The last one seen is still marked.
    let mut words = house.regions[0].0.lock().unwrap();
    words[1] = word([1, ENTRIES, owed[3], used - 1]);
    for (turn, head) in [owed[0], owed[1], owed[3]].into_iter().enumerate() {
        words[2 + 2 * usize::from(head)] = word([1, 0, 0, 0]);
        words[3 + 2 * usize::from(head)] = turn as u64 + 7;
    }
    drop(words);
    house.next_back_end();
    house.round(121);
    house.drain(201);
}
