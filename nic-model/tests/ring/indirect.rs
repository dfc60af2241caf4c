//! Indirect descriptors (2.7.5.3), rule by rule.

use crate::lab::{AGREED, Across, BUFFERS, Descriptor, GAP, KINDS, Lab, TABLES, fault_of};
use nic_model::ring::{Fetched, RingFeatures, Shape};
use nic_model::spec::ring::{DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE};
use nic_model::{ChainFault, RingFault, RingKind};

const W: u16 = DESC_F_WRITE;
const BOTH: u16 = DESC_F_NEXT | DESC_F_WRITE;

/// A ring of 8 whose descriptors from 0 on, and those of the table at [`TABLES`], are these.
fn lab(kind: RingKind, ring: &[Descriptor], table: &[Descriptor]) -> Lab {
    let mut lab = Lab::of(kind);
    for (index, descriptor) in ring.iter().enumerate() {
        lab.descriptor(index as u16, *descriptor);
    }
    for (index, descriptor) in table.iter().enumerate() {
        lab.descriptor_at(TABLES + 16 * index as u64, *descriptor);
    }
    lab.publish(0);
    lab
}

fn segments(ring: &[Descriptor], table: &[Descriptor], shape: Shape) -> Vec<(u64, u32)> {
    let [reference, batched] = KINDS.map(|kind| {
        let mut lab = lab(kind, ring, table);
        assert_eq!(lab.fetch(shape, 0), Ok(Fetched::Chain), "{kind:?}");
        assert_eq!(lab.chain.head, 0);
        lab.segments()
    });
    assert_eq!(reference, batched);
    batched
}

fn fault(ring: &[Descriptor], table: &[Descriptor]) -> ChainFault {
    let [reference, batched] =
        KINDS.map(|kind| match lab(kind, ring, table).fetch(Shape::Receive, 0) {
            Err(RingFault::Chain { head: 0, fault }) => fault,
            other => panic!("{kind:?}: {other:?}"),
        });
    assert_eq!(reference, batched);
    batched
}

fn table_of(entries: u32) -> Descriptor {
    (TABLES, 16 * entries, DESC_F_INDIRECT, 0)
}

#[test]
fn a_table_is_followed_in_its_own_order() {
    let table = [(BUFFERS, 9, BOTH, 2), (BUFFERS, 1, W, 0), (BUFFERS + 64, 7, W, 0)];
    let found = segments(&[table_of(3)], &table, Shape::Receive);
    assert_eq!(found, [(BUFFERS, 9), (BUFFERS + 64, 7)]);
}

#[test]
fn a_table_may_come_after_plain_descriptors() {
    let ring = [(BUFFERS, 5, DESC_F_NEXT, 1), (TABLES, 32, DESC_F_INDIRECT, 0)];
    let table = [(BUFFERS + 8, 6, DESC_F_NEXT, 1), (BUFFERS + 16, 7, W, 0)];
    let found = segments(&ring, &table, Shape::Control);
    assert_eq!(found, [(BUFFERS, 5), (BUFFERS + 8, 6), (BUFFERS + 16, 7)]);
}

#[test]
fn the_write_flag_of_the_descriptor_that_names_a_table_means_nothing() {
    let ring = [(TABLES, 16, DESC_F_INDIRECT | W, 0)];
    let found = segments(&ring, &[(BUFFERS, 9, 0, 0)], Shape::Transmit);
    assert_eq!(found, [(BUFFERS, 9)]);
}

#[test]
fn a_table_may_lie_across_two_regions() {
    for kind in KINDS {
        let mut lab = Lab::of(kind);
        lab.descriptor(0, (0xfff8, 32, DESC_F_INDIRECT, 0));
        lab.descriptor_at(0xfff8, (BUFFERS, 9, BOTH, 1));
        lab.descriptor_at(0x1_0008, (BUFFERS + 64, 7, W, 0));
        lab.publish(0);
        assert_eq!(lab.fetch(Shape::Receive, 0), Ok(Fetched::Chain));
        assert_eq!(lab.segments(), [(BUFFERS, 9), (BUFFERS + 64, 7)]);
    }
}

#[test]
fn it_is_refused_where_it_was_not_negotiated() {
    for kind in KINDS {
        let agreed = RingFeatures { indirect: false, ..AGREED };
        let mut lab = Lab::new(kind, 8, Across::None, agreed);
        lab.descriptor(0, table_of(1));
        lab.descriptor_at(TABLES, (BUFFERS, 9, W, 0));
        lab.publish(0);
        let fault = RingFault::Chain { head: 0, fault: ChainFault::Indirect };
        assert_eq!(lab.fetch(Shape::Receive, 0), Err(fault));
    }
}

#[test]
fn checklist_device_17_indirect_with_next() {
    let ring = [(TABLES, 16, DESC_F_INDIRECT | DESC_F_NEXT, 1), (BUFFERS, 9, W, 0)];
    assert_eq!(fault(&ring, &[(BUFFERS, 9, W, 0)]), ChainFault::IndirectWithNext);
}

#[test]
fn checklist_device_17_indirect_inside_indirect() {
    assert_eq!(fault(&[table_of(1)], &[table_of(1)]), ChainFault::NestedIndirect);
    let later = [(BUFFERS, 9, BOTH, 1), table_of(1)];
    assert_eq!(fault(&[table_of(2)], &later), ChainFault::NestedIndirect);
}

#[test]
fn checklist_device_01_length_of_an_indirect_table() {
    for len in [0, 1, 15, 17, 24, u32::MAX] {
        let ring = [(TABLES, len, DESC_F_INDIRECT, 0)];
        assert_eq!(fault_of(&ring, Shape::Receive), ChainFault::IndirectLength(len));
    }
    let (address, len) = (GAP - 16, 32);
    let ring = [(address, len, DESC_F_INDIRECT, 0)];
    let outside = ChainFault::OutsideMemory { address, len };
    assert_eq!(fault_of(&ring, Shape::Receive), outside, "the second entry is in no region");
}

#[test]
fn checklist_device_17_next_beyond_the_indirect_table() {
    for next in [2, 8, u16::MAX] {
        let table = [(BUFFERS, 9, BOTH, next)];
        assert_eq!(fault(&[table_of(2)], &table), ChainFault::IndirectIndexOutOfRange(next));
    }
}

#[test]
fn checklist_device_17_longer_than_the_queue() {
    let table: Vec<Descriptor> = (1..=9).map(|next| (BUFFERS, 9, BOTH, next)).collect();
    assert_eq!(fault(&[table_of(20)], &table), ChainFault::LongerThanQueue);
    let mut eight = table[..8].to_vec();
    eight[7].2 = W;
    assert_eq!(segments(&[table_of(20)], &eight, Shape::Receive).len(), 8, "as long as the queue");
    let after_one = [(BUFFERS, 9, BOTH, 1), table_of(20)];
    assert_eq!(fault(&after_one, &eight), ChainFault::LongerThanQueue, "one is in the ring");
}
