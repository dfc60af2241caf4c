//! The worker: what is queued without limit, what the buffer takes, what the statistics say.

use crate::support::{Notes, one_handle, records, tap};
use npf_core::{
    Adapter, DropReason, EngineKind, Event, FilterReset, HandleOptions, Occupancy, ReadError,
    Stats, Work, WorkerOptions,
};

const SHIPPED: WorkerOptions =
    WorkerOptions { uncounted_full_drop: true, free_not_initialised: true };
const FIXED: WorkerOptions =
    WorkerOptions { uncounted_full_drop: false, free_not_initialised: false };

fn options(quirks: WorkerOptions, kernel_buffer: u64) -> HandleOptions {
    HandleOptions { engine: EngineKind::Worker(quirks), kernel_buffer, ..HandleOptions::default() }
}

/// Taps frames of these lengths, with tags from `tag` on.
fn tap_all(adapter: &mut Adapter, tag: u64, lengths: &[usize], notes: &mut Notes) {
    let data = [7; 2000];
    for (tag, len) in (tag..).zip(lengths) {
        let frame = npf_core::Frame { data: &data[..*len], wire_len: *len as u32, tag };
        adapter.tap(0, 0, 0, &[frame], notes);
    }
}

/// Packets of `len` bytes that a buffer of 1 000 000 bytes takes.
fn held(len: usize) -> u64 {
    let (mut adapter, handle) = one_handle(options(FIXED, 1_000_000));
    let mut notes = Notes::default();
    (0..13_000).for_each(|tag| tap(&mut adapter, tag, len, &mut notes));
    assert_eq!(adapter.pending(handle), 13_000, "requests are kept, however many");
    adapter.work(0, handle, 13_000, &mut notes).unwrap();
    let drop = notes.drops()[0];
    assert_eq!((drop.reason, drop.held), (DropReason::WorkerFull, Some(0)));
    assert_eq!((drop.need, drop.capacity), (20 + len as u64, 1_000_000));
    assert_eq!(drop.occupancy, adapter.occupancy(handle).used);
    assert_eq!(drop.tag, adapter.queued(handle), "none fits after the first that did not");
    adapter.queued(handle)
}

#[test]
fn the_buffer_takes_what_fits() {
    assert_eq!([60, 61, 1514].map(held), [12_500, 12_345, 651]);
}

#[test]
fn packets_wait_uncharged_until_the_worker_moves_them() {
    let (mut adapter, handle) = one_handle(options(FIXED, 1000));
    let mut notes = Notes::default();
    tap_all(&mut adapter, 0, &[60, 70, 80], &mut notes);
    assert_eq!(notes.works, [handle], "the worker is called when it had nothing to do");
    let stored = Event::Stored { tag: 0, handle, caplen: 60, charge: 0, occupancy: 0 };
    assert_eq!(notes.events[0], stored);
    assert_eq!((adapter.pending(handle), adapter.queued(handle)), (3, 3));
    assert_eq!(adapter.occupancy(handle).used, 0);
    assert_eq!(adapter.stats(handle).unwrap().accepted, 0);
    let read = adapter.read(0, handle, &mut [0; 500], &mut notes).unwrap();
    assert_eq!((read.packets, read.queued_left), (0, 3), "a read sees the buffer only");

    let work = adapter.work(0, handle, 2, &mut notes).unwrap();
    assert_eq!(work, Work { requests: 2, bytes_copied: 130, left: 1 });
    let moved = Event::Moved { tag: 1, handle, charge: 90, occupancy: 170 };
    assert_eq!(notes.events.last(), Some(&moved));
    assert_eq!(adapter.stats(handle).unwrap().accepted, 2);
    tap_all(&mut adapter, 3, &[5], &mut notes);
    assert_eq!(notes.works.len(), 1, "it still has something to do");
    assert_eq!(adapter.work(0, handle, 9, &mut notes).unwrap().left, 0);
    let mut out = [0; 500];
    let read = adapter.read(0, handle, &mut out, &mut notes).unwrap();
    let lengths: Vec<_> = records(&out[..read.bytes]).iter().map(|record| record.len).collect();
    assert_eq!(lengths, [60, 70, 80, 5]);
    tap_all(&mut adapter, 4, &[5], &mut notes);
    assert_eq!(notes.works.len(), 2);
}

#[test]
fn memory_grows_with_the_requests_whatever_the_size_of_the_buffer() {
    let (mut adapter, handle) = one_handle(options(FIXED, 1000));
    let mut notes = Notes::default();
    let memory = |adapter: &Adapter| adapter.occupancy(handle).memory;
    tap_all(&mut adapter, 0, &[60; 1000], &mut notes);
    let at_1000 = memory(&adapter);
    tap_all(&mut adapter, 1000, &[60; 1000], &mut notes);
    assert_eq!(memory(&adapter) - at_1000, at_1000 - 1000);
    assert!(at_1000 >= 1000 * (64 + 40), "a block and a request each: {at_1000}");
    while adapter.work(0, handle, 100, &mut notes).unwrap().left > 0 {
        adapter.read(0, handle, &mut [0; 2000], &mut notes).unwrap();
    }
    adapter.read(0, handle, &mut [0; 2000], &mut notes).unwrap();
    let Occupancy { memory, peak_memory, .. } = adapter.occupancy(handle);
    assert_eq!((memory, peak_memory > 2 * at_1000 - 1001), (1000, true));
}

#[test]
fn the_worker_wakes_at_min_to_copy_and_by_every_drop() {
    let (mut adapter, handle) =
        one_handle(HandleOptions { min_to_copy: 160, ..options(FIXED, 200) });
    let mut notes = Notes::default();
    tap_all(&mut adapter, 0, &[59, 61, 60], &mut notes);
    adapter.work(0, handle, 1, &mut notes).unwrap();
    assert!(!adapter.event_set(handle) && !adapter.ready(handle));
    adapter.work(0, handle, 1, &mut notes).unwrap();
    assert_eq!(notes.events.last(), Some(&Event::Woken { handle, occupancy: 160 }));
    adapter.read(0, handle, &mut [0; 79], &mut notes).unwrap();
    assert_eq!(adapter.queued(handle), 2, "59 bytes and a header are 79");
    // Exactly the minimum wakes, but a read waits for more.
    adapter.set_min_to_copy(0, handle, 81, &mut notes).unwrap();
    assert!(!adapter.ready(handle));
    adapter.set_min_to_copy(0, handle, 80, &mut notes).unwrap();
    assert!(adapter.ready(handle) && !adapter.event_set(handle));
    adapter.set_min_to_copy(0, handle, 1 << 40, &mut notes).unwrap();
    tap_all(&mut adapter, 3, &[100], &mut notes);
    adapter.work(0, handle, 1, &mut notes).unwrap();
    assert!(!adapter.event_set(handle));
    adapter.work(0, handle, 1, &mut notes).unwrap();
    assert_eq!(notes.dropped(DropReason::WorkerFull), [3]);
    assert!(adapter.event_set(handle));
}

#[test]
fn drops_of_a_full_buffer_are_missing_from_the_first_statistics() {
    for uncounted_full_drop in [true, false] {
        let quirks = WorkerOptions { uncounted_full_drop, ..FIXED };
        let (mut adapter, handle) = one_handle(options(quirks, 100));
        let mut notes = Notes::default();
        tap_all(&mut adapter, 0, &[60, 60, 60], &mut notes);
        adapter.work(0, handle, 9, &mut notes).unwrap();
        let dropped = if uncounted_full_drop { 0 } else { 2 };
        let stats = Stats { received: 3, accepted: 1, dropped, resource_dropped: 0 };
        assert_eq!(adapter.stats(handle).unwrap(), stats);
        assert_eq!(adapter.counters(handle).unwrap().dropped_total(), 2, "our account knows");
    }
}

#[test]
fn as_shipped_a_new_size_drops_everything_until_a_filter_is_set() {
    let (mut adapter, handle) = one_handle(options(SHIPPED, 1000));
    let mut notes = Notes::default();
    let mut taken = |adapter: &mut Adapter| {
        tap_all(adapter, 0, &[60], &mut notes);
        adapter.work(0, handle, 9, &mut notes).unwrap();
        let stats = adapter.stats(handle).unwrap().accepted;
        (stats, adapter.occupancy(handle).free)
    };
    assert_eq!(taken(&mut adapter), (0, 0));
    let mut other = Notes::default();
    adapter.set_filter(0, handle, None, FilterReset::No, &mut other).unwrap();
    assert_eq!(taken(&mut adapter), (0, 0), "only what resets the buffer helps");
    adapter.set_filter(0, handle, None, FilterReset::Yes, &mut other).unwrap();
    assert_eq!(taken(&mut adapter), (1, 920));
    adapter.set_buffer_size(0, handle, 2000, &mut other).unwrap();
    assert_eq!(taken(&mut adapter), (0, 0));

    let filter = npf_core::filter::Program::parse_ddd("1\n6 0 0 65535").ok().map(Into::into);
    let (mut adapter, handle) = one_handle(HandleOptions { filter, ..options(SHIPPED, 1000) });
    assert_eq!((adapter.occupancy(handle).free, adapter.ready(handle)), (1000, false));
    adapter.set_buffer_size(0, handle, 50, &mut other).unwrap();
    adapter.set_min_to_copy(0, handle, 40, &mut other).unwrap();
    assert!(adapter.ready(handle), "an empty buffer that counts as full");
    assert_eq!(adapter.read(0, handle, &mut [0; 90], &mut other).unwrap().packets, 0);
}

#[test]
fn controls_lose_the_buffer_first_and_then_the_requests() {
    let (mut adapter, handle) = one_handle(options(FIXED, 1000));
    let mut notes = Notes::default();
    tap_all(&mut adapter, 0, &[60; 4], &mut notes);
    adapter.work(0, handle, 2, &mut notes).unwrap();
    adapter.set_buffer_size(0, handle, 1 << 30, &mut notes).unwrap();
    let drops = notes.drops();
    let numbers = |at: usize| (drops[at].tag, drops[at].held, drops[at].need, drops[at].occupancy);
    assert_eq!([numbers(0), numbers(1)], [(0, Some(80), 80, 160), (1, Some(80), 80, 80)]);
    assert_eq!([numbers(2), numbers(3)], [(2, Some(0), 80, 0), (3, Some(0), 80, 0)]);
    assert_eq!((adapter.pending(handle), adapter.queued(handle)), (0, 0));

    tap_all(&mut adapter, 4, &[60; 2], &mut notes);
    assert_eq!(notes.works.len(), 2, "the worker had lost its requests");
    adapter.remove(0, &mut notes);
    let gone = adapter.read(0, handle, &mut [0; 99], &mut notes);
    assert_eq!(gone, Err(ReadError::DeviceRemoved { queued: 2 }), "not moved yet");
    adapter.work(0, handle, 1, &mut notes).unwrap();
    assert_eq!(adapter.read(0, handle, &mut [0; 99], &mut notes).unwrap().packets, 1);
    adapter.close(0, handle, &mut notes).unwrap();
    assert_eq!(notes.dropped(DropReason::Closed), [5]);
    assert!(adapter.work(0, handle, 1, &mut notes).is_err());
}

#[test]
fn sizes_from_nothing_to_less_than_a_header() {
    let (mut adapter, handle) = one_handle(options(FIXED, 0));
    let mut notes = Notes::default();
    tap_all(&mut adapter, 0, &[60], &mut notes);
    assert_eq!(notes.dropped(DropReason::ZeroBuffer), [0]);
    assert!(notes.works.is_empty() && notes.wakes.is_empty());
    let refused = adapter.read(0, handle, &mut [0; 99], &mut notes);
    assert_eq!(refused, Err(ReadError::ZeroBuffer));
    adapter.set_buffer_size(0, handle, 19, &mut notes).unwrap();
    tap_all(&mut adapter, 1, &[0], &mut notes);
    adapter.work(0, handle, 1, &mut notes).unwrap();
    assert_eq!(notes.dropped(DropReason::WorkerFull), [1]);
    adapter.set_buffer_size(0, handle, 20, &mut notes).unwrap();
    tap_all(&mut adapter, 2, &[0], &mut notes);
    adapter.work(0, handle, 1, &mut notes).unwrap();
    let refused = adapter.read(0, handle, &mut [0; 19], &mut notes);
    assert_eq!(refused, Err(ReadError::BufferTooSmall { len: 19, need: 20 }));
    assert_eq!(adapter.read(0, handle, &mut [0; 20], &mut notes).unwrap().bytes, 20);
}

#[test]
fn a_record_larger_than_the_user_buffer_wedges_the_handle() {
    let (mut adapter, handle) = one_handle(options(FIXED, 1000));
    let mut notes = Notes::default();
    tap_all(&mut adapter, 0, &[60, 5], &mut notes);
    adapter.work(0, handle, 2, &mut notes).unwrap();
    for _ in 0..3 {
        assert_eq!(adapter.read(0, handle, &mut [0; 79], &mut notes).unwrap().bytes, 0);
    }
    assert_eq!(adapter.read(0, handle, &mut [0; 80], &mut notes).unwrap().packets, 1);
}
