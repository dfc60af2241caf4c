//! The mistakes that other devices made with rings, by number of the list of bad input for devices; the
//! public cases are named where there are any. What a whole device is needed for is with the device.

use crate::lab::{AGREED, Across, BUFFERS, Descriptor, GAP, KINDS, Lab, TABLES, fault_of};
use nic_model::ring::{Fetched, Ring, Shape, Virtqueue};
use nic_model::spec::ring::{DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE};
use nic_model::{ChainFault, QueueSetup, RingFault, RingKind};
use vm_memory::{GuestAddress, GuestMemoryMmap};

const W: u16 = DESC_F_WRITE;
const BOTH: u16 = DESC_F_NEXT | DESC_F_WRITE;

fn receive(descriptors: &[Descriptor]) -> ChainFault {
    fault_of(descriptors, Shape::Receive)
}

/// CVE-2018-1059.
#[test]
fn checklist_device_01_range_not_fully_mapped() {
    let ends = [
        (GAP - 1, 2),
        (GAP, 1),
        (GAP - 0x2_0000, GAP as u32 + 1),
        (0x3_3fff, 2),
        (u64::MAX, 1),
        (u64::MAX - 8, 100),
    ];
    for (address, len) in ends {
        assert_eq!(receive(&[(address, len, W, 0)]), ChainFault::OutsideMemory { address, len });
        if len % 16 == 0 {
            continue;
        }
        let len = len.next_multiple_of(16);
        let table = [(address, len, DESC_F_INDIRECT, 0)];
        assert_eq!(receive(&table), ChainFault::OutsideMemory { address, len }, "a table");
    }
    for kind in KINDS {
        let mut lab = Lab::of(kind);
        lab.descriptor(0, (0xfffe, 4, W, 0));
        lab.publish(0);
        assert_eq!(
            lab.fetch(Shape::Receive, 4),
            Ok(Fetched::Chain),
            "across two regions is mapped"
        );
        lab.chain.write_one(&lab.memory, &[7; 4]).unwrap();
    }
}

/// CVE-2020-10723.
#[test]
fn checklist_device_05_indices_are_not_cut_to_size() {
    for head in [8, 0x100, 0x108, 0x8000, u16::MAX] {
        for kind in KINDS {
            let mut lab = Lab::of(kind);
            lab.descriptor(0, (BUFFERS, 64, W, 0));
            lab.publish(head);
            let fault = ChainFault::IndexOutOfRange(head);
            assert_eq!(lab.fetch(Shape::Receive, 0), Err(RingFault::Chain { head, fault }));
        }
        assert_eq!(receive(&[(BUFFERS, 64, BOTH, head)]), ChainFault::IndexOutOfRange(head));
    }
}

#[test]
fn checklist_device_05_the_available_index_wraps() {
    for kind in KINDS {
        let mut lab = Lab::of(kind);
        for index in 0..8 {
            lab.descriptor(index, (BUFFERS + u64::from(index), 64, W, 0));
        }
        for turn in 0..70_000_u32 {
            let head = (turn % 8) as u16;
            lab.publish(head);
            assert_eq!(lab.fetch(Shape::Receive, 64), Ok(Fetched::Chain));
            assert_eq!(lab.chain.head, head);
        }
        assert_eq!(lab.ring.available(&lab.memory), Ok(0));
    }
}

/// CVE-2020-10725.
#[test]
fn checklist_device_06_zero_length_descriptor() {
    for address in [BUFFERS, GAP, u64::MAX] {
        assert_eq!(receive(&[(address, 0, W, 0)]), ChainFault::Empty);
        assert_eq!(receive(&[(BUFFERS, 9, BOTH, 1), (address, 0, W, 0)]), ChainFault::Empty);
    }
}

/// CVE-2020-14375.
#[test]
fn checklist_device_07_what_was_read_once_is_not_read_again() {
    for kind in KINDS {
        let mut lab = Lab::of(kind);
        for index in 0..3 {
            lab.descriptor(index, (BUFFERS + 64 * u64::from(index), 64, W, 0));
            lab.publish(index);
        }
        assert_eq!(lab.fetch(Shape::Receive, 64), Ok(Fetched::Chain));
        for index in 0..3 {
            lab.descriptor(index, (u64::MAX, u32::MAX, 0, 0));
        }
        lab.chain.write_one(&lab.memory, &[7; 64]).unwrap();
        assert_eq!(lab.segments(), [(BUFFERS, 64)], "{kind:?}");
        let next = lab.fetch(Shape::Receive, 64);
        // A ring that reads ahead has read these too; the other one reads them now and refuses.
        match kind {
            RingKind::Batched => {
                assert_eq!((next, lab.segments()), (Ok(Fetched::Chain), vec![(BUFFERS + 64, 64)]));
            }
            RingKind::Reference => assert!(next.is_err()),
        }
    }
}

/// A chain that is too short for a frame stays where it is, however often it is asked for.
#[test]
fn checklist_device_08_chain_shorter_than_the_frame() {
    for kind in KINDS {
        let mut lab = Lab::of(kind);
        lab.descriptor(0, (BUFFERS, 10, BOTH, 1));
        lab.descriptor(1, (BUFFERS + 64, 10, W, 0));
        lab.publish(0);
        for _ in 0..3 {
            let found = lab.fetch(Shape::Receive, 21);
            assert_eq!(found, Ok(Fetched::TooSmall { capacity: 20 }));
            assert_eq!(lab.ring.available(&lab.memory), Ok(1));
        }
        assert_eq!(lab.fetch(Shape::Receive, 20), Ok(Fetched::Chain));
        assert_eq!(lab.segments(), [(BUFFERS, 10), (BUFFERS + 64, 10)]);
    }
}

/// CVE-2019-9547.
#[test]
fn checklist_device_11_circular_chain() {
    let step = |next| (BUFFERS, 9, BOTH, next);
    assert_eq!(receive(&[step(0)]), ChainFault::Loop);
    assert_eq!(receive(&[step(1), step(2), step(1)]), ChainFault::Loop);
    for kind in KINDS {
        let mut lab = Lab::of(kind);
        lab.descriptor(0, (TABLES, 32, DESC_F_INDIRECT, 0));
        lab.descriptor_at(TABLES, step(1));
        lab.descriptor_at(TABLES + 16, step(0));
        lab.publish(0);
        let fault = RingFault::Chain { head: 0, fault: ChainFault::Loop };
        assert_eq!(lab.fetch(Shape::Receive, 0), Err(fault));
    }
}

#[test]
fn checklist_device_17_available_index_jumps() {
    for kind in KINDS {
        for jump in [9, 0x7fff, 0x8000, u16::MAX] {
            let mut lab = Lab::of(kind);
            lab.publish_index(jump);
            let fault = Err(RingFault::AvailableIndex { offered: jump, size: 8 });
            assert_eq!(lab.ring.available(&lab.memory), fault.map(|()| 0));
            assert_eq!(lab.fetch(Shape::Receive, 0), fault.map(|()| Fetched::Empty));
        }
    }
}

#[test]
fn checklist_device_17_next_out_of_range() {
    for next in [8, 255, u16::MAX] {
        assert_eq!(receive(&[(BUFFERS, 9, BOTH, next)]), ChainFault::IndexOutOfRange(next));
    }
}

#[test]
fn checklist_device_17_writable_before_readable() {
    let descriptors = [(BUFFERS, 9, BOTH, 1), (BUFFERS, 9, 0, 0)];
    assert_eq!(fault_of(&descriptors, Shape::Control), ChainFault::ReadableNotAllowed);
}

#[test]
fn checklist_device_17_length_wraps() {
    let (address, len) = (u64::MAX - 3, 8);
    assert_eq!(receive(&[(address, len, W, 0)]), ChainFault::OutsideMemory { address, len });
    let len = u32::MAX;
    let wraps = [(BUFFERS, 9, BOTH, 1), (BUFFERS, len, W, 0)];
    assert_eq!(receive(&wraps), ChainFault::OutsideMemory { address: BUFFERS, len });
}

/// Every buffer is the whole of memory, until 32 bits do not hold the sum.
#[test]
fn checklist_device_17_chain_of_4_gib() {
    for kind in KINDS {
        let whole = 0x20_0000;
        let setup = QueueSetup {
            size: 4096,
            descriptor_table: 0,
            available_ring: 0x2_0000,
            used_ring: 0x3_0000,
            vector: None,
        };
        let mut lab = Lab {
            memory: GuestMemoryMmap::from_ranges(&[(GuestAddress(0), whole)]).unwrap(),
            ring: Virtqueue::new(kind, &setup, AGREED).unwrap(),
            setup,
            ..Lab::of(kind)
        };
        for index in 0..4096 {
            lab.descriptor(index, (0, whole as u32, BOTH, index + 1));
        }
        lab.publish(0);
        let fault = RingFault::Chain { head: 0, fault: ChainFault::TooLong };
        assert_eq!(lab.fetch(Shape::Receive, 0), Err(fault));
    }
}

/// A pass that takes long chains ends before its 64th: what it reads and keeps is bounded.
#[test]
fn checklist_device_15_a_pass_of_long_chains_ends_early() {
    let mut lab = Lab::new(RingKind::Batched, 128, Across::None, AGREED);
    for entry in 0..128_u64 {
        let flags = if entry < 127 { BOTH } else { W };
        lab.descriptor_at(TABLES + 16 * entry, (BUFFERS, 1, flags, entry as u16 + 1));
    }
    for head in 0..64 {
        lab.descriptor(head, (TABLES, 16 * 128, DESC_F_INDIRECT, 0));
        lab.publish(head);
    }
    assert_eq!(lab.fetch(Shape::Receive, 0), Ok(Fetched::Chain));
    // More than 1024 segments are in 9 chains; the others have not been looked at yet.
    lab.descriptor_at(TABLES, (BUFFERS, 0, BOTH, 1));
    for _ in 1..9 {
        assert_eq!(lab.fetch(Shape::Receive, 0), Ok(Fetched::Chain));
        assert_eq!(lab.segments().len(), 128);
    }
    let fault = RingFault::Chain { head: 9, fault: ChainFault::Empty };
    assert_eq!(lab.fetch(Shape::Receive, 0), Err(fault));
}
