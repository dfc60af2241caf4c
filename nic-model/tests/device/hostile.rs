//! A driver that lies. The ring stops, the device says why, the rest goes on, nothing panics.

use crate::rig::{FLAGS_ONLY, Rig, buffer, config, rss_command, setup, udp};
use nic_model::spec::ring::{DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE};
use nic_model::spec::status;
use nic_model::{ChainFault, DeviceConfig, DropReason, Event, RingFault};
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

/// One lie in receive queue 0, by writing descriptors from 0 on; then a frame.
fn lie(descriptors: &[(u64, u32, u16, u16)], head: u16) -> (Rig, RingFault) {
    let mut rig = Rig::with_features(config(), FLAGS_ONLY);
    for (index, (at, len, flags, next)) in descriptors.iter().enumerate() {
        rig.descriptor(0, index as u16, *at, *len, *flags, *next);
    }
    rig.make_available(0, rig.size, head);
    rig.frame(&udp(1, 60, 0));
    let error = *rig.device.broken().expect("the lie was not noticed");
    assert_eq!(error.virtqueue, 0);
    assert_eq!(rig.dropped(DropReason::RingBroken), 1);
    assert_ne!(rig.device.status() & status::DEVICE_NEEDS_RESET, 0);
    assert_eq!(rig.host.interrupts, [(0, 0, 0)], "the configuration interrupt");
    assert!(error.to_string().contains("reset the device"));
    (rig, error.fault)
}

fn chain_fault(descriptors: &[(u64, u32, u16, u16)], head: u16) -> ChainFault {
    match lie(descriptors, head).1 {
        RingFault::Chain { head: named, fault } => {
            assert_eq!(named, head);
            fault
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn checklist_device_17_each_malformed_chain_has_its_own_fault() {
    let good = buffer(0, 0);
    let both = DESC_F_NEXT | DESC_F_WRITE;
    assert_eq!(chain_fault(&[], 8), ChainFault::IndexOutOfRange(8));
    assert_eq!(chain_fault(&[], u16::MAX), ChainFault::IndexOutOfRange(u16::MAX));
    assert_eq!(chain_fault(&[(good, 9, both, 8)], 0), ChainFault::IndexOutOfRange(8));
    assert_eq!(chain_fault(&[(good, 9, both, 0)], 0), ChainFault::Loop);
    assert_eq!(chain_fault(&[(good, 9, both, 1), (good, 9, both, 0)], 0), ChainFault::Loop);
    assert_eq!(chain_fault(&[(good, 16, DESC_F_INDIRECT, 0)], 0), ChainFault::Indirect);
    assert_eq!(chain_fault(&[(good, 0, DESC_F_WRITE, 0)], 0), ChainFault::Empty);
    assert_eq!(chain_fault(&[(good, 99, 0, 0)], 0), ChainFault::ReadableNotAllowed);
    let after = [(good, 99, both, 1), (good, 99, 0, 0)];
    assert_eq!(chain_fault(&after, 0), ChainFault::ReadableNotAllowed);
    let end = crate::rig::MEMORY_LEN as u64;
    for (address, len) in [(end - 99, 100), (end, 1), (u64::MAX, 2), (good, u32::MAX)] {
        assert_eq!(
            chain_fault(&[(address, len, DESC_F_WRITE, 0)], 0),
            ChainFault::OutsideMemory { address, len }
        );
    }
}

#[test]
fn checklist_device_17_an_index_that_jumps_is_noticed() {
    let mut rig = Rig::new(config());
    rig.set_available_index(0, 9);
    rig.frame(&udp(1, 60, 0));
    let fault = rig.device.broken().unwrap().fault;
    assert_eq!(fault, RingFault::AvailableIndex { offered: 9, size: 8 });
    assert_eq!(rig.device.available(0), 0);
}

#[test]
fn a_broken_ring_stops_and_takes_its_frames_but_not_the_others() {
    let slow = DeviceConfig { fifo_bytes: 1000, dma_frame_ps: 100, ..config() };
    let mut rig = Rig::new(slow);
    rig.command(&rss_command(&[1], 0, 4));
    rig.post(0, 4);
    rig.post(1, 4);
    rig.frame(&udp(1, 60, 0));
    rig.frame(&udp(1, 60, 0));
    rig.frame(&[0; 60]);
    rig.set_available_index(2, 100);
    rig.frame(&udp(1, 60, 0));
    assert_eq!(rig.dropped(DropReason::RingBroken), 3, "on the engine, held, and arriving");
    rig.frame(&udp(1, 60, 0));
    assert_eq!(rig.dropped(DropReason::RingBroken), 4);
    rig.kick(2);
    rig.frame(&[0; 60]);
    rig.advance(1000);
    assert_eq!((rig.device.published(0), rig.device.published(1)), (2, 0));
    assert_eq!(rig.device.counters().rings_broken, 1);
    rig.set_status(0);
    assert_eq!(rig.device.broken(), None);
    rig.bring_up(config().features);
    rig.post(0, 1);
    rig.frame(&udp(1, 60, 0));
    rig.advance(2000);
    assert_eq!(rig.device.published(0), 1, "a reset mends it");
}

#[test]
fn a_lie_found_by_a_kick_takes_the_held_frames() {
    let mut rig = Rig::new(DeviceConfig { fifo_bytes: 1000, ..config() });
    rig.frame(&udp(1, 60, 0));
    rig.frame(&udp(1, 60, 0));
    rig.make_available(0, rig.size, 77);
    rig.kick(0);
    assert_eq!((rig.dropped(DropReason::RingBroken), rig.device.fifo_frames()), (2, 0));
}

#[test]
fn transmit_and_control_rings_break_likewise() {
    let mut rig = Rig::new(config());
    let good = buffer(1, 0);
    rig.descriptor(1, 0, good, 72, 0, 0);
    rig.descriptor(1, 1, good, 72, DESC_F_WRITE, 0);
    rig.make_available(1, rig.size, 0);
    rig.make_available(1, rig.size, 1);
    rig.kick(1);
    let error = *rig.device.broken().unwrap();
    assert_eq!((error.virtqueue, error.fault.name()), (1, "writable_not_allowed"));
    assert_eq!((rig.host.sent.len(), rig.used_index(1)), (1, 1), "the good one before it is done");
    let mut rig = Rig::new(config());
    let control = rig.control();
    rig.descriptor(control, 0, buffer(control, 0), 4, 0, 0);
    rig.make_available(control, 64, 0);
    rig.kick(control);
    assert_eq!(rig.device.broken().unwrap().fault.name(), "no_room_for_ack");
}

#[test]
fn checklist_device_15_kicks_for_queues_nobody_has_are_ignored() {
    let mut rig = Rig::new(config());
    for queue in [8, 9, 1000, u16::MAX] {
        rig.kick(queue);
    }
    let mut rig = Rig::untouched(config());
    rig.make_available(0, 8, 99);
    rig.kick(0);
    assert_eq!((rig.device.broken(), rig.device.counters().kicks), (None, 1));
}

/// What a mad driver does next.
#[derive(Clone, Debug)]
enum Step {
    /// Bytes anywhere in the rings of a queue.
    Scribble {
        queue: u16,
        at: u16,
        bytes: Vec<u8>,
    },
    /// A plausible descriptor.
    Descriptor {
        queue: u16,
        index: u16,
        at: u64,
        len: u32,
        flags: u16,
        next: u16,
    },
    Available {
        queue: u16,
        head: u16,
    },
    Kick(u16),
    Frame {
        port: u16,
        len: usize,
    },
    Wait(u64),
    Status(u8),
    Mask {
        vector: u16,
        masked: bool,
    },
    Link(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let address = prop_oneof![0x40_0000_u64..0x100_0000, any::<u64>()];
    prop_oneof![
        (0_u16..9, 0_u16..0xc000, proptest::collection::vec(any::<u8>(), 1..40))
            .prop_map(|(queue, at, bytes)| Step::Scribble { queue, at, bytes }),
        (0_u16..9, 0_u16..8, address, 0_u32..3000, 0_u16..8, 0_u16..9).prop_map(
            |(queue, index, at, len, flags, next)| Step::Descriptor {
                queue,
                index,
                at,
                len,
                flags,
                next
            }
        ),
        (0_u16..9, 0_u16..8).prop_map(|(queue, head)| Step::Available { queue, head }),
        (0_u16..10).prop_map(Step::Kick),
        (0_u16..20, 14_usize..1600).prop_map(|(port, len)| Step::Frame { port, len: len.max(40) }),
        (0_u64..2000).prop_map(Step::Wait),
        prop_oneof![Just(0), Just(15), Just(128), any::<u8>()].prop_map(Step::Status),
        (0_u16..12, any::<bool>()).prop_map(|(vector, masked)| Step::Mask { vector, masked }),
        any::<bool>().prop_map(Step::Link),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the rings hold and whatever the driver does: no panic, no end of time's work, and the
    /// account (checked at each step) adds up.
    #[test]
    fn any_driver_is_survived(
        steps in proptest::collection::vec(step(), 1..120),
        event_idx in any::<bool>(),
        pairs in 1_u8..5,
        dma in 0_u64..300,
    ) {
        let config = DeviceConfig {
            fifo_bytes: 5000,
            dma_frame_ps: dma,
            rx_coalesce: nic_model::Coalesce { max_ps: 700, max_frames: 4 },
            ..config()
        };
        let features = if event_idx { config.features } else { FLAGS_ONLY };
        let mut rig = Rig::with_features(config, features);
        rig.command(&[4, 0, pairs, 0]);
        for pair in 0..4 {
            rig.post(pair, 3);
        }
        for step in steps {
            match step {
                Step::Scribble { queue, at, bytes } => {
                    let base = setup(queue, 1).descriptor_table;
                    // Rings are sparse in their area: fold the place onto what is used.
                    let at = base + u64::from(at & 0xc000) + u64::from(at & 0x7f);
                    rig.memory.write_slice(&bytes, GuestAddress(at)).unwrap();
                }
                Step::Descriptor { queue, index, at, len, flags, next } => {
                    rig.descriptor(queue, index, at, len, flags, next);
                }
                Step::Available { queue, head } => rig.make_available(queue, 8, head),
                Step::Kick(queue) => rig.kick(queue),
                Step::Frame { port, len } => { rig.frame(&udp(port, len, 0)); }
                Step::Wait(time) => rig.advance(rig.now + time),
                Step::Status(0) => {
                    rig.set_status(0);
                    rig.bring_up(features);
                }
                Step::Status(bits) => rig.set_status(bits),
                Step::Mask { vector, masked } => {
                    rig.device.set_vector_masked(rig.now, vector, masked, &mut rig.host);
                }
                Step::Link(up) => rig.device.set_link(rig.now, up, &mut rig.host),
            }
            rig.check();
        }
        // All work ends.
        for _ in 0..1000 {
            let Some(deadline) = rig.device.next_deadline() else { break };
            rig.advance(deadline.max(rig.now));
        }
        prop_assert_eq!(rig.device.next_deadline(), None);
        if rig.device.broken().is_none() {
            let needs = rig.host.events.iter().rev().take_while(|e| !matches!(e.1, Event::DeviceReset { .. }));
            prop_assert!(!needs.into_iter().any(|e| e.1.name() == "needs_reset"));
        }
    }
}
