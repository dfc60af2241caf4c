//! Mergeable receive buffers: frames over several chains, and rings with too few of them.

use crate::rig::{Rig, buffer, config_with, udp};
use nic_model::spec::{feature, ring::DESC_F_WRITE};
use nic_model::{DeviceConfig, DropReason, DropRecord, Event};
use proptest::prelude::*;

fn merging() -> DeviceConfig {
    config_with(feature::MRG_RXBUF)
}

/// Makes a chain of one descriptor of `len` bytes available on queue 0, in the table's next place.
fn post(rig: &Rig, len: u32) {
    let index = rig.available_index(0) % rig.size;
    rig.descriptor(0, index, buffer(0, index), len, DESC_F_WRITE, 0);
    rig.make_available(0, rig.size, index);
}

fn last_drop(rig: &Rig) -> DropRecord {
    let record = rig.host.events.iter().rev().find_map(|(_, event)| match event {
        Event::Dropped(record) => Some(*record),
        _ => None,
    });
    record.expect("a drop")
}

/// The bytes of used elements `from..` that belong to one frame, by the `num_buffers` of the first.
fn gathered(rig: &Rig, from: u16) -> (Vec<u8>, u16) {
    let mut bytes = Vec::new();
    let mut buffers = 1;
    let mut at = 0;
    while at < buffers {
        let (id, len) = rig.used(0, (from + at) % rig.size);
        bytes.extend(rig.bytes(buffer(0, id as u16), len as usize));
        buffers = u16::from_le_bytes([bytes[10], bytes[11]]);
        at += 1;
    }
    (bytes, buffers)
}

#[test]
fn a_frame_flows_over_into_the_next_buffers_and_all_are_published_together() {
    let mut rig = Rig::new(merging());
    for len in [64, 12, 20, 300] {
        post(&rig, len);
    }
    let frame = udp(1, 100, 0x5a);
    let from = rig.host.events.len();
    rig.frame(&frame);
    assert_eq!(rig.names(from), ["offered", "steered", "dma_start", "written", "interrupt_raised"]);
    let start = Event::DmaStart { tag: 1, queue: 0, descriptor: 0, buffers: 4 };
    assert_eq!(rig.host.events[from + 2].1, start);
    let used: Vec<_> = (0..4).map(|at| rig.used(0, at)).collect();
    assert_eq!(used, [(0, 64), (1, 12), (2, 20), (3, 16)], "full, all but the last");
    assert_eq!(rig.used_index(0), 4);
    let (bytes, buffers) = gathered(&rig, 0);
    assert_eq!((buffers, &bytes[12..]), (4, &frame[..]));
    assert_eq!(rig.device.published(0), 1, "one frame");
}

#[test]
fn without_the_feature_a_frame_takes_one_chain_only() {
    let plain = merging().features & !feature::MRG_RXBUF;
    let mut rig = Rig::with_features(merging(), plain & !feature::MQ);
    post(&rig, 64);
    post(&rig, 64);
    rig.frame(&udp(1, 100, 0));
    assert_eq!(rig.dropped(DropReason::BufferTooSmall), 1);
    assert_eq!(rig.device.available(0), 2);
}

#[test]
fn too_few_buffers_stay_in_the_ring_and_the_record_says_so() {
    let mut rig = Rig::new(merging());
    for _ in 0..3 {
        post(&rig, 32);
    }
    let tag = rig.frame(&udp(1, 100, 0));
    let record = DropRecord {
        tag,
        reason: DropReason::NoDescriptor,
        queue: Some(0),
        handle: None,
        cpu: None,
        occupancy: 5,
        capacity: 8,
        need: 4,
        free_elsewhere: 0,
    };
    assert_eq!(last_drop(&rig), record);
    assert_eq!((rig.device.available(0), rig.used_index(0)), (3, 0));
    assert_eq!(rig.available_event(0), 3, "a kick behind what is there, or none would come");
    rig.frame(&udp(1, 60, 0));
    assert_eq!(rig.device.published(0), 1, "a shorter one finds enough");
}

#[test]
fn a_held_frame_waits_until_there_are_enough_and_each_kick_is_a_try() {
    let mut rig = Rig::new(DeviceConfig { fifo_bytes: 1000, ..merging() });
    let tag = rig.frame(&udp(1, 100, 7));
    for posted in 1..4 {
        post(&rig, 32);
        rig.kick(0);
        assert_eq!((rig.device.fifo_frames(), rig.used_index(0)), (1, 0));
        assert_eq!(rig.available_event(0), posted);
    }
    post(&rig, 32);
    rig.kick(0);
    assert_eq!((rig.device.fifo_frames(), rig.written(0)), (0, vec![tag]));
    assert_eq!(gathered(&rig, 0).1, 4);
    assert_eq!(rig.device.counters().no_descriptor_held, 1);
}

#[test]
fn descriptors_posted_without_a_kick_are_found_by_the_next_frame() {
    let mut rig = Rig::new(DeviceConfig { fifo_bytes: 1000, ..merging() });
    rig.frame(&udp(1, 100, 0));
    for _ in 0..8 {
        post(&rig, 64);
    }
    rig.frame(&udp(1, 100, 0));
    assert_eq!((rig.device.published(0), rig.device.available(0)), (2, 4));
}

#[test]
fn what_no_waiting_mends_is_too_small() {
    let mut rig = Rig::new(DeviceConfig { fifo_bytes: 10_000, ..merging() });
    for _ in 0..8 {
        post(&rig, 100);
    }
    rig.frame(&udp(1, 789, 0));
    let record = last_drop(&rig);
    assert_eq!(record.reason, DropReason::BufferTooSmall);
    assert_eq!((record.capacity, record.need), (800, 801), "the whole ring");
    assert_eq!(rig.device.available(0), 8);
    rig.frame(&udp(1, 788, 0));
    assert_eq!((rig.device.published(0), rig.used_index(0)), (1, 8));
}

#[test]
fn a_frame_that_finds_too_few_behind_a_full_fifo_met_no_descriptor_but_one_with_enough_an_overflow()
{
    let mut rig = Rig::new(DeviceConfig { fifo_bytes: 100, dma_frame_ps: 100, ..merging() });
    for _ in 0..3 {
        post(&rig, 72);
    }
    rig.frame(&udp(1, 60, 0));
    rig.frame(&udp(1, 60, 0));
    assert_eq!(last_drop(&rig).reason, DropReason::FifoOverflow, "one buffer would do");
    rig.frame(&udp(1, 200, 0));
    let record = last_drop(&rig);
    assert_eq!(record.reason, DropReason::NoDescriptor, "two do not");
    assert_eq!((record.occupancy, record.need), (6, 3));
    rig.advance(1000);
    assert_eq!(rig.device.published(0), 1);
}

#[test]
fn a_reset_puts_every_chain_of_the_frame_on_the_engine_back() {
    let slow = DeviceConfig { dma_frame_ps: 100, fifo_bytes: 1000, ..merging() };
    let mut rig = Rig::new(slow);
    rig.command(&crate::rig::rss_command(&[0], 0, 1));
    for _ in 0..6 {
        post(&rig, 32);
    }
    rig.frame(&udp(1, 100, 0));
    assert_eq!(rig.device.available(0), 2);
    rig.set_status(128);
    assert_eq!(rig.dropped(DropReason::NotReady), 1);
    assert_eq!(rig.device.available(0), 6);
}

proptest! {
    /// Whatever the buffers: frames come out whole and in order, each in as few buffers as hold it, all but
    /// the last full; what is not written was dropped for a reason that holds.
    #[test]
    fn frames_survive_any_cut(
        lens in proptest::collection::vec(12_u32..200, 1..40),
        frames in proptest::collection::vec(60_usize..300, 1..12),
        fifo in 0_u64..2000,
        hash in any::<bool>(),
    ) {
        let features = feature::MRG_RXBUF | if hash { feature::HASH_REPORT } else { 0 };
        let mut rig = Rig::new(DeviceConfig {
            queue_size_max: 64, fifo_bytes: fifo, ..config_with(features)
        });
        let header = if hash { 20 } else { 12 };
        let lens: Vec<u32> = lens.into_iter().map(|len| len.max(header)).collect();
        let mut posts = lens.iter();
        let mut sent = Vec::new();
        for (at, len) in frames.into_iter().enumerate() {
            for len in posts.by_ref().take(4) {
                post(&rig, *len);
            }
            if at % 2 == 0 {
                rig.kick(0);
            }
            let frame = udp(at as u16, len, at as u8);
            sent.push((rig.frame(&frame), frame));
        }
        let mut from = 0;
        for tag in rig.written(0) {
            let frame = &sent[tag as usize - 1].1;
            let (bytes, buffers) = gathered(&rig, from);
            prop_assert_eq!(&bytes[header as usize..], &frame[..]);
            let mut room = 0;
            for at in from..from + buffers {
                prop_assert!(room < bytes.len(), "no buffer more than needed");
                let (id, len) = rig.used(0, at);
                prop_assert_eq!(id, u32::from(at), "in the order of the ring");
                let last = at + 1 == from + buffers;
                prop_assert!(last || len == lens[usize::from(at)]);
                room += len as usize;
            }
            prop_assert_eq!(room, bytes.len());
            from += buffers;
        }
        prop_assert_eq!(from, rig.used_index(0));
        prop_assert_eq!(rig.device.available(0), u64::from(rig.available_index(0) - from));
        for (_, event) in &rig.host.events {
            if let Event::Dropped(record) = event {
                prop_assert!(matches!(
                    record.reason, DropReason::NoDescriptor | DropReason::FifoOverflow
                ));
            }
        }
    }
}
