//! Device statistics: each number is one of the account's, in the place that the specification gives it.

use crate::rig::{FLAGS_ONLY, Rig, config, config_with, rss_command, udp};
use crate::transmit::send;
use nic_model::spec::{feature, stats};
use nic_model::{DeviceConfig, DropReason, QueueCounters};

/// The answer's byte and what comes behind it.
fn get(rig: &mut Rig, asked: &[(u16, u64)], room: u32) -> Vec<u8> {
    let mut command = vec![8, 1];
    for (virtqueue, types) in asked {
        command.extend(virtqueue.to_le_bytes());
        command.extend([0xee; 6]);
        command.extend(types.to_le_bytes());
    }
    rig.command_with_result(&command, room)
}

/// The numbers of one type of one queue; its header is checked.
fn numbers(rig: &mut Rig, virtqueue: u16, kind: u8) -> Vec<u64> {
    let answer = get(rig, &[(virtqueue, 1 << kind)], 500);
    assert_eq!(answer[0], 0, "refused");
    let [v0, v1] = virtqueue.to_le_bytes();
    let [s0, s1] = (answer.len() as u16 - 1).to_le_bytes();
    assert_eq!(answer[1..9], [kind, 0, v0, v1, 0, 0, s0, s1]);
    answer[9..].chunks(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn query(rig: &mut Rig) -> u64 {
    let answer = rig.command_with_result(&[8, 0], 9);
    assert_eq!(answer[0], 0);
    u64::from_le_bytes(answer[1..].try_into().unwrap())
}

/// A device of which every counter that is shown has moved, each to another number.
fn busy() -> Rig {
    let features = FLAGS_ONLY | feature::GUEST_CSUM;
    let device = DeviceConfig { features, min_frame: 14, ..config() };
    let mut rig = Rig::new(device);
    rig.command(&rss_command(&[1], 0, 4));
    rig.post(1, 3);
    rig.kick(2);
    rig.set_no_interrupt(2, true);
    for _ in 0..2 {
        rig.frame(&udp(1, 70, 0));
    }
    rig.set_no_interrupt(2, false);
    for _ in 0..5 {
        rig.frame(&udp(1, 80, 0));
    }
    send(&mut rig, 1, [0; 12], &udp(1, 90, 0), 5000);
    send(&mut rig, 1, [1, 0, 0, 0, 0, 0, 34, 0, 6, 0, 0, 0], &udp(1, 91, 0), 5000);
    send(&mut rig, 1, [0; 12], &[0; 4], 5000);
    rig.device.set_link(rig.now, false, &mut rig.host);
    send(&mut rig, 1, [0; 12], &udp(1, 90, 0), 5000);
    rig.device.set_link(rig.now, true, &mut rig.host);
    rig
}

#[test]
fn each_number_is_the_accounts() {
    let mut rig = busy();
    let of: QueueCounters = rig.device.queue_counters(1).clone();
    let malformed = of.dropped[DropReason::TxMalformed.index()];
    let overruns = of.dropped[DropReason::NoDescriptor.index()];
    let receive =
        [of.kicks, of.written, of.written_bytes, of.interrupts, of.dropped_total(), overruns];
    assert_eq!(receive, [2, 3, 220, 1, 4, 4]);
    assert_eq!(numbers(&mut rig, 2, stats::RX_BASIC), receive);
    let checksums = [of.rx_csum_valid, 0, of.rx_csum_none, of.rx_csum_bad];
    assert_eq!(checksums.iter().sum::<u64>(), 3, "each frame written is one of them, and no other");
    assert_eq!(numbers(&mut rig, 2, stats::RX_CSUM), checksums);
    let transmit = [
        of.transmit_kicks,
        of.transmitted,
        of.transmitted_bytes,
        of.transmit_interrupts,
        malformed + of.transmit_link_down,
        malformed,
    ];
    assert_eq!(transmit, [4, 2, 181, 4, 2, 1]);
    assert_eq!(numbers(&mut rig, 3, stats::TX_BASIC), transmit);
    let offloads = of.offloads;
    assert_eq!(numbers(&mut rig, 3, stats::TX_CSUM), [offloads.csum_none, offloads.needs_csum]);
    assert_eq!((offloads.csum_none, offloads.needs_csum), (2, 1));
    let gso = numbers(&mut rig, 3, stats::TX_GSO);
    assert_eq!(gso, [0; 6]);
    for (virtqueue, kind) in [(2, stats::RX_SPEED), (3, stats::TX_SPEED)] {
        assert_eq!(numbers(&mut rig, virtqueue, kind), [0, 0]);
    }
    assert_eq!(numbers(&mut rig, 0, stats::RX_BASIC)[..3], [0, 0, 0], "another queue");
}

#[test]
fn segments_are_counted_as_the_specification_counts_them() {
    let mut rig = Rig::new(config());
    let mut frame = udp(1, 1042, 0);
    frame[23] = 17;
    let header = [1, 5, 0, 0, 0xf4, 1, 34, 0, 6, 0, 0, 0];
    send(&mut rig, 0, header, &frame, 5000);
    send(&mut rig, 0, header, &udp(1, 142, 0), 5000);
    // Headers of 42 bytes; 500 bytes of payload twice.
    assert_eq!(numbers(&mut rig, 1, stats::TX_GSO), [2, 1184, 2, 1084, 1, 142]);
    assert_eq!(numbers(&mut rig, 1, stats::TX_BASIC)[1..3], [3, 1226]);
}

#[test]
fn commands_are_counted_with_the_one_at_hand() {
    let mut rig = Rig::new(config());
    let control = rig.control();
    rig.command(&[99, 99]);
    assert_eq!(numbers(&mut rig, control, stats::CVQ), [2, 1]);
    assert_eq!(numbers(&mut rig, control, stats::CVQ), [3, 2]);
    let counters = rig.device.counters();
    assert_eq!((counters.control_ok, counters.control_err), (2, 1));
}

#[test]
fn the_query_names_what_the_features_allow() {
    let basic = 1u64 << 32 | 1 | 1 << 3 | 1 << 16 | 1 << 19;
    let none = feature::CSUM
        | feature::HOST_TSO4
        | feature::HOST_TSO6
        | feature::HOST_ECN
        | feature::HOST_USO;
    let mut rig = Rig::with_features(config(), config().features & !none);
    assert_eq!(query(&mut rig), basic);
    for refused in [1 << stats::TX_CSUM, 1 << stats::TX_GSO] {
        assert_eq!(get(&mut rig, &[(1, refused)], 100), [1], "its feature is not negotiated");
    }
    let mut rig = Rig::new(config_with(feature::GUEST_CSUM));
    assert_eq!(query(&mut rig), basic | 1 << 1 | 1 << 17 | 1 << 18);
}

/// 5.1.6.5.10: one thing wrong fails the whole command.
#[test]
fn one_error_fails_the_whole_command() {
    let mut rig = Rig::new(config());
    let control = rig.control();
    let good = (0, 1u64 << stats::RX_BASIC);
    let bad = [
        (control + 1, 1),
        (u16::MAX, 1),
        (0, 1 << stats::TX_BASIC),
        (0, 1 << stats::CVQ),
        (0, 1 << 2),
        (0, 1 << 63),
        (1, 1 << stats::RX_BASIC),
        (control, 1 << stats::RX_BASIC),
        (0, u64::MAX),
    ];
    for bad in bad {
        for asked in [vec![bad], vec![good, bad], vec![bad, good]] {
            assert_eq!(get(&mut rig, &asked, 500), [1], "{asked:?}");
        }
    }
    assert_eq!(get(&mut rig, &[good, good, (0, 0)], 500).len(), 1 + 2 * 56);
    assert_eq!(rig.command(&[8, 1, 0]), 1, "not a whole entry");
}

#[test]
fn no_more_is_written_than_there_is_room_for() {
    let mut rig = Rig::new(config());
    let all = get(&mut rig, &[(0, 1 | 1 << 3)], 500);
    assert_eq!(all.len(), 1 + 56 + 24);
    rig.kick(0);
    for room in [1, 2, 9, 57, 60, 81] {
        let answer = get(&mut rig, &[(0, 1 | 1 << 3)], room);
        assert_eq!((answer.len(), answer[0]), (room as usize, 0));
    }
    let mut rig = Rig::with_features(config(), config().features & !feature::DEVICE_STATS);
    assert_eq!(rig.command_with_result(&[8, 0], 9), [1]);
}
