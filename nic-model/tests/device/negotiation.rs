//! Status, features, queues and vectors: what the device accepts and what it refuses.

use crate::rig::{FLAGS_ONLY, Rig, config, config_with, setup, udp};
use nic_model::spec::{feature, status};
use nic_model::{DeviceConfig, DropReason, Event, QueueError, QueueSetup};
use nic_model::{FEATURE_RULES, SUPPORTED_FEATURES};

const EARLY: u8 = status::ACKNOWLEDGE | status::DRIVER;

/// Does FEATURES_OK stick?
fn accepted(features: u64) -> bool {
    let mut rig = Rig::untouched(config());
    rig.set_status(EARLY);
    rig.device.set_driver_features(features);
    rig.set_status(EARLY | status::FEATURES_OK);
    let stuck = rig.device.status() & status::FEATURES_OK != 0;
    assert_eq!(stuck, rig.device.counters().features_refused == 0);
    stuck
}

#[test]
fn bad_feature_sets_are_refused() {
    assert!(accepted(feature::VERSION_1));
    assert!(accepted(config().offered_features()));
    assert!(!accepted(0), "a legacy driver");
    assert!(!accepted(feature::VERSION_1 | 1 << 28), "not offered");
    assert!(!accepted(feature::VERSION_1 | feature::MQ), "MQ without control queue");
    assert!(!accepted(feature::VERSION_1 | feature::RSS), "RSS without control queue");
}

#[test]
fn a_driver_that_breaks_a_rule_between_features_is_refused() {
    let offer = SUPPORTED_FEATURES;
    for rule in FEATURE_RULES.iter().filter(|rule| offer & rule.feature != 0) {
        for features in [rule.feature, offer & !rule.needs] {
            let mut rig = Rig::untouched(config_with(offer));
            rig.set_status(EARLY);
            rig.device.set_driver_features(feature::VERSION_1 | features);
            rig.set_status(EARLY | status::FEATURES_OK);
            assert_eq!(rig.device.status(), EARLY, "{rule}");
        }
    }
}

#[test]
fn a_refused_driver_may_ask_again_but_not_after_it_was_accepted() {
    let mut rig = Rig::untouched(config());
    rig.device.set_driver_features(0);
    rig.set_status(EARLY | status::FEATURES_OK);
    rig.set_status(EARLY | status::DRIVER_OK);
    assert_eq!(rig.device.status(), EARLY, "neither sticks");
    rig.device.set_driver_features(feature::VERSION_1);
    rig.set_status(EARLY | status::FEATURES_OK);
    assert_eq!(rig.device.status(), EARLY | status::FEATURES_OK);
    rig.device.set_driver_features(config().offered_features());
    assert_eq!(rig.device.queue_max_size(3), 0, "still without MQ: one pair");
}

#[test]
fn status_bits_are_not_cleared_by_writing_fewer_and_needs_reset_is_not_the_drivers() {
    let mut rig = Rig::new(config());
    let running = rig.device.status();
    rig.set_status(status::ACKNOWLEDGE);
    rig.set_status(running | status::DEVICE_NEEDS_RESET);
    assert_eq!(rig.device.status(), running);
}

#[test]
fn queue_numbers_follow_the_features() {
    let rig = Rig::new(config());
    assert_eq!(rig.device.num_queues(), 9);
    assert_eq!([7, 8, 9].map(|queue| rig.device.queue_max_size(queue)), [8, 64, 0]);
    let one_pair = feature::VERSION_1 | feature::CTRL_VQ;
    let mut rig = Rig::untouched(config());
    rig.device.set_driver_features(one_pair);
    rig.set_status(EARLY | status::FEATURES_OK);
    assert_eq!([1, 2, 3, 8].map(|queue| rig.device.queue_max_size(queue)), [8, 64, 0, 0]);
    let small = DeviceConfig { features: feature::VERSION_1, ..config() };
    assert_eq!(Rig::new(small).device.num_queues(), 2);
}

#[test]
fn queue_setups_are_checked_field_by_field() {
    let mut rig = Rig::untouched(config());
    let good = setup(0, 8);
    let refused = |rig: &mut Rig, queue, place: &QueueSetup| {
        rig.device.setup_queue(queue, place).expect_err("must be refused")
    };
    assert_eq!(refused(&mut rig, 0, &good), QueueError::FeaturesNotNegotiated);
    rig.device.set_driver_features(feature::VERSION_1);
    rig.set_status(EARLY | status::FEATURES_OK);
    let refused = |rig: &mut Rig, change: &dyn Fn(&mut QueueSetup)| {
        let mut place = good;
        change(&mut place);
        refused(rig, 0, &place)
    };
    for size in [0, 3, 16, 300] {
        assert_eq!(refused(&mut rig, &|q| q.size = size), QueueError::Size { size, max: 8 });
    }
    let misaligned = |part, address, align| QueueError::Misaligned { part, address, align };
    assert_eq!(
        refused(&mut rig, &|q| q.descriptor_table = 0x1008),
        misaligned("descriptor table", 0x1008, 16)
    );
    assert_eq!(
        refused(&mut rig, &|q| q.available_ring = 0x1001),
        misaligned("available ring", 0x1001, 2)
    );
    assert_eq!(refused(&mut rig, &|q| q.used_ring = 0x1002), misaligned("used ring", 0x1002, 4));
    assert_eq!(refused(&mut rig, &|q| q.available_ring = 0), QueueError::AvailableRingAtZero);
    let end = crate::rig::MEMORY_LEN as u64;
    for address in [end - 64, end, u64::MAX - 3] {
        assert_eq!(
            refused(&mut rig, &|q| q.used_ring = address),
            QueueError::OutsideMemory { part: "used ring", address, len: 70 }
        );
    }
    assert_eq!(refused(&mut rig, &|q| q.vector = Some(10)), QueueError::NoSuchVector(10));
    assert_eq!(rig.device.setup_queue(2, &good), Err(QueueError::NoSuchQueue(2)));
    assert_eq!(rig.device.setup_queue(u16::MAX, &good), Err(QueueError::NoSuchQueue(u16::MAX)));
    assert_eq!(rig.device.enable_queue(0), Err(QueueError::NotSetUp(0)));
    assert_eq!(rig.device.setup_queue(0, &good), Ok(()));
    assert_eq!(rig.device.enable_queue(0), Ok(()));
    assert_eq!(rig.device.setup_queue(0, &good), Err(QueueError::AlreadyEnabled(0)));
    assert_eq!(rig.device.set_config_vector(Some(10)), Err(QueueError::NoSuchVector(10)));
}

#[test]
fn before_driver_ok_and_after_failed_frames_are_not_ready() {
    let mut rig = Rig::untouched(config());
    rig.frame(&udp(1, 60, 0));
    assert_eq!(rig.dropped(DropReason::NotReady), 1);
    let mut rig = Rig::new(DeviceConfig { fifo_bytes: 1000, ..config() });
    rig.frame(&udp(1, 60, 0));
    assert_eq!(rig.device.fifo_frames(), 1);
    rig.set_status(status::FAILED);
    rig.frame(&udp(1, 60, 0));
    assert_eq!((rig.dropped(DropReason::NotReady), rig.device.fifo_frames()), (2, 0));
}

#[test]
fn a_reset_drops_what_is_held_and_forgets_everything() {
    let dma = DeviceConfig { fifo_bytes: 1000, dma_frame_ps: 500, ..config() };
    let mut rig = Rig::new(dma.clone());
    rig.post(0, 1);
    for _ in 0..3 {
        rig.frame(&udp(1, 60, 0));
    }
    assert_eq!(rig.device.fifo_frames(), 3, "one on the engine, two behind it");
    rig.set_status(0);
    assert_eq!((rig.dropped(DropReason::Reset), rig.device.fifo_frames()), (3, 0));
    assert_eq!((rig.device.status(), rig.device.next_deadline()), (0, None));
    assert!(rig.host.events.iter().any(|e| e.1 == Event::DeviceReset { frames: 3 }));
    rig.bring_up(dma.features);
    rig.post(0, 1);
    let tag = rig.frame(&udp(1, 60, 0));
    rig.advance(1000);
    assert_eq!((rig.device.published(0), rig.written(0)), (1, vec![tag]));
}

#[test]
fn no_interrupt_before_driver_ok() {
    let mut rig = Rig::untouched(config());
    rig.set_status(EARLY);
    rig.device.set_driver_features(config().offered_features());
    rig.set_status(EARLY | status::FEATURES_OK);
    rig.device.set_config_vector(Some(0)).unwrap();
    rig.device.set_link(0, false, &mut rig.host);
    assert!(rig.host.interrupts.is_empty());
    assert_eq!(rig.device.counters().link_changes, 1);
}

#[test]
fn the_link_is_in_the_configuration_space_and_interrupts() {
    let mut rig = Rig::with_features(config(), FLAGS_ONLY);
    let mut link = [0; 2];
    let before = rig.device.config_generation();
    rig.device.set_link(5, false, &mut rig.host);
    rig.device.set_link(6, false, &mut rig.host);
    rig.device.read_config(6, &mut link);
    assert_eq!(link, [0, 0]);
    assert_eq!(rig.device.config_generation(), before.wrapping_add(1));
    assert_eq!(rig.host.interrupts, [(5, 0, 0)], "once, by the configuration vector");
    rig.now = 7;
    rig.frame(&udp(1, 60, 0));
    assert_eq!(rig.dropped(DropReason::LinkDown), 1);
    rig.device.set_link(8, true, &mut rig.host);
    rig.device.read_config(6, &mut link);
    assert_eq!(link, [1, 0]);
}
