//! Bring-up: all the way, and every refusal on the way.

use driver::*;

use crate::lab::{Lab, config};

#[test]
fn brings_the_device_all_the_way_up() {
    let mut lab = Lab::new(config());
    assert_eq!(lab.step(), Err(DriverError::NotStarted));
    assert_eq!(lab.start(), Ok(Progress::Running));
    assert_eq!(lab.device.status, 15);
    let all = spec::DEFAULT_FEATURES & !spec::NET_F_RSS;
    assert_eq!((lab.device.accepted, lab.driver.features()), (all, all));
    assert_eq!(lab.driver.mac(), Some([2, 0, 0, 0, 0, 1]));
    assert_eq!(lab.driver.mtu(), Some(1500));
    assert!(lab.driver.link_up());
    assert!(lab.device.queues.iter().all(|queue| queue.enabled));
    assert_eq!(lab.device.queues[0].owned.len(), 16);
    assert_eq!(lab.driver.posted(0), 16);
    let vectors: Vec<_> = (0..3).map(|queue| lab.device.setup_of(queue).vector).collect();
    assert_eq!(vectors, [Some(1), None, None]);
    assert_eq!(lab.step(), Ok(Progress::Running));
}

#[test]
fn takes_only_what_is_offered_and_wanted() {
    let mut lab = Lab::new(DriverConfig { features: spec::NET_F_MAC, ..config() });
    lab.device.offered = spec::F_VERSION_1 | spec::NET_F_MAC | spec::NET_F_STATUS | 1 << 15;
    assert_eq!(lab.start(), Ok(Progress::Running));
    assert_eq!(lab.driver.features(), spec::F_VERSION_1 | spec::NET_F_MAC);
    assert_eq!(lab.driver.mtu(), None);
    assert!(lab.driver.link_up(), "a device without STATUS is taken to be up");
}

/// A refusal: how the device is spoilt, what the driver is told, and the error's name.
type Refusal = (&'static str, fn(&mut Lab), fn(&mut DriverConfig));

#[test]
fn every_refusal_is_a_typed_error_and_sets_failed() {
    let refusals: [Refusal; 18] = [
        ("missing_features", |lab| lab.device.offered &= !spec::F_VERSION_1, |_| {}),
        (
            "missing_features",
            |lab| lab.device.offered &= !spec::F_EVENT_IDX,
            |config| config.required = spec::F_EVENT_IDX,
        ),
        ("missing_features", |lab| lab.device.offered &= !spec::NET_F_MQ, |c| c.queue_pairs = 2),
        (
            "missing_features",
            |lab| lab.device.offered &= !spec::NET_F_CTRL_VQ,
            |c| c.queue_pairs = 2,
        ),
        ("missing_features", |lab| lab.device.offered &= !spec::NET_F_RSS, |c| c.rss = Some(rss())),
        ("features_refused", |lab| lab.device.refuse_features = true, |_| {}),
        ("config_unstable", |lab| lab.device.generation_runs = true, |_| {}),
        ("bad_config_space", |lab| lab.device.config[8..10].fill(0), |_| {}),
        ("bad_config_space", |lab| lab.device.config[8..10].fill(0x80), |_| {}),
        ("bad_config_space", |lab| lab.device.config[10..12].fill(0), |_| {}),
        ("buffer_too_small_for_mtu", |lab| lab.device.config[11] = 0x23, |_| {}),
        ("device_limit", |lab| lab.device.config[8] = 1, |config| config.queue_pairs = 2),
        ("device_limit", |lab| lab.device.config[17] = 39, |config| config.rss = Some(rss())),
        ("device_limit", |lab| lab.device.config[18] = 64, |config| config.rss = Some(rss())),
        ("device_limit", |lab| lab.device.config[20] = 1, |config| config.rss = Some(rss())),
        ("ring_too_long", |lab| lab.device.max_size = 8, |_| {}),
        ("queue_missing", |lab| lab.device.max_size = 0, |_| {}),
        ("driver_ok_refused", |lab| lab.device.refuse_driver_ok = true, |_| {}),
    ];
    for (name, spoil, change) in refusals {
        let mut config = config();
        change(&mut config);
        let mut lab = Lab::new(config);
        spoil(&mut lab);
        expect_failed(&mut lab, name);
    }
}

#[test]
fn refusals_of_the_transport_name_the_step() {
    let spoils: [fn(&mut Lab); 6] = [
        |lab| lab.device.refuse_config_vector = true,
        |lab| lab.device.refuse_queue = Some(0),
        |lab| lab.device.refuse_queue = Some(1),
        |lab| lab.device.refuse_queue = Some(2),
        |lab| lab.device.refuse_enable = Some(0),
        |lab| lab.device.refuse_enable = Some(2),
    ];
    for spoil in spoils {
        let mut lab = Lab::new(config());
        spoil(&mut lab);
        expect_failed(&mut lab, "transport");
    }
}

fn expect_failed(lab: &mut Lab, name: &str) {
    let error = lab.start().unwrap_err();
    assert_eq!(error.name(), name, "{error}");
    assert_ne!(lab.device.status & spec::STATUS_FAILED, 0, "{name}");
    assert_eq!(lab.driver.error(), Some(&error));
    assert_eq!(lab.step(), Err(error));
    assert_eq!(lab.driver.counters().failures, 1);
    assert_eq!(lab.notes.count("driver_failed"), 1);
    assert_eq!(lab.poll(0, 64), Polled::default());
    assert_eq!(lab.interrupt(1), Interrupt::Spurious);
    assert_eq!(lab.transmit(0, &[0; 60]), Err(TransmitError::NotRunning));
}

#[test]
fn a_control_queue_is_missed_where_it_should_be() {
    let mut lab = Lab::new(DriverConfig { queue_pairs: 2, ..config() });
    lab.device.config[8] = 3;
    assert_eq!(lab.start(), Err(DriverError::QueueMissing { queue: 6 }));
}

#[test]
fn waits_for_a_slow_reset_until_its_limit() {
    let mut lab = Lab::new(config());
    lab.device.status = 15;
    lab.device.reset_readings = 3;
    assert_eq!(lab.start(), Ok(Progress::Waiting { deadline: 1000 }));
    lab.now = 999;
    assert_eq!(lab.step(), Ok(Progress::Waiting { deadline: 1000 }));
    lab.now = 1000;
    assert_eq!(lab.step(), Ok(Progress::Running), "done in time, if just so");

    let mut lab = Lab::new(config());
    lab.device.status = 15;
    lab.device.reset_readings = u32::MAX;
    assert!(matches!(lab.start(), Ok(Progress::Waiting { .. })));
    lab.now = 1000;
    assert_eq!(lab.step(), Err(DriverError::ResetTimeout { status: 15, limit_ps: 1000 }));
}

#[test]
fn a_removed_device_is_known_by_its_ones() {
    let mut lab = Lab::new(config());
    lab.device.status = 0xff;
    lab.device.reset_readings = u32::MAX;
    assert_eq!(lab.start(), Err(DriverError::DeviceGone));

    let mut lab = Lab::running(config());
    lab.device.status = 0xff;
    assert_eq!(lab.step(), Err(DriverError::DeviceGone));
}

#[test]
fn checklist_driver_14_needs_reset() {
    let mut lab = Lab::running(config());
    lab.device.status |= spec::STATUS_NEEDS_RESET;
    lab.device.config_changed();
    assert_eq!(lab.deliver(), Some(Interrupt::DeviceFailed));
    assert_eq!(lab.driver.error(), Some(&DriverError::NeedsReset));
    assert_eq!(lab.driver.counters().needs_reset, 1);
    assert_eq!(lab.start(), Ok(Progress::Running));
    assert_eq!(lab.driver.error(), None);
    assert!(lab.device.receive(0, &[5; 60]));
    lab.settle(64);
    assert_eq!(lab.notes.frames, [(0, 0, vec![5; 60])]);
    // Without the interrupt, whoever looks finds it.
    let lookers: [fn(&mut Lab); 2] = [
        |lab| assert_eq!(lab.step(), Err(DriverError::NeedsReset)),
        |lab| assert_eq!(lab.advance(1000), [0u16; 0]),
    ];
    for look in lookers {
        let mut lab = Lab::running(DriverConfig { watchdog_ps: 1000, ..config() });
        lab.device.status |= spec::STATUS_NEEDS_RESET;
        look(&mut lab);
        assert_eq!(lab.driver.error(), Some(&DriverError::NeedsReset));
        assert_eq!((lab.driver.next_deadline(), lab.driver.counters().needs_reset), (None, 1));
    }
}

#[test]
fn the_link_follows_the_configuration() {
    let mut lab = Lab::running(config());
    for (up, changes) in [(false, 1), (false, 1), (true, 2)] {
        lab.device.set_link(up);
        assert_eq!(lab.deliver(), Some(Interrupt::ConfigChanged));
        assert_eq!((lab.driver.link_up(), lab.driver.counters().link_changes), (up, changes));
    }
    lab.device.generation_runs = true;
    lab.device.set_link(false);
    assert_eq!(lab.deliver(), Some(Interrupt::ConfigChanged));
    assert!(lab.driver.link_up(), "what cannot be read is not believed");
    assert_eq!(lab.driver.counters().config_unstable, 1);
}

#[test]
fn checklist_driver_11_configuration_changes_between_reads() {
    let mut lab = Lab::new(DriverConfig { rss: Some(rss()), ..config() });
    let old = lab.device.config;
    // The address lies in the half that is read before the change.
    lab.device.change_midway = Some([&[9; 6], &old[6..]].concat().try_into().unwrap());
    assert_eq!(lab.start(), Ok(Progress::Running));
    assert_eq!(lab.driver.mac(), Some([9; 6]));
}

#[test]
fn refuses_memory_that_does_not_do() {
    let lab = Lab::new(config());
    let need = config().memory_needed().unwrap();
    let memory = lab.device.memory.clone();
    let part = |len| DmaRegion::part(memory.clone(), crate::fake::BASE, len).unwrap();
    assert!(Driver::new(config(), part(need)).is_ok());
    let error = Driver::new(config(), part(need - 1)).unwrap_err();
    assert_eq!(error, DriverError::Memory(DmaError::TooSmall { need, have: need - 1 }));
    let wrong = DriverConfig { rx_ring: 17, ..config() };
    assert!(matches!(Driver::new(wrong, part(need)), Err(DriverError::Config(_))));
}

pub fn rss() -> RssSettings {
    RssSettings { hash_types: 0x3f, key: vec![0x6d; 40], table: vec![0; 128], unclassified: 0 }
}
