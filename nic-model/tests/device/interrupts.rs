//! Suppression by both methods, coalescing, MSI-X: in this order.

use crate::rig::{FLAGS_ONLY, PLAIN, Rig, config, udp};
use nic_model::{Coalesce, DeviceConfig, Event};

fn coalescing(max_ps: u64, max_frames: u32) -> DeviceConfig {
    DeviceConfig { rx_coalesce: Coalesce { max_ps, max_frames }, ..config() }
}

fn frames(rig: &mut Rig, count: u16) {
    for _ in 0..count {
        rig.frame(&udp(1, 60, 0));
    }
}

#[test]
fn no_interrupt_flag_is_obeyed() {
    let mut rig = Rig::with_features(config(), FLAGS_ONLY);
    rig.post(0, 8);
    rig.set_no_interrupt(0, true);
    frames(&mut rig, 2);
    assert!(rig.host.interrupts.is_empty());
    assert_eq!(rig.device.queue_counters(0).interrupts_suppressed, 2);
    rig.set_no_interrupt(0, false);
    frames(&mut rig, 2);
    assert_eq!(rig.host.interrupts.len(), 2);
}

#[test]
fn used_event_is_obeyed() {
    let mut rig = Rig::new(config());
    rig.post(0, 8);
    rig.set_used_event(0, 2);
    frames(&mut rig, 2);
    assert!(rig.host.interrupts.is_empty());
    frames(&mut rig, 1);
    assert_eq!(rig.host.interrupts, [(0, 1, 0)], "element 2 was used");
    frames(&mut rig, 3);
    assert_eq!(rig.host.interrupts.len(), 1, "not crossed again");
}

#[test]
fn the_flag_means_nothing_with_event_index() {
    let mut rig = Rig::new(config());
    rig.post(0, 8);
    rig.set_no_interrupt(0, true);
    frames(&mut rig, 1);
    assert_eq!(rig.host.interrupts.len(), 1);
}

#[test]
fn coalescing_by_count() {
    let mut rig = Rig::with_features(coalescing(1_000_000, 3), FLAGS_ONLY);
    rig.post(0, 8);
    frames(&mut rig, 2);
    assert!(rig.host.interrupts.is_empty());
    frames(&mut rig, 1);
    assert_eq!(rig.host.interrupts.len(), 1);
    assert_eq!(rig.device.next_deadline(), None, "the timer is gone");
    frames(&mut rig, 3);
    assert_eq!(rig.host.interrupts.len(), 2);
}

#[test]
fn coalescing_by_time_from_the_first_frame() {
    let mut rig = Rig::new(coalescing(1000, 10));
    rig.post(0, 8);
    rig.advance(50);
    frames(&mut rig, 1);
    rig.advance(900);
    frames(&mut rig, 1);
    assert_eq!(rig.device.next_deadline(), Some(1050));
    rig.advance(1049);
    assert!(rig.host.interrupts.is_empty());
    rig.advance(5000);
    assert_eq!(rig.host.interrupts, [(1050, 1, 0)], "one for both, at its own time");
    assert_eq!(rig.device.next_deadline(), None);
}

#[test]
fn coalescing_is_told_when_the_timer_starts_and_counted_for_each_frame() {
    let mut rig = Rig::with_features(coalescing(1000, 4), FLAGS_ONLY);
    rig.post(0, 8);
    frames(&mut rig, 3);
    rig.advance(10);
    frames(&mut rig, 3);
    let told: Vec<Event> = rig.host.events.iter().map(|(_, event)| *event).collect();
    let starts = told.iter().filter(|event| matches!(event, Event::InterruptCoalesced { .. }));
    let timer = |deadline| Event::InterruptCoalesced { queue: Some(0), deadline };
    assert_eq!(starts.copied().collect::<Vec<_>>(), [timer(1000), timer(1010)]);
    assert_eq!(rig.device.counters().interrupts_coalesced, 5, "the fourth frame is not put off");
}

#[test]
fn coalesced_frames_count_though_the_wish_lies_behind_them() {
    let mut rig = Rig::new(coalescing(1000, 3));
    rig.post(0, 8);
    rig.set_used_event(0, 0);
    frames(&mut rig, 3);
    assert_eq!(rig.host.interrupts.len(), 1);
}

/// 5.1.6.5.9: no interrupt while the driver suppresses them, even if it was put off before that.
#[test]
fn an_interrupt_put_off_is_not_sent_by_count_if_unwanted_by_then() {
    for features in [FLAGS_ONLY, PLAIN] {
        let mut rig = Rig::with_features(coalescing(1000, 3), features);
        rig.post(0, 8);
        frames(&mut rig, 2);
        wish(&rig, features, None);
        frames(&mut rig, 1);
        assert!(rig.host.interrupts.is_empty());
        assert_eq!(rig.device.queue_counters(0).interrupts_suppressed, 1);
        assert_eq!(rig.device.next_deadline(), None, "nothing is owed");
        wish(&rig, features, Some(3));
        frames(&mut rig, 3);
        assert_eq!(rig.host.interrupts.len(), 1);
    }
}

#[test]
fn an_interrupt_put_off_is_not_sent_by_timer_if_unwanted_by_then() {
    for features in [FLAGS_ONLY, PLAIN] {
        let mut rig = Rig::with_features(coalescing(1000, 9), features);
        rig.post(0, 8);
        frames(&mut rig, 2);
        wish(&rig, features, None);
        rig.advance(5000);
        assert!(rig.host.interrupts.is_empty());
        assert_eq!(rig.device.queue_counters(0).interrupts_suppressed, 1);
        wish(&rig, features, Some(2));
        frames(&mut rig, 1);
        rig.advance(9000);
        assert_eq!(rig.host.interrupts, [(6000, 1, 0)]);
    }
}

/// What the driver wished for stays to be announced while it is owed, however often it was looked at.
#[test]
fn an_interrupt_put_off_is_sent_by_timer_if_it_is_wanted_still() {
    for features in [FLAGS_ONLY, PLAIN] {
        let mut rig = Rig::with_features(coalescing(1000, 9), features);
        rig.post(0, 8);
        frames(&mut rig, 3);
        wish(&rig, features, None);
        wish(&rig, features, Some(1));
        rig.advance(5000);
        assert_eq!(rig.host.interrupts, [(1000, 1, 0)]);
    }
}

/// The driver wants no interrupt of queue 0, or one once it has used this element.
fn wish(rig: &Rig, features: u64, element: Option<u16>) {
    if features == FLAGS_ONLY {
        rig.set_no_interrupt(0, element.is_none());
    } else {
        // One that will not be used for a long time.
        rig.set_used_event(0, element.unwrap_or(1000));
    }
}

#[test]
fn nothing_is_owed_for_what_the_driver_did_not_want() {
    let mut rig = Rig::with_features(coalescing(1000, 2), FLAGS_ONLY);
    rig.post(0, 8);
    rig.set_no_interrupt(0, true);
    frames(&mut rig, 5);
    assert_eq!(rig.device.next_deadline(), None);
    rig.set_no_interrupt(0, false);
    frames(&mut rig, 1);
    assert_eq!(rig.device.next_deadline(), Some(1000));
}

#[test]
fn a_masked_vector_pends_and_delivers_once_to_its_cpu() {
    let mut rig = Rig::with_features(config(), FLAGS_ONLY);
    rig.post(0, 8);
    rig.device.set_vector_cpu(1, 3);
    rig.device.set_vector_masked(0, 1, true, &mut rig.host);
    frames(&mut rig, 3);
    assert!(rig.host.interrupts.is_empty());
    assert_eq!(rig.device.counters().interrupts_pended, 3);
    rig.device.set_vector_masked(20, 1, false, &mut rig.host);
    rig.device.set_vector_masked(21, 1, true, &mut rig.host);
    rig.device.set_vector_masked(22, 1, false, &mut rig.host);
    assert_eq!(rig.host.interrupts, [(20, 1, 3)]);
}

#[test]
fn a_timer_meets_the_mask_too() {
    let mut rig = Rig::new(coalescing(1000, 9));
    rig.post(0, 8);
    frames(&mut rig, 1);
    rig.device.set_vector_masked(1, 1, true, &mut rig.host);
    rig.advance(2000);
    assert!(rig.host.interrupts.is_empty());
    rig.device.set_vector_masked(2001, 1, false, &mut rig.host);
    assert_eq!(rig.host.interrupts, [(2001, 1, 0)]);
}

#[test]
fn reset_forgets_timers() {
    let mut rig = Rig::new(coalescing(1000, 9));
    rig.post(0, 8);
    frames(&mut rig, 1);
    rig.set_status(0);
    rig.bring_up(config().features);
    rig.advance(10_000);
    assert!(rig.host.interrupts.is_empty());
}

#[test]
fn reset_forgets_pending_bits_but_not_masks() {
    let mut rig = Rig::with_features(config(), FLAGS_ONLY);
    rig.post(0, 8);
    rig.device.set_vector_masked(0, 1, true, &mut rig.host);
    frames(&mut rig, 1);
    rig.set_status(0);
    rig.bring_up(FLAGS_ONLY);
    rig.post(0, 8);
    frames(&mut rig, 1);
    assert!(rig.host.interrupts.is_empty(), "still masked");
    rig.set_status(0);
    rig.device.set_vector_masked(0, 1, false, &mut rig.host);
    assert!(rig.host.interrupts.is_empty());
}

#[test]
fn a_queue_without_vector_never_interrupts() {
    let mut rig = Rig::untouched(config());
    rig.set_status(3);
    rig.device.set_driver_features(FLAGS_ONLY);
    rig.set_status(11);
    let place = nic_model::QueueSetup { vector: None, ..crate::rig::setup(0, 8) };
    rig.device.setup_queue(0, &place).unwrap();
    rig.device.enable_queue(0).unwrap();
    rig.set_status(15);
    rig.post(0, 1);
    frames(&mut rig, 1);
    assert_eq!((rig.device.published(0), rig.host.interrupts.len()), (1, 0));
}
