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
    assert!(lab.device.receive(0, &frame(1, 60)));
    lab.settle(64);
    assert_eq!(lab.notes.frames.len(), 2);
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
