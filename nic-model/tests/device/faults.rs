//! Faults on request: each does what its name says, costs no frame without a reason, and ends.
//!
//! The rig checks the account after every step; times are in ps.

use crate::rig::{FLAGS_ONLY, Rig, config, rss_command, setup, udp};
use nic_model::{DeviceConfig, DropReason, Event, Fault, FaultError, Lie};
use proptest::prelude::*;

const LEN: usize = 60;
/// A frame's time on the engine.
const COST: u64 = 100;

fn rig() -> Rig {
    let config =
        DeviceConfig { dma_frame_ps: COST, dma_byte_ps: 0, fifo_bytes: 10_000, ..config() };
    let mut rig = Rig::with_features(config, FLAGS_ONLY);
    // Table entry by the low bits of the hash: different ports reach different queues.
    assert_eq!(rig.command(&rss_command(&[0, 1, 2, 3], 0, 4)), 0);
    for pair in 0..4 {
        rig.post(pair, 8);
    }
    rig
}

impl Rig {
    fn inject(&mut self, fault: Fault) {
        self.device.inject(self.now, fault, &mut self.host).unwrap();
        self.check();
    }

    /// A frame for a pair, by a port whose hash leads there.
    fn frame_for(&mut self, pair: u16) -> u64 {
        self.frame(&udp(port_for(pair), LEN, 0))
    }

    fn written_at(&self, wanted: u64) -> Option<u64> {
        self.host.events.iter().find_map(|(at, event)| match event {
            Event::Written { tag, .. } if *tag == wanted => Some(*at),
            _ => None,
        })
    }
}

fn port_for(pair: u16) -> u16 {
    (1..).find(|port| leads_to(*port) == pair).unwrap()
}

/// The pair that steering gives to this port. Only a frame tells, so a device of its own is asked.
fn leads_to(port: u16) -> u16 {
    let mut scout = rig();
    scout.frame(&udp(port, LEN, 0));
    let queue = |event: &Event| match event {
        Event::Steered { queue, .. } => Some(*queue),
        _ => None,
    };
    scout.host.events.iter().find_map(|(_, event)| queue(event)).unwrap()
}

#[test]
fn a_slow_engine_takes_so_many_times_as_long_until_it_is_ended() {
    let mut rig = rig();
    rig.inject(Fault::DmaSlow { times: 5 });
    let slow = rig.frame_for(0);
    rig.advance(10_000);
    rig.inject(Fault::DmaSlow { times: 1 });
    let quick = rig.frame_for(0);
    rig.advance(20_000);
    assert_eq!(rig.written_at(slow), Some(5 * COST));
    assert_eq!(rig.written_at(quick), Some(10_000 + COST));
}

#[test]
fn a_stall_delays_what_is_under_way_and_what_comes_and_ends_by_itself() {
    let mut rig = rig();
    let under_way = rig.frame_for(0);
    rig.inject(Fault::DmaStall { lasting_ps: 1000 });
    rig.advance(5000);
    assert_eq!(rig.written_at(under_way), Some(1000 + COST));
    rig.inject(Fault::DmaStall { lasting_ps: 1000 });
    let waits = rig.frame_for(1);
    assert_eq!(rig.device.next_deadline(), Some(6000));
    rig.advance(9000);
    assert_eq!(rig.written_at(waits), Some(6000 + COST));
}

#[test]
fn a_reordering_engine_lets_queues_overtake_but_not_frames() {
    let order = |backwards: bool| {
        let mut rig = rig();
        rig.inject(Fault::DmaReorder { on: backwards });
        let first = rig.frame_for(0);
        let mut tags: Vec<u64> = [1, 2, 3, 1].map(|pair| rig.frame_for(pair)).into();
        tags.insert(0, first);
        rig.advance(100_000);
        let mut order: Vec<u64> = tags.clone();
        order.sort_by_key(|tag| rig.written_at(*tag));
        order.iter().map(|tag| tags.iter().position(|t| t == tag).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(order(false), [0, 1, 2, 3, 4]);
    assert_eq!(order(true), [0, 3, 2, 1, 4]);
}

#[test]
fn a_delayed_index_publishes_all_at_once_and_counts_the_frames_as_held() {
    let mut rig = rig();
    rig.inject(Fault::UsedIndexDelayed { pair: 2, on: true });
    let tags = [(); 3].map(|()| rig.frame_for(2));
    let other = rig.frame_for(1);
    rig.advance(50_000);
    assert_eq!((rig.used_index(4), rig.device.fifo_frames_of(2)), (0, 3));
    assert_eq!(rig.device.fifo_bytes(), 3 * LEN as u64, "they keep their room");
    assert!(rig.written_at(other).is_some());
    rig.inject(Fault::UsedIndexDelayed { pair: 2, on: false });
    assert_eq!((rig.used_index(4), rig.device.fifo_frames_of(2)), (3, 0));
    assert_eq!(rig.written(2), tags);
    assert_eq!(tags.map(|tag| rig.written_at(tag)), [Some(50_000); 3]);
    assert_eq!(rig.device.fifo_bytes(), 0);
}

#[test]
fn a_reset_loses_what_is_not_published() {
    let mut rig = rig();
    rig.inject(Fault::UsedIndexDelayed { pair: 0, on: true });
    rig.frame_for(0);
    rig.advance(50_000);
    rig.set_status(0);
    assert_eq!((rig.dropped(DropReason::Reset), rig.device.fifo_bytes()), (1, 0));
}

#[test]
fn completions_lie_once_each_and_of_the_queue_that_is_meant() {
    let mut rig = rig();
    rig.inject(Fault::Completion { pair: Some(1), lie: Lie::Duplicated });
    rig.inject(Fault::Completion { pair: None, lie: Lie::Short { len: 3 } });
    rig.inject(Fault::Completion { pair: Some(2), lie: Lie::WrongId });
    for pair in [0, 1, 2, 0] {
        rig.frame_for(pair);
    }
    rig.advance(100_000);
    let whole = LEN as u32 + 12;
    assert_eq!([rig.used(0, 0), rig.used(0, 1)], [(0, 3), (1, whole)], "short, then honest");
    assert_eq!([rig.used(2, 0), rig.used(2, 1)], [(0, whole), (0, whole)], "the same twice");
    assert_eq!(rig.used_index(2), 2);
    assert_eq!(rig.used(4, 0), (0xffff, whole));
    assert_eq!([0, 1, 2].map(|pair| rig.device.published(pair)), [2, 2, 1]);
    assert_eq!(rig.names(0).iter().filter(|name| **name == "fault_acted").count(), 3);
}

#[test]
fn a_stale_completion_is_the_element_of_a_lap_ago() {
    let mut rig = rig();
    // A lap of 8, with other lengths than what follows.
    for _ in 0..8 {
        rig.frame_for(0);
        rig.advance(rig.now + 1000);
    }
    let old = rig.used(0, 1);
    rig.post(0, 8);
    rig.inject(Fault::Completion { pair: Some(0), lie: Lie::Stale });
    rig.frame_for(0);
    rig.advance(rig.now + 1000);
    assert_eq!((rig.used_index(0), rig.used(0, 1)), (10, old));
}

#[test]
fn a_stuck_queue_keeps_its_frames_and_no_one_elses() {
    let mut rig = rig();
    rig.inject(Fault::QueueStuck { pair: 3, on: true });
    let stuck = [(); 2].map(|()| rig.frame_for(3));
    let other = rig.frame_for(0);
    rig.kick(6);
    rig.advance(100_000);
    assert_eq!((rig.device.fifo_frames_of(3), rig.used_index(6)), (2, 0));
    assert!(rig.written_at(other).is_some());
    rig.inject(Fault::QueueStuck { pair: 3, on: false });
    rig.advance(200_000);
    assert_eq!(rig.written(3), stuck);
}

#[test]
fn a_shrunk_fifo_drops_sooner_and_recovers() {
    let mut rig = rig();
    rig.inject(Fault::DmaStall { lasting_ps: 1000 });
    rig.inject(Fault::FifoShrink { bytes: Some(2 * LEN as u64) });
    for _ in 0..3 {
        rig.frame_for(0);
    }
    assert_eq!(rig.dropped(DropReason::FifoOverflow), 1);
    rig.inject(Fault::FifoShrink { bytes: None });
    rig.frame_for(0);
    assert_eq!(rig.dropped(DropReason::FifoOverflow), 1);
}

#[test]
fn a_dead_control_queue_answers_when_it_lives_again() {
    let mut rig = rig();
    rig.inject(Fault::ControlQueueDead { on: true });
    assert_eq!(rig.command(&[4, 0, 2, 0]), 0xee, "untouched");
    rig.inject(Fault::ControlQueueDead { on: false });
    assert_eq!(rig.device.counters().control_ok, 2);
}

#[test]
fn a_changed_configuration_has_another_generation_and_an_interrupt() {
    let mut rig = rig();
    let before = rig.device.config_generation();
    let sent = rig.host.interrupts.len();
    rig.inject(Fault::ConfigChanged);
    assert_ne!(rig.device.config_generation(), before);
    assert_eq!(rig.host.interrupts[sent..], [(0, 0, 0)]);
}

#[test]
fn a_device_that_stops_drops_everything_until_it_is_reset() {
    let mut rig = rig();
    rig.frame_for(0);
    rig.inject(Fault::DeviceReset);
    assert_eq!(rig.device.status() & 0x40, 0x40);
    assert_eq!(rig.host.interrupts.last(), Some(&(0, 0, 0)), "it says so");
    rig.frame_for(1);
    rig.advance(10_000);
    assert_eq!((rig.dropped(DropReason::NeedsReset), rig.used_index(0)), (2, 0));
    rig.set_status(0);
    rig.bring_up(FLAGS_ONLY);
    rig.post(0, 8);
    rig.frame_for(0);
    rig.advance(20_000);
    assert_eq!((rig.device.counters().written, rig.dropped(DropReason::NeedsReset)), (1, 2));
}

#[test]
fn a_device_that_is_gone_does_not_come_back() {
    let mut rig = rig();
    let sent = rig.host.interrupts.len();
    rig.inject(Fault::SurpriseRemoval);
    rig.frame_for(0);
    rig.set_status(0);
    rig.bring_up(FLAGS_ONLY);
    rig.post(0, 8);
    rig.frame(&udp(1, LEN, 0));
    rig.advance(50_000);
    assert_eq!((rig.dropped(DropReason::Removed), rig.host.interrupts.len()), (2, sent));
    let error = rig.device.inject(0, Fault::QueueStuck { pair: 4, on: true }, &mut rig.host);
    assert_eq!(error, Err(FaultError::NoSuchPair { pair: 4, pairs: 4 }));
}

#[test]
fn a_device_that_is_gone_sends_and_writes_nothing() {
    let mut rig = rig();
    rig.inject(Fault::UsedIndexDelayed { pair: 0, on: true });
    rig.frame_for(0);
    rig.advance(1000);
    rig.inject(Fault::SurpriseRemoval);
    let sent = rig.host.interrupts.len();
    rig.put(setup(0, 8).used_ring + 2, 0x7777);
    rig.inject(Fault::UsedIndexDelayed { pair: 0, on: false });
    rig.inject(Fault::ConfigChanged);
    rig.device.set_link(rig.now, false, &mut rig.host);
    rig.device.set_vector_masked(rig.now, 0, true, &mut rig.host);
    rig.device.set_link(rig.now, true, &mut rig.host);
    rig.device.set_vector_masked(rig.now, 0, false, &mut rig.host);
    assert_eq!((rig.host.interrupts.len(), rig.used_index(0)), (sent, 0x7777));
    assert_eq!(rig.dropped(DropReason::Removed), 1);
}

#[test]
fn a_broken_ring_is_not_written_when_its_index_is_let_go() {
    let mut rig = rig();
    rig.inject(Fault::UsedIndexDelayed { pair: 0, on: true });
    for _ in 0..8 {
        rig.frame_for(0);
        rig.advance(rig.now + 1000);
    }
    rig.set_available_index(0, 100);
    rig.frame_for(0);
    assert_eq!(rig.dropped(DropReason::RingBroken), 9, "those written, and the one that found out");
    rig.put(setup(0, 8).used_ring + 2, 0x7777);
    rig.inject(Fault::UsedIndexDelayed { pair: 0, on: false });
    assert_eq!(rig.used_index(0), 0x7777);
}

#[test]
fn lies_of_one_kind_keep_their_lengths() {
    let mut rig = rig();
    for len in [3, 5] {
        rig.inject(Fault::Completion { pair: Some(0), lie: Lie::Short { len } });
        rig.inject(Fault::Completion { pair: None, lie: Lie::Short { len: len + 1 } });
    }
    for pair in [0, 0, 0, 1] {
        rig.frame_for(pair);
        rig.advance(rig.now + 1000);
    }
    let lens = [(0, 0), (0, 1), (0, 2), (2, 0)].map(|(queue, at)| rig.used(queue, at).1);
    assert_eq!(lens, [3, 5, 4, 6], "those for the queue first, each in its turn");
}

#[test]
fn a_stall_outlives_the_frame_that_it_met() {
    for device_reset in [false, true] {
        let mut rig = rig();
        rig.frame_for(0);
        rig.inject(Fault::DmaStall { lasting_ps: 1000 });
        if device_reset {
            rig.set_status(0);
            rig.bring_up(FLAGS_ONLY);
            rig.post(0, 2);
        } else {
            rig.device.reset_queue(rig.now, 0, &mut rig.host).unwrap();
        }
        let waits = rig.frame(&udp(if device_reset { 1 } else { port_for(1) }, LEN, 0));
        rig.advance(5000);
        assert_eq!(rig.written_at(waits), Some(1000 + COST));
        // It is over by the time that its frame would have been done: a reset then stalls nothing.
        let pair = u16::from(!device_reset);
        let under_way = rig.frame(&udp(if device_reset { 1 } else { port_for(1) }, LEN, 0));
        assert_eq!(rig.device.next_deadline(), Some(5000 + COST));
        rig.device.reset_queue(rig.now, 2 * pair, &mut rig.host).unwrap();
        assert_eq!((rig.device.next_deadline(), rig.written_at(under_way)), (None, None));
    }
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let (pair, on) = (0_u16..4, any::<bool>());
    let lie = prop_oneof![
        Just(Lie::Duplicated),
        Just(Lie::Stale),
        (0_u32..100).prop_map(|len| Lie::Short { len }),
        Just(Lie::WrongId),
    ];
    prop_oneof![
        prop::option::of(0_u64..5000).prop_map(|bytes| Fault::FifoShrink { bytes }),
        (0_u32..20).prop_map(|times| Fault::DmaSlow { times }),
        (0_u64..2000).prop_map(|lasting_ps| Fault::DmaStall { lasting_ps }),
        on.prop_map(|on| Fault::DmaReorder { on }),
        (pair.clone(), on).prop_map(|(pair, on)| Fault::UsedIndexDelayed { pair, on }),
        (prop::option::of(0_u16..4), lie).prop_map(|(pair, lie)| Fault::Completion { pair, lie }),
        (pair, on).prop_map(|(pair, on)| Fault::QueueStuck { pair, on }),
        on.prop_map(|on| Fault::ControlQueueDead { on }),
        Just(Fault::ConfigChanged),
        Just(Fault::DeviceReset),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any faults at any time: the rig checks the account after each step, and no step panics.
    #[test]
    fn whatever_is_injected_the_account_adds_up(
        steps in proptest::collection::vec(
            prop_oneof![
                2 => any_fault().prop_map(Ok),
                5 => (1_u16..40, 60_usize..1500, 0_u64..500).prop_map(Err),
            ],
            1..120,
        ),
    ) {
        let mut rig = rig();
        for step in steps {
            match step {
                Ok(fault) => rig.inject(fault),
                Err((port, len, wait)) => {
                    rig.frame(&udp(port, len, 0));
                    rig.advance(rig.now + wait);
                    rig.post(port % 4, 1);
                }
            }
        }
        rig.set_status(0);
        rig.bring_up(FLAGS_ONLY);
        prop_assert_eq!(rig.device.fifo_frames(), 0);
    }
}
