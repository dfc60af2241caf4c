//! Refill, moderation and the watchdog, and the two faults that the watchdog is there for.

use driver::*;

use crate::lab::{Lab, config, frame};

const US: u64 = 1_000_000;

#[test]
fn each_policy_refills_when_it_says() {
    for (refill, posted) in [
        (Refill::EachPoll, [1, 7, 8, 0]),
        (Refill::Threshold, [0, 8, 8, 0]),
        (Refill::WithoutKick, [0, 8, 8, 0]),
        (Refill::WhenEmpty, [0, 0, 16, 0]),
    ] {
        let mut lab = Lab::running(DriverConfig { refill, refill_threshold: 8, ..config() });
        let mut seen = [0; 4];
        for (round, frames) in [1, 7, 8, 0].into_iter().enumerate() {
            for seed in 0..frames {
                assert!(lab.device.receive(0, &frame(seed, 60)), "{refill:?}");
            }
            lab.poll(0, 64);
            seen[round] = lab.finish(0).posted;
        }
        assert_eq!(seen, posted, "{refill:?}");
    }
}

#[test]
fn a_refill_without_kick_starves_the_device_until_the_watchdog_tells_it() {
    let refill = Refill::WithoutKick;
    let mut lab = Lab::running(DriverConfig { refill, watchdog_ps: 10 * US, ..config() });
    for seed in 0..16 {
        assert!(lab.device.receive(0, &frame(seed, 60)));
    }
    lab.settle(64);
    assert_eq!((lab.driver.consumed(0), lab.driver.posted(0)), (16, 16));
    assert!(!lab.device.receive(0, &frame(16, 60)), "the device sleeps: nobody has told it");
    assert_eq!(lab.advance(10 * US), [0u16; 0]);
    assert!(lab.device.receive(0, &frame(16, 60)), "the watchdog did");
    assert_eq!(lab.receive(0).watchdog_kicks, 1);
    lab.advance(20 * US);
    assert_eq!(lab.receive(0).watchdog_kicks, 1, "once is enough");
}

/// A completion between the poll and its end, which nobody looks for.
fn blind(features: u64) -> Lab {
    let mut lab = Lab::running(DriverConfig {
        rearm: Rearm::Blind,
        watchdog_ps: 10 * US,
        features,
        ..config()
    });
    assert!(lab.device.receive(0, &frame(0, 60)));
    lab.deliver();
    lab.poll(0, 64);
    assert!(lab.device.receive(0, &frame(1, 60)));
    assert!(!lab.finish(0).again);
    assert!(lab.device.messages.is_empty(), "the completion was silent");
    lab
}

#[test]
fn blind_rearming_loses_the_interrupt_and_with_an_event_index_all_later_ones() {
    let mut lab = blind(spec::DEFAULT_FEATURES);
    while lab.device.receive(0, &frame(2, 60)) {}
    assert!(lab.device.messages.is_empty(), "the ring is full, and the driver sleeps");
    assert_eq!(lab.driver.consumed(0), 1);

    let mut lab = blind(spec::DEFAULT_FEATURES & !spec::F_EVENT_IDX);
    assert!(lab.device.receive(0, &frame(2, 60)));
    lab.settle(64);
    assert_eq!(lab.driver.consumed(0), 3, "flags are no index: the next frame wakes the driver");
}

#[test]
fn the_watchdog_finds_a_lost_interrupt_after_a_whole_period() {
    let mut lab = blind(spec::DEFAULT_FEATURES);
    assert_eq!(lab.driver.next_deadline(), Some(10 * US));
    assert_eq!(lab.advance(10 * US), [0u16; 0], "seen for the first time: it may be on its way");
    assert_eq!(lab.driver.next_deadline(), Some(20 * US));
    assert_eq!(lab.advance(20 * US), [0]);
    assert_eq!(lab.receive(0).watchdog_recovered, 1);
    assert_eq!(lab.notes.count("rx_watchdog_recovered"), 1);
    assert_eq!(lab.poll(0, 64).frames, 1);
    assert!(!lab.finish(0).again);
    assert!(lab.device.receive(0, &frame(2, 60)));
    assert_eq!(lab.deliver(), Some(Interrupt::Poll(0)), "interrupts are in step again");
}

#[test]
fn the_watchdog_leaves_working_queues_alone() {
    let mut lab = Lab::running(DriverConfig { watchdog_ps: 10 * US, ..config() });
    for round in 1..100 {
        assert!(lab.device.receive(0, &frame(round, 60)));
        if round % 2 == 0 {
            lab.settle(64);
        }
        assert_eq!(lab.advance(round * 10 * US), [0u16; 0], "{round}");
    }
    assert_eq!(lab.receive(0).watchdog_recovered, 0);
}

#[test]
fn busy_polling_takes_no_interrupt_at_all() {
    let moderation = Moderation::BusyPoll { period_ps: 5 * US };
    let mut lab = Lab::running(DriverConfig { moderation, queue_pairs: 2, ..config() });
    assert_eq!(lab.driver.next_deadline(), Some(0), "it polls from the start");
    for round in 0..100 {
        let now = round * 5 * US;
        assert_eq!(lab.advance(now), [0, 1]);
        for queue in [0, 1] {
            assert!(lab.device.receive(queue, &frame(round, 60)));
            assert_eq!(lab.poll(queue, 64).frames, 1);
            let finished = lab.finish(queue);
            assert!(finished.later && !finished.again);
        }
        assert_eq!(lab.driver.next_deadline(), Some(now + 5 * US));
    }
    assert!(lab.device.messages.is_empty());
    assert_eq!((lab.receive(1).interrupts, lab.receive(1).timer_polls), (0, 100));
}

#[test]
fn deferred_interrupts_come_back_after_quiet_timers() {
    let moderation = Moderation::Deferred { hard_irqs: 2, flush_timeout_ps: 20 * US };
    let mut lab = Lab::running(DriverConfig { moderation, ..config() });
    assert!(lab.device.receive(0, &frame(0, 60)));
    assert_eq!(lab.deliver(), Some(Interrupt::Poll(0)));
    lab.poll(0, 64);
    assert!(lab.finish(0).later);
    assert!(lab.device.receive(0, &frame(1, 60)));
    assert!(lab.device.messages.is_empty(), "the timer finds it, not an interrupt");
    assert_eq!(lab.advance(20 * US), [0]);
    assert_eq!(lab.poll(0, 64).frames, 1);
    assert!(lab.finish(0).later);
    assert_eq!(lab.advance(40 * US), [0]);
    lab.poll(0, 64);
    assert!(lab.finish(0).later);
    assert_eq!(lab.advance(60 * US), [0]);
    lab.poll(0, 64);
    assert!(!lab.finish(0).later, "two timers found nothing");
    assert_eq!(lab.driver.next_deadline(), None);
    assert!(lab.device.receive(0, &frame(2, 60)));
    assert_eq!(lab.deliver(), Some(Interrupt::Poll(0)));
}

#[test]
fn adaptive_moderation_waits_longer_under_load() {
    let mut lab = Lab::running(DriverConfig { moderation: Moderation::Adaptive, ..config() });
    let (mut now, mut waits) = (0, Vec::new());
    for round in 0..5000 {
        for seed in 0..16 {
            assert!(lab.device.receive(0, &frame(round * 16 + seed, 60)));
        }
        if round == 0 {
            assert_eq!(lab.deliver(), Some(Interrupt::Poll(0)));
        } else {
            assert_eq!(lab.advance(now), [0]);
        }
        lab.poll(0, 64);
        assert!(lab.finish(0).later);
        let at = lab.driver.next_deadline().unwrap();
        waits.push((at - now) / US);
        now = at;
    }
    assert_eq!(waits[0], 1);
    assert_eq!(waits.iter().max(), Some(&64), "16 frames in 64 us are 250 a millisecond");
    assert_eq!(lab.receive(0).interrupts, 1);
}

#[test]
fn a_restart_forgets_every_timer() {
    let moderation = Moderation::Deferred { hard_irqs: 2, flush_timeout_ps: 20 * US };
    let mut lab = Lab::running(DriverConfig { moderation, ..config() });
    assert!(lab.device.receive(0, &frame(0, 60)));
    lab.settle(64);
    assert!(lab.driver.next_deadline().is_some());
    assert_eq!(lab.start(), Ok(Progress::Running));
    assert_eq!(lab.driver.next_deadline(), None);
    assert_eq!(lab.advance(100 * US), [0u16; 0]);
}
