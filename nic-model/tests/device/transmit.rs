//! Frames from the driver to the wire.

use crate::rig::{FLAGS_ONLY, Rig, buffer, config, udp};
use nic_model::DropReason;
use nic_model::spec::feature;
use nic_model::spec::ring::DESC_F_NEXT;
use vm_memory::{Bytes, GuestAddress};

/// Everything that a header can ask for.
const OFFLOADS: u64 =
    feature::CSUM | feature::HOST_TSO4 | feature::HOST_TSO6 | feature::HOST_ECN | feature::HOST_USO;

/// Makes header and frame available on a pair's transmit queue in pieces of `piece` bytes.
pub fn send(rig: &mut Rig, pair: u16, header: [u8; 12], frame: &[u8], piece: usize) {
    let queue = 2 * pair + 1;
    let bytes = [&header[..], frame].concat();
    let place = buffer(queue, 0);
    rig.memory.write_slice(&bytes, GuestAddress(place)).unwrap();
    let pieces = bytes.len().div_ceil(piece);
    for index in 0..pieces {
        let at = index * piece;
        let flags = if index + 1 < pieces { DESC_F_NEXT } else { 0 };
        let len = piece.min(bytes.len() - at) as u32;
        let (index, at) = (index as u16, at as u64);
        rig.descriptor(queue, index, place + at, len, flags, index + 1);
    }
    rig.make_available(queue, rig.size, 0);
    rig.kick(queue);
}

#[test]
fn a_frame_leaves_without_its_header_however_it_is_cut() {
    let mut rig = Rig::new(config());
    for piece in [5000, 40, 13, 12] {
        let frame = udp(9, 80, piece as u8);
        send(&mut rig, 1, [0; 12], &frame, piece);
        assert_eq!(rig.host.sent.pop(), Some((1, frame)));
    }
    assert_eq!((rig.used_index(3), rig.used(3, 0)), (4, (0, 0)));
    assert_eq!(rig.available_event(3), 4, "the next one shall kick");
    assert_eq!(rig.device.queue_counters(1).transmitted, 4);
}

#[test]
fn malformed_frames_are_counted_and_completed() {
    let mut rig = Rig::with_features(config(), config().features & !OFFLOADS);
    let offload = |at: usize, value| {
        let mut header = [0; 12];
        header[at] = value;
        header
    };
    send(&mut rig, 0, [0; 12], &[0; 13], 5000);
    send(&mut rig, 0, [0; 12], &[0; 1523], 5000);
    send(&mut rig, 0, offload(0, 1), &udp(1, 60, 0), 5000);
    send(&mut rig, 0, offload(1, 1), &udp(1, 60, 0), 5000);
    assert_eq!(rig.dropped(DropReason::TxMalformed), 4);
    assert_eq!((rig.used_index(1), rig.host.sent.len()), (4, 0));
    send(&mut rig, 0, [0; 12], &[0; 1522], 5000);
    send(&mut rig, 0, [0; 12], &[0; 14], 5000);
    assert_eq!(rig.host.sent.len(), 2, "the limits themselves are fine");
    assert_eq!(rig.device.broken(), None);
}

#[test]
fn a_link_that_is_down_swallows_the_frame() {
    let mut rig = Rig::new(config());
    rig.device.set_link(0, false, &mut rig.host);
    send(&mut rig, 0, [0; 12], &udp(1, 60, 0), 5000);
    assert_eq!((rig.host.sent.len(), rig.device.counters().transmit_link_down), (0, 1));
    assert_eq!(rig.used_index(1), 1);
}

#[test]
fn a_whole_ring_is_one_publication_and_one_interrupt() {
    let mut rig = Rig::with_features(config(), FLAGS_ONLY);
    let queue = 1;
    rig.memory.write_slice(&[0; 72], GuestAddress(buffer(queue, 0))).unwrap();
    for index in 0..8 {
        rig.descriptor(queue, index, buffer(queue, 0), 72, 0, 0);
        rig.make_available(queue, rig.size, index);
    }
    rig.kick(queue);
    assert_eq!((rig.host.sent.len(), rig.used_index(queue)), (8, 8));
    assert_eq!(rig.host.interrupts.len(), 1);
    assert_eq!(rig.used_flags(queue), 0, "and kicks are wanted again");
    assert_eq!(rig.device.next_deadline(), None);
}
