//! The ledger and the law on small, hand-made lives of frames.

use super::law::{Holdings, check_all, check_touched};
use super::{Ledger, Reason};
use nic_model::DropReason as Nic;
use npf_core::DropReason as Npf;

const FULL: Reason = Reason::Npf(Npf::BufferFull);

/// Components that hold what the test says.
#[derive(Default)]
struct Say {
    fifo: u64,
    ring: u64,
    queued: Vec<u64>,
    offered: u64,
    /// (reason, frames) for at most one reason.
    dropped: Option<(Reason, u64)>,
    delivered: u64,
}

impl Holdings for Say {
    fn fifo(&self) -> u64 {
        self.fifo
    }
    fn fifo_of(&self, _queue: u16) -> u64 {
        self.fifo
    }
    fn published(&self, _queue: u16) -> u64 {
        self.ring
    }
    fn consumed(&self, _queue: u16) -> u64 {
        0
    }
    fn queued(&self, handle: u32) -> u64 {
        self.queued[handle as usize]
    }
    fn offered(&self) -> u64 {
        self.offered
    }
    fn dropped(&self, reason: Reason) -> u64 {
        self.dropped.map_or(0, |(of, n)| if of == reason { n } else { 0 })
    }
    fn delivered(&self, _handle: u32) -> u64 {
        self.delivered
    }
    fn filtered(&self, _handle: u32) -> u64 {
        0
    }
}

/// A frame that has come as far as the tap, as the first of queue 0.
fn at_the_tap(ledger: &mut Ledger) -> u64 {
    let tag = ledger.offer(0, &[1; 60]);
    ledger.steered(tag, 0);
    ledger.entered_fifo(tag);
    ledger.written(tag);
    assert_eq!(ledger.taken(0, 0), Some(tag));
    tag
}

#[test]
fn the_law_holds_at_each_place_of_a_frames_life() {
    let mut ledger = Ledger::new(1, 1);
    let mut say = Say { queued: vec![0], offered: 1, ..Say::default() };
    let tag = ledger.offer(0, &[1; 60]);
    ledger.steered(tag, 0);
    ledger.entered_fifo(tag);
    say.fifo = 1;
    check_touched(&mut ledger, &say).unwrap();
    ledger.written(tag);
    (say.fifo, say.ring) = (0, 1);
    check_touched(&mut ledger, &say).unwrap();
    ledger.taken(0, 0);
    ledger.stored_by(tag, 0);
    ledger.shown_to_all(tag);
    (say.ring, say.queued) = (0, vec![1]);
    check_touched(&mut ledger, &say).unwrap();
    ledger.delivered_by(tag, 0);
    (say.queued, say.delivered) = (vec![0], 1);
    check_all(&ledger, &say).unwrap();
    assert_eq!((ledger.total.delivered, ledger.in_flight()), (1, 0));
}

#[test]
fn a_component_that_loses_a_frame_breaks_the_law() {
    let mut ledger = Ledger::new(1, 1);
    let tag = ledger.offer(0, &[1; 60]);
    ledger.steered(tag, 0);
    ledger.entered_fifo(tag);
    let lost = Say { queued: vec![0], offered: 1, ..Say::default() };
    let broken = check_touched(&mut ledger, &lost).unwrap_err();
    assert!(broken.what.contains("queue 0 holds 0 frames in the FIFO"), "{broken}");
}

#[test]
fn a_frame_delivered_twice_breaks_the_law() {
    let mut ledger = Ledger::new(1, 1);
    let say = Say { queued: vec![0], offered: 1, ..Say::default() };
    let tag = at_the_tap(&mut ledger);
    ledger.stored_by(tag, 0);
    ledger.delivered_by(tag, 0);
    check_touched(&mut ledger, &say).unwrap();
    ledger.delivered_by(tag, 0);
    assert!(check_touched(&mut ledger, &say).is_err());
}

#[test]
fn a_completion_that_nobody_wrote_breaks_the_law() {
    let mut ledger = Ledger::new(1, 1);
    assert_eq!(ledger.taken(0, 0), None);
    assert!(ledger.fault().unwrap().contains("which the device has not written"));
}

#[test]
fn the_worst_fate_of_a_frame_is_its_fate_in_the_total() {
    // Handle 0 delivers it, handle 1 filters it: delivered.
    let mut ledger = Ledger::new(1, 2);
    let tag = at_the_tap(&mut ledger);
    ledger.stored_by(tag, 0);
    ledger.filtered_by(1);
    ledger.shown_to_all(tag);
    assert_eq!(ledger.held.core, 1);
    ledger.delivered_by(tag, 0);
    assert_eq!((ledger.total.delivered, ledger.total.settled()), (1, 1));

    // Handle 0 holds it, handle 1 drops it: dropped at once, and delivering it changes nothing.
    let mut ledger = Ledger::new(1, 2);
    let tag = at_the_tap(&mut ledger);
    ledger.stored_by(tag, 0);
    ledger.refused_by(tag, 1, FULL);
    ledger.shown_to_all(tag);
    assert_eq!((ledger.total.dropped, ledger.held.core), (1, 0));
    assert_eq!(ledger.in_flight(), 1, "a copy is still queued");
    ledger.delivered_by(tag, 0);
    assert_eq!((ledger.total.dropped, ledger.total.settled()), (1, 1));
    assert_eq!(ledger.handles[0].tally.delivered, 1);
    assert_eq!(ledger.in_flight(), 0);

    // Both filter it: filtered.
    let mut ledger = Ledger::new(1, 2);
    let tag = at_the_tap(&mut ledger);
    ledger.filtered_by(0);
    ledger.filtered_by(1);
    ledger.shown_to_all(tag);
    assert_eq!((ledger.total.filtered, ledger.in_flight()), (1, 0));
}

#[test]
fn a_packet_flushed_after_it_was_stored_is_dropped_once() {
    let mut ledger = Ledger::new(1, 2);
    let tag = at_the_tap(&mut ledger);
    ledger.stored_by(tag, 0);
    ledger.stored_by(tag, 1);
    ledger.shown_to_all(tag);
    let flushed = Reason::Npf(Npf::Flushed);
    ledger.discarded_by(tag, 0, flushed);
    ledger.discarded_by(tag, 1, flushed);
    assert_eq!((ledger.total.dropped, ledger.in_flight()), (1, 0));
    assert_eq!(ledger.handles.iter().map(|book| book.tally.dropped).sum::<u64>(), 2);
}

#[test]
fn drops_before_steering_belong_to_no_queue() {
    let mut ledger = Ledger::new(1, 1);
    let tag = ledger.offer(0, &[1; 10]);
    ledger.dropped(tag, Reason::Nic(Nic::Runt));
    let runt = Some((Reason::Nic(Nic::Runt), 1));
    let mut say = Say { queued: vec![0], offered: 1, dropped: runt, ..Say::default() };
    check_all(&ledger, &say).unwrap();
    say.dropped = None;
    let broken = check_all(&ledger, &say).unwrap_err();
    assert!(broken.what.contains("runt is counted 0 times"), "{broken}");
    assert_eq!((ledger.total.dropped, ledger.queues[0].tally.offered), (1, 0));
}
