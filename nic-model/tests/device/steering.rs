//! Several queues by command, and what the device answers to the rest.

use crate::rig::{FLAGS_ONLY, Rig, buffer, config, rss_command, udp};
use nic_model::rss::HashType;
use nic_model::spec::{feature, ring};
use nic_model::{DeviceConfig, DropReason, Event};

const OK: u8 = 0;
const ERR: u8 = 1;

/// Pairs the last frames were steered to.
fn steered(rig: &Rig) -> Vec<(u16, Option<(HashType, u32)>)> {
    let mut queues = Vec::new();
    for (_, event) in &rig.host.events {
        if let Event::Steered { queue, hash, .. } = event {
            queues.push((*queue, *hash));
        }
    }
    queues
}

#[test]
fn one_pair_until_told_otherwise() {
    let mut rig = Rig::new(config());
    for port in 0..50 {
        rig.frame(&udp(port, 60, 0));
    }
    assert!(steered(&rig).iter().all(|s| *s == (0, None)));
}

#[test]
fn mq_command_spreads_flows_over_the_active_pairs() {
    let mut rig = Rig::with_features(config(), FLAGS_ONLY);
    assert_eq!(rig.command(&[4, 0, 3, 0]), OK);
    for port in 0..90 {
        rig.frame(&udp(port, 60, 0));
    }
    let queues: Vec<u16> = steered(&rig).iter().map(|s| s.0).collect();
    for pair in 0..3 {
        assert!(queues.iter().filter(|queue| **queue == pair).count() > 10, "{queues:?}");
    }
    assert!(!queues.contains(&3));
    assert_eq!(rig.used(rig.control(), 0), (0, 1));
    assert!(rig.host.interrupts.contains(&(0, rig.control() + 1, 0)));
    assert_eq!(rig.used_flags(rig.control()), 0, "the next one shall kick");
}

#[test]
fn rss_command_steers_by_hash_and_table_with_a_published_vector() {
    let mut rig = Rig::new(config());
    assert_eq!(rig.command(&rss_command(&[3, 2, 1, 0], 2, 4)), OK);
    let mut frame = udp(2794, 60, 0);
    frame[23] = 6;
    frame[26..34].copy_from_slice(&[66, 9, 149, 187, 161, 142, 100, 80]);
    frame[36..38].copy_from_slice(&1766_u16.to_be_bytes());
    rig.frame(&frame);
    rig.frame(&[0; 60]);
    let hash = 0x51cc_c178;
    assert_eq!(steered(&rig), [(3, Some((HashType::TcpIpv4, hash))), (2, None)]);
}

/// `max_tx_vq` is about transmit virtqueues (5.1.6.5.7.1): no bound on where frames are received.
#[test]
fn transmit_queues_do_not_bound_the_receive_queues() {
    let mut rig = Rig::new(config());
    assert_eq!(rig.command(&rss_command(&[3], 2, 1)), OK);
    rig.post(3, 1);
    rig.frame(&udp(1, 60, 0));
    rig.frame(&[0; 60]);
    let pairs: Vec<u16> = steered(&rig).iter().map(|s| s.0).collect();
    assert_eq!((pairs, rig.device.published(3)), (vec![3, 2], 1));
}

#[test]
fn the_last_command_wins() {
    let mut rig = Rig::new(config());
    assert_eq!(rig.command(&rss_command(&[3], 3, 4)), OK);
    assert_eq!(rig.command(&[4, 0, 1, 0]), OK);
    rig.frame(&udp(1, 60, 0));
    assert_eq!(steered(&rig), [(0, None)]);
}

#[test]
fn what_the_device_cannot_do_it_says() {
    let mut rig = Rig::new(config());
    let commands: [(&[u8], &str); 11] = [
        (&[0, 0, 1], "unsupported"),
        (&[1, 1, 1, 0, 0, 0, 0, 0], "station"),
        (&[4, 2, 0, 0, 0, 0], "unsupported"),
        (&[4, 0, 0, 0], "pairs"),
        (&[4, 0, 5, 0], "pairs"),
        (&[4, 0], "length"),
        (&[9], "length"),
        (&rss_command(&[0, 4], 0, 4), "table_entry"),
        (&rss_command(&[0, 1, 2], 0, 4), "table_mask"),
        (&[6, 2, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "state"),
        (&[4; 600], "unsupported"),
    ];
    for (command, why) in commands {
        assert_eq!(rig.command(command), ERR, "{command:?}");
        let told = rig.host.events.iter().rev().find_map(|(_, event)| match event {
            Event::ControlCommand { refused, .. } => Some(*refused),
            _ => None,
        });
        assert_eq!(told, Some(Some(why)), "{command:?}");
    }
    assert_eq!((rig.device.counters().control_ok, rig.device.counters().control_err), (0, 11));
    assert_eq!(rig.device.broken(), None);
}

#[test]
fn commands_of_features_not_negotiated_are_refused() {
    let mut rig = Rig::with_features(config(), FLAGS_ONLY & !feature::RSS);
    assert_eq!(rig.command(&rss_command(&[0], 0, 1)), ERR);
    assert_eq!(rig.command(&[4, 0, 2, 0]), OK);
}

#[test]
fn a_command_in_many_pieces_is_understood() {
    let mut rig = Rig::new(config());
    let (queue, place) = (rig.control(), buffer(rig.control(), 0));
    vm_memory::Bytes::write_slice(&*rig.memory, &[4, 0, 2, 0], vm_memory::GuestAddress(place))
        .unwrap();
    for index in 0..4 {
        rig.descriptor(queue, index, place + u64::from(index), 1, ring::DESC_F_NEXT, index + 1);
    }
    rig.descriptor(queue, 4, place + 100, 1, ring::DESC_F_WRITE, 0);
    rig.make_available(queue, 64, 0);
    rig.kick(queue);
    assert_eq!((rig.bytes(place + 100, 1)[0], rig.device.counters().control_ok), (OK, 1));
}

#[test]
fn frames_held_for_a_pair_taken_out_of_use_are_dropped_and_its_chain_goes_back() {
    let slow = DeviceConfig { fifo_bytes: 1000, dma_frame_ps: 100, ..config() };
    let mut rig = Rig::new(slow);
    rig.command(&rss_command(&[3], 3, 4));
    rig.post(3, 2);
    rig.frame(&udp(1, 60, 0));
    rig.frame(&udp(1, 60, 0));
    assert_eq!(rig.device.available(3), 1, "one is on the engine");
    rig.command(&[4, 0, 1, 0]);
    assert_eq!(rig.dropped(DropReason::QueueDisabled), 2);
    assert_eq!((rig.device.available(3), rig.device.next_deadline()), (2, None));
    rig.command(&rss_command(&[3], 3, 4));
    rig.frame(&udp(1, 60, 0));
    rig.advance(1000);
    assert_eq!(rig.device.published(3), 1);
}
