//! Both formats against devices written from the specification: the same doings, the same completions;
//! and any bytes are completions or a named error.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress, GuestRegionMmap, MemoryRegionAddress};

use super::{Buffer, Ring, RingError, RingFeatures, Used};
use crate::dma::DmaRegion;
use crate::layout::{Layout, RingLayout};
use crate::prefetch::AHEAD;
use crate::{DriverConfig, TxHeader, spec};

const SIZE: u16 = 16;

/// A ring of 16 for chains of up to two buffers, and a device on the other side.
struct Lab {
    memory: DmaRegion,
    region: Arc<GuestRegionMmap>,
    ring: Ring,
    layout: RingLayout,
    agreed: RingFeatures,
    device: Device,
}

/// What the device knows: which chains it was given, by id and descriptors of the ring.
#[derive(Default)]
struct Device {
    owned: Vec<(u16, u16)>,
    available: u16,
    used: u16,
}

impl Lab {
    fn new(agreed: RingFeatures) -> Self {
        Self::of(agreed, TxHeader::Apart)
    }

    fn of(agreed: RingFeatures, tx_header: TxHeader) -> Self {
        let features = spec::SUPPORTED_FEATURES;
        let config = DriverConfig { tx_ring: SIZE, tx_header, features, ..DriverConfig::default() };
        let layout = Layout::new(&config).tx[0].ring;
        let size = config.memory_needed().unwrap() as usize;
        let region = Arc::new(GuestRegionMmap::from_range(GuestAddress(0), size, None).unwrap());
        let memory = DmaRegion::new(Arc::clone(&region));
        let mut ring = Ring::new(layout);
        ring.reset(&memory, agreed);
        Self { memory, region, ring, layout, agreed, device: Device::default() }
    }

    fn give(&mut self, slots: &[u16], parts: u32) {
        for slot in slots {
            let buffer = |part| Buffer {
                address: 0x1000 * u64::from(*slot) + u64::from(part),
                len: 100 + u32::from(*slot),
                writable: true,
            };
            let buffers: Vec<Buffer> = (0..parts).map(buffer).collect();
            self.ring.describe(&self.memory, *slot, &buffers);
        }
        self.ring.publish(&self.memory, slots);
    }

    fn take(&mut self) -> Result<Option<Used>, RingError> {
        let view = self.ring.used_view(&self.memory);
        self.ring.take(&view)
    }

    fn get(&self, at: usize) -> u16 {
        u16::from_le(self.region.read_obj(MemoryRegionAddress(at as u64)).unwrap())
    }

    fn get_u64(&self, at: usize) -> u64 {
        u64::from_le(self.region.read_obj(MemoryRegionAddress(at as u64)).unwrap())
    }

    fn put(&self, at: usize, value: u16) {
        self.region
            .store(value.to_le(), MemoryRegionAddress(at as u64), Ordering::Release)
            .unwrap();
    }

    fn put_u32(&self, at: usize, value: u32) {
        self.region.write_obj(value.to_le(), MemoryRegionAddress(at as u64)).unwrap();
    }

    fn descriptor(&self, place: u16) -> usize {
        self.layout.table.offset + 16 * usize::from(place % SIZE)
    }

    /// AVAIL and USED in the round of a count of descriptors, available or used.
    fn turn(count: u16, used: bool) -> u16 {
        match ((count / SIZE).is_multiple_of(2), used) {
            (true, false) => 0x80,
            (false, false) => 0x8000,
            (true, true) => 0x8080,
            (false, true) => 0,
        }
    }

    /// The device takes everything available; each chain as its buffers' addresses.
    fn fetch(&mut self) -> Vec<Vec<u64>> {
        let mut chains = Vec::new();
        while let Some(chain) = self.fetch_one() {
            chains.push(chain);
        }
        chains
    }

    fn fetch_one(&mut self) -> Option<Vec<u64>> {
        let mut chain = Vec::new();
        if self.agreed.packed {
            if self.get(self.descriptor(self.device.available) + 14) & 0x8080
                != Self::turn(self.device.available, false)
            {
                return None;
            }
            let mut count = 0;
            loop {
                let at = self.descriptor(self.device.available + count);
                count += 1;
                let flags = self.get(at + 14);
                if flags & 4 != 0 {
                    self.read_table(at, &mut chain);
                } else {
                    chain.push(self.get_u64(at));
                }
                if flags & 1 == 0 {
                    self.device.owned.push((self.get(at + 12), count));
                    self.device.available += count;
                    return Some(chain);
                }
            }
        }
        let ring = self.layout.available.offset;
        if self.get(ring + 2) == self.device.available {
            return None;
        }
        let head = self.get(ring + 4 + 2 * usize::from(self.device.available % SIZE));
        self.device.available = self.device.available.wrapping_add(1);
        self.device.owned.push((head, 1));
        let mut place = head;
        loop {
            let at = self.descriptor(place);
            let flags = self.get(at + 12);
            if flags & 4 != 0 {
                self.read_table(at, &mut chain);
            } else {
                chain.push(self.get_u64(at));
            }
            if flags & 1 == 0 {
                return Some(chain);
            }
            place = self.get(at + 14);
        }
    }

    fn read_table(&self, at: usize, chain: &mut Vec<u64>) {
        let (address, bytes) = (self.get_u64(at) as usize, self.get_u64(at + 8) as u32);
        assert_eq!(bytes % 16, 0);
        for entry in 0..bytes as usize / 16 {
            chain.push(self.get_u64(address + 16 * entry));
        }
    }

    /// The device returns the chain at `place` of those it owns, and with it, in order, all before.
    fn give_back(&mut self, place: usize, len: u32) {
        let from = if self.agreed.in_order { 0 } else { place };
        let chains: Vec<(u16, u16)> = self.device.owned.drain(from..=place).collect();
        let (id, _) = *chains.last().unwrap();
        let passed: u16 = match self.agreed.packed {
            true => chains.iter().map(|(_, count)| count).sum(),
            false => chains.len() as u16,
        };
        let used = self.device.used;
        self.device.used = used.wrapping_add(passed);
        self.put_used(used, id, len);
        if !self.agreed.packed {
            self.put(self.layout.used.offset + 2, self.device.used);
        }
    }

    fn put_used(&self, used: u16, id: u16, len: u32) {
        if self.agreed.packed {
            let at = self.descriptor(used);
            self.put_u32(at + 8, len);
            self.put(at + 12, id);
            self.put(at + 14, Self::turn(used, true) | 2);
        } else {
            let at = self.layout.used.offset + 4 + 8 * usize::from(used % SIZE);
            self.put_u32(at, id.into());
            self.put_u32(at + 4, len);
        }
    }
}

fn agreed() -> impl Strategy<Value = RingFeatures> {
    any::<[bool; 4]>().prop_map(|[packed, event_index, in_order, indirect]| RingFeatures {
        packed,
        event_index,
        in_order,
        indirect,
    })
}

#[derive(Clone, Debug)]
enum Step {
    Give(u16, u32),
    Fetch,
    GiveBack(prop::sample::Index, u32),
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u16..=8, 1u32..=2).prop_map(|(count, parts)| Step::Give(count, parts)),
        Just(Step::Fetch),
        (any::<prop::sample::Index>(), 1u32..=100).prop_map(|(at, len)| Step::GiveBack(at, len)),
        Just(Step::Take),
    ]
}

proptest! {
    #[test]
    fn what_was_given_comes_back_as_the_device_said(
        agreed in agreed(), steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut lab = Lab::new(agreed);
        let slots = lab.ring.slots();
        prop_assert_eq!(slots, if agreed.indirect { 16 } else { 8 });
        let mut free: Vec<u16> = (0..slots).collect();
        // Chains given and not fetched, chains with the device, completions not taken.
        let (mut given, mut with_device, mut back) = (Vec::new(), Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Give(count, parts) => {
                    let slots: Vec<u16> = free.drain(..free.len().min(count.into())).collect();
                    lab.give(&slots, parts);
                    given.extend(slots.iter().map(|slot| (*slot, parts)));
                }
                Step::Fetch => {
                    let expected: Vec<Vec<u64>> = given
                        .iter()
                        .map(|(slot, parts): &(u16, u32)| {
                            (0..u64::from(*parts)).map(|p| 0x1000 * u64::from(*slot) + p).collect()
                        })
                        .collect();
                    prop_assert_eq!(lab.fetch(), expected);
                    with_device.append(&mut given);
                }
                Step::GiveBack(at, len) => {
                    if with_device.is_empty() { continue; }
                    let place = at.index(with_device.len());
                    lab.give_back(place, len);
                    let from = if agreed.in_order { 0 } else { place };
                    for (slot, parts) in with_device.drain(from..=place) {
                        back.push(Used { id: slot, len: parts * (100 + u32::from(slot)) });
                    }
                    if let Some(last) = back.last_mut() { last.len = len; }
                }
                Step::Take => {
                    prop_assert_eq!(lab.ring.is_waiting(&lab.memory), Ok(!back.is_empty()));
                    for used in back.drain(..) {
                        prop_assert_eq!(lab.take(), Ok(Some(used)));
                        free.push(used.id);
                    }
                    prop_assert_eq!(lab.take(), Ok(None));
                }
            }
            let out = given.len() + with_device.len() + back.len();
            prop_assert_eq!(usize::from(lab.ring.outstanding()), out);
        }
    }

    #[test]
    fn any_bytes_of_the_device_are_completions_or_a_named_error(
        agreed in agreed(),
        writes in prop::collection::vec((0u16..64, any::<u16>(), prop::bool::weighted(0.7)), 1..60),
    ) {
        let mut lab = Lab::new(agreed);
        let slots: Vec<u16> = (0..lab.ring.slots()).collect();
        lab.give(&slots, 2);
        let mut owned = vec![true; slots.len()];
        for (place, value, take) in writes {
            // Small numbers are likelier to be believed.
            let value = if value % 3 == 0 { value % 16 } else { value };
            match agreed.packed {
                true => lab.put(lab.descriptor(place / 4) + 8 + 2 * usize::from(place % 4), value),
                false => lab.put(lab.layout.used.offset + 2 * usize::from(place), value),
            }
            let _ = lab.ring.kick_wanted(&lab.memory);
            let _ = lab.ring.is_waiting(&lab.memory);
            if take {
                match lab.take() {
                    Ok(Some(used)) => {
                        let owned = &mut owned[usize::from(used.id)];
                        prop_assert!(std::mem::replace(owned, false), "taken twice");
                    }
                    Ok(None) => {}
                    Err(_) => break,
                }
            }
        }
    }
}

#[test]
fn each_broken_rule_has_its_name() {
    let packed = RingFeatures { packed: true, ..RingFeatures::default() };
    let with = |agreed, bad: fn(&mut Lab)| {
        let mut lab = Lab::new(agreed);
        lab.give(&[0, 1], 1);
        lab.fetch();
        bad(&mut lab);
        lab.take().unwrap_err()
    };
    let flags = |flags| RingError::DescriptorFlags { position: 0, flags };
    assert_eq!(with(packed, |lab| lab.put(lab.descriptor(0) + 14, 0x8000)), flags(0x8000));
    assert_eq!(with(packed, |lab| lab.put(lab.descriptor(0) + 14, 0)), flags(0));
    let unknown = RingError::UnknownId { id: 8, size: 8 };
    assert_eq!(with(packed, |lab| lab.put_used(0, 8, 1)), unknown);
    assert_eq!(with(packed, |lab| lab.put_used(0, 5, 1)), RingError::DuplicateId { id: 5 });
    let twice = |lab: &mut Lab| {
        lab.give_back(0, 1);
        assert_eq!(lab.take(), Ok(Some(Used { id: 0, len: 1 })));
        lab.put_used(1, 0, 1);
    };
    assert_eq!(with(packed, twice), RingError::DuplicateId { id: 0 });
    let split = RingFeatures::default();
    let in_order = RingFeatures { in_order: true, ..split };
    let publish = |lab: &mut Lab, id| {
        lab.put_used(0, id, 1);
        lab.put(lab.layout.used.offset + 2, 1);
    };
    assert_eq!(
        with(in_order, |lab| {
            lab.put_used(0, 2, 1);
            lab.put(lab.layout.used.offset + 2, 1);
        }),
        RingError::BatchTooLong { id: 2, batch: 2, used: 1 }
    );
    // Not the head of a chain: every second descriptor is the second of one.
    let mut lab = Lab::new(split);
    lab.give(&[0, 1], 2);
    publish(&mut lab, 1);
    assert_eq!(lab.take(), Err(RingError::DuplicateId { id: 1 }));
}

#[test]
fn a_packed_length_without_the_written_flag_means_nothing() {
    let mut lab = Lab::new(RingFeatures { packed: true, ..RingFeatures::default() });
    lab.give(&[3], 1);
    lab.put_used(0, 3, 77);
    lab.put(lab.descriptor(0) + 14, 0x8080);
    assert_eq!(lab.take(), Ok(Some(Used { id: 3, len: 0 })));
}

#[test]
fn kicks_follow_the_wish_of_a_packed_device() {
    let event_index =
        |event_index| RingFeatures { packed: true, event_index, ..RingFeatures::default() };
    // (EVENT_IDX agreed, place and wrap, flags, kicks after each of 6 chains of two descriptors)
    let cases = [
        (true, 0, 0, [true; 6]),
        (true, 0, 1, [false; 6]),
        (true, 1 << 15, 2, [true, false, false, false, false, false]),
        (true, 5 | 1 << 15, 2, [false, false, true, false, false, false]),
        // Of the next round: not passed in this one.
        (true, 3, 2, [false; 6]),
        (false, 5 | 1 << 15, 2, [true; 6]),
    ];
    for (agreed, event, flags, expected) in cases {
        let mut lab = Lab::new(event_index(agreed));
        lab.put(lab.layout.used.offset, event);
        lab.put(lab.layout.used.offset + 2, flags);
        let kicks: Vec<bool> = (0..6)
            .map(|slot| {
                lab.give(&[slot], 2);
                lab.ring.kick_wanted(&lab.memory)
            })
            .collect();
        assert_eq!(kicks, expected, "{event:#x} {flags}");
        assert!(flags == 0 || !lab.ring.kick_wanted(&lab.memory), "nothing new was given");
    }
}

/// Whoever gives chains and never asks has given them all the same: 2^16 of them are not none.
#[test]
fn a_kick_is_owed_after_any_number_of_chains() {
    for (packed, event_index) in [(false, false), (false, true), (true, false)] {
        let agreed = RingFeatures { packed, event_index, ..RingFeatures::default() };
        let mut lab = Lab::new(agreed);
        for _ in 0..1 << 16 {
            lab.give(&[0], 1);
            lab.device.owned = vec![(0, 1)];
            lab.give_back(0, 1);
            assert!(lab.take().unwrap().is_some());
        }
        assert!(lab.ring.kick_wanted(&lab.memory), "{agreed:?}");
        assert!(!lab.ring.kick_wanted(&lab.memory));
    }
}

#[test]
fn the_wish_of_a_packed_driver_is_a_place_or_a_flag() {
    for (event_index, armed) in [(false, [0, 0]), (true, [2 | 1 << 15, 2])] {
        let agreed = RingFeatures { packed: true, event_index, ..RingFeatures::default() };
        let mut lab = Lab::new(agreed);
        lab.give(&[0], 2);
        lab.fetch();
        lab.give_back(0, 1);
        assert!(lab.take().unwrap().is_some());
        let at = lab.layout.available.offset;
        lab.ring.suppress(&lab.memory);
        assert_eq!(lab.get(at + 2), 1);
        lab.ring.arm(&lab.memory);
        assert_eq!([lab.get(at), lab.get(at + 2)], armed);
    }
}

#[test]
fn the_slot_ahead_is_that_of_a_completion_that_is_there() {
    for packed in [false, true] {
        let agreed = RingFeatures { packed, ..RingFeatures::default() };
        let mut lab = Lab::of(agreed, TxHeader::WithFrame);
        let slots = [9, 3, 12, 0, 7, 5, 14, 1, 8, 2];
        lab.give(&slots, 1);
        lab.fetch();
        slots.iter().for_each(|_| lab.give_back(0, 1));
        for (taken, slot) in slots.iter().enumerate() {
            assert_eq!(lab.take().unwrap().map(|used| used.id), Some(*slot), "packed: {packed}");
            let ahead = slots.get(taken + 1 + usize::from(AHEAD)).copied();
            assert_eq!(lab.ring.slot_ahead(&lab.ring.used_view(&lab.memory)), ahead);
        }
    }
}
