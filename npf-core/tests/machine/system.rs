//! The real adapter, step by step beside the reference, and a ledger that trusts neither.
//!
//! Contract: after every step the adapter has answered and told what the reference foretold; the user
//! buffer holds the records of what was delivered and nothing behind them; and, by the adapter's own
//! events alone, every packet has one fate and the charges of those that live add up to what is used.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use npf_core::filter::Program;
use npf_core::{Adapter, Delivered, Event, FilterReset, Frame, HandleOptions, Host, ReadStep};
use proptest_state_machine::StateMachineTest;

use crate::model::{Model, Record};
use crate::ops::{Keep, Op, Opening};
use crate::reference::{Answer, Delivery, Reference, Told, World, frame_bytes, queue_of};

/// The test of one design.
pub struct Machine<M>(PhantomData<M>);

/// The adapter and what it has told.
#[derive(Default)]
pub struct System {
    adapter: Adapter,
    notes: Notes,
    next_tag: u64,
    /// Per handle the user buffer of its latest read and what that read delivered.
    buffers: BTreeMap<u32, UserBuffer>,
}

#[derive(Default)]
struct UserBuffer {
    bytes: Vec<u8>,
    /// A read in progress goes on with it.
    begun: bool,
    delivered: Vec<Delivery>,
}

/// Filler of a user buffer, to see what is written.
const UNTOUCHED: u8 = 0xee;

impl<M: Model> StateMachineTest for Machine<M> {
    type SystemUnderTest = System;
    type Reference = Reference<M>;

    fn init_test(_: &World<M>) -> System {
        System::default()
    }

    fn apply(mut system: System, world: &World<M>, op: Op) -> System {
        system.notes.told = Told::default();
        let answer = system.apply(world.now, op);
        compare(&system.notes.told, &world.told);
        assert_eq!(answer, world.answer, "(told, foretold) answer");
        system.check_buffers(world);
        system
    }

    fn check_invariants(system: &System, world: &World<M>) {
        let ids: Vec<_> = system.adapter.handles().collect();
        assert_eq!(ids, world.handles.iter().map(|open| open.id).collect::<Vec<_>>());
        for open in &world.handles {
            let (id, model) = (open.id, &open.model);
            let adapter = &system.adapter;
            let occupancy = adapter.occupancy(id);
            assert_eq!((occupancy.used, occupancy.capacity), (model.used(), model.capacity()));
            assert_eq!(occupancy.free, occupancy.capacity as i64 - occupancy.used as i64);
            assert!(occupancy.peak >= occupancy.used, "{occupancy:?}");
            assert!(occupancy.peak_memory >= occupancy.memory, "{occupancy:?}");
            assert_eq!(adapter.queued(id), model.queued());
            assert_eq!(adapter.pending(id), model.pending());
            assert_eq!(adapter.event_set(id), open.event_set);
            assert_eq!(adapter.ready(id), model.ready(open.event_set));
            assert_eq!(adapter.stats(id).unwrap(), open.stats);
            system.notes.check_ledger(adapter, id, model.uncharged(), model.freed());
        }
    }
}

impl System {
    fn apply(&mut self, now: u64, op: Op) -> Answer {
        let Self { adapter, notes, .. } = self;
        match op {
            Op::Open(opening) => {
                let opened = adapter.open(options(&opening));
                opened.iter().for_each(|id| drop(self.buffers.insert(*id, UserBuffer::default())));
                Answer::Open(opened)
            }
            Op::Tap { cpu, lengths } => {
                let tags = self.next_tag..;
                self.next_tag += lengths.len() as u64;
                let data: Vec<_> =
                    tags.zip(lengths).map(|(tag, len)| (tag, frame_bytes(tag, len))).collect();
                let frames: Vec<_> = data
                    .iter()
                    .map(|(tag, data)| Frame { data, wire_len: data.len() as u32, tag: *tag })
                    .collect();
                Answer::Tap(adapter.tap(now, cpu, queue_of(cpu), &frames, notes))
            }
            Op::Step { at, len, same } => self.step(now, at, len, same),
            Op::Read { at, len } => self.read(now, at, len),
            Op::Work { at, max } => Answer::Work(adapter.work(now, at, max, notes)),
            Op::Filter { at, keep, reset } => {
                let reset = if reset { FilterReset::Yes } else { FilterReset::No };
                Answer::Control(adapter.set_filter(
                    now,
                    at,
                    filter(keep).map(Into::into),
                    reset,
                    notes,
                ))
            }
            Op::BufferSize { at, size } => {
                Answer::Control(adapter.set_buffer_size(now, at, size, notes))
            }
            Op::MinToCopy { at, bytes } => {
                Answer::Control(adapter.set_min_to_copy(now, at, bytes, notes))
            }
            Op::Immediate { at, on } => Answer::Control(adapter.set_immediate(now, at, on, notes)),
            Op::Snaplen { at, snaplen } => {
                Answer::Control(adapter.set_snaplen(now, at, snaplen, notes))
            }
            Op::Close { at } => {
                let last = adapter.close(now, at, notes).map(|last| {
                    assert_eq!(last.shown, last.filtered + last.delivered + last.dropped_total());
                    assert_eq!(notes.ledger.get(&at).map_or(0, BTreeMap::len), 0, "all have gone");
                });
                Answer::Control(last)
            }
            Op::Remove => {
                adapter.remove(now, notes);
                Answer::Nothing
            }
        }
    }

    fn step(&mut self, now: u64, at: u32, len: usize, same: bool) -> Answer {
        let mut none = UserBuffer::default();
        let buffer = self.buffers.get_mut(&at).unwrap_or(&mut none);
        if buffer.begun && !same && buffer.bytes.len() != len {
            let mut other = vec![UNTOUCHED; len];
            let refused = self.adapter.read_step(now, at, &mut other, &mut self.notes);
            assert!(other.iter().all(|byte| *byte == UNTOUCHED));
            return Answer::Step(refused);
        }
        if !buffer.begun {
            *buffer = UserBuffer { bytes: vec![UNTOUCHED; len], ..UserBuffer::default() };
        }
        let step = self.adapter.read_step(now, at, &mut buffer.bytes, &mut self.notes);
        buffer.delivered.extend(self.notes.told.delivered.iter().cloned());
        buffer.begun = matches!(step, Ok(ReadStep::Copying { .. }));
        Answer::Step(step)
    }

    fn read(&mut self, now: u64, at: u32, len: usize) -> Answer {
        let mut bytes = vec![UNTOUCHED; len];
        let read = self.adapter.read(now, at, &mut bytes, &mut self.notes);
        match self.buffers.get_mut(&at) {
            Some(buffer) if !buffer.begun => {
                let delivered = self.notes.told.delivered.clone();
                *buffer = UserBuffer { bytes, begun: false, delivered };
            }
            _ => assert!(bytes.iter().all(|byte| *byte == UNTOUCHED), "a refusal changes nothing"),
        }
        Answer::Read(read)
    }

    /// After a read: its user buffer holds the records of what it delivered.
    fn check_buffers<M: Model>(&mut self, world: &World<M>) {
        for (handle, buffer) in &mut self.buffers {
            let open = world.find(*handle);
            // A control that emptied the buffer has ended the read.
            buffer.begun = open.is_some_and(|open| open.reading.is_some());
        }
        for event in &self.notes.told.events {
            let Event::Read { handle, bytes, .. } = event else { continue };
            let (UserBuffer { bytes: written, delivered, .. }, Some(open)) =
                (&self.buffers[handle], world.find(*handle))
            else {
                panic!("a read of a handle that is not open")
            };
            let (records, rest) = written.split_at(*bytes as usize);
            assert!(rest.iter().all(|byte| *byte == UNTOUCHED), "nothing beyond the records");
            let expected: Vec<_> = delivered.iter().map(record).collect();
            assert_eq!(open.model.records(records), expected);
        }
    }
}

/// A host that writes everything down, and keeps a ledger by what it is told alone.
#[derive(Default)]
struct Notes {
    told: Told,
    /// Per handle, the charge of each packet that it holds.
    ledger: BTreeMap<u32, BTreeMap<u64, u64>>,
}

impl Host for Notes {
    fn event(&mut self, _now: u64, event: Event) {
        self.told.events.push(event);
        match event {
            Event::Stored { tag, handle, charge, .. } => {
                let before = self.ledger.entry(handle).or_default().insert(tag, charge);
                assert_eq!(before, None, "packet {tag} is stored twice");
            }
            Event::Moved { tag, handle, charge, .. } => {
                let before = self.ledger.entry(handle).or_default().insert(tag, charge);
                assert_eq!(before, Some(0), "packet {tag} did not wait for the worker");
            }
            Event::Dropped(record) => {
                let handle = record.handle.unwrap_or(u32::MAX);
                let held = self.ledger.entry(handle).or_default().remove(&record.tag);
                assert_eq!(record.held, held, "{record:?}");
            }
            _ => {}
        }
    }

    fn delivered(&mut self, _now: u64, handle: u32, packet: Delivered<'_>) {
        assert_eq!(packet.caplen as usize, packet.data.len());
        let held = self.ledger.entry(handle).or_default().remove(&packet.tag);
        assert!(held.is_some(), "packet {} is delivered and was not held", packet.tag);
        self.told.delivered.push(Delivery::new(handle, &packet));
    }

    fn wake(&mut self, _now: u64, handle: u32) {
        self.told.wakes.push(handle);
    }

    fn work(&mut self, _now: u64, handle: u32) {
        self.told.works.push(handle);
    }
}

impl Notes {
    fn check_ledger(&self, adapter: &Adapter, handle: u32, uncharged: u64, freed: u64) {
        let none = BTreeMap::new();
        let held = self.ledger.get(&handle).unwrap_or(&none);
        assert_eq!(held.len() as u64, adapter.queued(handle));
        let charged = held.values().sum::<u64>();
        let used = adapter.occupancy(handle).used;
        assert_eq!(charged + uncharged, used + freed, "the charges add up");
        let counters = adapter.counters(handle).unwrap();
        let settled = counters.filtered + counters.delivered + counters.dropped_total();
        assert_eq!(counters.shown, settled + held.len() as u64, "the account adds up");
    }
}

/// Shows the first difference only; sequences of events are long.
fn compare(told: &Told, foretold: &Told) {
    for (at, (left, right)) in told.events.iter().zip(&foretold.events).enumerate() {
        assert_eq!(left, right, "(told, foretold) event {at} of this step");
    }
    assert_eq!(told.events.get(foretold.events.len()), None, "one event too many");
    assert_eq!(None, foretold.events.get(told.events.len()), "one event too few");
    for (at, (left, right)) in told.delivered.iter().zip(&foretold.delivered).enumerate() {
        assert_eq!(left, right, "(told, foretold) delivery {at} of this step");
    }
    assert_eq!(told, foretold);
}

fn record(delivery: &Delivery) -> Record {
    let packet = &delivery.packet;
    Record {
        sec: packet.now / 1_000_000_000_000,
        usec: packet.now % 1_000_000_000_000 / 1_000_000,
        len: packet.len,
        data: delivery.data.clone(),
    }
}

fn options(opening: &Opening) -> HandleOptions {
    HandleOptions {
        engine: opening.engine,
        kernel_buffer: opening.size,
        min_to_copy: opening.min_to_copy,
        immediate: opening.immediate,
        snaplen: opening.snaplen,
        filter: filter(opening.keep).map(Into::into),
        object_limit: opening.limit,
        cpus: opening.cpus,
        ..HandleOptions::default()
    }
}

/// `ld #len; jge #least, keep, reject; keep: ret #most; reject: ret #0`.
fn filter(keep: Keep) -> Option<Program> {
    let (least, most) = keep?;
    Some(
        Program::parse_ddd(&format!("4\n128 0 0 0\n53 0 1 {least}\n6 0 0 {most}\n6 0 0 0"))
            .unwrap(),
    )
}
