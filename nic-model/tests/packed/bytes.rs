//! What a packed ring looks like, byte by byte, and what the device has read counts once.

use crate::lab::{Lab, WRITE, room, setup};
use nic_model::spec::feature::{EVENT_IDX, IN_ORDER, INDIRECT_DESC, RING_PACKED};
use vm_memory::{Bytes, GuestAddress};

/// Flags of a used descriptor in rounds with counter 1 that was written to; nothing written: 0x8080.
const USED_WRITTEN: u16 = 0x8082;

fn give(lab: &mut Lab, queue: usize, slot: u16, lens: &[u32]) {
    let buffers = Lab::buffers(queue, slot, lens);
    lab.rings[queue].give(slot, &buffers);
}

#[test]
fn a_used_descriptor_takes_the_place_of_the_first_of_its_chain() {
    let mut lab = Lab::new(5, RING_PACKED);
    give(&mut lab, 0, 2, &[12, 100, 1500]);
    lab.frame(60);
    lab.pass(500);
    let ring = &lab.rings[0];
    assert_eq!(lab.bytes(ring.at(0) + 8, 4), [72, 0, 0, 0]);
    assert_eq!((ring.get(ring.at(0) + 12), ring.get(ring.at(0) + 14)), (8, USED_WRITTEN));
    assert_eq!(ring.get(ring.at(1) + 14) & 0x8080, 0x80, "the rest of the chain is left alone");
    // The next one goes three places further on; the one after it is in the next round.
    give(&mut lab, 0, 0, &[1600, 200]);
    give(&mut lab, 0, 1, &[1600]);
    lab.frame(61);
    lab.pass(500);
    lab.frame(62);
    lab.pass(500);
    let ring = &lab.rings[0];
    assert_eq!((ring.get(ring.at(3) + 12), ring.get(ring.at(3) + 14)), (0, USED_WRITTEN));
    assert_eq!((ring.get(ring.at(0) + 12), ring.get(ring.at(0) + 14)), (4, WRITE));
}

#[test]
fn in_order_the_last_of_what_was_sent_stands_for_all() {
    let mut lab = Lab::new(16, RING_PACKED | IN_ORDER);
    for slot in 0..4 {
        lab.memory.write_slice(&[0; 72], GuestAddress(room(1, slot, 0))).unwrap();
        give(&mut lab, 1, slot, &[72]);
    }
    lab.kick(1);
    assert_eq!(lab.log.sent.len(), 4);
    let ring = &lab.rings[1];
    assert_eq!((ring.get(ring.at(0) + 12), ring.get(ring.at(0) + 14)), (12, 0x8080));
    assert_eq!(ring.get(ring.at(1) + 14) & 0x8080, 0x80);
}

#[test]
fn checklist_device_07_what_was_read_ahead_does_not_change() {
    let mut lab = Lab::new(8, RING_PACKED);
    for slot in 0..2 {
        give(&mut lab, 0, slot, &[1600]);
    }
    // The first frame is on the engine; looking for the second one's room reads both descriptors.
    lab.frame(60);
    lab.frame(60);
    lab.rings[0].descriptor(1, 1 << 40, 0, [99, 0x80 | 5]);
    lab.pass(1000);
    assert_eq!(lab.fault(), None);
    assert_eq!(lab.bytes(room(0, 1, 0) + 12, 12), [2; 12]);
    assert_eq!(lab.rings[0].take(), Some((0, 72)));
}

#[test]
fn the_wish_for_kicks_names_the_next_descriptor_or_is_a_flag() {
    for (features, asks) in [(RING_PACKED, [0, 0]), (RING_PACKED | EVENT_IDX, [1 | 1 << 15, 2])] {
        let mut lab = Lab::new(8, features);
        lab.memory.write_slice(&[0; 72], GuestAddress(room(1, 0, 0))).unwrap();
        give(&mut lab, 1, 0, &[72]);
        lab.kick(1);
        let at = setup(1, 8).used_ring;
        assert_eq!([lab.rings[1].get(at), lab.rings[1].get(at + 2)], asks);
    }
}

#[test]
fn an_indirect_table_is_a_chain_of_one_descriptor() {
    let table = 0x8000u64;
    let entry = |address: u64, len: u32| {
        let mut bytes = address.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        bytes.extend([0, 0, 2, 0]);
        bytes
    };
    let build = |features| {
        let lab = Lab::new(8, features);
        let entries = [entry(room(0, 0, 0), 12), entry(room(0, 0, 1), 1500)].concat();
        lab.memory.write_slice(&entries, GuestAddress(table)).unwrap();
        lab
    };
    let mut lab = build(RING_PACKED | INDIRECT_DESC);
    lab.rings[0].give(0, &[(table, 32, 4)]);
    lab.frame(60);
    lab.pass(500);
    assert_eq!(lab.rings[0].take(), Some((0, 72)));
    assert_eq!(lab.bytes(room(0, 0, 1), 12), [1; 12]);
    // (features, descriptor, the fault's name)
    let bad: [(u64, u32, u16, &str); 5] = [
        (RING_PACKED, 32, 4, "indirect"),
        (RING_PACKED | INDIRECT_DESC, 0, 4, "indirect_length"),
        (RING_PACKED | INDIRECT_DESC, 33, 4, "indirect_length"),
        (RING_PACKED | INDIRECT_DESC, 16 * 9, 4, "longer_than_queue"),
        (RING_PACKED | INDIRECT_DESC, 48, 4, "empty_buffer"),
    ];
    for (features, len, flags, name) in bad {
        let mut lab = build(features);
        lab.rings[0].give(0, &[(table, len, flags)]);
        lab.frame(60);
        assert_eq!(lab.fault(), Some(name), "{len}");
    }
    let mut lab = build(RING_PACKED | INDIRECT_DESC);
    lab.rings[0].give(0, &[(room(0, 1, 0), 100, 2), (table, 32, 4)]);
    lab.frame(60);
    assert_eq!(lab.fault(), Some("indirect_in_chain"));
}

/// A queue that is stopped and goes on elsewhere knows how long the chains are that it fetches there.
#[test]
fn a_resumed_ring_goes_on_behind_its_longer_chains() {
    let mut lab = Lab::new(5, RING_PACKED);
    for round in 0..12 {
        give(&mut lab, 0, 0, &[40, 200]);
        give(&mut lab, 0, 1, &[200]);
        lab.frame(60);
        lab.frame(61);
        lab.pass(1000);
        let taken = [lab.rings[0].take(), lab.rings[0].take()];
        assert_eq!(taken, [Some((0, 72)), Some((1, 73))], "round {round}");
        let base = lab.device.stop_queue(lab.now, 0, &mut lab.log).unwrap();
        lab.device.resume_queue(0, &setup(0, 5), base).unwrap();
        lab.device.enable_queue(0).unwrap();
    }
}
