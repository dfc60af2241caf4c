//! Resets of a single queue: what becomes of its frames, and of frames that come for it meanwhile.

use crate::rig::{FLAGS_ONLY, Rig, config, rss_command, setup, udp};
use nic_model::spec::feature;
use nic_model::{Coalesce, DeviceConfig, DropReason, Event, QueueError, QueueSetup};
use vm_memory::{Bytes, GuestAddress};

fn slow() -> DeviceConfig {
    DeviceConfig { fifo_bytes: 10_000, dma_frame_ps: 1000, ..config() }
}

/// Enables a receive queue again: empty, and of this size.
fn enable(rig: &mut Rig, pair: u16, size: u16) {
    let place = setup(2 * pair, size);
    rig.memory.write_slice(&vec![0; 0xc000], GuestAddress(place.descriptor_table)).unwrap();
    rig.device.setup_queue(2 * pair, &place).unwrap();
    rig.device.enable_queue(2 * pair).unwrap();
}

fn reset(rig: &mut Rig, virtqueue: u16) {
    rig.device.reset_queue(rig.now, virtqueue, &mut rig.host).unwrap();
    rig.check();
}

#[test]
fn held_frames_and_the_one_on_the_engine_are_dropped_and_published_ones_stay() {
    let mut rig = Rig::new(slow());
    rig.post(0, 8);
    rig.frame(&udp(1, 60, 1));
    rig.advance(1000);
    for _ in 0..3 {
        rig.frame(&udp(1, 60, 2));
    }
    let from = rig.host.events.len();
    reset(&mut rig, 0);
    let told = [("queue_was_reset", 1), ("dropped", 3)];
    let names = rig.names(from);
    for (name, count) in told {
        assert_eq!(names.iter().filter(|told| **told == name).count(), count, "{name}");
    }
    assert_eq!(rig.host.events[from].1, Event::QueueReset { virtqueue: 0, frames: 3 });
    assert_eq!((rig.dropped(DropReason::QueueReset), rig.device.fifo_frames()), (3, 0));
    rig.advance(10_000);
    assert_eq!((rig.used_index(0), rig.device.published(0)), (1, 1), "the engine stopped");
    assert_eq!(rig.device.counters().queue_resets, 1);
}

#[test]
fn the_engine_goes_on_with_the_other_queues() {
    let mut rig = Rig::new(slow());
    rig.command(&rss_command(&[1], 0, 4));
    rig.post(0, 4);
    rig.post(1, 4);
    rig.frame(&[0; 60]);
    rig.frame(&udp(1, 60, 0));
    reset(&mut rig, 0);
    rig.advance(1000);
    assert_eq!((rig.device.published(0), rig.device.published(1)), (0, 1));
}

/// 5.1.6.5.7.3: RSS says which queue, so a frame for one in reset is dropped.
#[test]
fn with_rss_a_frame_for_a_queue_in_reset_is_dropped() {
    let mut rig = Rig::new(config());
    rig.command(&rss_command(&[1], 0, 4));
    rig.post(0, 4);
    rig.post(1, 4);
    reset(&mut rig, 2);
    rig.frame(&udp(1, 60, 0));
    rig.frame(&[0; 60]);
    assert_eq!((rig.dropped(DropReason::QueueReset), rig.device.published(0)), (1, 1));
    rig.device.setup_queue(2, &setup(2, 8)).unwrap();
    rig.frame(&udp(1, 60, 0));
    assert_eq!(rig.dropped(DropReason::QueueReset), 2, "set up is not enabled");
    enable(&mut rig, 1, 8);
    rig.post(1, 1);
    rig.frame(&udp(1, 60, 0));
    assert_eq!((rig.dropped(DropReason::QueueReset), rig.device.published(1)), (2, 1));
}

/// 5.1.6.5.6.1: the automatic rule chooses another queue, and drops only if there is none.
#[test]
fn the_automatic_rule_goes_round_queues_in_reset() {
    let mut rig = Rig::new(config());
    rig.command(&[4, 0, 2, 0]);
    rig.post(0, 8);
    rig.post(1, 8);
    reset(&mut rig, 0);
    for port in 0..8 {
        rig.frame(&udp(port, 60, 0));
    }
    assert_eq!((rig.device.published(0), rig.device.published(1)), (0, 8));
    reset(&mut rig, 2);
    rig.frame(&udp(1, 60, 0));
    rig.frame(&[0; 60]);
    assert_eq!(rig.dropped(DropReason::QueueReset), 2);
}

#[test]
fn it_may_be_set_up_with_another_size_and_starts_at_zero() {
    let mut rig = Rig::new(config());
    rig.post(0, 3);
    for _ in 0..3 {
        rig.frame(&udp(1, 60, 0));
    }
    reset(&mut rig, 0);
    assert_eq!(rig.device.available(0), 0);
    rig.size = 4;
    enable(&mut rig, 0, 4);
    rig.post(0, 4);
    for _ in 0..5 {
        rig.frame(&udp(1, 60, 0));
    }
    assert_eq!((rig.used_index(0), rig.dropped(DropReason::NoDescriptor)), (4, 1));
    assert_eq!(rig.device.published(0), 7, "goes on over resets of a queue");
}

#[test]
fn a_queue_in_reset_neither_works_nor_interrupts() {
    let coalesce = Coalesce { max_ps: 1000, max_frames: 9 };
    let mut rig =
        Rig::with_features(DeviceConfig { rx_coalesce: coalesce, ..config() }, FLAGS_ONLY);
    rig.post(0, 4);
    rig.frame(&udp(1, 60, 0));
    assert_eq!(rig.device.next_deadline(), Some(1000));
    reset(&mut rig, 0);
    assert_eq!(rig.device.next_deadline(), None, "the interrupt is no longer owed");
    rig.kick(0);
    reset(&mut rig, 1);
    rig.kick(1);
    let control = rig.control();
    reset(&mut rig, control);
    rig.kick(control);
    rig.advance(5000);
    assert!(rig.host.interrupts.is_empty());
    assert_eq!(rig.device.broken(), None);
}

#[test]
fn a_malformed_ring_is_mended_but_the_device_still_needs_its_reset() {
    let mut rig = Rig::new(config());
    rig.set_available_index(0, 9);
    rig.frame(&udp(1, 60, 0));
    assert!(rig.device.broken().is_some());
    reset(&mut rig, 0);
    enable(&mut rig, 0, 8);
    rig.post(0, 1);
    rig.frame(&udp(1, 60, 0));
    assert_eq!(rig.device.published(0), 1);
    assert_ne!(rig.device.status() & nic_model::spec::status::DEVICE_NEEDS_RESET, 0);
}

#[test]
fn it_needs_its_feature_and_a_queue() {
    let mut rig = Rig::with_features(config(), config().features & !feature::RING_RESET);
    let refused = rig.device.reset_queue(0, 0, &mut rig.host);
    assert_eq!(refused, Err(QueueError::NoRingReset));
    let mut rig = Rig::new(config());
    let none = rig.control() + 1;
    let refused = rig.device.reset_queue(0, none, &mut rig.host);
    assert_eq!(refused, Err(QueueError::NoSuchQueue(none)));
    assert_eq!(rig.device.counters().queue_resets, 0);
}

/// A queue that is live cannot be moved or resized under the device's feet: only its reset allows that.
#[test]
fn checklist_device_03_a_live_queue_cannot_be_set_up_again() {
    let mut rig = Rig::new(config());
    rig.post(0, 2);
    rig.frame(&udp(1, 60, 0));
    for place in [setup(0, 8), setup(0, 4), QueueSetup { used_ring: 0x50_0000, ..setup(0, 8) }] {
        assert_eq!(rig.device.setup_queue(0, &place), Err(QueueError::AlreadyEnabled(0)));
        assert_eq!(rig.device.enable_queue(0), Err(QueueError::AlreadyEnabled(0)));
    }
    rig.frame(&udp(1, 60, 0));
    assert_eq!(rig.used_index(0), 2, "nothing moved");
    for _ in 0..3 {
        reset(&mut rig, 0);
    }
    enable(&mut rig, 0, 8);
    rig.post(0, 1);
    rig.frame(&udp(1, 60, 0));
    assert_eq!(rig.used_index(0), 1);
}
