//! Masking and unmasking, by the ring (with and without EVENT_IDX) and by MSI-X.
//!
//! The single steps of unmasking are interleaved with the device's in the unit tests of `interrupt.rs`;
//! here the device acts inside the driver's calls to the transport.

use driver::*;

use crate::lab::{Lab, config, frame};

fn ways() -> [DriverConfig; 4] {
    let flags = spec::DEFAULT_FEATURES & !spec::F_EVENT_IDX;
    [
        config(),
        DriverConfig { features: flags, ..config() },
        DriverConfig { mask: Masking::Msix, ..config() },
        DriverConfig { mask: Masking::Msix, features: flags, ..config() },
    ]
}

#[test]
fn a_scheduled_queue_is_not_interrupted() {
    for config in ways() {
        let mut lab = Lab::running(config);
        assert!(lab.device.receive(0, &frame(0, 60)));
        assert_eq!(lab.deliver(), Some(Interrupt::Poll(0)));
        for seed in 1..10 {
            assert!(lab.device.receive(0, &frame(seed, 60)));
            assert!(lab.device.messages.is_empty());
        }
        assert_eq!(lab.poll(0, 64).frames, 10);
        assert!(lab.device.receive(0, &frame(10, 60)));
        assert!(lab.device.messages.is_empty(), "still masked between poll and finish");
        assert!(lab.finish(0).again, "what came after the poll is found");
        assert!(lab.device.receive(0, &frame(11, 60)));
        assert!(lab.device.messages.is_empty(), "masked again");
        assert_eq!(lab.poll(0, 64).frames, 2);
        assert!(!lab.finish(0).again);
        let counters = lab.receive(0);
        assert_eq!((counters.masked, counters.unmasked, counters.poll_again), (1, 1, 1));
    }
}

#[test]
fn an_unmasked_queue_is_interrupted_by_the_next_frame() {
    for config in ways() {
        let mut lab = Lab::running(config);
        for seed in 0..50 {
            assert!(lab.device.receive(0, &frame(seed, 60)));
            lab.settle(64);
            assert_eq!(lab.driver.consumed(0), seed + 1);
        }
    }
}

#[test]
fn a_frame_inside_the_kick_of_a_refill_is_found() {
    for config in ways() {
        let mut lab = Lab::running(config);
        assert!(lab.device.receive(0, &frame(0, 60)));
        lab.deliver();
        lab.poll(0, 64);
        lab.device.at_kick = vec![frame(1, 60)];
        assert!(lab.finish(0).again);
        assert_eq!(lab.poll(0, 64).frames, 1);
    }
}

#[test]
fn a_frame_inside_the_unmasking_write_is_pending_and_interrupts() {
    for config in ways().into_iter().filter(|config| config.mask == Masking::Msix) {
        let mut lab = Lab::running(config);
        assert!(lab.device.receive(0, &frame(0, 60)));
        lab.deliver();
        lab.poll(0, 64);
        lab.device.at_unmask = vec![frame(1, 60), frame(2, 60)];
        assert!(!lab.finish(0).again);
        assert_eq!(lab.device.messages.make_contiguous(), [1], "one message for both");
        lab.settle(64);
        assert_eq!(lab.driver.consumed(0), 3);
    }
}

#[test]
fn a_stale_pending_message_is_spurious_and_harms_nothing() {
    for config in ways().into_iter().filter(|config| config.mask == Masking::Msix) {
        let mut lab = Lab::running(config);
        assert!(lab.device.receive(0, &frame(0, 60)));
        lab.deliver();
        lab.poll(0, 64);
        assert!(lab.device.receive(0, &frame(1, 60)));
        assert!(lab.finish(0).again);
        assert!(lab.device.receive(0, &frame(2, 60)));
        lab.poll(0, 64);
        lab.finish(0);
        let consumed = lab.driver.consumed(0);
        assert_eq!(consumed, 3);
        // By flags frames 1 and 2 pended one while the vector was masked; the event index named frame 1, which
        // was there before it did.
        let stale = lab.driver.features() & spec::F_EVENT_IDX == 0;
        assert_eq!(lab.device.messages.len(), usize::from(stale));
        if stale {
            assert_eq!(lab.deliver(), Some(Interrupt::Spurious));
        }
        let counters = lab.receive(0);
        assert_eq!((counters.spurious_interrupts, counters.interrupts), (u64::from(stale), 1));
        assert!(lab.device.receive(0, &frame(3, 60)));
        lab.settle(64);
        assert_eq!(lab.driver.consumed(0), 4);
    }
}

#[test]
fn a_poll_without_interrupt_schedules_by_itself() {
    for config in ways() {
        let mut lab = Lab::running(config);
        assert!(lab.device.receive(0, &frame(0, 60)));
        lab.device.messages.clear();
        assert_eq!(lab.poll(0, 64).frames, 1, "a watchdog finds what a lost interrupt left");
        assert_eq!(lab.interrupt(1), Interrupt::AlreadyScheduled);
        assert!(!lab.finish(0).again);
        assert!(lab.device.receive(0, &frame(1, 60)));
        lab.settle(64);
        assert_eq!(lab.driver.consumed(0), 2);
    }
}

#[test]
fn masking_stays_quiet_over_many_polls() {
    let mut lab = Lab::running(config());
    for seed in 0..70_000 {
        assert!(lab.device.receive(0, &frame(seed, 60)));
        lab.deliver();
        assert!(lab.device.messages.is_empty());
        // Never finds the ring empty, so it is never unmasked, while the index goes all the way round.
        assert!(lab.poll(0, 1).exhausted && lab.finish(0).again);
    }
    assert_eq!(lab.receive(0).interrupts, 1);
    assert_eq!(lab.receive(0).already_scheduled, 0);
}
