//! BSD's double buffer: what a slot holds, when the slots rotate, what a read takes and frees.

use crate::support::{Notes, one_handle, tap};
use npf_core::{
    Adapter, BufferMode, ControlError, DropReason, EngineKind, Event, FilterReset, HandleOptions,
    ReadError, ReadStep, StoreHoldOptions, WordSize, ZeroCopyOptions,
};

const LP64: StoreHoldOptions = StoreHoldOptions { word: WordSize::Lp64, head_drop: false };
const BITS32: StoreHoldOptions = StoreHoldOptions { word: WordSize::Bits32, head_drop: false };

fn options(kernel_buffer: u64, choices: StoreHoldOptions) -> HandleOptions {
    let engine = EngineKind::StoreHold(choices);
    HandleOptions { engine, kernel_buffer, ..HandleOptions::default() }
}

/// Two slots of 300 bytes, three packets of 60 bytes each: 86 and 2 of padding before the next.
fn slots_of_300(count: u64, head_drop: bool) -> (Adapter, u32, Notes) {
    let choices = StoreHoldOptions { head_drop, ..LP64 };
    let (mut adapter, handle) = one_handle(options(600, choices));
    let mut notes = Notes::default();
    (0..count).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
    (adapter, handle, notes)
}

/// A whole read of a slot of 300 bytes: bytes and packets.
fn read(adapter: &mut Adapter, handle: u32, notes: &mut Notes) -> (usize, u32) {
    let mut out = [0xee; 300];
    let read = adapter.read(0, handle, &mut out, notes).unwrap();
    assert!(out[read.bytes..].iter().all(|byte| *byte == 0xee));
    (read.bytes, read.packets)
}

fn tags(notes: &Notes) -> Vec<u64> {
    notes.delivered.iter().map(|packet| packet.tag).collect()
}

#[test]
fn packets_held_by_each_slot_before_the_first_drop() {
    for (size, choices, len, each, need) in [
        (1_000_000, LP64, 60, 5681, 88),
        (1_000_000, LP64, 61, 5681, 88),
        (1_000_000, LP64, 1514, 323, 1544),
        (1_048_576, BITS32, 60, 6553, 80),
        (1_048_576, LP64, 60, 5957, 88),
    ] {
        let (mut adapter, handle) = one_handle(options(size, choices));
        let mut notes = Notes::default();
        let mut tag = 0;
        while !matches!(notes.events.last(), Some(Event::Dropped(_))) {
            tap(&mut adapter, tag, len, &mut notes);
            tag += 1;
            assert_eq!(adapter.ready(handle), tag > each, "ready once the slots have rotated");
        }
        assert_eq!(notes.wakes.len(), 1, "a drop wakes nobody");
        assert_eq!((tag - 1, adapter.queued(handle)), (2 * each, 2 * each));
        let drop = notes.drops()[0];
        let header = if choices.word == WordSize::Lp64 { 26 } else { 18 };
        let pad = need - header - len as u64;
        assert_eq!((drop.reason, drop.capacity), (DropReason::BufferFull, size / 2));
        assert_eq!(drop.occupancy, each * need - pad, "the last record has no padding");
        assert_eq!((drop.need, drop.held), (pad + header + len as u64, None));
        assert_eq!(drop.free_elsewhere, size / 2 - drop.occupancy, "behind what is held");
        let occupancy = adapter.occupancy(handle);
        assert_eq!((occupancy.used, occupancy.capacity), (2 * drop.occupancy, size));
        assert_eq!((occupancy.peak, occupancy.memory > size), (occupancy.used, true));
        assert_eq!(adapter.stats(handle).unwrap().dropped, 1);
    }
}

#[test]
fn records_have_the_header_and_alignment_of_the_word() {
    let now = 3_000_042_000_000;
    let frame = |tag, data| npf_core::Frame { data, wire_len: 1514, tag };
    for (choices, first) in [
        (
            LP64,
            [
                &[3u8, 0, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0][..],
                &[3, 0, 0, 0, 0xea, 5, 0, 0, 26, 0],
            ],
        ),
        (BITS32, [&[3u8, 0, 0, 0, 42, 0, 0, 0], &[3, 0, 0, 0, 0xea, 5, 0, 0, 18, 0]]),
    ] {
        let (mut adapter, handle) = one_handle(options(200, choices));
        let mut notes = Notes::default();
        let frames = [frame(0, &b"one"[..]), frame(1, &b"two"[..])];
        adapter.tap(now, 0, 0, &frames, &mut notes);
        let mut out = [0xee; 100];
        let read = adapter.read(0, handle, &mut out, &mut notes).unwrap();
        let header = first.concat();
        let second = (header.len() + 3).next_multiple_of(if choices == LP64 { 8 } else { 4 });
        assert_eq!(out[..header.len()], header);
        assert_eq!(out[header.len()..header.len() + 3], *b"one");
        assert!(out[header.len() + 3..second].iter().all(|byte| *byte == 0), "padding is zero");
        assert_eq!(out[second..second + header.len()], header);
        assert_eq!(out[second + header.len()..read.bytes], *b"two", "and none after the last");
        assert_eq!(
            (notes.delivered[1].data.as_slice(), notes.delivered[1].len),
            (&b"two"[..], 1514)
        );
    }
}

#[test]
fn the_slots_rotate_when_a_packet_does_not_fit_and_the_packet_begins_the_new_store() {
    let (mut adapter, handle, mut notes) = slots_of_300(3, false);
    assert!(!adapter.ready(handle) && notes.wakes.is_empty());
    let stored =
        |tag, charge, occupancy| Event::Stored { tag, handle, caplen: 60, charge, occupancy };
    assert_eq!(notes.events, [stored(0, 86, 86), stored(1, 88, 174), stored(2, 88, 262)]);
    tap(&mut adapter, 3, 60, &mut notes);
    assert_eq!(notes.events[3..], [stored(3, 86, 86), Event::Woken { handle, occupancy: 348 }]);
    assert!(adapter.ready(handle) && adapter.event_set(handle));
    assert_eq!(read(&mut adapter, handle, &mut notes), (262, 3));
    assert!(!adapter.ready(handle) && !adapter.event_set(handle));
    assert_eq!((adapter.occupancy(handle).used, adapter.queued(handle)), (86, 1));
}

#[test]
fn a_read_that_finds_nothing_held_takes_what_is_stored() {
    let (mut adapter, handle, mut notes) = slots_of_300(1, false);
    assert!(!adapter.ready(handle), "one that blocks would wait");
    assert_eq!(read(&mut adapter, handle, &mut notes), (86, 1));
    assert_eq!(read(&mut adapter, handle, &mut notes), (0, 0));
    // The slots have changed places three times; nothing of that can be seen.
    (1..8).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
    assert_eq!(notes.dropped(DropReason::BufferFull), [7]);
    assert_eq!(read(&mut adapter, handle, &mut notes), (262, 3));
    assert_eq!(read(&mut adapter, handle, &mut notes), (262, 3));
    assert_eq!(tags(&notes), [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn immediate_mode_wakes_for_each_packet() {
    let (mut adapter, handle, mut notes) = slots_of_300(1, false);
    adapter.set_immediate(0, handle, true, &mut notes).unwrap();
    assert!(adapter.ready(handle) && !adapter.event_set(handle), "it holds for the next packet");
    tap(&mut adapter, 1, 60, &mut notes);
    assert_eq!(notes.wakes, [handle]);
    read(&mut adapter, handle, &mut notes);
    assert!(!adapter.ready(handle));
    tap(&mut adapter, 2, 60, &mut notes);
    assert_eq!(notes.wakes, [handle, handle]);
    // A wake-up that is no longer due is none: the next rotation wakes again.
    adapter.set_immediate(0, handle, false, &mut notes).unwrap();
    assert!(!adapter.ready(handle) && !adapter.event_set(handle));
    (3..6).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
    assert_eq!(notes.wakes.len(), 3);
    assert!(adapter.ready(handle));
}

#[test]
fn the_hold_buffer_stays_taken_until_it_is_copied() {
    let (mut adapter, handle, mut notes) = slots_of_300(4, false);
    let mut out = [0; 300];
    let step = adapter.read_step(0, handle, &mut out, &mut notes);
    assert_eq!(step, Ok(ReadStep::Copying { bytes: 262 }));
    assert!(notes.delivered.is_empty() && !adapter.event_set(handle));
    assert_eq!(adapter.occupancy(handle).used, 262 + 86);
    (4..7).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
    assert_eq!(notes.dropped(DropReason::BufferFull), [6], "only the store is theirs");
    let busy = adapter.read(0, handle, &mut [0; 300], &mut notes);
    assert_eq!(busy, Err(ReadError::Busy { handle }));
    let step = adapter.read_step(0, handle, &mut out, &mut notes);
    let Ok(ReadStep::Done(done)) = step else { panic!("{step:?}") };
    assert_eq!((done.bytes, done.packets, done.queued_left), (262, 3, 3));
    assert_eq!((tags(&notes), adapter.occupancy(handle).used), (vec![0, 1, 2], 262));
    tap(&mut adapter, 7, 60, &mut notes);
    assert_eq!((notes.drops().len(), adapter.ready(handle)), (1, true), "now they rotate");
}

#[test]
fn a_read_is_of_one_slot_exactly() {
    let (mut adapter, handle, mut notes) = slots_of_300(4, false);
    for len in [0, 25, 299, 301, 600] {
        let refused = adapter.read(0, handle, &mut vec![0; len], &mut notes);
        assert_eq!(refused, Err(ReadError::ReadLength { len, want: 300 }));
    }
    assert_eq!((adapter.queued(handle), adapter.event_set(handle)), (4, true));
    assert_eq!(EngineKind::StoreHold(LP64).read_length(601), Some(300));
    let buffered = ZeroCopyOptions { buffer_mode: BufferMode::Buffered, ..Default::default() };
    assert_eq!(EngineKind::ZeroCopy(buffered).read_length(601), Some(300));
    assert_eq!(EngineKind::ZeroCopy(ZeroCopyOptions::default()).read_length(601), None);
    assert_eq!(EngineKind::Ring(Default::default()).read_length(601), None);
}

#[test]
fn xnu_gives_up_the_held_packets_unless_they_are_being_read() {
    let (mut adapter, handle, mut notes) = slots_of_300(7, true);
    let facts: Vec<_> = notes
        .drops()
        .iter()
        .map(|drop| (drop.tag, drop.reason, drop.occupancy, drop.capacity, drop.held))
        .collect();
    let gone =
        |tag, occupancy, charge| (tag, DropReason::HeadDropped, occupancy, 300, Some(charge));
    assert_eq!(facts, [gone(0, 262, 86), gone(1, 176, 88), gone(2, 88, 88)]);
    let stats = adapter.stats(handle).unwrap();
    assert_eq!((stats.received, stats.accepted, stats.dropped), (7, 7, 3));
    assert_eq!(read(&mut adapter, handle, &mut notes), (262, 3));
    assert_eq!(tags(&notes), [3, 4, 5]);

    (7..10).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
    let mut out = [0; 300];
    adapter.read_step(0, handle, &mut out, &mut notes).unwrap();
    (10..13).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
    assert_eq!(notes.dropped(DropReason::BufferFull), [12], "the hold buffer is being read");
    adapter.read_step(0, handle, &mut out, &mut notes).unwrap();
    assert_eq!(tags(&notes)[3..], [6, 7, 8]);
}

#[test]
fn a_packet_is_cut_to_the_slot_when_it_is_stored() {
    let (mut adapter, handle, mut notes) = slots_of_300(0, false);
    tap(&mut adapter, 9, 1514, &mut notes);
    let stored = Event::Stored { tag: 9, handle, caplen: 274, charge: 300, occupancy: 300 };
    assert_eq!(notes.events, [stored]);
    assert_eq!(read(&mut adapter, handle, &mut notes), (300, 1));
    assert_eq!((notes.delivered[0].data.len(), notes.delivered[0].len), (274, 1514));
    assert_eq!(adapter.counters(handle).unwrap().truncated, 0, "not by the read");
}

#[test]
fn a_new_filter_empties_both_slots_and_ends_a_read() {
    let (mut adapter, handle, mut notes) = slots_of_300(5, false);
    let mut out = [0; 300];
    adapter.read_step(0, handle, &mut out, &mut notes).unwrap();
    tap(&mut adapter, 5, 60, &mut notes);
    adapter.set_filter(0, handle, None, FilterReset::Yes, &mut notes).unwrap();
    assert_eq!(notes.dropped(DropReason::Flushed), [0, 1, 2, 3, 4, 5]);
    assert!(notes.events.contains(&Event::BufferReset { handle, flushed: 6, capacity: 600 }));
    assert!(!adapter.ready(handle) && !adapter.event_set(handle));
    (6..10).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
    assert_eq!(notes.wakes.len(), 2, "the next rotation wakes again");
    adapter.set_filter(0, handle, None, FilterReset::No, &mut notes).unwrap();
    assert_eq!(read(&mut adapter, handle, &mut notes), (262, 3));
}

#[test]
fn the_size_is_fixed_and_what_is_queued_outlives_the_adapter() {
    let (mut adapter, handle, mut notes) = slots_of_300(4, false);
    for size in [600, 1000] {
        let refused = adapter.set_buffer_size(0, handle, size, &mut notes);
        assert_eq!(refused, Err(ControlError::BufferIsFixed));
    }
    adapter.remove(0, &mut notes);
    assert_eq!(read(&mut adapter, handle, &mut notes), (262, 3));
    assert_eq!(read(&mut adapter, handle, &mut notes), (86, 1));
    let refused = adapter.read(0, handle, &mut [0; 300], &mut notes);
    assert_eq!(refused, Err(ReadError::DeviceRemoved { queued: 0 }));
}

#[test]
fn closing_in_the_middle_of_a_read_loses_what_was_not_copied() {
    let (mut adapter, handle, mut notes) = slots_of_300(4, false);
    adapter.read_step(0, handle, &mut [0; 300], &mut notes).unwrap();
    let last = adapter.close(0, handle, &mut notes).unwrap();
    assert_eq!(notes.dropped(DropReason::Closed), [0, 1, 2, 3]);
    assert_eq!((last.shown, last.delivered + last.dropped_total()), (4, 4));
}

#[test]
fn absurd_sizes() {
    for (size, reason, held) in [
        (0, Some(DropReason::ZeroBuffer), 0),
        (1, Some(DropReason::ZeroBuffer), 0),
        (51, Some(DropReason::BufferFull), 0),
        (52, None, 2),
        (1 << 30, None, 2),
    ] {
        let (mut adapter, handle) = one_handle(options(size, LP64));
        let mut notes = Notes::default();
        (0..2).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
        assert_eq!(notes.drops().first().map(|drop| drop.reason), reason, "{size}");
        assert_eq!(adapter.queued(handle), held, "{size}");
        let used = adapter.occupancy(handle).used;
        assert_eq!(used, if size == 52 { 52 } else { held * 87 }, "{size}");
    }
    let (mut adapter, handle) = one_handle(options(1, LP64));
    let refused = adapter.read(0, handle, &mut [], &mut Notes::default());
    assert_eq!(refused, Err(ReadError::ZeroBuffer));
}
