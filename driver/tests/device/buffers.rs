//! Buffer policies: what is copied, what is handed over, and what happens when no spare is left.

use driver::*;
use proptest::prelude::*;

use crate::lab::{Lab, config, frame};

fn flip(spares: u16, exhausted: Exhausted) -> Lab {
    let buffers = Buffers::PageFlip { spares, exhausted };
    Lab::running(DriverConfig { buffers, ..config() })
}

fn split(spares: u16) -> Lab {
    let buffers = Buffers::HeaderSplit { header: 128, spares, exhausted: Exhausted::Copy };
    Lab::running(DriverConfig { buffers, ..config() })
}

/// Receives `count` frames of `len` bytes and polls them.
fn receive(lab: &mut Lab, count: u64, len: usize) {
    for seed in 0..count {
        assert!(lab.device.receive(0, &frame(seed, len)));
    }
    lab.device.messages.clear();
    lab.poll(0, 64);
    lab.finish(0);
}

#[test]
fn a_page_flip_copies_nothing_and_hands_over_one_buffer_per_frame() {
    let mut lab = flip(16, Exhausted::Copy);
    receive(&mut lab, 10, 1000);
    let counters = lab.receive(0);
    assert_eq!((counters.indicated, counters.copied_bytes, counters.buffers_lent), (10, 0, 10));
    assert_eq!(
        (lab.driver.lent(0), lab.driver.posted(0)),
        (10, 16),
        "the ring is full all the same"
    );
    let mut buffers = lab.notes.lent.clone();
    buffers.dedup();
    assert_eq!(buffers.len(), 10);
    lab.give_back(10);
    assert_eq!((lab.driver.lent(0), lab.receive(0).buffers_out_most), (0, 10));
    for (seed, (_, _, data)) in (0u64..).zip(&lab.notes.frames) {
        assert_eq!(data, &frame(seed, 1000));
    }
}

#[test]
fn without_a_spare_the_frame_is_copied_or_dropped_as_configured() {
    let mut lab = flip(4, Exhausted::Copy);
    receive(&mut lab, 10, 1000);
    let counters = lab.receive(0);
    assert_eq!((counters.indicated, counters.buffers_lent), (10, 4));
    assert_eq!((counters.spares_exhausted, counters.copied_bytes), (6, 6 * 1012));

    let mut lab = flip(4, Exhausted::Drop);
    receive(&mut lab, 10, 1000);
    assert_eq!(lab.notes.drops().len(), 6);
    assert_eq!(lab.notes.drops()[0], (4, DropReason::NoSpareBuffer));
    assert_eq!((lab.receive(0).indicated, lab.driver.posted(0)), (4, 16));
    lab.give_back(2);
    lab.notes.frames.clear();
    receive(&mut lab, 3, 1000);
    assert_eq!(lab.notes.frames.len(), 2, "two came back");
}

#[test]
fn header_split_copies_headers_and_hands_over_payloads() {
    let mut lab = split(16);
    assert_eq!(lab.driver.posted(0), 8, "a chain of two takes two entries");
    receive(&mut lab, 5, 1000);
    let counters = lab.receive(0);
    assert_eq!((counters.copied_bytes, counters.buffers_lent), (5 * 128, 5));
    receive(&mut lab, 5, 60);
    let counters = lab.receive(0);
    assert_eq!(counters.copied_bytes, 5 * 128 + 5 * 72, "a short frame fits its header buffer");
    assert_eq!(counters.buffers_lent, 5);
    for (at, (_, _, data)) in lab.notes.frames.iter().enumerate() {
        let (seed, len) = if at < 5 { (at, 1000) } else { (at - 5, 60) };
        assert_eq!(data, &frame(seed as u64, len), "{at}");
    }
}

#[test]
fn a_buffer_given_back_twice_is_refused() {
    let mut lab = flip(4, Exhausted::Copy);
    receive(&mut lab, 1, 100);
    let (queue, buffer) = lab.notes.lent[0];
    lab.driver.give_back(queue, buffer);
    lab.driver.give_back(queue, buffer);
    lab.driver.give_back(queue, 999);
    lab.driver.give_back(7, 0);
    assert_eq!(lab.receive(0).buffers_returned, 1);
    assert_eq!(lab.driver.counters().misdirected_calls, 3);
}

#[test]
fn buffers_that_are_out_survive_a_reset() {
    let mut lab = flip(4, Exhausted::Copy);
    receive(&mut lab, 3, 100);
    assert_eq!(lab.start(), Ok(Progress::Running));
    assert_eq!((lab.driver.lent(0), lab.driver.posted(0)), (3, 16));
    receive(&mut lab, 5, 100);
    assert_eq!(lab.driver.lent(0), 4, "one spare was left");
    lab.give_back(4);
    receive(&mut lab, 5, 100);
    assert_eq!(lab.driver.lent(0), 4);
}

#[test]
fn policies_that_cannot_be_are_refused() {
    let exhausted = Exhausted::Copy;
    for buffers in [
        Buffers::PageFlip { spares: 0, exhausted },
        Buffers::PageFlip { spares: 32768, exhausted },
        Buffers::HeaderSplit { header: 63, spares: 1, exhausted },
        Buffers::HeaderSplit { header: 1025, spares: 1, exhausted },
    ] {
        assert!(DriverConfig { buffers, ..config() }.validate().is_err(), "{buffers:?}");
    }
}

#[test]
fn checklist_driver_03_used_id_not_a_chain_head() {
    let mut lab = split(16);
    let owned = lab.device.take_buffer(0).unwrap();
    lab.device.complete(0, u32::from(owned.id) + 1, 72);
    lab.settle(64);
    let id = u32::from(owned.id) + 1;
    assert_eq!(lab.driver.queue_error(0), Some(RingError::DuplicateId { id }));
    assert_eq!(lab.notes.drops(), [(0, DropReason::DuplicateId)]);
}

proptest! {
    /// No buffer is in two places, whatever the order of frames, polls, returns and resets: else a frame
    /// would be overwritten, or the fake device given a buffer twice.
    #[test]
    fn every_frame_arrives_whole_under_every_policy(
        steps in prop::collection::vec((0u8..5, 14usize..1500), 1..150),
        spares in 1u16..20,
        kind in 0..3,
    ) {
        let exhausted = Exhausted::Copy;
        let buffers = match kind {
            0 => Buffers::Copy,
            1 => Buffers::PageFlip { spares, exhausted },
            _ => Buffers::HeaderSplit { header: 64, spares, exhausted },
        };
        let mut lab = Lab::running(DriverConfig { buffers, ..config() });
        let mut sent = Vec::new();
        for (step, len) in steps {
            match step {
                0..2 => {
                    let bytes = frame(sent.len() as u64, len);
                    if lab.device.receive(0, &bytes) {
                        sent.push(bytes);
                    }
                }
                2 => { lab.poll(0, 8); lab.finish(0); }
                3 => { let half = lab.notes.lent.len() / 2; lab.give_back(half); }
                _ => {
                    let (now, device, notes) = (lab.now, &mut lab.device, &mut lab.notes);
                    prop_assert!(lab.driver.reset_queue(now, 0, None, device, notes).is_ok());
                }
            }
            prop_assert_eq!(lab.driver.lent(0), lab.notes.lent.len() as u64);
            prop_assert!(lab.driver.lent(0) <= u64::from(spares));
        }
        lab.poll(0, 64);
        let got: Vec<_> = lab.notes.frames.iter().map(|(_, _, data)| data.clone()).collect();
        prop_assert_eq!(got, sent);
    }
}
