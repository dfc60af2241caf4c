//! Bursts: the driver sees what it would have seen frame by frame, and the account is the same.

use crate::rig::{Rig, buffer, config_with, setup, udp};
use nic_model::spec::feature;
use nic_model::spec::ring::{DESC_F_WRITE, USED_F_NO_NOTIFY};
use nic_model::{DeviceConfig, DropReason, Event};
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

/// What a driver does between two bursts.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Buffers of so many bytes.
    Post { count: u16, len: u32 },
    /// A chain that the table does not have.
    Malformed,
}

fn step() -> impl Strategy<Value = Step> {
    let lens = prop_oneof![Just(2048u32), Just(80), Just(300)];
    prop_oneof![
        9 => (1u16..4, lens).prop_map(|(count, len)| Step::Post { count, len }),
        1 => Just(Step::Malformed),
    ]
}

fn take(rig: &Rig, step: Step) {
    match step {
        Step::Post { count, len } => {
            for _ in 0..count {
                let index = rig.available_index(0) % rig.size;
                rig.descriptor(0, index, buffer(0, index), len, DESC_F_WRITE, 0);
                rig.make_available(0, rig.size, index);
            }
        }
        Step::Malformed => rig.make_available(0, rig.size, 999),
    }
}

/// Events about frames, in order, without those that tell of interrupts.
fn fates(rig: &Rig) -> Vec<Event> {
    let about_frames = |event: &Event| {
        matches!(event, Event::Written { .. } | Event::Dropped(_) | Event::Held { .. })
    };
    rig.host.events.iter().map(|(_, event)| *event).filter(about_frames).collect()
}

fn config(mergeable: bool, fifo_bytes: u64) -> DeviceConfig {
    let features = if mergeable { feature::MRG_RXBUF } else { 0 };
    DeviceConfig { max_queue_pairs: 1, fifo_bytes, ..config_with(features) }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_burst_is_the_same_frames(
        bursts in prop::collection::vec(
            (prop::collection::vec(step(), 0..3), prop::collection::vec(60usize..400, 1..10)),
            1..8,
        ),
        mergeable: bool,
        fifo in prop_oneof![Just(0u64), Just(2000)],
    ) {
        let [mut one_by_one, mut together] = [(); 2].map(|()| Rig::new(config(mergeable, fifo)));
        for (steps, lens) in &bursts {
            for step in steps {
                take(&one_by_one, *step);
                take(&together, *step);
            }
            let frames: Vec<Vec<u8>> = lens.iter().map(|len| udp(1, *len, *len as u8)).collect();
            frames.iter().for_each(|frame| { one_by_one.frame(frame); });
            together.burst(&frames);
            prop_assert_eq!(one_by_one.used_index(0), together.used_index(0));
            let size = one_by_one.size;
            for entry in 0..size {
                prop_assert_eq!(one_by_one.used(0, entry), together.used(0, entry));
                let at = buffer(0, entry);
                prop_assert_eq!(one_by_one.bytes(at, 412), together.bytes(at, 412));
            }
            let (a, b) = (one_by_one.device.counters(), together.device.counters());
            prop_assert_eq!((a.offered, a.written, a.written_bytes, a.dropped), (b.offered, b.written, b.written_bytes, b.dropped));
            prop_assert_eq!(one_by_one.device.fifo_frames(), together.device.fifo_frames());
            prop_assert!(b.interrupts <= a.interrupts && (a.interrupts == 0 || b.interrupts > 0));
        }
        // A frame may be told of later, but each one's fate is the same.
        let sorted = |rig: &Rig| {
            let mut all: Vec<String> = fates(rig).iter().map(|event| format!("{event:?}")).collect();
            all.sort();
            all
        };
        prop_assert_eq!(sorted(&one_by_one), sorted(&together));
    }
}

#[test]
fn a_burst_is_published_with_one_index_and_one_interrupt() {
    let mut rig = Rig::new(config(false, 0));
    rig.post(0, 6);
    let before = rig.device.counters().interrupts;
    rig.burst(&vec![udp(1, 100, 1); 6]);
    assert_eq!((rig.used_index(0), rig.device.counters().interrupts - before), (6, 1));
    assert_eq!(rig.device.counters().dropped[DropReason::NoDescriptor.index()], 0);
}

#[test]
fn a_queue_that_stops_within_a_burst_has_published_what_it_wrote() {
    let mut rig = Rig::new(config(false, 0));
    rig.post(0, 2);
    let frame = udp(1, 100, 1);
    let base = rig.device.burst(&mut rig.host, |device, host| {
        device.receive(0, &frame, true, 1, host);
        device.stop_queue(0, 0, host)
    });
    assert_eq!((base, rig.used_index(0)), (Some(1), 1));
    rig.check();
}

/// Neither is a long burst kept back until its end, nor is what one may keep without limit.
#[test]
fn a_burst_longer_than_a_batch_is_published_on_the_way() {
    let mut rig = Rig::new(DeviceConfig { queue_size_max: 128, ..config(false, 0) });
    rig.post(0, 128);
    let frame = udp(1, 100, 1);
    let used = setup(0, 128).used_ring + 2;
    let seen = rig.device.burst(&mut rig.host, |device, host| {
        (0..100).for_each(|tag| device.receive(0, &frame, true, tag, host));
        device.memory().read_obj::<u16>(GuestAddress(used)).unwrap()
    });
    assert_eq!((seen, rig.used_index(0)), (64, 100));
}

#[test]
fn a_polled_device_never_asks_for_a_kick() {
    for event_idx in [false, true] {
        let features = if event_idx { feature::EVENT_IDX } else { 0 };
        let polled = DeviceConfig { polled: true, fifo_bytes: 0, ..config_with(features) };
        let mut rig = Rig::with_features(polled, feature::VERSION_1 | features);
        let wishes = |rig: &Rig| (rig.used_flags(0), rig.available_event(0));
        let first = wishes(&rig);
        assert_eq!(first.0 & USED_F_NO_NOTIFY != 0, !event_idx);
        let frame = udp(1, 100, 7);
        for round in 1..4_u16 {
            // Into an empty ring; then into one that was filled without a word.
            rig.frame(&frame);
            rig.post_quietly(0, 2);
            rig.device.poll_queue(rig.now, 0, &mut rig.host);
            rig.frame(&frame);
            rig.frame(&frame);
            assert_eq!((wishes(&rig), rig.used_index(0)), (first, 2 * round));
            assert_eq!(rig.dropped(DropReason::NoDescriptor), u64::from(round));
        }
        rig.check();
    }
}
