//! MAC checks, buffers, and the difference between held and dropped.

use crate::rig::{FLAGS_ONLY, Rig, buffer, config, setup, udp};
use nic_model::spec::ring::{DESC_F_NEXT, DESC_F_WRITE};
use nic_model::{DeviceConfig, DropReason, DropRecord, Event};

fn last_drop(rig: &Rig) -> DropRecord {
    let record = rig.host.events.iter().rev().find_map(|(_, event)| match event {
        Event::Dropped(record) => Some(*record),
        _ => None,
    });
    record.expect("a drop")
}

#[test]
fn a_frame_is_written_behind_its_header_and_published() {
    let mut rig = Rig::new(config());
    rig.post(0, 1);
    let from = rig.host.events.len();
    let frame = udp(7, 100, 0xab);
    let tag = rig.frame(&frame);
    assert_eq!(rig.names(from), ["offered", "steered", "dma_start", "written", "interrupt_raised"]);
    let bytes = rig.bytes(buffer(0, 0), 112);
    assert_eq!(bytes[..12], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], "no offloads, one buffer");
    assert_eq!(bytes[12..], frame);
    assert_eq!((rig.used_index(0), rig.used(0, 0)), (1, (0, 112)));
    assert_eq!(rig.written(0), [tag]);
    assert_eq!((rig.device.published(0), rig.device.available(0)), (1, 0));
}

#[test]
fn a_frame_is_spread_over_the_descriptors_of_its_chain() {
    let mut rig = Rig::new(config());
    let places = [(5, 0x60_0000, 7), (2, 0x60_1001, 20), (7, 0x60_2000, 1000)];
    for (at, (index, place, len)) in places.into_iter().enumerate() {
        let next = places.get(at + 1);
        let flags = DESC_F_WRITE | if next.is_some() { DESC_F_NEXT } else { 0 };
        rig.descriptor(0, index, place, len, flags, next.map_or(0, |next| next.0));
    }
    rig.make_available(0, rig.size, 5);
    let frame = udp(1, 64, 0x5a);
    rig.frame(&frame);
    assert_eq!(rig.used(0, 0), (5, 76));
    let mut bytes = rig.bytes(places[0].1, 7);
    bytes.extend(rig.bytes(places[1].1, 20));
    bytes.extend(rig.bytes(places[2].1, 76 - 27));
    assert_eq!(bytes[12..], frame);
}

#[test]
fn the_mac_refuses_bad_fcs_runts_and_giants() {
    let mut rig = Rig::new(config());
    rig.post(0, 8);
    rig.device.receive(0, &udp(1, 60, 0), false, 1, &mut rig.host);
    assert_eq!(rig.dropped(DropReason::BadFcs), 1);
    rig.frame(&udp(1, 59, 0));
    assert_eq!(last_drop(&rig).reason, DropReason::Runt);
    let tagged = |tags: &[u16], len: usize| {
        let mut frame = udp(1, len, 0);
        for (i, tag) in tags.iter().enumerate() {
            frame[12 + 4 * i..14 + 4 * i].copy_from_slice(&tag.to_be_bytes());
        }
        frame
    };
    for (tags, most) in [(&[][..], 1514), (&[0x8100], 1518), (&[0x88a8, 0x8100], 1522)] {
        rig.frame(&tagged(tags, most));
        rig.frame(&tagged(tags, most + 1));
        let record = last_drop(&rig);
        assert_eq!((record.reason, record.capacity), (DropReason::Giant, most as u64));
        assert_eq!(record.need, most as u64 + 1);
    }
    rig.frame(&tagged(&[0x8100, 0x8100, 0x8100], 1526));
    assert_eq!(last_drop(&rig).reason, DropReason::Giant, "no third tag");
    assert_eq!(rig.device.counters().written, 3);
}

#[test]
fn without_fifo_a_frame_without_descriptor_is_dropped_at_once() {
    let mut rig = Rig::with_features(config(), FLAGS_ONLY);
    rig.command(&[4, 0, 2, 0]);
    rig.post(1, 3);
    let tag = rig.frame(&[0; 60]);
    let expected = DropRecord {
        tag,
        reason: DropReason::NoDescriptor,
        queue: Some(0),
        handle: None,
        cpu: None,
        occupancy: 8,
        capacity: 8,
        need: 1,
        free_elsewhere: 3,
    };
    assert_eq!(last_drop(&rig), expected);
    rig.post(0, 1);
    rig.frame(&[0; 60]);
    assert_eq!(rig.device.published(0), 1, "with one it goes through");
}

#[test]
fn with_fifo_it_is_held_and_written_when_descriptors_come() {
    let mut rig = Rig::new(DeviceConfig { fifo_bytes: 150, ..config() });
    let from = rig.host.events.len();
    let held = [rig.frame(&udp(1, 60, 0)), rig.frame(&udp(1, 60, 0))];
    assert_eq!(
        rig.names(from),
        ["offered", "steered", "held", "no_descriptor_held"].repeat(2),
        "events, not drops"
    );
    assert_eq!((rig.device.fifo_frames(), rig.device.fifo_bytes()), (2, 120));
    rig.frame(&udp(1, 60, 0));
    assert_eq!(last_drop(&rig).reason, DropReason::NoDescriptor, "ring empty and no room");
    rig.post(0, 8);
    assert_eq!((rig.written(0), rig.device.fifo_frames()), (held.to_vec(), 0));
    assert_eq!(rig.device.counters().no_descriptor_held, 2);
}

#[test]
fn a_full_fifo_with_descriptors_at_hand_is_an_overflow() {
    let slow = DeviceConfig { fifo_bytes: 150, dma_frame_ps: 1000, dma_byte_ps: 10, ..config() };
    let mut rig = Rig::new(slow);
    rig.post(0, 8);
    rig.frame(&udp(1, 60, 0));
    assert_eq!(rig.device.next_deadline(), Some(1600));
    assert_eq!(rig.device.available(0), 7, "the chain is fetched at the start");
    assert_eq!(rig.used_index(0), 0, "and published at the end");
    rig.frame(&udp(1, 60, 0));
    rig.frame(&udp(1, 60, 0));
    let record = last_drop(&rig);
    assert_eq!(record.reason, DropReason::FifoOverflow);
    assert_eq!((record.occupancy, record.capacity, record.need), (120, 150, 60));
    rig.advance(1599);
    assert_eq!(rig.device.published(0), 0);
    rig.advance(10_000);
    let times: Vec<u64> =
        rig.host.events.iter().filter(|e| e.1.name() == "written").map(|e| e.0).collect();
    assert_eq!(times, [1600, 3200], "late as the call was, each at its own time");
}

#[test]
fn without_fifo_one_frame_may_be_on_the_engine() {
    let mut rig = Rig::new(DeviceConfig { dma_frame_ps: 1000, ..config() });
    rig.post(0, 8);
    rig.frame(&udp(1, 60, 0));
    rig.frame(&udp(1, 60, 0));
    assert_eq!(last_drop(&rig).reason, DropReason::FifoOverflow);
    rig.advance(1000);
    assert_eq!(rig.device.published(0), 1);
}

#[test]
fn a_chain_too_small_costs_the_frame_and_stays_in_the_ring() {
    let mut rig = Rig::new(config());
    rig.descriptor(0, 0, buffer(0, 0), 12 + 99, DESC_F_WRITE, 0);
    rig.make_available(0, rig.size, 0);
    rig.frame(&udp(1, 100, 0));
    let record = last_drop(&rig);
    assert_eq!(record.reason, DropReason::BufferTooSmall);
    assert_eq!((record.capacity, record.need), (111, 112));
    assert_eq!(rig.device.available(0), 1);
    rig.frame(&udp(1, 99, 0));
    assert_eq!(rig.used(0, 0), (0, 111));
}

#[test]
fn held_frames_too_large_for_the_next_chain_are_dropped_and_the_rest_goes_on() {
    let mut rig = Rig::new(DeviceConfig { fifo_bytes: 10_000, ..config() });
    rig.frame(&udp(1, 1000, 0));
    let small = rig.frame(&udp(1, 60, 0));
    rig.descriptor(0, 0, buffer(0, 0), 100, DESC_F_WRITE, 0);
    rig.make_available(0, rig.size, 0);
    rig.kick(0);
    assert_eq!(rig.written(0), [small]);
    assert_eq!(rig.dropped(DropReason::BufferTooSmall), 1);
}

#[test]
fn a_queue_without_descriptors_does_not_block_the_others_and_the_engine_goes_round() {
    let slow = DeviceConfig { fifo_bytes: 10_000, dma_frame_ps: 100, ..config() };
    let mut rig = Rig::new(slow);
    let table = [0, 1, 2, 3];
    assert_eq!(rig.command(&crate::rig::rss_command(&table, 0, 4)), 0);
    let port_of = |rig: &mut Rig, pair: u16| {
        (0..1000).find(|port| {
            rig.frame(&udp(*port, 60, 0));
            let steered = rig.host.events.iter().rev().find_map(|(_, e)| match e {
                Event::Steered { queue, .. } => Some(*queue),
                _ => None,
            });
            steered == Some(pair)
        })
    };
    let ports = [0, 1, 2].map(|pair| port_of(&mut rig, pair).unwrap());
    rig.set_status(0);
    rig.bring_up(config().features);
    rig.command(&crate::rig::rss_command(&table, 0, 4));
    for _ in 0..3 {
        for port in ports {
            rig.frame(&udp(port, 60, 0));
        }
    }
    let from = rig.host.events.len();
    rig.post_quietly(0, 3);
    rig.post_quietly(2, 3);
    rig.kick(0);
    rig.kick(4);
    rig.advance(rig.now + 10_000);
    let order: Vec<u16> = rig.host.events[from..]
        .iter()
        .filter_map(|(_, e)| match e {
            Event::Written { queue, .. } => Some(*queue),
            _ => None,
        })
        .collect();
    assert_eq!(order, [0, 2, 0, 2, 0, 2]);
    assert_eq!(rig.device.fifo_frames_of(1), 3, "held, and nobody's obstacle");
}

#[test]
fn kicks_are_wanted_only_while_a_frame_waits_for_descriptors() {
    let fifo = DeviceConfig { fifo_bytes: 1000, ..config() };
    let mut rig = Rig::with_features(fifo.clone(), FLAGS_ONLY);
    rig.post(0, 1);
    assert_eq!(rig.used_flags(0), 1, "has descriptors");
    rig.frame(&udp(1, 60, 0));
    rig.frame(&udp(1, 60, 0));
    assert_eq!(rig.used_flags(0), 0, "a frame found none");
    rig.post(0, 2);
    assert_eq!(rig.used_flags(0), 1);
    let mut rig = Rig::new(fifo);
    rig.post(0, 3);
    for _ in 0..4 {
        rig.frame(&udp(1, 60, 0));
    }
    assert_eq!(rig.available_event(0), 3, "the next chain made available shall kick");
}

#[test]
fn descriptors_posted_without_a_kick_are_found_by_the_next_frame() {
    let mut rig = Rig::new(DeviceConfig { fifo_bytes: 1000, ..config() });
    let first = rig.frame(&udp(1, 60, 0));
    rig.post_quietly(0, 2);
    let second = rig.frame(&udp(1, 60, 0));
    assert_eq!(rig.written(0), [first, second]);
    assert_eq!(rig.started(0), [first, second]);
}

#[test]
fn a_queue_that_is_not_enabled_drops() {
    let mut rig = Rig::untouched(DeviceConfig { max_queue_pairs: 1, ..config() });
    rig.device.set_driver_features(FLAGS_ONLY & config().offered_features() & !(1 << 22));
    rig.set_status(8);
    rig.device.setup_queue(0, &setup(0, 8)).unwrap();
    rig.set_status(12);
    rig.frame(&udp(1, 60, 0));
    assert_eq!(last_drop(&rig).reason, DropReason::QueueDisabled);
}
