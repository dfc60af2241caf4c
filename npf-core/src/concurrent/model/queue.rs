//! The packet queue in every order.

use super::{CPUS, LEN, check, flushed, options, race, read, sleepy};
use crate::concurrent::queue::Queue;
use crate::concurrent::shared::Shared;
use crate::record::RECORD_HEADER;
use crate::{DropReason, PacketQueueOptions};

/// What a packet is charged.
const CHARGE: u64 = (RECORD_HEADER + LEN) as u64;

pub(super) fn handle(kernel_buffer: u64, choices: PacketQueueOptions) -> Shared<Queue> {
    let options = options(kernel_buffer);
    Shared::new(0, &options, Queue::new(choices, CPUS.into()))
}

const SOFT: PacketQueueOptions = PacketQueueOptions::CURRENT;
const HARD: PacketQueueOptions = PacketQueueOptions::NPCAP_0_9992;

#[test]
fn each_packet_has_one_fate_when_all_race() {
    check(2, || {
        race(handle(2 * CHARGE, SOFT), false, 2, true);
    });
}

#[test]
fn batches_have_one_fate_for_each_packet_too() {
    check(3, || {
        race(handle(3 * CHARGE, SOFT), true, 1, true);
    });
    check(3, || {
        race(handle(3 * CHARGE, HARD), true, 1, true);
    });
}

#[test]
fn the_soft_limit_overshoots_by_less_than_one_packet_and_drops_only_at_the_limit() {
    // Room for one and a half: the second packet kept is the one that overshoots.
    const CAPACITY: u64 = CHARGE * 3 / 2;
    check(3, || {
        let told = race(handle(CAPACITY, SOFT), false, 0, false);
        let kept = told.iter().map(|ears| ears.stored.len() as u64).sum::<u64>();
        assert_eq!(kept, 2, "as many as one CPU alone could store");
        for drop in told.iter().flat_map(|ears| &ears.dropped) {
            assert_eq!(drop.reason, DropReason::BufferFull);
            assert!(drop.occupancy >= CAPACITY, "{drop:?}");
            let racing = CHARGE * u64::from(CPUS);
            assert!(drop.occupancy < CAPACITY + racing, "one packet for each racing CPU: {drop:?}");
        }
    });
}

#[test]
fn the_hard_test_never_overshoots() {
    const CAPACITY: u64 = CHARGE * 5 / 2;
    check(3, || {
        let told = race(handle(CAPACITY, HARD), false, 0, false);
        let kept = told.iter().map(|ears| ears.stored.len() as u64).sum::<u64>();
        assert_eq!(kept, 2, "what fits is kept, whoever comes first");
        for drop in told.iter().flat_map(|ears| &ears.dropped) {
            assert!(drop.occupancy <= CAPACITY && drop.occupancy + CHARGE > CAPACITY, "{drop:?}");
        }
    });
}

#[test]
fn no_wake_up_is_lost() {
    check(2, || sleepy(handle(10 * CHARGE, SOFT), false, read));
}

#[test]
fn no_wake_up_of_a_batch_is_lost() {
    check(2, || sleepy(handle(10 * CHARGE, SOFT), true, read));
}

#[test]
fn a_control_in_the_middle_leaves_an_account_that_adds_up() {
    check(2, || flushed(handle(2 * CHARGE, SOFT)));
}
