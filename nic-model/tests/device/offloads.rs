//! Offloads of frames to transmit, as a driver asks for them and a wire sees them.

use crate::rig::{FLAGS_ONLY, Rig, config};
use crate::transmit::send;
use nic_model::{DeviceConfig, DropReason, Event};
use proptest::prelude::*;

/// Ethernet, IPv4, TCP from port 1, SYN-less, with FIN, PSH and CWR; the field holds the pseudo header's sum.
fn tcp(payload: usize) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([8, 0, 0x45, 0, 0, 0, 0, 7, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([0, 1, 0, 2, 0, 0, 0, 100, 0, 0, 0, 0, 0x50, 0x99, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend((0..payload).map(|byte| byte as u8));
    frame
}

fn header(flags: u8, gso_type: u8, gso_size: u16, start: u16, offset: u16) -> [u8; 12] {
    let [[s0, s1], [c0, c1], [o0, o1]] = [gso_size, start, offset].map(u16::to_le_bytes);
    [flags, gso_type, 0, 0, s0, s1, c0, c1, o0, o1, 0, 0]
}

#[test]
fn a_checksum_is_completed_and_nothing_else_touched() {
    let mut rig = Rig::new(config());
    // RFC 1071's example from byte 14 on, with the field behind it.
    let mut frame = vec![9; 14];
    frame.extend([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7, 0, 0]);
    send(&mut rig, 0, header(1, 0, 0, 14, 8), &frame, 5000);
    let [low, high] = (!0xddf2u16).to_be_bytes();
    frame[22..].copy_from_slice(&[low, high]);
    assert_eq!(rig.host.sent, [(0, frame)]);
    let counters = &rig.device.queue_counters(0).offloads;
    assert_eq!((counters.needs_csum, counters.csum_none), (1, 0));
}

#[test]
fn a_long_frame_leaves_in_segments_and_is_one_completion() {
    let mut rig = Rig::with_features(config(), FLAGS_ONLY);
    let frame = tcp(3500);
    send(&mut rig, 1, header(1, 0x81, 1448, 34, 16), &frame, 5000);
    let lens: Vec<usize> = rig.host.sent.iter().map(|(_, sent)| sent.len()).collect();
    assert_eq!(lens, [54 + 1448, 54 + 1448, 54 + 604]);
    let field = |at: usize| rig.host.sent.iter().map(|(_, sent)| sent[at]).collect::<Vec<_>>();
    assert_eq!(field(19), [7, 8, 9], "identification");
    assert_eq!(field(47), [0x90, 0x10, 0x19], "CWR first, FIN and PSH last");
    let joined: Vec<u8> = rig.host.sent.iter().flat_map(|(_, sent)| sent[54..].to_vec()).collect();
    assert_eq!(joined, frame[54..]);
    assert_eq!((rig.used_index(3), rig.host.interrupts.len()), (1, 1));
    let queue = rig.device.queue_counters(1);
    let bytes: usize = lens.iter().sum();
    assert_eq!((queue.transmitted, queue.transmitted_bytes), (3, bytes as u64));
    let counters = &queue.offloads;
    assert_eq!((counters.gso_packets, counters.gso_bytes), (1, frame.len() as u64));
    assert_eq!((counters.gso_segments, counters.gso_segments_bytes), (3, bytes as u64));
    send(&mut rig, 1, header(1, 1, 1448, 34, 16), &tcp(10), 5000);
    let counters = &rig.device.queue_counters(1).offloads;
    assert_eq!((counters.gso_packets_noseg, counters.gso_bytes_noseg), (1, 64));
    assert_eq!(counters.gso_segments, 3);
}

#[test]
fn the_longest_frame_fits_and_a_longer_one_does_not() {
    let mut rig = Rig::new(config());
    let (at_most, too_long) = (tcp(65597 - 54), tcp(65598 - 54));
    send(&mut rig, 0, header(1, 1, 1460, 34, 16), &at_most, 70_000);
    assert_eq!(rig.host.sent.len(), 45);
    send(&mut rig, 0, header(1, 1, 1460, 34, 16), &too_long, 70_000);
    assert_eq!((rig.host.sent.len(), rig.dropped(DropReason::TxMalformed)), (45, 1));
    send(&mut rig, 0, header(0, 0, 0, 0, 0), &tcp(1522 - 54 + 1), 70_000);
    send(&mut rig, 0, header(1, 0, 0, 34, 16), &tcp(1522 - 54 + 1), 70_000);
    assert_eq!(rig.dropped(DropReason::TxMalformed), 3, "whole frames keep to the MTU");
}

/// IPv4's total length has 16 bits: a segment that needs more is refused, whatever the MTU.
#[test]
fn a_segment_longer_than_ipv4_can_say_is_refused() {
    let mtu = DeviceConfig { mtu: 65535, ..config() };
    let mut rig = Rig::new(mtu);
    let payload = 65535 - 40;
    send(&mut rig, 0, header(1, 1, 65535, 34, 16), &tcp(payload), 70_000);
    assert_eq!(rig.host.sent.len(), 1);
    let total = u16::from_be_bytes([rig.host.sent[0].1[16], rig.host.sent[0].1[17]]);
    assert_eq!(total, 65535);
    send(&mut rig, 0, header(1, 1, 65535, 34, 16), &tcp(payload + 1), 70_000);
    assert_eq!((rig.host.sent.len(), rig.dropped(DropReason::TxMalformed)), (1, 1));
}

#[test]
fn with_the_link_down_the_frame_counts_once() {
    let mut rig = Rig::new(config());
    rig.device.set_link(0, false, &mut rig.host);
    send(&mut rig, 0, header(1, 1, 100, 34, 16), &tcp(1000), 5000);
    assert_eq!((rig.host.sent.len(), rig.device.counters().transmit_link_down), (0, 1));
    assert_eq!(rig.device.queue_counters(0).offloads.gso_packets, 0);
}

#[test]
fn checklist_device_10_csum_start_and_offset_beyond_the_packet() {
    let mut rig = Rig::new(config());
    let len = tcp(20).len() as u16;
    for (start, offset) in [
        (len, 0),
        (len - 1, 0),
        (0, len - 1),
        (0xffff, 0),
        (0, 0xffff),
        (0xffff, 0xffff),
        (len, 16),
    ] {
        send(&mut rig, 0, header(1, 0, 0, start, offset), &tcp(20), 5000);
        for gso_type in [1, 4, 5, 0x81] {
            send(&mut rig, 0, header(1, gso_type, 10, start, offset), &tcp(20), 5000);
        }
    }
    assert_eq!(rig.dropped(DropReason::TxMalformed), 35);
    assert_eq!((rig.host.sent.len(), rig.used_index(1)), (0, 35), "each is completed");
    assert_eq!(rig.device.broken(), None);
    send(&mut rig, 0, header(1, 0, 0, len - 2, 0), &tcp(20), 5000);
    assert_eq!(rig.host.sent.len(), 1, "the last two bytes are in the packet");
}

/// A frame of which each byte is a segment, again and again: each call ends, and what is left is due at once.
#[test]
fn checklist_device_15_no_driver_keeps_the_device_for_itself() {
    let mut rig = Rig::new(config());
    let frame = tcp(60_000);
    for _ in 0..2 {
        send(&mut rig, 0, header(1, 1, 1, 34, 16), &frame, 70_000);
    }
    rig.make_available(1, rig.size, 0);
    rig.make_available(1, rig.size, 0);
    rig.host.sent.clear();
    rig.kick(1);
    assert_eq!(rig.host.sent.len(), 120_000, "ends behind the frame that passes the bound");
    assert_eq!(rig.device.next_deadline(), None);
    for _ in 0..4 {
        rig.make_available(1, rig.size, 0);
    }
    rig.host.sent.clear();
    rig.kick(1);
    assert_eq!((rig.host.sent.len(), rig.device.next_deadline()), (120_000, Some(0)));
    rig.advance(0);
    assert_eq!((rig.host.sent.len(), rig.used_index(1)), (240_000, 8));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Whatever header and frame say: it leaves or is counted, the chain is completed, no byte is invented.
    #[test]
    fn any_header_over_any_frame_is_accounted_for(
        flags in any::<u8>(),
        gso_type in prop_oneof![Just(0u8), Just(1), Just(4), Just(5), Just(0x81), any::<u8>()],
        size in prop_oneof![1u16..2000, any::<u16>()],
        start in prop_oneof![Just(34u16), 0u16..100, any::<u16>()],
        offset in prop_oneof![Just(16u16), Just(6), any::<u16>()],
        changes in prop::collection::vec((0usize..60, any::<u8>()), 0..4),
        payload in 0usize..4000,
    ) {
        let mut rig = Rig::new(config());
        let mut frame = tcp(payload);
        for (at, byte) in changes {
            let last = frame.len() - 1;
            frame[at.min(last)] = byte;
        }
        send(&mut rig, 0, header(flags, gso_type, size, start, offset), &frame, 5000);
        let counters = rig.device.counters();
        let dropped = rig.dropped(DropReason::TxMalformed);
        prop_assert_eq!(rig.host.sent.len() as u64, counters.transmitted);
        prop_assert!((dropped == 1) == (counters.transmitted == 0), "{}", dropped);
        prop_assert_eq!(rig.used_index(1), 1);
        prop_assert!(rig.host.sent.iter().all(|(_, sent)| sent.len() <= 1522));
        let told = rig.host.events.iter().filter(|(_, e)| matches!(e, Event::Transmitted { .. }));
        prop_assert_eq!(told.count() as u64, counters.transmitted);
        prop_assert_eq!(rig.device.broken(), None);
    }
}
