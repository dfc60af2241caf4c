//! The packet queue: what it holds, when it wakes, what its statistics say, release by release.

use crate::support::{Notes, one_handle, tap};
use npf_core::{Adapter, DropReason, EngineKind, Event, HandleOptions, PacketQueueOptions};

fn options(quirks: PacketQueueOptions) -> HandleOptions {
    HandleOptions { engine: EngineKind::PacketQueue(quirks), ..HandleOptions::default() }
}

/// Packets of `len` bytes held before the first drop by a buffer of 1 000 000 bytes, and the free
/// bytes then.
fn held(quirks: PacketQueueOptions, len: usize) -> (u64, i64) {
    let (mut adapter, handle) = one_handle(options(quirks));
    let mut notes = Notes::default();
    let mut tag = 0;
    while notes.dropped(DropReason::BufferFull).is_empty() {
        tap(&mut adapter, tag, len, &mut notes);
        tag += 1;
    }
    let drop = notes.drops()[0];
    let occupancy = adapter.occupancy(handle);
    assert_eq!(drop.tag, tag - 1);
    assert_eq!((drop.need, drop.capacity), (len as u64 + 20, 1_000_000));
    assert_eq!((drop.occupancy, drop.handle), (occupancy.used, Some(handle)));
    assert_eq!((occupancy.peak, occupancy.capacity), (occupancy.used, 1_000_000));
    (adapter.queued(handle), occupancy.free)
}

#[test]
fn soft_limit_overshoots_by_at_most_one_packet() {
    assert_eq!(held(PacketQueueOptions::CURRENT, 60), (12_500, 0));
    assert_eq!(held(PacketQueueOptions::CURRENT, 61), (12_346, -26));
    assert_eq!(held(PacketQueueOptions::CURRENT, 1514), (652, -168));
}

#[test]
fn hard_test_of_0_9992_keeps_only_what_fits() {
    assert_eq!(held(PacketQueueOptions::NPCAP_0_9992, 60), (12_500, 0));
    assert_eq!(held(PacketQueueOptions::NPCAP_0_9992, 61), (12_345, 55));
    assert_eq!(held(PacketQueueOptions::NPCAP_0_9992, 1514), (651, 1_366));
}

#[test]
fn each_handle_is_charged_for_the_one_copy_and_has_no_claim_to_anothers_room() {
    let mut adapter = Adapter::new();
    let mut notes = Notes::default();
    let small = HandleOptions { kernel_buffer: 100, ..HandleOptions::default() };
    let first = adapter.open(small.clone()).unwrap();
    let second = adapter.open(HandleOptions { kernel_buffer: 1000, ..small.clone() }).unwrap();
    let third = adapter.open(small).unwrap();
    let data = [7; 100];
    let frame = npf_core::Frame { data: &data, wire_len: 100, tag: 0 };
    let work = adapter.tap(0, 3, 2, &[frame, frame], &mut notes);
    assert_eq!((work.frames, work.accepted, work.bytes_copied), (2, 4, 200));
    assert_eq!(adapter.adapter_counters().bytes_copied, 200);
    assert_eq!([first, second, third].map(|id| adapter.occupancy(id).used), [120, 240, 120]);
    // The room of the second handle is not the others' to have: nothing is free elsewhere.
    let [one, two] = notes.drops()[..] else { panic!() };
    assert_eq!((one.handle, one.free_elsewhere), (Some(first), 0));
    assert_eq!((two.handle, two.free_elsewhere), (Some(third), 0));
    assert_eq!((one.cpu, one.queue), (Some(3), Some(2)));
}

#[test]
fn the_reader_is_woken_once_when_min_to_copy_is_reached() {
    let (mut adapter, handle) =
        one_handle(HandleOptions { min_to_copy: 240, ..HandleOptions::default() });
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    tap(&mut adapter, 1, 60, &mut notes);
    assert!(notes.wakes.is_empty() && !adapter.event_set(handle));
    tap(&mut adapter, 2, 60, &mut notes);
    assert_eq!((&notes.wakes[..], adapter.event_set(handle)), (&[handle][..], true));
    tap(&mut adapter, 3, 60, &mut notes);
    assert_eq!(notes.wakes.len(), 1, "the event is already set");

    let read = adapter.read(0, handle, &mut [0; 100], &mut notes).unwrap();
    assert_eq!((read.packets, read.queued_left, adapter.event_set(handle)), (1, 3, false));
    tap(&mut adapter, 4, 60, &mut notes);
    assert_eq!(notes.wakes.len(), 2, "what is left counts");
    assert_eq!(adapter.counters(handle).unwrap().wakes, 2);
    assert!(notes.events.contains(&Event::Woken { handle, occupancy: 320 }));
}

#[test]
fn immediate_mode_wakes_for_each_packet_and_a_new_min_holds_from_the_next_one() {
    let (mut adapter, handle) = one_handle(HandleOptions::default());
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    adapter.set_min_to_copy(0, handle, 0, &mut notes).unwrap();
    assert!(!adapter.event_set(handle));
    tap(&mut adapter, 1, 60, &mut notes);
    assert!(adapter.event_set(handle));
}

#[test]
fn a_full_buffer_wakes_the_reader_whatever_min_to_copy_says_and_one_of_size_0_never() {
    let full = HandleOptions { kernel_buffer: 80, min_to_copy: 1 << 20, ..Default::default() };
    let (mut adapter, handle) = one_handle(full);
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    assert!(!adapter.event_set(handle));
    tap(&mut adapter, 1, 60, &mut notes);
    assert!(adapter.event_set(handle));

    let none = HandleOptions { kernel_buffer: 0, min_to_copy: 0, ..Default::default() };
    let (mut adapter, handle) = one_handle(none);
    let mut notes = Notes::default();
    tap(&mut adapter, 5, 60, &mut notes);
    assert!(!adapter.event_set(handle) && notes.wakes.is_empty());
    assert_eq!(notes.dropped(DropReason::ZeroBuffer), [5]);
    assert_eq!(adapter.stats(handle).unwrap().dropped, 1);
}

#[test]
fn received_counts_before_or_after_the_filter_by_release() {
    let filter = npf_core::filter::Program::parse_ddd("3\n48 0 0 0\n21 0 0 7\n22 0 0 0").unwrap();
    for (quirks, received) in
        [(PacketQueueOptions::CURRENT, 2), (PacketQueueOptions::NPCAP_1_75, 4)]
    {
        let (mut adapter, handle) = one_handle(HandleOptions {
            filter: Some(filter.clone().into()),
            kernel_buffer: 1,
            ..options(quirks)
        });
        let mut notes = Notes::default();
        for tag in [0, 1, 0, 2] {
            tap(&mut adapter, tag, 60, &mut notes);
        }
        let stats = adapter.stats(handle).unwrap();
        assert_eq!((stats.received, stats.accepted, stats.dropped), (received, 1, 1));
        let counters = adapter.counters(handle).unwrap();
        assert_eq!((counters.shown, counters.filtered, counters.stored), (4, 2, 1));
        assert_eq!(counters.instructions, 12);
    }
}

#[test]
fn snaplen_without_a_filter_by_release() {
    for (quirks, charge) in
        [(PacketQueueOptions::CURRENT, 24), (PacketQueueOptions::NPCAP_0_9992, 80)]
    {
        let (mut adapter, handle) = one_handle(HandleOptions { snaplen: 4, ..options(quirks) });
        tap(&mut adapter, 0, 60, &mut Notes::default());
        assert_eq!(adapter.occupancy(handle).used, charge);
    }
}

#[test]
fn the_object_limit_drops_with_no_memory_and_counts_as_resource() {
    let (mut adapter, handle) =
        one_handle(HandleOptions { object_limit: Some(2), ..HandleOptions::default() });
    let mut notes = Notes::default();
    for tag in 0..3 {
        tap(&mut adapter, tag, 60, &mut notes);
    }
    let drop = notes.drops()[0];
    assert_eq!((drop.tag, drop.reason), (2, DropReason::NoMemory));
    assert_eq!((drop.occupancy, drop.capacity, drop.need), (2, 2, 1));
    let stats = adapter.stats(handle).unwrap();
    assert_eq!((stats.received, stats.accepted), (3, 2));
    assert_eq!((stats.dropped, stats.resource_dropped), (1, 1));
    adapter.read(0, handle, &mut [0; 1000], &mut notes).unwrap();
    tap(&mut adapter, 3, 60, &mut notes);
    assert_eq!(adapter.queued(handle), 1);
}
