//! One thread at a time: a shared handle decides, delivers, counts and tells what an adapter with one
//! handle does, whatever the sequence of calls.
//!
//! What may differ: the wake-up is told after the packets of its batch, with what is used then; and
//! memory, of which each form has its own.

use npf_core::filter::{Filter, Program};
use npf_core::{
    Adapter, CpuClamp, Delivered, Direction, EngineKind, Event, FilterReset, Frame, HandleOptions,
    Host, Mode, Occupancy, PacketQueueOptions, RingOptions, SegmentChoice, SegmentsOptions,
    SharedHandle, StoreHoldOptions, WordSize, WorkerOptions, ZeroCopyOptions, ZeroCopyReader,
};
use proptest::collection::vec;
use proptest::prelude::*;

const HANDLE: u32 = 0;

/// One call.
#[derive(Debug, Clone)]
enum Call {
    /// Lengths of the frames of one indication.
    Tap {
        cpu: u16,
        frames: Vec<usize>,
    },
    Read {
        len: usize,
    },
    Work {
        max: u32,
    },
    BufferSize(u64),
    Filter {
        program: Option<Filter>,
        reset: FilterReset,
    },
    Snaplen(u32),
    MinToCopy(u64),
    Immediate(bool),
    Remove,
}

/// Keeps frames whose first byte is odd, up to 40 bytes.
fn odd() -> Filter {
    Program::parse_ddd("4\n48 0 0 0\n69 0 1 1\n6 0 0 40\n6 0 0 0").unwrap().into()
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let tap =
        (0..6u16, vec(0..120usize, 0..20)).prop_map(|(cpu, frames)| Call::Tap { cpu, frames });
    let program = prop_oneof![Just(None), Just(Some(odd()))];
    let reset = prop_oneof![Just(FilterReset::Yes), Just(FilterReset::No)];
    let call = prop_oneof![
        12 => tap,
        6 => (0..1200usize).prop_map(|len| Call::Read { len }),
        2 => Just(Call::Read { len: 250 }),
        3 => (0..20u32).prop_map(|max| Call::Work { max }),
        1 => prop_oneof![Just(0), 0..2000u64].prop_map(Call::BufferSize),
        1 => (program, reset).prop_map(|(program, reset)| Call::Filter { program, reset }),
        1 => (0..100u32).prop_map(Call::Snaplen),
        1 => (0..1000u64).prop_map(Call::MinToCopy),
        1 => any::<bool>().prop_map(Call::Immediate),
        1 => prop_oneof![19 => Just(Call::Work { max: 1 }), 1 => Just(Call::Remove)],
    ];
    vec(call, 1..60)
}

fn engines() -> impl Strategy<Value = EngineKind> {
    let any_of = |choices: Vec<EngineKind>| proptest::sample::select(choices);
    let clamps = [CpuClamp::At63, CpuClamp::At255, CpuClamp::Off];
    let choices = [SegmentChoice::Cpu, SegmentChoice::Modulo, SegmentChoice::RoundRobin];
    let mut segments = Vec::new();
    for (clamp, choice) in clamps.into_iter().zip(choices) {
        for (count, wake_on_drop, free_drift) in
            [(None, true, false), (Some(2), false, true), (Some(3), true, true)]
        {
            let options = SegmentsOptions { count, choice, clamp, wake_on_drop, free_drift };
            segments.push(EngineKind::Segments(options));
        }
    }
    let queues = [PacketQueueOptions::CURRENT, PacketQueueOptions::NPCAP_0_9992];
    let others = vec![
        EngineKind::Worker(WorkerOptions::default()),
        EngineKind::Ring(RingOptions { prefilter_heuristic: true }),
        EngineKind::Ring(RingOptions { prefilter_heuristic: false }),
        EngineKind::StoreHold(StoreHoldOptions { word: WordSize::Lp64, head_drop: false }),
        EngineKind::StoreHold(StoreHoldOptions { word: WordSize::Bits32, head_drop: true }),
    ];
    prop_oneof![
        3 => any_of(queues.map(EngineKind::PacketQueue).to_vec()),
        3 => any_of(segments),
        2 => any_of(others),
    ]
}

prop_compose! {
    fn options()(
        engine in engines(),
        kernel_buffer in prop_oneof![3 => 0..1500u64, 1 => Just(500)],
        min_to_copy in 0..800u64,
        immediate in any::<bool>(),
        limit in prop_oneof![3 => Just(None), 1 => (0..8u64).prop_map(Some)],
        cpus in 1..5u16,
        mode in prop_oneof![9 => Just(Mode::Capture), 1 => Just(Mode::Statistics)],
        direction in prop_oneof![8 => Just(Direction::In), 1 => Just(Direction::Out)],
        markers in prop::bool::weighted(0.1),
    ) -> HandleOptions {
        HandleOptions {
            engine, kernel_buffer, min_to_copy, immediate, object_limit: limit, cpus,
            mode, direction, markers,
            ..HandleOptions::default()
        }
    }
}

/// A host that writes everything down.
#[derive(Debug, Default)]
struct Notes {
    events: Vec<Event>,
    /// Tag, timestamp, CPU, lengths and bytes of each packet.
    delivered: Vec<(u64, u64, u16, u32, u32, Vec<u8>)>,
    calls: Vec<&'static str>,
}

impl Host for Notes {
    fn event(&mut self, _now: u64, event: Event) {
        self.events.push(event);
    }

    fn delivered(&mut self, _now: u64, handle: u32, packet: Delivered<'_>) {
        assert_eq!(handle, HANDLE);
        let Delivered { tag, timestamp, cpu, caplen, len, data, .. } = packet;
        self.delivered.push((tag, timestamp, cpu, caplen, len, data.to_vec()));
    }

    fn wake(&mut self, _now: u64, _handle: u32) {
        self.calls.push("wake");
    }

    fn work(&mut self, _now: u64, _handle: u32) {
        self.calls.push("work");
    }
}

/// The same handle in both forms.
struct Pair {
    machine: (Adapter, Notes),
    shared: (SharedHandle, Notes),
    now: u64,
    tag: u64,
}

impl Pair {
    fn open(options: &HandleOptions) -> Self {
        let mut adapter = Adapter::new();
        assert_eq!(adapter.open(options.clone()), Ok(HANDLE));
        let shared = SharedHandle::open(HANDLE, options.clone()).unwrap();
        Pair {
            machine: (adapter, Notes::default()),
            shared: (shared, Notes::default()),
            now: 0,
            tag: 0,
        }
    }

    /// Makes the call on both, and compares what it gives.
    fn call(&mut self, call: &Call) {
        self.now += 1_000_003;
        let (now, (adapter, told), (shared, heard)) =
            (self.now, &mut self.machine, &mut self.shared);
        match call {
            Call::Tap { cpu, frames } => {
                let contents: Vec<Vec<u8>> =
                    frames.iter().zip(self.tag..).map(|(len, tag)| content(tag, *len)).collect();
                let frames: Vec<Frame<'_>> = contents
                    .iter()
                    .zip(self.tag..)
                    .map(|(data, tag)| Frame { data, wire_len: data.len() as u32 + 4, tag })
                    .collect();
                self.tag += frames.len() as u64;
                let want = adapter.tap(now, *cpu, 7, &frames, told);
                assert_eq!(shared.tap(now, *cpu, 7, &frames, heard), want);
            }
            Call::Read { len } => {
                let (mut want, mut got) = (vec![0xa5; *len], vec![0xa5; *len]);
                let wanted = adapter.read(now, HANDLE, &mut want, told);
                assert_eq!(shared.read(now, &mut got, heard), wanted);
                assert_eq!(got, want);
            }
            Call::Work { max } => {
                let want = adapter.work(now, HANDLE, *max, told).unwrap();
                assert_eq!(shared.work(now, *max, heard), want);
            }
            Call::BufferSize(bytes) => {
                let want = adapter.set_buffer_size(now, HANDLE, *bytes, told);
                assert_eq!(shared.set_buffer_size(now, *bytes, heard), want);
            }
            Call::Filter { program, reset } => {
                let want = adapter.set_filter(now, HANDLE, program.clone(), *reset, told);
                assert_eq!(shared.set_filter(now, program.clone(), *reset, heard), want);
            }
            Call::Snaplen(bytes) => {
                let want = adapter.set_snaplen(now, HANDLE, *bytes, told);
                assert_eq!(shared.set_snaplen(now, *bytes, heard), want);
            }
            Call::MinToCopy(bytes) => {
                let want = adapter.set_min_to_copy(now, HANDLE, *bytes, told);
                assert_eq!(shared.set_min_to_copy(now, *bytes, heard), want);
            }
            Call::Immediate(on) => {
                let want = adapter.set_immediate(now, HANDLE, *on, told);
                assert_eq!(shared.set_immediate(now, *on, heard), want);
            }
            Call::Remove => {
                adapter.remove(now, told);
                shared.remove(now, heard);
            }
        }
        self.compare(call);
    }

    /// Compares all there is to see, and what was told since the last time.
    fn compare(&mut self, call: &Call) {
        let ((adapter, told), (shared, heard)) = (&mut self.machine, &mut self.shared);
        let counters = *adapter.counters(HANDLE).unwrap();
        assert_eq!(shared.counters(), counters, "{call:?}");
        let queued = adapter.queued(HANDLE);
        let gone = counters.filtered + counters.counted + counters.dropped_total();
        assert_eq!(counters.shown, gone + counters.delivered + queued);
        assert_eq!(shared.queued(), queued);
        assert_eq!(shared.stats(), adapter.stats(HANDLE).unwrap());
        assert_eq!(shared.event_set(), adapter.event_set(HANDLE));
        assert_eq!(shared.ready(), adapter.ready(HANDLE));
        assert_eq!(shared.pending(), adapter.pending(HANDLE));
        let seen = |occupancy: Occupancy| {
            let Occupancy { used, capacity, free, peak, .. } = occupancy;
            (used, capacity, free, peak)
        };
        assert_eq!(seen(shared.occupancy()), seen(adapter.occupancy(HANDLE)), "{call:?}");
        let mut heard = std::mem::take(heard);
        let mut told = std::mem::take(told);
        assert_eq!(heard.delivered, told.delivered);
        heard.calls.sort_unstable();
        told.calls.sort_unstable();
        assert_eq!(heard.calls, told.calls);
        assert_eq!(without_wakes(&heard.events), without_wakes(&told.events), "{call:?}");
        assert_eq!(heard.events.len(), told.events.len());
    }
}

fn without_wakes(events: &[Event]) -> Vec<Event> {
    events.iter().filter(|event| !matches!(event, Event::Woken { .. })).copied().collect()
}

/// Bytes that say whose they are.
fn content(tag: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (tag * 31 + at) as u8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn one_thread_sees_no_difference(options in options(), calls in calls()) {
        let mut pair = Pair::open(&options);
        for call in &calls {
            pair.call(call);
        }
        let ((mut adapter, mut told), (shared, mut heard)) = (pair.machine, pair.shared);
        let want = adapter.close(pair.now, HANDLE, &mut told).unwrap();
        prop_assert_eq!(shared.close(pair.now, &mut heard), want);
        prop_assert_eq!(heard.events, told.events);
    }
}

/// A batch longer than what is handled under one lock may wake the reader twice, not more often than
/// batches of that length would.
#[test]
fn long_indications_are_cut() {
    let options = HandleOptions { immediate: true, ..HandleOptions::default() };
    let mut pair = Pair::open(&options);
    pair.call(&Call::Tap { cpu: 0, frames: vec![60; 1000] });
    pair.call(&Call::Read { len: 256_000 });
    assert_eq!(pair.shared.0.counters().delivered, 1000);
}

#[test]
fn shared_buffers_are_polled_under_the_same_lock() {
    let options = HandleOptions {
        engine: EngineKind::ZeroCopy(ZeroCopyOptions::default()),
        kernel_buffer: 8192,
        ..HandleOptions::default()
    };
    let mut pair = Pair::open(&options);
    let mut reader = ZeroCopyReader::new(&mut pair.machine.0, HANDLE).unwrap();
    let mut other = pair.shared.0.zero_copy_reader().unwrap();
    let mut taken = 0;
    for round in 0..50 {
        pair.call(&Call::Tap { cpu: 0, frames: vec![60 + round; 20] });
        for _ in 0..2 {
            let want = reader.poll(pair.now, &mut pair.machine.0, &mut pair.machine.1);
            let got = pair.shared.0.poll(pair.now, &mut other, &mut pair.shared.1);
            assert_eq!(got, want);
            taken += got.unwrap().packets;
        }
        pair.compare(&Call::Read { len: 0 });
    }
    assert!(taken > 100, "{taken}");
    let queue = SharedHandle::open(3, HandleOptions::default()).unwrap();
    assert!(queue.zero_copy_reader().is_err());
}
