//! Two producing threads and a reading one, as fast as they can: the account of every engine adds up,
//! nothing is lost or doubled, bytes are those that were tapped, and each CPU's packets stay in order.

use npf_core::{
    Delivered, DropReason, EngineKind, Event, Frame, HandleCounters, HandleOptions, Host,
    PacketQueueOptions, SegmentsOptions, SharedHandle, StoreHoldOptions, WordSize, ZeroCopyOptions,
};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const PRODUCERS: u16 = 2;
const PACKETS: u64 = 60_000;
const BATCH: u64 = 16;

/// What one thread was told.
#[derive(Debug, Default)]
struct Ears {
    stored: u64,
    dropped: BTreeSet<u64>,
    /// Per CPU the numbers delivered, in order.
    delivered: [Vec<u64>; PRODUCERS as usize],
    wakes: u64,
}

impl Host for Ears {
    fn event(&mut self, _now: u64, event: Event) {
        match event {
            Event::Stored { .. } => self.stored += 1,
            Event::Dropped(record) => {
                assert!(self.dropped.insert(record.tag), "{record:?} was dropped before");
                // What a ring or a slot cannot use differs; these two use every byte.
                if matches!(record.reason, DropReason::SegmentFull) {
                    assert!(record.occupancy + record.need > record.capacity, "{record:?}");
                }
            }
            _ => {}
        }
    }

    fn delivered(&mut self, _now: u64, _handle: u32, packet: Delivered<'_>) {
        let (cpu, number) = (packet.tag >> 32, packet.tag & 0xffff_ffff);
        assert_eq!(packet.cpu, cpu as u16);
        assert_eq!(packet.len as usize, length(number));
        assert!(packet.data.iter().all(|byte| *byte == fill(cpu, number)), "{packet:?}");
        self.delivered[cpu as usize].push(number);
    }

    fn wake(&mut self, _now: u64, _handle: u32) {
        self.wakes += 1;
    }
}

fn length(number: u64) -> usize {
    [60, 61, 200, 1514, 60, 64, 60, 90][number as usize % 8]
}

fn fill(cpu: u64, number: u64) -> u8 {
    (number * 7 + cpu * 3) as u8
}

/// Taps all packets of one CPU, in batches.
fn produce(handle: &SharedHandle, cpu: u16) -> Ears {
    let mut ears = Ears::default();
    let mut bytes = vec![0; 1514 * BATCH as usize];
    for first in (0..PACKETS).step_by(BATCH as usize) {
        let mut frames = Vec::new();
        for (slot, number) in bytes.chunks_mut(1514).zip(first..) {
            let data = &mut slot[..length(number)];
            data.fill(fill(cpu.into(), number));
            let tag = u64::from(cpu) << 32 | number;
            frames.push(Frame { data, wire_len: data.len() as u32, tag });
        }
        handle.tap(first, cpu, cpu, &frames, &mut ears);
        if first % 1024 == 0 {
            thread::yield_now();
        }
    }
    ears
}

/// Reads until the producers are done and nothing more comes.
fn consume(handle: &SharedHandle, options: &HandleOptions, done: &AtomicBool) -> Ears {
    let mut ears = Ears::default();
    let mut reader = handle.zero_copy_reader();
    let mut out = vec![0; read_length(options)];
    loop {
        let last = done.load(Ordering::Acquire);
        handle.work(0, 200, &mut ears);
        let got = match &mut reader {
            Ok(reader) => handle.poll(0, reader, &mut ears).unwrap().packets,
            Err(_) => handle.read(0, &mut out, &mut ears).unwrap().packets,
        };
        if got == 0 {
            if last && handle.queued() == 0 {
                return ears;
            }
            thread::yield_now();
        }
    }
}

/// Says so when it is dropped.
struct Finished<'a>(&'a AtomicBool);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// BSD reads exactly one slot.
fn read_length(options: &HandleOptions) -> usize {
    match options.engine {
        EngineKind::StoreHold(_) => options.kernel_buffer as usize / 2,
        _ => 20_000,
    }
}

fn stress(options: &HandleOptions) -> (HandleCounters, Ears) {
    let handle = SharedHandle::open(5, options.clone()).unwrap();
    let done = AtomicBool::new(false);
    let (produced, read) = thread::scope(|scope| {
        // However the producers end, the reader is told.
        let finished = Finished(&done);
        let reader = scope.spawn(|| consume(&handle, options, &done));
        let producer = |cpu| {
            scope.spawn({
                let handle = &handle;
                move || produce(handle, cpu)
            })
        };
        let producers: Vec<_> = (0..PRODUCERS).map(producer).collect();
        let produced: Vec<Ears> = producers.into_iter().map(|one| one.join().unwrap()).collect();
        drop(finished);
        (produced, reader.join().unwrap())
    });

    let counters = handle.counters();
    let total = PACKETS * u64::from(PRODUCERS);
    assert_eq!((counters.shown, handle.queued()), (total, 0));
    if let EngineKind::PacketQueue(_) | EngineKind::Segments(_) = options.engine {
        // Others may still charge an empty buffer: a window, a slot that the user has.
        assert_eq!(handle.occupancy().used, 0);
    }
    assert_eq!(counters.shown, counters.filtered + counters.delivered + counters.dropped_total());
    assert_eq!(counters.delivered, counters.stored - read.dropped.len() as u64);
    assert_eq!(produced.iter().map(|ears| ears.stored).sum::<u64>(), counters.stored);
    let wakes: u64 = produced.iter().map(|ears| ears.wakes).sum::<u64>() + read.wakes;
    assert_eq!(counters.wakes, wakes);
    for (cpu, (ears, numbers)) in produced.iter().zip(&read.delivered).enumerate() {
        assert!(numbers.is_sorted_by(|one, next| one < next), "CPU {cpu}: order, or one twice");
        let mut fates: BTreeSet<u64> = numbers.iter().copied().collect();
        for tag in ears.dropped.iter().chain(&read.dropped) {
            if tag >> 32 == cpu as u64 {
                assert!(fates.insert(tag & 0xffff_ffff), "{tag:#x} has two fates");
            }
        }
        assert_eq!(fates.len() as u64, PACKETS, "CPU {cpu}");
    }
    assert_eq!(handle.close(0, &mut Ears::default()).dropped_total(), counters.dropped_total());
    (counters, read)
}

fn options(engine: EngineKind, kernel_buffer: u64) -> HandleOptions {
    HandleOptions { engine, kernel_buffer, cpus: PRODUCERS, ..HandleOptions::default() }
}

#[test]
fn packet_queue() {
    for choices in [PacketQueueOptions::CURRENT, PacketQueueOptions::NPCAP_0_9992] {
        let (counters, _) = stress(&options(EngineKind::PacketQueue(choices), 100_000));
        assert!(counters.delivered > 0);
    }
}

#[test]
fn packet_queue_without_loss_when_there_is_room() {
    let engine = EngineKind::PacketQueue(PacketQueueOptions::CURRENT);
    let (counters, _) = stress(&options(engine, 1 << 30));
    assert_eq!(counters.dropped_total(), 0);
}

#[test]
fn segments() {
    let choices = SegmentsOptions::default();
    let (counters, _) = stress(&options(EngineKind::Segments(choices), 100_000));
    assert!(counters.delivered > 0);
    let one = SegmentsOptions { count: Some(1), ..choices };
    stress(&options(EngineKind::Segments(one), 100_000));
}

#[test]
fn designs_behind_one_lock() {
    let word = WordSize::Lp64;
    for engine in [
        EngineKind::Worker(npf_core::WorkerOptions::default()),
        EngineKind::Ring(npf_core::RingOptions::default()),
        EngineKind::StoreHold(StoreHoldOptions { word, head_drop: false }),
        EngineKind::ZeroCopy(ZeroCopyOptions { word, ..ZeroCopyOptions::default() }),
    ] {
        println!("{}", engine.name());
        let (counters, _) = stress(&options(engine, 131_072));
        assert!(counters.delivered > 0);
    }
}
