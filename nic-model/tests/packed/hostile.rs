//! A driver that writes anything: chains or a named fault, never a panic or a hang, and the account holds.

use crate::lab::{Lab, setup};
use nic_model::spec::feature::{EVENT_IDX, IN_ORDER, INDIRECT_DESC, RING_PACKED};
use nic_model::{DropReason, QueueError};
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

/// A descriptor: mostly one that could be meant, sometimes nonsense.
fn descriptor() -> impl Strategy<Value = (u64, u32, u16, u16)> {
    let address = prop_oneof![
        8 => (0u64..64).prop_map(|page| 0x10_0000 + page * 0x1000),
        1 => 0u64..(5 << 20),
        1 => any::<u64>(),
    ];
    let len = prop_oneof![8 => 1u32..4096, 1 => Just(0), 1 => any::<u32>()];
    let turn = prop::sample::select(vec![0x80u16, 0x80, 0x80, 0x8000, 0x8080, 0]);
    let flags = prop::sample::select(vec![0u16, 1, 2, 2, 2, 3, 4, 5]);
    let flags = prop_oneof![
        12 => (turn, flags).prop_map(|(turn, flags)| turn | flags),
        1 => any::<u16>(),
    ];
    (address, len, any::<u16>(), flags)
}

#[derive(Clone, Debug)]
enum Step {
    Write(u16, (u64, u32, u16, u16)),
    Wish(u16, u32),
    Kick(u16),
    Frame(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u16..32, descriptor()).prop_map(|(place, descriptor)| Step::Write(place, descriptor)),
        1 => (0u16..2, any::<u32>()).prop_map(|(queue, wish)| Step::Wish(queue, wish)),
        2 => (0u16..2).prop_map(Step::Kick),
        3 => (60usize..1500).prop_map(Step::Frame),
        2 => (0u64..2000).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_bytes_are_chains_or_a_named_fault(
        steps in prop::collection::vec(step(), 1..150),
        size in 1u16..=16,
        [event_idx, indirect, in_order] in any::<[bool; 3]>(),
    ) {
        let bit = |on: bool, bit: u64| if on { bit } else { 0 };
        let more =
            bit(event_idx, EVENT_IDX) | bit(in_order, IN_ORDER) | bit(indirect, INDIRECT_DESC);
        let mut lab = Lab::new(size, RING_PACKED | more);
        for step in steps {
            match step {
                Step::Write(place, (address, len, id, flags)) => {
                    let ring = &lab.rings[usize::from(place / 16)];
                    ring.descriptor(place % size, address, len, [id, flags]);
                }
                Step::Wish(queue, wish) => {
                    let at = GuestAddress(setup(queue, size).available_ring);
                    lab.memory.write_obj(wish, at).unwrap();
                }
                Step::Kick(queue) => lab.kick(queue),
                Step::Frame(len) => lab.frame(len),
                Step::Pass(time) => lab.pass(time),
            }
            prop_assert!(lab.device.available(0) <= size.into());
        }
        // A stopped ring is told of, and its frames have a fate (checked after every call).
        let needs_reset = lab.device.status() & 64 != 0;
        prop_assert_eq!(lab.fault().is_some(), needs_reset);
    }
}

/// A buffer that is there.
const GOOD: u64 = 0x10_0000;

/// What is wrong with these descriptors (address, length, flags), all of them available, by name.
fn fault_of(queue: usize, size: u16, descriptors: &[(u64, u32, u16)]) -> Option<&'static str> {
    let mut lab = Lab::new(size, RING_PACKED);
    for (place, (address, len, flags)) in (0..).zip(descriptors) {
        lab.rings[queue].descriptor(place, *address, *len, [7, flags | 0x80]);
    }
    if queue == 0 {
        lab.frame(60);
    } else {
        lab.kick(1);
    }
    lab.fault()
}

#[test]
fn checklist_device_01_range_not_fully_mapped() {
    for (address, len) in [(4 << 20, 100), ((4 << 20) - 99, 100), (u64::MAX - 10, 100)] {
        assert_eq!(fault_of(0, 4, &[(address, len, 2)]), Some("outside_memory"));
    }
    assert_eq!(fault_of(0, 4, &[((4 << 20) - 100, 100, 2)]), None);
}

#[test]
fn checklist_device_06_zero_length_descriptor() {
    assert_eq!(fault_of(0, 4, &[(GOOD, 0, 2)]), Some("empty_buffer"));
    assert_eq!(fault_of(1, 4, &[(GOOD, 100, 1), (GOOD, 0, 0)]), Some("empty_buffer"));
}

#[test]
fn checklist_device_11_circular_chain() {
    assert_eq!(fault_of(0, 2, &[(GOOD, 100, 3), (GOOD, 100, 3)]), Some("loop"));
}

#[test]
fn checklist_device_17_each_broken_rule_has_its_name() {
    assert_eq!(fault_of(0, 4, &[(GOOD, 100, 2)]), None);
    assert_eq!(fault_of(0, 4, &[(GOOD, 100, 3)]), Some("incomplete"));
    assert_eq!(fault_of(0, 4, &[(GOOD, 100, 0)]), Some("readable_not_allowed"));
    assert_eq!(fault_of(1, 4, &[(GOOD, 100, 2)]), Some("writable_not_allowed"));
    assert_eq!(fault_of(0, 4, &[(GOOD, 100, 6)]), Some("indirect"));
}

#[test]
fn a_packed_queue_may_have_any_size_and_needs_its_alignment() {
    let lab = Lab::new(16, RING_PACKED);
    let Lab { mut device, mut log, .. } = lab;
    device.set_status(0, 0, &mut log);
    device.set_status(0, 3, &mut log);
    device.set_driver_features(crate::lab::BASIC | RING_PACKED);
    device.set_status(0, 11, &mut log);
    let good = setup(0, 7);
    let size = |size| nic_model::QueueSetup { size, ..good };
    assert_eq!(device.setup_queue(0, &size(0)), Err(QueueError::Size { size: 0, max: 16 }));
    assert_eq!(device.setup_queue(0, &size(17)), Err(QueueError::Size { size: 17, max: 16 }));
    let odd = nic_model::QueueSetup { available_ring: good.available_ring + 2, ..good };
    assert!(matches!(device.setup_queue(0, &odd), Err(QueueError::Misaligned { align: 4, .. })));
    let far = nic_model::QueueSetup { used_ring: 4 << 20, ..good };
    assert!(matches!(device.setup_queue(0, &far), Err(QueueError::OutsideMemory { .. })));
    for entries in [1, 3, 7, 16] {
        assert_eq!(device.setup_queue(0, &size(entries)), Ok(()));
    }
}

/// A chain that is too small for one frame after the other is validated for the first of them.
#[test]
fn checklist_device_15_a_chain_too_small_is_validated_once() {
    let mut lab = Lab::new(16, RING_PACKED | INDIRECT_DESC);
    let table = 0x10_0000;
    let entry = |len: u32| [0x10_1000_u64.to_le(), (u64::from(len) | 2 << 48).to_le()];
    lab.memory.write_obj(entry(20), GuestAddress(table)).unwrap();
    lab.memory.write_obj(entry(20), GuestAddress(table + 16)).unwrap();
    lab.rings[0].descriptor(0, table, 32, [7, 4 | 0x80]);
    lab.frame(60);
    // An empty buffer would break the ring, if it was looked at.
    lab.memory.write_obj(entry(0), GuestAddress(table)).unwrap();
    lab.frame(60);
    let small = lab.device.counters().dropped[DropReason::BufferTooSmall.index()];
    assert_eq!((lab.fault(), small), (None, 2));
}
