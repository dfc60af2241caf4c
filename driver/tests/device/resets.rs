//! Resets of a queue and of the device while frames are everywhere, asked for and by policy.

use driver::*;
use proptest::prelude::*;

use crate::lab::{Lab, config, frame};

fn reset_queue(lab: &mut Lab, queue: u16, entries: Option<u16>) -> Result<Progress, ResetError> {
    lab.driver.reset_queue(lab.now, queue, entries, &mut lab.device, &mut lab.notes)
}

fn reset(lab: &mut Lab) -> Result<Progress, DriverError> {
    lab.driver.reset(lab.now, &mut lab.device, &mut lab.notes)
}

#[test]
fn a_queue_reset_indicates_what_was_completed_and_the_queue_goes_on() {
    let mut lab = Lab::running(DriverConfig { queue_pairs: 2, ..config() });
    for seed in 0..5 {
        assert!(lab.device.receive(0, &frame(seed, 60)));
        assert!(lab.device.receive(1, &frame(seed, 60)));
    }
    assert_eq!(reset_queue(&mut lab, 0, None), Ok(Progress::Running));
    assert_eq!((lab.driver.consumed(0), lab.driver.consumed(1)), (5, 0));
    assert_eq!(lab.driver.posted(0), 16);
    assert_eq!((lab.receive(0).reset_taken, lab.receive(0).queue_resets), (5, 1));
    lab.device.messages.clear();
    assert!(lab.device.receive(0, &frame(9, 60)));
    lab.settle(64);
    let last = lab.notes.frames.last().unwrap();
    assert_eq!((last.0, last.1, last.2.as_slice()), (0, 5, &frame(9, 60)[..]), "positions go on");
}

#[test]
fn a_ring_is_resized_within_its_memory() {
    let mut lab = Lab::running(DriverConfig { rx_ring: 64, ..config() });
    assert_eq!(reset_queue(&mut lab, 0, Some(16)), Ok(Progress::Running));
    assert_eq!((lab.driver.posted(0), lab.device.setup_of(0).size), (16, 16));
    for round in 0..40 {
        assert!(lab.device.receive(0, &frame(round, 60)));
        lab.settle(64);
    }
    assert_eq!(lab.driver.consumed(0), 40, "round the short ring and on");
    assert_eq!(reset_queue(&mut lab, 0, Some(64)), Ok(Progress::Running));
    assert_eq!(lab.driver.posted(0), 64);
    for entries in [8, 48, 128] {
        let refused = Err(ResetError::Entries { entries, max: 64 });
        assert_eq!(reset_queue(&mut lab, 0, Some(entries)), refused);
    }
}

#[test]
fn a_slow_queue_reset_is_gone_on_with_by_the_timer() {
    let mut lab = Lab::running(DriverConfig { control_timeout_ps: 1_000_000_000, ..config() });
    lab.device.queue_reset_readings = 3;
    assert!(lab.device.receive(0, &frame(0, 60)));
    assert_eq!(reset_queue(&mut lab, 0, None), Ok(Progress::Waiting { deadline: 1_000_000_000 }));
    assert_eq!(reset_queue(&mut lab, 0, None), Err(ResetError::UnderWay { queue: 0 }));
    assert_eq!(lab.poll(0, 64), Polled::default(), "a queue in reset is left alone");
    let mut looks = 0;
    while lab.notes.count("queue_restarted") == 0 {
        let now = lab.driver.next_deadline().unwrap();
        assert_eq!(lab.advance(now), [0u16; 0]);
        looks += 1;
        assert!(looks < 10);
    }
    assert_eq!(lab.driver.consumed(0), 1);
    assert!(lab.device.receive(0, &frame(1, 60)));
    lab.device.messages.clear();
    assert_eq!(lab.poll(0, 64).frames, 1);
}

#[test]
fn a_queue_reset_that_never_ends_is_given_up() {
    let mut lab = Lab::running(config());
    lab.device.queue_reset_readings = u32::MAX;
    assert!(matches!(reset_queue(&mut lab, 0, None), Ok(Progress::Waiting { .. })));
    for _ in 0..10 {
        let Some(now) = lab.driver.next_deadline() else { break };
        lab.advance(now);
    }
    assert_eq!(lab.driver.next_deadline(), None);
    assert_eq!(lab.receive(0).queue_reset_timeouts, 1);
    assert_eq!(lab.poll(0, 64), Polled::default());
    lab.device.queue_reset_readings = 0;
    assert_eq!(lab.start(), Ok(Progress::Running), "a reset of the device mends it");
}

#[test]
fn a_queue_reset_needs_the_feature() {
    let features = spec::DEFAULT_FEATURES & !spec::F_RING_RESET;
    let mut lab = Lab::new(DriverConfig { features, ..config() });
    assert_eq!(reset_queue(&mut lab, 0, None), Err(ResetError::NotRunning));
    assert_eq!(lab.start(), Ok(Progress::Running));
    assert_eq!(reset_queue(&mut lab, 0, None), Err(ResetError::NotAgreed));
    let mut lab = Lab::running(config());
    assert_eq!(reset_queue(&mut lab, 1, None), Err(ResetError::NoSuchQueue { queue: 1 }));
    lab.device.refuse_reset = Some(0);
    assert!(matches!(reset_queue(&mut lab, 0, None), Err(ResetError::Transport(_))));
    assert!(lab.device.receive(0, &frame(0, 60)));
    lab.settle(64);
    assert_eq!(lab.driver.consumed(0), 1, "a refused reset changes nothing");
}

#[test]
fn a_device_reset_takes_what_is_completed_and_counts_what_was_being_sent() {
    let mut lab = Lab::running(DriverConfig { queue_pairs: 2, ..config() });
    lab.device.hold_transmit = true;
    for seed in 0..3 {
        assert!(lab.device.receive(1, &frame(seed, 60)));
        lab.transmit(0, &frame(seed, 60)).unwrap();
    }
    assert_eq!(reset(&mut lab), Ok(Progress::Running));
    assert_eq!(lab.notes.frames.len(), 3);
    assert_eq!(lab.receive(1).reset_taken, 3);
    assert_eq!(lab.driver.transmit_counters(0).unwrap().reset_in_flight, 3);
    assert_eq!((lab.driver.consumed(1), lab.driver.posted(1)), (0, 16));
    assert_eq!(lab.driver.counters().device_resets, 1);
}

#[test]
fn what_lies_behind_a_broken_completion_is_dropped_at_the_reset() {
    let mut lab = Lab::running(config());
    let buffers: Vec<_> = (0..4).map(|_| lab.device.take_buffer(0).unwrap()).collect();
    lab.device.complete(0, buffers[0].id.into(), 72);
    lab.device.complete(0, 99, 72);
    lab.device.complete(0, buffers[1].id.into(), 72);
    lab.device.complete(0, buffers[2].id.into(), 72);
    lab.poll(0, 64);
    assert_eq!(lab.notes.drops(), [(1, DropReason::UnknownId)]);
    assert_eq!(reset_queue(&mut lab, 0, None), Ok(Progress::Running));
    let reason = DropReason::DriverReset;
    assert_eq!(lab.notes.drops()[1..], [(2, reason), (3, reason)]);
    assert_eq!((lab.driver.consumed(0), lab.driver.queue_error(0)), (4, None));
}

#[test]
fn a_break_in_order_leaves_what_the_index_tells_of() {
    let features = spec::DEFAULT_FEATURES | spec::F_IN_ORDER;
    let mut lab = Lab::running(DriverConfig { features, ..config() });
    for _ in 0..2 {
        lab.device.put_used(0, 9, 72);
    }
    lab.poll(0, 64);
    let error = RingError::BatchTooLong { id: 9, batch: 10, used: 2 };
    assert_eq!(lab.driver.queue_error(0), Some(error));
    assert_eq!(lab.notes.drops(), []);
    assert_eq!(reset_queue(&mut lab, 0, None), Ok(Progress::Running));
    let reason = DropReason::DriverReset;
    assert_eq!(lab.notes.drops(), [(0, reason), (1, reason)], "the one that broke it as well");
    assert_eq!((lab.driver.consumed(0), lab.receive(0).reset_left), (2, 2));
}

#[test]
fn merged_buffers_behind_a_break_are_no_frames() {
    let required = spec::NET_F_MRG_RXBUF;
    let mut lab = Lab::running(DriverConfig { required, ..config() });
    let buffers: Vec<_> = (0..4).map(|_| lab.device.take_buffer(0).unwrap()).collect();
    lab.device.complete(0, 99, 72);
    for buffer in &buffers {
        lab.device.complete(0, buffer.id.into(), 2048);
    }
    lab.poll(0, 64);
    assert_eq!(reset_queue(&mut lab, 0, None), Ok(Progress::Running));
    assert_eq!(lab.notes.drops(), [(0, DropReason::UnknownId)]);
    assert_eq!((lab.driver.consumed(0), lab.receive(0).reset_left), (1, 4));
}

#[test]
fn a_reset_of_the_device_that_takes_its_time_is_gone_on_with_by_the_timer() {
    for readings in [3, u32::MAX] {
        let config = DriverConfig {
            recover: Recover::Device,
            control_timeout_ps: 1_000_000_000,
            ..config()
        };
        let mut lab = Lab::running(config);
        lab.device.complete(0, 99, 72);
        lab.poll(0, 64);
        lab.device.reset_readings = readings;
        lab.finish(0);
        assert_eq!(lab.advance(1), [0u16; 0], "too early to look");
        let mut looks = 0;
        while let Some(now) = lab.driver.next_deadline() {
            assert_eq!(lab.advance(now), [0u16; 0]);
            looks += 1;
            assert!(looks < 1000);
        }
        if readings == 3 {
            assert_eq!((lab.driver.error(), lab.now), (None, 20_000_000));
            assert!(lab.device.receive(0, &frame(1, 60)));
            lab.settle(64);
            assert_eq!(lab.notes.frames, [(0, 0, frame(1, 60))]);
        } else {
            assert_eq!(lab.driver.error().map(DriverError::name), Some("reset_timeout"));
            assert_eq!(lab.now, 1_000_000_000, "as long as is granted, and no longer");
        }
    }
}

#[test]
fn a_queue_that_is_reset_has_its_own_coalescing_again() {
    let own = |usecs| Coalesce { max_packets: 3, max_usecs: usecs };
    let coalesce = CoalesceSettings {
        rx: Some(own(9)),
        queues: vec![(1, own(4)), (0, own(5))],
        ..CoalesceSettings::default()
    };
    let mut lab = Lab::running(DriverConfig { queue_pairs: 2, coalesce, ..config() });
    lab.device.commands.clear();
    assert_eq!(reset_queue(&mut lab, 1, None), Ok(Progress::Running));
    assert_eq!(lab.device.commands, [(6, 2, vec![2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0])]);
}

#[test]
fn a_queue_that_cannot_be_put_to_use_again_is_told_of_and_mended_by_policy() {
    for recover in [Recover::None, Recover::Queue] {
        let mut lab = Lab::running(DriverConfig { recover, recover_limit: 1, ..config() });
        lab.device.queue_reset_readings = 1;
        assert!(matches!(reset_queue(&mut lab, 0, None), Ok(Progress::Waiting { .. })));
        lab.device.refuse_enable = Some(0);
        lab.device.enable_again = true;
        let now = lab.driver.next_deadline().unwrap();
        assert_eq!(lab.advance(now), [0u16; 0]);
        assert_eq!(lab.receive(0).queue_reset_failures, 1);
        assert_eq!(lab.notes.count("queue_reset_failed"), 1);
        assert_eq!(lab.driver.counters().device_resets, u64::from(recover == Recover::Queue));
        lab.device.messages.clear();
        let works = lab.device.receive(0, &frame(1, 60)) && lab.poll(0, 64).frames == 1;
        assert_eq!(works, recover == Recover::Queue);
    }
}

#[test]
fn a_queue_whose_reset_never_ends_brings_a_reset_of_the_device() {
    let recover = Recover::Queue;
    let mut lab = Lab::running(DriverConfig { recover, ..config() });
    lab.device.queue_reset_readings = u32::MAX;
    assert!(matches!(reset_queue(&mut lab, 0, None), Ok(Progress::Waiting { .. })));
    while let Some(now) = lab.driver.next_deadline() {
        lab.advance(now);
    }
    assert_eq!((lab.driver.counters().device_resets, lab.driver.counters().recoveries), (1, 1));
    assert!(lab.device.receive(0, &frame(1, 60)));
    lab.settle(64);
    assert_eq!(lab.notes.frames.len(), 1);
}

#[test]
fn frames_that_the_device_has_sent_are_not_lost_and_none_is_counted_twice() {
    let mut lab = Lab::running(config());
    lab.device.hold_transmit = true;
    for seed in 0..5 {
        lab.transmit(0, &frame(seed, 60)).unwrap();
    }
    for _ in 0..2 {
        let done = lab.device.queues[1].owned.pop_front().unwrap();
        lab.device.complete(1, done.id.into(), 0);
    }
    lab.device.refuse_queue = Some(0);
    assert!(reset(&mut lab).is_err(), "and the start fails before the transmit queue");
    assert!(reset(&mut lab).is_err());
    lab.device.refuse_queue = None;
    assert_eq!(reset(&mut lab), Ok(Progress::Running));
    let counters = lab.driver.transmit_counters(0).unwrap();
    assert_eq!((counters.sent, counters.completed, counters.reset_in_flight), (5, 2, 3));
}

#[test]
fn a_broken_transmit_queue_is_reset_by_policy() {
    for recover in [Recover::None, Recover::Queue, Recover::Device] {
        let mut lab = Lab::running(DriverConfig { recover, ..config() });
        lab.device.hold_transmit = true;
        for seed in 0..3 {
            lab.transmit(0, &frame(seed, 60)).unwrap();
        }
        lab.device.complete(1, 99, 0);
        let broken = Err(TransmitError::Broken(RingError::UnknownId { id: 99, size: 16 }));
        assert_eq!(lab.transmit(0, &frame(3, 60)), broken);
        let counters = lab.driver.transmit_counters(0).unwrap();
        let resets = (counters.queue_resets, lab.driver.counters().device_resets);
        let lost = counters.reset_in_flight;
        if recover == Recover::None {
            assert_eq!(lab.transmit(0, &frame(4, 60)), broken);
            let again = lab.driver.reset_transmit_queue(0, 0, &mut lab.device, &mut lab.notes);
            assert_eq!(again, Ok(Progress::Running), "by hand");
        } else {
            assert_eq!(lost, 3);
            assert_eq!(resets, if recover == Recover::Queue { (1, 0) } else { (0, 1) });
        }
        lab.device.sent.clear();
        assert_eq!(lab.transmit(0, &frame(5, 60)), Ok(()), "{recover:?}");
        assert_eq!(lab.device.sent, [frame(5, 60)]);
    }
}

#[test]
fn a_slow_reset_of_a_transmit_queue_takes_no_frame_meanwhile() {
    for readings in [2, u32::MAX] {
        let mut lab = Lab::running(DriverConfig { control_timeout_ps: 1_000_000_000, ..config() });
        lab.device.queue_reset_readings = readings;
        let reset =
            |lab: &mut Lab| lab.driver.reset_transmit_queue(0, 0, &mut lab.device, &mut lab.notes);
        assert_eq!(reset(&mut lab), Ok(Progress::Waiting { deadline: 1_000_000_000 }));
        assert_eq!(reset(&mut lab), Err(ResetError::UnderWay { queue: 0 }));
        assert_eq!(lab.transmit(0, &frame(0, 60)), Err(TransmitError::InReset));
        while let Some(now) = lab.driver.next_deadline() {
            lab.advance(now);
        }
        let over = readings == 2;
        assert_eq!(lab.transmit(0, &frame(0, 60)).is_ok(), over);
        let counters = lab.driver.transmit_counters(0).unwrap();
        assert_eq!((counters.queue_resets, counters.queue_reset_timeouts), (1, u64::from(!over)));
        assert_eq!(lab.notes.count("transmit_restarted"), usize::from(over));
        assert_eq!(lab.notes.count("transmit_reset_failed"), usize::from(!over));
    }
}

#[test]
fn recovery_by_policy_is_bounded() {
    for recover in [Recover::Queue, Recover::Device] {
        let mut lab = Lab::running(DriverConfig { recover, recover_limit: 3, ..config() });
        for round in 0..5 {
            lab.device.complete(0, 99, 72);
            lab.poll(0, 64);
            lab.finish(0);
            assert_eq!(lab.driver.queue_error(0).is_none(), round < 3, "{recover:?} {round}");
            if round < 3 {
                lab.device.messages.clear();
                assert!(lab.device.receive(0, &frame(round, 60)), "{recover:?}");
                lab.settle(64);
            }
        }
        assert_eq!(lab.driver.counters().recoveries, 3);
        let resets = (lab.receive(0).queue_resets, lab.driver.counters().device_resets);
        assert_eq!(resets, if recover == Recover::Queue { (3, 0) } else { (0, 3) });
    }
}

#[test]
fn needs_reset_is_answered_by_policy() {
    let mut lab = Lab::running(DriverConfig { recover: Recover::Device, ..config() });
    assert!(lab.device.receive(0, &frame(0, 60)));
    lab.device.status |= spec::STATUS_NEEDS_RESET;
    lab.device.config_changed();
    lab.device.messages.pop_front();
    assert_eq!(lab.interrupt(CONFIG_VECTOR), Interrupt::ConfigChanged);
    assert_eq!(lab.driver.error(), None);
    assert_eq!(lab.notes.frames.len(), 1, "taken before the reset");
    assert_eq!((lab.driver.counters().config_interrupts, lab.driver.counters().failures), (1, 1));
    assert!(lab.device.receive(0, &frame(1, 60)));
    lab.settle(64);
    assert_eq!(lab.notes.frames.len(), 2);
}

#[test]
fn needs_reset_is_seen_by_whoever_looks() {
    let lookers: [fn(&mut Lab); 2] = [
        |lab| assert_eq!(lab.step(), Ok(Progress::Running)),
        |lab| assert_eq!(lab.advance(1000), [0u16; 0]),
    ];
    for look in lookers {
        let recover = Recover::Device;
        let mut lab = Lab::running(DriverConfig { recover, watchdog_ps: 1000, ..config() });
        lab.device.status |= spec::STATUS_NEEDS_RESET;
        look(&mut lab);
        assert_eq!((lab.driver.error(), lab.driver.counters().device_resets), (None, 1));
        assert!(lab.device.receive(0, &frame(1, 60)));
        lab.settle(64);
        assert_eq!(lab.notes.frames.len(), 1);
    }
}

#[test]
fn the_watchdog_sees_a_change_of_the_configuration_whose_interrupt_was_lost() {
    let mut lab = Lab::running(DriverConfig { watchdog_ps: 1000, ..config() });
    lab.device.set_link(false);
    lab.device.messages.clear();
    lab.advance(999);
    assert!(lab.driver.link_up());
    lab.advance(1000);
    assert!(!lab.driver.link_up());
    assert_eq!(
        (lab.driver.counters().link_changes, lab.driver.counters().config_interrupts),
        (1, 0)
    );
}

proptest! {
    /// Whatever happens between resets: each frame that the device completed is indicated once, in order.
    #[test]
    fn resets_at_any_time_lose_nothing_that_was_completed(
        steps in prop::collection::vec(0u8..6, 1..200),
        msix in any::<bool>(),
    ) {
        let mask = if msix { Masking::Msix } else { Masking::Ring };
        let mut lab = Lab::running(DriverConfig { mask, ..config() });
        let mut sent = 0;
        for step in steps {
            match step {
                0..3 => sent += u64::from(lab.device.receive(0, &frame(sent, 60))),
                3 => { lab.poll(0, 4); lab.finish(0); }
                4 => prop_assert_eq!(reset_queue(&mut lab, 0, None), Ok(Progress::Running)),
                _ => prop_assert_eq!(reset(&mut lab), Ok(Progress::Running)),
            }
        }
        prop_assert_eq!(reset(&mut lab), Ok(Progress::Running));
        prop_assert_eq!(lab.notes.frames.len() as u64, sent);
        for (seed, (_, _, data)) in (0u64..).zip(&lab.notes.frames) {
            prop_assert_eq!(data, &frame(seed, 60));
        }
    }
}
