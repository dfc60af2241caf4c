//! Model checks: every order in which two producing CPUs and a reader can come, by loom, up to a
//! number of preemptions; with the account, the bytes, the order and the wake-ups looked at in each.
//!
//! In these tests the locks and atomics of [`sync`](super::sync) are loom's, and so are the threads.
//! loom also shows a test the values that a relaxed atomic may have on a weakly ordered machine.
//!
//! What they cannot show: more CPUs, longer runs, more preemptions than the bound; those are left to
//! the stress tests on real threads.

mod planted;
mod queue;
mod segments;

use super::core::Core;
use super::shared::Shared;
use crate::adapter::tap::Source;
use crate::{Delivered, DropRecord, Event, FilterReset, Frame, HandleOptions, Host};
use loom::sync::Notify;
use loom::thread;
use std::sync::Arc;

const CPUS: u16 = 2;
/// Frames that each CPU taps, one after the other.
const FRAMES: u64 = 2;
/// Bytes of each frame.
const LEN: usize = 60;

/// Runs `world` in every order with at most so many preemptions.
fn check(preemptions: usize, world: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(world);
}

fn options(kernel_buffer: u64) -> HandleOptions {
    HandleOptions { kernel_buffer, immediate: true, cpus: CPUS, ..HandleOptions::default() }
}

/// What one thread was told.
#[derive(Default)]
struct Ears {
    stored: Vec<u64>,
    dropped: Vec<DropRecord>,
    delivered: Vec<u64>,
    /// Rings when the reader is to be woken.
    bell: Option<Arc<Notify>>,
    wakes: u64,
}

impl Host for Ears {
    fn event(&mut self, _now: u64, event: Event) {
        match event {
            Event::Stored { tag, .. } => self.stored.push(tag),
            Event::Dropped(record) => self.dropped.push(record),
            _ => {}
        }
    }

    fn delivered(&mut self, _now: u64, _handle: u32, packet: Delivered<'_>) {
        assert_eq!(packet.data, content(packet.tag), "bytes of another packet");
        self.delivered.push(packet.tag);
    }

    fn wake(&mut self, _now: u64, _handle: u32) {
        self.wakes += 1;
        if let Some(bell) = &self.bell {
            bell.notify();
        }
    }
}

/// The number of a frame among all.
fn tag(cpu: u16, frame: u64) -> u64 {
    u64::from(cpu) * 10 + frame
}

fn content(tag: u64) -> [u8; LEN] {
    [tag as u8 + 1; LEN]
}

/// The thread of a CPU: taps its frames one by one, or as one batch.
fn produce<C: Core>(
    handle: &Shared<C>,
    cpu: u16,
    at_once: bool,
    bell: Option<Arc<Notify>>,
) -> Ears {
    let mut ears = Ears { bell, ..Ears::default() };
    let contents: Vec<_> = (0..FRAMES).map(|frame| content(tag(cpu, frame))).collect();
    let frame = |(data, frame)| Frame { data, wire_len: LEN as u32, tag: tag(cpu, frame) };
    let frames: Vec<_> = contents.iter().map(|data| &data[..]).zip(0..).map(frame).collect();
    let batch = if at_once { frames.len() } else { 1 };
    for frames in frames.chunks(batch) {
        handle.tap(Source::received(0, cpu, cpu), frames, &mut ears);
    }
    ears
}

/// The threads of all CPUs.
fn producers<C: Core + Send + Sync + 'static>(
    handle: &Arc<Shared<C>>,
    at_once: bool,
    bell: Option<&Arc<Notify>>,
) -> Vec<thread::JoinHandle<Ears>> {
    let producer = |cpu| {
        let (handle, bell) = (Arc::clone(handle), bell.map(Arc::clone));
        thread::spawn(move || produce(&handle, cpu, at_once, bell))
    };
    (0..CPUS).map(producer).collect()
}

fn read<C: Core>(handle: &Shared<C>, ears: &mut Ears) -> u32 {
    let mut out = [0; 1000];
    handle.read(0, &mut out, ears).map_or(0, |read| read.packets)
}

/// CPUs store while the reader reads as often as it likes; when they have ended it takes what is
/// left. Gives what the producers were told.
fn race<C: Core + Send + Sync + 'static>(
    handle: Shared<C>,
    at_once: bool,
    reads: u32,
    reads_late: bool,
) -> Vec<Ears> {
    let handle = Arc::new(handle);
    let producers = producers(&handle, at_once, None);
    let mut reader = Ears::default();
    for _ in 0..reads {
        read(&handle, &mut reader);
    }
    let told: Vec<Ears> = producers.into_iter().map(|one| one.join().unwrap()).collect();
    if reads_late {
        while read(&handle, &mut reader) > 0 {}
        assert_eq!(handle.queued(), 0, "the reader stops before the end");
    }
    account(&handle, &told, &reader);
    told
}

/// CPUs store while a control empties the buffer and sets the filter, and what is left is read.
fn flushed<C: Core + Send + Sync + 'static>(handle: Shared<C>) {
    let handle = Arc::new(handle);
    let producers = producers(&handle, true, None);
    let mut reader = Ears::default();
    handle.set_filter(0, None, FilterReset::Yes, &mut reader);
    let told: Vec<Ears> = producers.into_iter().map(|one| one.join().unwrap()).collect();
    while read(&handle, &mut reader) > 0 {}
    let stored: usize = told.iter().map(|ears| ears.stored.len()).sum();
    assert_eq!(stored, reader.delivered.len() + reader.dropped.len(), "read or flushed");
    let counters = handle.counters();
    assert_eq!(counters.shown, counters.delivered + counters.dropped_total());
    assert_eq!((handle.queued(), handle.occupancy().used), (0, 0));
}

/// CPUs store, and the reader sleeps unless it is woken. A wake-up that is lost leaves it asleep with
/// all other threads at their ends, which loom reports as a deadlock.
fn sleepy<C: Core + Send + Sync + 'static>(
    handle: Shared<C>,
    at_once: bool,
    read: impl Fn(&Shared<C>, &mut Ears) -> u32,
) {
    let handle = Arc::new(handle);
    let bell = Arc::new(Notify::new());
    let producers = producers(&handle, at_once, Some(&bell));
    let mut reader = Ears::default();
    while (reader.delivered.len() as u64) < u64::from(CPUS) * FRAMES {
        if handle.event_set() {
            read(&handle, &mut reader);
        } else {
            bell.wait();
        }
    }
    let told: Vec<Ears> = producers.into_iter().map(|one| one.join().unwrap()).collect();
    assert!(told.iter().all(|ears| ears.dropped.is_empty()), "there is room for all");
    account(&handle, &told, &reader);
}

/// Everybody stands still: each frame has had one fate, in order, and the counters say so.
fn account<C: Core>(handle: &Shared<C>, told: &[Ears], reader: &Ears) {
    let counters = handle.counters();
    let queued = handle.queued();
    let total = u64::from(CPUS) * FRAMES;
    assert_eq!(counters.shown, total);
    assert_eq!(counters.shown, counters.delivered + counters.dropped_total() + queued);
    assert_eq!(counters.delivered, reader.delivered.len() as u64);
    assert_eq!(counters.wakes, told.iter().map(|ears| ears.wakes).sum());
    if queued == 0 {
        assert_eq!(handle.occupancy().used, 0, "an empty buffer is charged for nothing");
    }
    for (ears, cpu) in told.iter().zip(0..) {
        let of_cpu = |tags: &[u64]| -> Vec<u64> {
            tags.iter().copied().filter(|other| other / 10 == cpu).collect()
        };
        let fates = ears.stored.len() + ears.dropped.len();
        assert_eq!(fates as u64, FRAMES, "one fate at the tap");
        let delivered = of_cpu(&reader.delivered);
        assert_eq!(delivered, ears.stored[..delivered.len()], "stored and in order");
        if queued == 0 {
            assert_eq!(delivered.len(), ears.stored.len(), "a stored packet was lost");
        }
    }
}
