//! Zero-copy buffers: random sequences of packets, readers in several processes, forks, controls, and
//! users that scribble on their pages; against a plain reference.
//!
//! The operations are its own, because this design has no read: see [`reference`] for what they are
//! and for how the reference works.
//!
//! Contract: after every step the adapter has told what the reference foretold, event by event and
//! byte by byte; every process sees the same header words in both; and the account adds up.

mod pages;
mod reference;

use npf_core::{
    Adapter, BufferMode, Delivered, EngineKind, Event, FilterReset, ForkedPages, Frame,
    HandleOptions, Host, Taken, ViewError, ZeroCopyOptions, ZeroCopyReader,
};
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use crate::reference::{Delivery, Told, frame_bytes};
use reference::{BUFFER, Op, Polled, World};

prop_state_machine! {
    #[test]
    fn zero_copy(sequential 1..80 => ZeroCopy);
}

/// Both sides of the comparison.
struct ZeroCopy;

struct System {
    adapter: Adapter,
    handle: u32,
    readers: Vec<ZeroCopyReader>,
    told: Told,
    next_tag: u64,
}

impl Host for Told {
    fn event(&mut self, _now: u64, event: Event) {
        self.events.push(event);
    }

    fn delivered(&mut self, _now: u64, handle: u32, packet: Delivered<'_>) {
        self.delivered.push(Delivery::new(handle, &packet));
    }

    fn wake(&mut self, _now: u64, handle: u32) {
        self.wakes.push(handle);
    }
}

impl ReferenceStateMachine for ZeroCopy {
    type State = World;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<World> {
        let rule = prop_oneof![
            3 => Just(None),
            1 => Just(Some(ForkedPages::CopiedAtFork)),
            2 => Just(Some(ForkedPages::EachWriterCopies)),
            2 => Just(Some(ForkedPages::WriterCopies)),
            2 => Just(Some(ForkedPages::YoungerCopies)),
        ];
        (rule, prop::bool::weighted(0.1)).prop_map(|(rule, leak)| World::new(rule, leak)).boxed()
    }

    fn transitions(world: &World) -> BoxedStrategy<Op> {
        let process = 0..world.processes();
        let offset = prop_oneof![4 => 0usize..16, 2 => 16usize..120, 1 => 0usize..BUFFER];
        let value = prop_oneof![4 => 0u8..5, 1 => any::<u8>()];
        let lengths = prop_oneof![3 => 0usize..150, 4 => 600usize..1600, 1 => Just(9000)];
        let fork = u32::from(world.processes() < 5);
        prop_oneof![
            20 => prop::collection::vec(lengths, 0..4).prop_map(Op::Tap),
            20 => process.clone().prop_map(Op::Poll),
            fork => process.clone().prop_map(Op::Fork),
            2 => Just(Op::Rotate),
            1 => Just(Op::Reset),
            1 => any::<bool>().prop_map(Op::Immediate),
            4 => (process, 0usize..2, offset, value)
                .prop_map(|(process, buffer, at, byte)| Op::Write { process, buffer, at, byte }),
            1 => prop::bool::weighted(0.2)
                .prop_map(|now| if now { Op::Remove } else { Op::Tap(Vec::new()) }),
        ]
        .boxed()
    }

    fn apply(mut world: World, op: &Op) -> World {
        world.apply(op);
        world
    }
}

impl StateMachineTest for ZeroCopy {
    type SystemUnderTest = System;
    type Reference = ZeroCopy;

    fn init_test(world: &World) -> System {
        let choices = ZeroCopyOptions {
            buffer_mode: match world.rule() {
                None => BufferMode::ZeroCopyInherit,
                Some(_) => BufferMode::ZeroCopy,
            },
            forked_pages: world.rule().unwrap_or(ForkedPages::EachWriterCopies),
            assigned_leak: world.leak,
            ..ZeroCopyOptions::default()
        };
        let mut adapter = Adapter::new();
        let options = HandleOptions {
            engine: EngineKind::ZeroCopy(choices),
            kernel_buffer: 2 * BUFFER as u64,
            ..HandleOptions::default()
        };
        let handle = adapter.open(options).unwrap();
        let readers = vec![ZeroCopyReader::new(&mut adapter, handle).unwrap()];
        System { adapter, handle, readers, told: Told::default(), next_tag: 0 }
    }

    fn apply(mut system: System, world: &World, op: Op) -> System {
        system.told = Told::default();
        system.apply(world, &op);
        let System { told, .. } = &system;
        assert_eq!(told.events, world.told.events, "(told, foretold) events");
        assert_eq!(told.delivered, world.told.delivered, "(told, foretold) deliveries");
        assert_eq!(told.wakes, world.told.wakes, "(told, foretold) wake-ups");
        system
    }

    fn check_invariants(system: &System, world: &World) {
        let System { adapter, handle, .. } = system;
        let counters = adapter.counters(*handle).unwrap();
        let settled = counters.filtered + counters.delivered + counters.dropped_total();
        assert_eq!(counters.shown, settled + adapter.queued(*handle), "the account adds up");
        let occupancy = adapter.occupancy(*handle);
        assert_eq!((occupancy.used, adapter.queued(*handle)), (world.used(), world.queued()));
        assert_eq!(occupancy.free, (occupancy.capacity - occupancy.used) as i64);
        assert!(occupancy.used >= world.charged(), "what is held is in the buffers");
        assert_eq!(adapter.ready(*handle), world.ready(), "ready");
        assert_eq!(adapter.event_set(*handle), world.event_set, "read event");
    }

    fn teardown(mut system: System, world: World) {
        for process in 0..world.processes() {
            for buffer in 0..2 {
                let mut sees = vec![0; BUFFER];
                let adapter = &mut system.adapter;
                adapter.user_read(system.handle, process, buffer, 0, &mut sees).unwrap();
                assert!(sees == world.sees(process, buffer), "process {process}, buffer {buffer}");
            }
        }
        let last = system.adapter.close(world.now, system.handle, &mut system.told).unwrap();
        assert_eq!(last.shown, last.filtered + last.delivered + last.dropped_total());
    }
}

impl System {
    fn apply(&mut self, world: &World, op: &Op) {
        let Self { adapter, handle, readers, told, next_tag } = self;
        match op {
            Op::Tap(lengths) => {
                for len in lengths {
                    let data = frame_bytes(*next_tag, *len);
                    let frame = Frame { data: &data, wire_len: *len as u32, tag: *next_tag };
                    adapter.tap(world.now, 0, 0, &[frame], told);
                    *next_tag += 1;
                }
            }
            Op::Poll(process) => {
                let polled = readers[*process as usize].poll(world.now, adapter, told);
                let polled = polled.map_err(|refused| match refused {
                    ViewError::DeviceRemoved { queued } => queued,
                    other => panic!("{other}"),
                });
                let polled = polled.map(|taken| {
                    let Taken { packets, records, bytes, malformed, waits, rotated } = taken;
                    Polled { packets, records, bytes, malformed, waits, rotated }
                });
                assert_eq!(Some(polled), world.polled, "(told, foretold) poll");
            }
            Op::Fork(parent) => {
                let child = adapter.fork(*handle, *parent).unwrap();
                let reader = readers[*parent as usize].in_child(child);
                readers.push(reader);
            }
            Op::Rotate => {
                let rotated = adapter.rotate(*handle).unwrap();
                assert_eq!(rotated.map(|given| (given.buffer, given.bytes)), world.rotated);
            }
            Op::Reset => {
                adapter.set_filter(world.now, *handle, None, FilterReset::Yes, told).unwrap();
            }
            Op::Immediate(on) => adapter.set_immediate(world.now, *handle, *on, told).unwrap(),
            Op::Write { process, buffer, at, byte } => {
                adapter.user_write(*handle, *process, *buffer, *at, &[*byte]).unwrap();
            }
            Op::Remove => adapter.remove(world.now, told),
        }
    }
}
