//! The segments in every order.

use super::{CPUS, LEN, check, flushed, options, race, read, sleepy};
use crate::concurrent::segments::SharedSegments;
use crate::concurrent::shared::Shared;
use crate::engine::segments::HEADER;
use crate::{DropReason, SegmentsOptions};

/// What a packet is charged.
const CHARGE: u64 = (HEADER + LEN) as u64;
/// One segment for each CPU.
pub(super) const OWN: SegmentsOptions = SegmentsOptions { count: None, ..one() };
/// One that all share.
const ONE: SegmentsOptions = one();

const fn one() -> SegmentsOptions {
    SegmentsOptions {
        count: Some(1),
        choice: crate::SegmentChoice::Cpu,
        clamp: crate::CpuClamp::Off,
        wake_on_drop: true,
        free_drift: false,
    }
}

/// Segments that hold so many packets each.
pub(super) fn core(packets: u64, choices: SegmentsOptions) -> SharedSegments {
    SharedSegments::new(&options(capacity(packets, choices)), choices)
}

pub(super) fn capacity(packets: u64, choices: SegmentsOptions) -> u64 {
    packets * CHARGE * u64::from(choices.count.unwrap_or(CPUS))
}

fn handle(packets: u64, choices: SegmentsOptions) -> Shared<SharedSegments> {
    Shared::new(0, &options(capacity(packets, choices)), core(packets, choices))
}

#[test]
fn each_packet_has_one_fate_when_all_race() {
    check(3, || {
        race(handle(1, OWN), false, 2, true);
    });
}

#[test]
fn batches_have_one_fate_for_each_packet_too() {
    check(3, || {
        race(handle(1, OWN), true, 1, true);
    });
    check(3, || {
        race(handle(3, ONE), true, 1, true);
    });
}

#[test]
fn a_drop_leaves_no_hole_and_a_full_segment_refuses() {
    check(3, || {
        let told = race(handle(1, OWN), false, 0, true);
        for ears in told {
            assert_eq!(ears.stored.len(), 1, "no reader: each segment holds one");
            assert_eq!(ears.dropped[0].reason, DropReason::SegmentFull);
            assert_eq!(ears.dropped[0].occupancy, CHARGE);
        }
    });
}

#[test]
fn no_wake_up_is_lost() {
    check(2, || sleepy(handle(2, OWN), false, read));
}

#[test]
fn no_wake_up_of_a_batch_is_lost() {
    check(2, || sleepy(handle(2, OWN), true, read));
}

#[test]
fn a_control_in_the_middle_leaves_an_account_that_adds_up() {
    check(2, || flushed(handle(1, OWN)));
}
