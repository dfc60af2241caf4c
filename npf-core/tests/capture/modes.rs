//! Any sequence of modes, controls, frames received and sent, reads and dumps keeps the account, in
//! every design; every loss is told by a marker, every byte that comes out is the one that went in.

use std::collections::BTreeMap;

use crate::dump::engines;
use crate::savefile::savefile;
use crate::support::{Notes, SENT, check_account};
use npf_core::{
    Adapter, Direction, DumpLimits, EngineKind, Event, FilterReset, Frame, HandleOptions,
    MarkerKind, Mode, PacketQueueOptions, ReadStep, Records, RingOptions, SegmentChoice,
    SegmentsOptions, StoreHoldOptions, Transmission, WordSize, ZeroCopyOptions, ZeroCopyReader,
    filter::Program,
};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Tap { cpu: u16, lengths: Vec<usize> },
    Inject { len: usize },
    Transmit { bytes: Vec<u8> },
    Read { len: usize },
    Step,
    Work { max: u32 },
    Dump { max: u32 },
    Mode(Mode),
    Direction(Direction),
    SkipOwn(bool),
    Feedback(bool),
    Repeat(u32),
    Filter { least: u32, keep: u32, reset: bool },
    WriteFilter { least: u32 },
    Size(u64),
    MinToCopy(u64),
    Snaplen(u32),
    Remove,
}

fn mode() -> impl Strategy<Value = Mode> {
    let bytes = prop::option::of(prop_oneof![0u64..2000, Just(u64::MAX)]);
    let packets = prop::option::of(prop_oneof![0u64..9, Just(u64::MAX)]);
    prop_oneof![
        3 => Just(Mode::Capture),
        1 => Just(Mode::Statistics),
        3 => (bytes, packets, any::<bool>()).prop_map(|(max_bytes, max_packets, one_too_many)| {
            Mode::Dump(DumpLimits { max_bytes, max_packets, one_too_many })
        }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let lengths = prop::collection::vec(prop_oneof![4 => 1usize..200, 1 => 900usize..1515], 0..7);
    prop_oneof![
        20 => (0u16..3, lengths).prop_map(|(cpu, lengths)| Op::Tap { cpu, lengths }),
        5 => (0usize..1600).prop_map(|len| Op::Inject { len }),
        2 => prop::collection::vec(prop_oneof![6 => Just(0u8), 1 => 0u8..40], 0..120)
            .prop_map(|bytes| Op::Transmit { bytes }),
        10 => (0usize..9000).prop_map(|len| Op::Read { len }),
        6 => Just(Op::Step),
        6 => (0u32..20).prop_map(|max| Op::Work { max }),
        8 => (0u32..20).prop_map(|max| Op::Dump { max }),
        6 => mode().prop_map(Op::Mode),
        2 => prop_oneof![Just(Direction::InOut), Just(Direction::In), Just(Direction::Out)]
            .prop_map(Op::Direction),
        1 => any::<bool>().prop_map(Op::SkipOwn),
        1 => any::<bool>().prop_map(Op::Feedback),
        1 => (0u32..4).prop_map(Op::Repeat),
        3 => (0u32..120, 0u32..120, any::<bool>())
            .prop_map(|(least, keep, reset)| Op::Filter { least, keep, reset }),
        1 => (0u32..900).prop_map(|least| Op::WriteFilter { least }),
        2 => (0u64..6000).prop_map(Op::Size),
        1 => (0u64..3000).prop_map(Op::MinToCopy),
        1 => (0u32..300).prop_map(Op::Snaplen),
        1 => prop::bool::weighted(0.1).prop_map(|now| if now { Op::Remove } else { Op::Step }),
    ]
}

/// Every design as it is by default, and the choices that change what becomes of packets.
fn designs() -> Vec<EngineKind> {
    let quirks = [
        EngineKind::Segments(SegmentsOptions {
            count: Some(3),
            choice: SegmentChoice::RoundRobin,
            wake_on_drop: false,
            ..SegmentsOptions::default()
        }),
        EngineKind::PacketQueue(PacketQueueOptions::NPCAP_0_9992),
        EngineKind::Ring(RingOptions { prefilter_heuristic: false }),
        EngineKind::StoreHold(StoreHoldOptions { word: WordSize::Bits32, head_drop: true }),
        EngineKind::ZeroCopy(ZeroCopyOptions { assigned_leak: true, ..Default::default() }),
    ];
    engines().into_iter().chain(quirks).collect()
}

fn at_least(least: u32, keep: u32) -> Program {
    Program::parse_ddd(&format!("4\n128 0 0 0\n53 0 1 {least}\n6 0 0 {keep}\n6 0 0 0")).unwrap()
}

/// A frame's bytes: its tag over and over.
fn bytes(tag: u64, len: usize) -> Vec<u8> {
    tag.to_le_bytes().into_iter().cycle().take(len).collect()
}

struct World {
    adapter: Adapter,
    handle: u32,
    engine: EngineKind,
    reader: Option<ZeroCopyReader>,
    /// User buffer of the read in progress.
    out: Option<Vec<u8>>,
    notes: Notes,
    next_tag: u64,
    /// The reader of shared buffers may be out of step with the kernel: after a dump, or by the
    /// defect that keeps a mark.
    out_of_step: bool,
}

impl World {
    fn new(engine: EngineKind, mode: Mode) -> Self {
        let mut adapter = Adapter::new();
        let options = HandleOptions {
            engine,
            kernel_buffer: 8192,
            mode,
            markers: true,
            cpus: 2,
            ..HandleOptions::default()
        };
        let handle = adapter.open(options).unwrap();
        let shared = matches!(engine, EngineKind::ZeroCopy(_));
        let leaks = matches!(engine, EngineKind::ZeroCopy(choices) if choices.assigned_leak);
        let reader = shared.then(|| ZeroCopyReader::new(&mut adapter, handle).unwrap());
        World {
            adapter,
            handle,
            engine,
            reader,
            out: None,
            notes: Notes::default(),
            next_tag: 1,
            out_of_step: leaks || matches!(mode, Mode::Dump(_)),
        }
    }

    fn apply(&mut self, op: Op) {
        let World { adapter, handle, notes, .. } = self;
        let handle = *handle;
        // Refusals are part of the game; they change nothing, which the checks would notice.
        match op {
            Op::Tap { cpu, lengths } => self.tap(cpu, &lengths),
            Op::Inject { len } => {
                let _ = adapter.inject(0, 0, handle, &bytes(self.next_tag, len), notes);
            }
            Op::Transmit { bytes } => {
                let mut state = Transmission::new(npf_core::Pacing::None);
                let _ = adapter.transmit(0, 0, handle, &bytes, &mut state, notes);
            }
            Op::Read { len } => self.read(len),
            Op::Step => self.step(),
            Op::Work { max } => drop(adapter.work(0, handle, max, notes)),
            Op::Dump { max } => {
                let _ = adapter.dump(0, handle, max, notes);
            }
            Op::Mode(mode) => {
                let set = adapter.set_mode(0, handle, mode, notes);
                if set.is_ok() && matches!(mode, Mode::Dump(_)) {
                    self.out_of_step = true;
                    self.end_file();
                }
            }
            Op::Direction(to) => adapter.set_direction(0, handle, to, notes).unwrap(),
            Op::SkipOwn(skip) => adapter.set_skip_own(0, handle, skip, notes).unwrap(),
            Op::Feedback(on) => adapter.set_feedback(0, handle, on, notes).unwrap(),
            Op::Repeat(times) => adapter.set_write_repeat(0, handle, times, notes).unwrap(),
            Op::Filter { least, keep, reset } => {
                let reset = if reset { FilterReset::Yes } else { FilterReset::No };
                adapter
                    .set_filter(0, handle, Some(at_least(least, keep).into()), reset, notes)
                    .unwrap();
            }
            Op::WriteFilter { least } => {
                adapter.set_write_filter(0, handle, Some(at_least(least, 1)), notes).unwrap();
            }
            Op::Size(size) => drop(adapter.set_buffer_size(0, handle, size, notes)),
            Op::MinToCopy(least) => adapter.set_min_to_copy(0, handle, least, notes).unwrap(),
            Op::Snaplen(snaplen) => drop(adapter.set_snaplen(0, handle, snaplen, notes)),
            Op::Remove => adapter.remove(0, notes),
        }
    }

    fn tap(&mut self, cpu: u16, lengths: &[usize]) {
        let first = self.next_tag;
        self.next_tag += lengths.len() as u64;
        let data: Vec<_> =
            (first..).zip(lengths).map(|(tag, len)| (tag, bytes(tag, *len))).collect();
        let frames: Vec<_> = data
            .iter()
            .map(|(tag, data)| Frame { data, wire_len: data.len() as u32, tag: *tag })
            .collect();
        self.adapter.tap(0, cpu, 0, &frames, &mut self.notes);
    }

    fn read(&mut self, len: usize) {
        if let Some(reader) = &mut self.reader {
            let _ = reader.poll(0, &mut self.adapter, &mut self.notes);
            return;
        }
        let capacity = self.adapter.occupancy(self.handle).capacity;
        // Now and then a length that BSD refuses.
        let exact = self.engine.read_length(capacity).filter(|_| !len.is_multiple_of(5));
        let mut out = vec![0; exact.map_or(len, |exact| exact as usize)];
        let before = (self.notes.delivered.len(), self.notes.events.len());
        let Ok(read) = self.adapter.read(0, self.handle, &mut out, &mut self.notes) else { return };
        self.check_records(&out[..read.bytes], read.packets, before);
    }

    fn step(&mut self) {
        if self.reader.is_some() {
            return;
        }
        let capacity = self.adapter.occupancy(self.handle).capacity;
        let len = self.engine.read_length(capacity).unwrap_or(3000) as usize;
        let mut out = self.out.take().unwrap_or_else(|| vec![0; len]);
        let step = self.adapter.read_step(0, self.handle, &mut out, &mut self.notes);
        self.out = matches!(step, Ok(ReadStep::Copying { .. })).then_some(out);
    }

    /// The records are the packets delivered and the markers told since `before`.
    fn check_records(&self, bytes: &[u8], packets: u32, before: (usize, usize)) {
        let events = &self.notes.events[before.1..];
        if events.iter().any(|event| matches!(event, Event::Statistics { .. })) {
            assert_eq!((bytes.len(), packets), (36, 0));
            return;
        }
        let delivered = &self.notes.delivered[before.0..];
        assert_eq!(delivered.len(), packets as usize);
        let records: Vec<_> =
            Records::new(self.engine.record_format(), bytes).map(Result::unwrap).collect();
        let frames: Vec<_> = records.iter().filter(|record| record.marker().is_none()).collect();
        let cut = frames.len() - delivered.len();
        assert!(cut <= 1, "a marker that was cut is neither");
        for (record, packet) in frames[cut..].iter().zip(delivered) {
            assert_eq!((record.len, record.data), (packet.len, &packet.data[..]));
        }
        let told = events.iter().filter_map(|event| match event {
            Event::MarkerDelivered { marker, .. } => Some(*marker),
            _ => None,
        });
        assert!(told.eq(records.iter().filter_map(npf_core::Record::marker)));
    }

    /// A new file begins: what is in the old one is whole.
    fn end_file(&mut self) {
        let file = std::mem::take(&mut self.notes.file);
        if !file.is_empty() {
            savefile(&file);
        }
    }

    fn check(&self) {
        check_account(&self.adapter, self.handle);
        let counters = self.adapter.counters(self.handle).unwrap();
        let mut told = BTreeMap::new();
        let (mut queued, mut dumped, mut counted, mut sent) = (0, 0, 0, 0);
        for event in &self.notes.events {
            match event {
                Event::MarkerStored { marker, .. } if marker.kind == MarkerKind::Lost => {
                    queued += marker.count;
                }
                Event::MarkerDropped { marker, .. } if marker.kind == MarkerKind::Lost => {
                    queued -= marker.count;
                }
                Event::MarkerDelivered { marker, .. } => {
                    *told.entry(marker.kind.name()).or_insert(0) += marker.count;
                    queued -= if marker.kind == MarkerKind::Lost { marker.count } else { 0 };
                }
                Event::Dumped { .. } => dumped += 1,
                Event::Counted { .. } => counted += 1,
                Event::Sent { .. } => sent += 1,
                _ => {}
            }
        }
        let lost = told.get("lost").copied().unwrap_or(0);
        assert!(lost + queued <= counters.dropped_total(), "no loss is told twice");
        assert_eq!((counters.dumped, counters.counted, counters.sent), (dumped, counted, sent));
        let packets = self.notes.delivered.iter().filter(|packet| packet.tag < SENT);
        packets.for_each(|packet| assert_eq!(packet.data, bytes(packet.tag, packet.data.len())));
        if !self.notes.file.is_empty() {
            savefile(&self.notes.file);
        }
    }

    /// Reads everything; then one frame more, before which every loss must have been told.
    fn settle(&mut self) {
        if self.reader.is_some() && self.out_of_step {
            return;
        }
        let World { adapter, handle, notes, .. } = self;
        let handle = *handle;
        if adapter.set_mode(0, handle, Mode::Capture, notes).is_err() {
            return;
        }
        adapter.set_filter(0, handle, None, FilterReset::No, notes).unwrap();
        adapter.set_direction(0, handle, Direction::InOut, notes).unwrap();
        let _ = adapter.set_buffer_size(0, handle, 8192, notes);
        for _ in 0..2 {
            self.drain();
            self.tap(0, &[60]);
        }
        self.drain();
        let counters = self.adapter.counters(self.handle).unwrap();
        let lost: u64 = self
            .notes
            .events
            .iter()
            .filter_map(|event| match event {
                Event::MarkerDelivered { marker, .. } if marker.kind == MarkerKind::Lost => {
                    Some(marker.count)
                }
                _ => None,
            })
            .sum();
        assert_eq!(lost, counters.dropped_total(), "every loss is told");
        assert_eq!(self.adapter.queued(self.handle), 0);
    }

    fn drain(&mut self) {
        self.adapter.work(0, self.handle, u32::MAX, &mut self.notes).unwrap();
        while self.out.is_some() {
            self.step();
        }
        (0..4).for_each(|_| self.read(9001));
    }
}

fn run(engine: EngineKind, mode: Mode, ops: Vec<Op>) {
    let mut world = World::new(engine, mode);
    for op in ops {
        world.apply(op);
        world.check();
    }
    world.settle();
    world.check();
    let last = world.adapter.close(0, world.handle, &mut world.notes).unwrap();
    let settled = last.filtered + last.delivered + last.counted + last.dumped;
    assert_eq!(last.shown, settled + last.dropped_total());
}

proptest! {
    #[test]
    fn the_account_adds_up_whatever_the_mode(
        engine in prop::sample::select(designs()),
        mode in prop_oneof![Just(Mode::Capture), Just(Mode::Statistics),
            Just(Mode::Dump(DumpLimits::default()))],
        ops in prop::collection::vec(op(), 1..80),
    ) {
        run(engine, mode, ops);
    }
}
