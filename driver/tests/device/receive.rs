//! The honest receive path: order, bytes, budgets, batches, thresholds, kicks.

use driver::*;

use crate::lab::{Lab, config, frame};

#[test]
fn frames_arrive_whole_and_in_order_round_the_ring() {
    for rx_ring in [16, 32768] {
        let mut lab = Lab::running(DriverConfig { rx_ring, ..config() });
        let mut expected = Vec::new();
        // Past 2^16 completions, so that all indices wrap; few bytes, so that it stays quick.
        for position in 0..70_000 {
            let bytes = frame(position, 14 + position as usize % 50);
            assert!(lab.device.receive(0, &bytes));
            expected.push((0, position, bytes));
            if position % 11 == 0 {
                lab.settle(7);
            }
        }
        lab.settle(7);
        assert!(lab.notes.frames == expected, "ring of {rx_ring}");
        assert_eq!(lab.driver.consumed(0), 70_000);
        assert_eq!(lab.driver.posted(0), u64::from(rx_ring));
    }
}

#[test]
fn the_longest_frame_fits_and_keeps_its_bytes() {
    let mut lab = Lab::running(DriverConfig { buffer_size: 1526, ..config() });
    let bytes = frame(1, 1514);
    assert!(lab.device.receive(0, &bytes));
    lab.settle(1);
    assert_eq!(lab.notes.frames, [(0, 0, bytes)]);
    assert_eq!(lab.receive(0).length_clamped, 0);
}

#[test]
fn a_budget_is_kept_and_batches_are_at_most_64() {
    let mut lab = Lab::running(DriverConfig { rx_ring: 256, ..config() });
    for seed in 0..200 {
        assert!(lab.device.receive(0, &frame(seed, 60)));
    }
    assert_eq!(lab.deliver(), Some(Interrupt::Poll(0)));
    let polled = lab.poll(0, 150);
    assert_eq!(
        polled,
        Polled { frames: 150, bytes: 9000, copied: 10_800, exhausted: true, ..Polled::default() }
    );
    assert_eq!(lab.notes.batches, [64, 64, 22]);
    let finished = lab.finish(0);
    assert_eq!(finished, Finished { posted: 150, kicked: true, again: true, later: false });
    assert_eq!(lab.interrupt(1), Interrupt::AlreadyScheduled);
    assert_eq!(lab.poll(0, 51).frames, 50);
    assert!(!lab.finish(0).again);
    assert_eq!(lab.poll(0, 0), Polled { exhausted: true, ..Polled::default() });
}

#[test]
fn the_threshold_holds_buffers_back() {
    let mut lab = Lab::running(DriverConfig { refill_threshold: 10, ..config() });
    let mut posted = Vec::new();
    for seed in 0..21 {
        assert!(lab.device.receive(0, &frame(seed, 60)));
        lab.deliver();
        lab.poll(0, 64);
        posted.push(lab.finish(0).posted);
        assert_eq!(lab.driver.posted(0) as usize, lab.device.queues[0].owned.len());
    }
    let expected: Vec<_> = (1..22).map(|n| if n % 10 == 0 { 10 } else { 0 }).collect();
    assert_eq!(posted, expected);
    assert_eq!(lab.receive(0).refills, 1 + 2, "the first fill, and two by threshold");
}

#[test]
fn withheld_refills_are_counted_and_made_up_for_by_the_next_poll() {
    let mut lab = Lab::running(DriverConfig { refill_threshold: 1, ..config() });
    lab.driver.withhold_refill(0, true);
    for seed in 0..16 {
        assert!(lab.device.receive(0, &frame(seed, 60)));
        lab.settle(64);
    }
    assert!(!lab.device.receive(0, &frame(16, 60)), "the ring is empty");
    assert_eq!((lab.driver.posted(0), lab.receive(0).refills_withheld), (0, 16));
    lab.driver.withhold_refill(0, false);
    assert_eq!(lab.poll(0, 64), Polled::default());
    let expected = Finished { posted: 16, kicked: true, ..Finished::default() };
    assert_eq!(lab.finish(0), expected);
    assert!(lab.device.receive(0, &frame(16, 60)));
    lab.driver.withhold_refill(1, true);
    assert_eq!(lab.driver.counters().misdirected_calls, 1);
}

#[test]
fn queues_are_apart() {
    let mut lab = Lab::running(DriverConfig { queue_pairs: 64, ..config() });
    for pair in 0..64 {
        for seed in 0..=u64::from(pair % 3) {
            assert!(lab.device.receive(pair, &frame(seed + u64::from(pair), 60)));
        }
    }
    lab.settle(2);
    for pair in 0..64u16 {
        let positions: Vec<_> =
            lab.notes.frames.iter().filter(|f| f.0 == pair).map(|f| f.1).collect();
        assert_eq!(positions, (0..=u64::from(pair % 3)).collect::<Vec<_>>());
        assert_eq!(lab.driver.consumed(pair), u64::from(pair % 3) + 1);
    }
}

#[test]
fn a_device_that_wants_no_kick_gets_none() {
    for features in [spec::DEFAULT_FEATURES, spec::DEFAULT_FEATURES & !spec::F_EVENT_IDX] {
        let mut lab = Lab::running(DriverConfig { features, ..config() });
        assert_eq!(lab.device.queues[0].kicks, 1);
        lab.device.wants_kicks = false;
        for round in 0..3 {
            assert!(lab.device.receive(0, &frame(round, 60)));
            lab.settle(64);
        }
        assert_eq!(lab.device.queues[0].kicks, 1);
        assert_eq!((lab.receive(0).kicks, lab.receive(0).kicks_suppressed), (1, 3));
    }
}

#[test]
fn calls_that_go_astray_do_nothing() {
    let mut lab = Lab::new(config());
    assert_eq!(lab.poll(0, 64), Polled::default());
    lab.start().unwrap();
    assert_eq!(lab.poll(1, 64), Polled::default());
    assert_eq!(lab.finish(1), Finished::default());
    assert_eq!(lab.finish(0), Finished::default(), "not scheduled");
    assert_eq!(lab.driver.counters().misdirected_calls, 3);
    assert_eq!((lab.driver.consumed(9), lab.driver.posted(9)), (0, 0));
    assert!(lab.driver.queue_counters(1).is_none());
    for vector in [2, 77, u16::MAX] {
        assert_eq!(lab.interrupt(vector), Interrupt::Spurious);
    }
}
