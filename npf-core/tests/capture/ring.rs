//! WinPcap 2.3's ring: what it holds, where its room ends, how the window slides, what wakes.

use crate::support::{Notes, one_handle, records, tap};
use npf_core::{
    Adapter, DropReason, DropRecord, EngineKind, Event, Frame, HandleOptions, ReadError, ReadStep,
    RingOptions, Stats, filter::Program,
};

fn options(kernel_buffer: u64, prefilter_heuristic: bool) -> HandleOptions {
    HandleOptions {
        engine: EngineKind::Ring(RingOptions { prefilter_heuristic }),
        kernel_buffer,
        min_to_copy: 0,
        ..HandleOptions::default()
    }
}

/// A ring of 1000 bytes, without the heuristic, that has been shown `count` frames of 60 bytes.
fn ring_of_1000(count: u64) -> (Adapter, u32, Notes) {
    let (mut adapter, handle) = one_handle(options(1000, false));
    let mut notes = Notes::default();
    (0..count).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
    (adapter, handle, notes)
}

fn read(adapter: &mut Adapter, handle: u32, len: usize, notes: &mut Notes) -> (usize, u32) {
    let mut out = vec![0xff; len];
    let read = adapter.read(0, handle, &mut out, notes).unwrap();
    assert_eq!(records(&out[..read.bytes]).len(), read.packets as usize);
    assert!(out[read.bytes..].iter().all(|byte| *byte == 0xff));
    (read.bytes, read.packets)
}

#[test]
fn packets_held_before_the_first_drop() {
    use DropReason::{BufferFull, Prefiltered};
    for (len, held, charge, reason, need) in [
        (60, 12_499, 80, BufferFull, 80),
        (61, 11_904, 84, Prefiltered, 81),
        (1514, 651, 1536, Prefiltered, 1534),
    ] {
        for heuristic in [true, false] {
            let (mut adapter, handle) = one_handle(options(1_000_000, heuristic));
            let mut notes = Notes::default();
            let mut tag = 0;
            while !matches!(notes.events.last(), Some(Event::Dropped(_))) {
                tap(&mut adapter, tag, len, &mut notes);
                tag += 1;
            }
            let drop = notes.drops()[0];
            assert_eq!((drop.tag, adapter.queued(handle)), (held, held));
            let expected = if heuristic { (reason, need) } else { (BufferFull, charge) };
            assert_eq!((drop.reason, drop.need), expected);
            let occupancy = adapter.occupancy(handle);
            assert_eq!((occupancy.used, occupancy.peak), (held * charge, held * charge));
            assert_eq!(occupancy.free, 1_000_000 - (held * charge) as i64);
            assert_eq!((drop.occupancy, drop.capacity), (held * charge, 1_000_000));
            assert_eq!((drop.free_elsewhere, drop.held), (0, None));
            assert!(occupancy.memory > 1_000_000 && occupancy.memory == occupancy.peak_memory);
        }
    }
}

#[test]
fn the_heuristic_drops_what_the_filter_would_have_rejected_or_cut() {
    let filter = |accept: u32| Program::parse_ddd(&format!("1\n6 0 0 {accept}")).unwrap();
    for (accept, heuristic, reason) in [
        (0, true, Some(DropReason::Prefiltered)),
        (0, false, None),
        (10, true, Some(DropReason::Prefiltered)),
        (10, false, None),
    ] {
        let (mut adapter, handle) = one_handle(options(100, heuristic));
        let mut notes = Notes::default();
        tap(&mut adapter, 0, 20, &mut notes);
        adapter
            .set_filter(
                0,
                handle,
                Some(filter(accept).into()),
                npf_core::FilterReset::No,
                &mut notes,
            )
            .unwrap();
        tap(&mut adapter, 1, 41, &mut notes);
        assert_eq!(notes.drops().first().map(|drop| drop.reason), reason, "61 B need, 60 free");
        let stats = adapter.stats(handle).unwrap();
        let dropped = u64::from(heuristic);
        let accepted = 1 + u64::from(reason.is_none() && accept > 0);
        assert_eq!(stats, Stats { received: 2, accepted, dropped, resource_dropped: 0 });
        let counters = *adapter.counters(handle).unwrap();
        assert_eq!(counters.instructions, u64::from(!heuristic), "dropped before the filter ran");
        tap(&mut adapter, 2, 40, &mut notes);
        assert_eq!(notes.dropped(DropReason::Prefiltered).len() as u64, dropped, "60 B need");
    }
}

#[test]
fn a_packet_is_never_split_and_the_end_is_wasted() {
    // Packets of 80: 12 take 960, 40 are left. Three are read, so 240 are free at the start.
    let (mut adapter, handle, mut notes) = ring_of_1000(12);
    assert_eq!(read(&mut adapter, handle, 240, &mut notes), (240, 3));
    tap(&mut adapter, 12, 60, &mut notes);
    assert_eq!(adapter.occupancy(handle).used, 10 * 80, "at the start, the 40 bytes are wasted");
    tap(&mut adapter, 13, 60, &mut notes);
    tap(&mut adapter, 14, 60, &mut notes);
    // head is 240, tail 160: 80 are free there, which is not more than 80.
    let drop = notes.drops()[0];
    assert_eq!((drop.tag, drop.reason, drop.need), (14, DropReason::BufferFull, 80));
    assert_eq!((drop.occupancy, drop.free_elsewhere), (880, 120), "40 wasted and 80 in the gap");
    tap(&mut adapter, 15, 56, &mut notes);
    assert_eq!(adapter.occupancy(handle).used, 880 + 76);
}

#[test]
fn free_space_in_two_pieces_is_no_room_even_in_an_empty_ring() {
    let (mut adapter, handle, mut notes) = ring_of_1000(6);
    read(&mut adapter, handle, 1000, &mut notes);
    assert_eq!(adapter.occupancy(handle).used, 0);
    // head and tail are 480: neither 520 behind nor 480 before them take a packet of 520.
    tap(&mut adapter, 6, 500, &mut notes);
    let drop = notes.drops()[0];
    assert_eq!((drop.reason, drop.occupancy), (DropReason::BufferFull, 0));
    assert_eq!((drop.need, drop.free_elsewhere), (520, 1000));
    tap(&mut adapter, 7, 496, &mut notes);
    assert_eq!(adapter.queued(handle), 1, "516 reach 996, below 1000");
}

#[test]
fn a_wrapped_ring_takes_two_reads_and_the_event_stays_for_the_second() {
    let (mut adapter, handle, mut notes) = ring_of_1000(12);
    read(&mut adapter, handle, 240, &mut notes);
    tap(&mut adapter, 12, 60, &mut notes);
    tap(&mut adapter, 13, 61, &mut notes);
    assert!(adapter.event_set(handle));
    assert_eq!(read(&mut adapter, handle, 5000, &mut notes), (720, 9), "the upper part only");
    assert!(adapter.event_set(handle), "whoever did not wait did not clear it");
    assert_eq!(read(&mut adapter, handle, 5000, &mut notes), (164, 2), "then the lower one");
    assert!(!adapter.event_set(handle) && !adapter.ready(handle));
    assert_eq!(read(&mut adapter, handle, 5000, &mut notes), (0, 0));
    let tags: Vec<_> = notes.delivered.iter().map(|packet| packet.tag).collect();
    assert_eq!(tags, (0..14).collect::<Vec<_>>());
    assert!(
        notes
            .delivered
            .iter()
            .all(|packet| packet.data.iter().all(|byte| *byte == packet.tag as u8))
    );
}

#[test]
fn a_reader_that_had_to_wait_clears_the_event_also_in_a_wrapped_ring() {
    let (mut adapter, handle, mut notes) = ring_of_1000(12);
    read(&mut adapter, handle, 240, &mut notes);
    tap(&mut adapter, 12, 60, &mut notes);
    adapter.set_min_to_copy(0, handle, 800, &mut notes).unwrap();
    assert!(adapter.event_set(handle) && adapter.ready(handle), "it waits for the event only");
    assert_eq!(read(&mut adapter, handle, 5000, &mut notes), (720, 9));
    assert!(!adapter.event_set(handle) && !adapter.ready(handle));
}

#[test]
fn the_upper_part_is_also_left_when_a_scan_reaches_its_end() {
    let (mut adapter, handle, mut notes) = ring_of_1000(12);
    read(&mut adapter, handle, 240, &mut notes);
    tap(&mut adapter, 12, 60, &mut notes);
    // 720 are in the upper part: not below the 720 of the user buffer, so it is scanned.
    assert_eq!(read(&mut adapter, handle, 720, &mut notes), (720, 9));
    assert_eq!(read(&mut adapter, handle, 720, &mut notes), (80, 1));
}

#[test]
fn a_ring_that_wraps_while_empty_gives_one_empty_read() {
    let (mut adapter, handle, mut notes) = ring_of_1000(12);
    read(&mut adapter, handle, 1000, &mut notes);
    tap(&mut adapter, 12, 60, &mut notes);
    assert!(adapter.ready(handle));
    assert_eq!(read(&mut adapter, handle, 1000, &mut notes), (0, 0));
    assert!(adapter.ready(handle));
    assert_eq!(read(&mut adapter, handle, 1000, &mut notes), (80, 1));
}

#[test]
fn all_is_read_if_it_is_less_than_the_user_buffer_else_whole_packets() {
    for (len, got, event) in [
        (241, 240, false),
        (240, 240, true),
        (239, 160, true),
        (80, 80, true),
        (79, 0, true),
        (20, 0, true),
    ] {
        let (mut adapter, handle, mut notes) = ring_of_1000(3);
        assert_eq!(read(&mut adapter, handle, len, &mut notes), (got, got as u32 / 80));
        assert_eq!(adapter.event_set(handle), event, "{len}: a scan does not clear the event");
    }
}

#[test]
fn a_packet_larger_than_the_user_buffer_wedges_the_handle() {
    let (mut adapter, handle, mut notes) = ring_of_1000(0);
    tap(&mut adapter, 0, 100, &mut notes);
    tap(&mut adapter, 1, 10, &mut notes);
    for _ in 0..3 {
        assert_eq!(read(&mut adapter, handle, 119, &mut notes), (0, 0));
    }
    adapter.remove(0, &mut notes);
    let refused = adapter.read(0, handle, &mut [0; 119], &mut notes);
    assert_eq!(refused, Err(ReadError::DeviceRemoved { queued: 2 }));
    assert_eq!(read(&mut adapter, handle, 120, &mut notes), (120, 1));
}

#[test]
fn the_reader_is_woken_by_more_than_min_to_copy_and_by_no_drop() {
    let wants_160 = HandleOptions { min_to_copy: 160, ..options(300, false) };
    let (mut adapter, handle) = one_handle(wants_160);
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    tap(&mut adapter, 1, 60, &mut notes);
    assert!(notes.wakes.is_empty() && !adapter.ready(handle), "160 are not more than 160");
    tap(&mut adapter, 2, 0, &mut notes);
    assert!(notes.wakes == [handle] && adapter.ready(handle));
    assert!(notes.events.contains(&Event::Woken { handle, occupancy: 180 }));

    let never = HandleOptions { min_to_copy: 300, ..options(300, true) };
    let (mut adapter, handle) = one_handle(never);
    let mut notes = Notes::default();
    (0..9).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
    assert!(!notes.drops().is_empty() && notes.wakes.is_empty() && !adapter.ready(handle));
    adapter.set_immediate(0, handle, true, &mut notes).unwrap();
    assert!(adapter.ready(handle) && !adapter.event_set(handle));
    assert_eq!(read(&mut adapter, handle, 500, &mut notes), (240, 3));
}

/// Steps a read of `out` until it is done: the bytes of each step, and what `between` makes of it.
fn step(adapter: &mut Adapter, handle: u32, out: &mut [u8], notes: &mut Notes) -> Option<usize> {
    match adapter.read_step(0, handle, out, notes).unwrap() {
        ReadStep::Copying { bytes } => Some(bytes),
        ReadStep::Done(_) => None,
    }
}

#[test]
fn the_window_slides_by_1024_bytes_through_the_middle_of_packets() {
    let (mut adapter, handle) = one_handle(options(4000, true));
    let mut notes = Notes::default();
    for tag in 0..2 {
        tap(&mut adapter, tag, 1514, &mut notes);
    }
    let mut out = [0; 4000];
    assert_eq!(adapter.occupancy(handle).used, 3072);
    assert_eq!(step(&mut adapter, handle, &mut out, &mut notes), Some(1024));
    assert_eq!(adapter.occupancy(handle).used, 3072, "being copied");
    assert!(!adapter.event_set(handle), "cleared when the read began");
    tap(&mut adapter, 2, 1000, &mut notes);
    assert_eq!(notes.dropped(DropReason::Prefiltered), [2], "no room yet");
    assert_eq!(step(&mut adapter, handle, &mut out, &mut notes), Some(1024));
    assert_eq!((adapter.occupancy(handle).used, adapter.queued(handle)), (2048, 2));
    tap(&mut adapter, 3, 1000, &mut notes);
    assert_eq!(adapter.occupancy(handle).used, 2048 + 1020, "in the middle of the first packet");
    assert!(adapter.event_set(handle), "a packet in the meantime wakes");
    assert_eq!(step(&mut adapter, handle, &mut out, &mut notes), Some(1024));
    assert_eq!((notes.delivered.len(), adapter.queued(handle)), (1, 2), "its last byte is out");
    assert_eq!(step(&mut adapter, handle, &mut out, &mut notes), None);
    assert_eq!((notes.delivered.len(), adapter.occupancy(handle).used), (2, 1020));
    assert_eq!(notes.delivered[1].data, [1; 1514]);
    assert!(adapter.event_set(handle), "and stays set");
    assert_eq!(read(&mut adapter, handle, 4000, &mut notes), (0, 0), "it wrapped at the old tail");
    assert_eq!(read(&mut adapter, handle, 4000, &mut notes), (1020, 1));
    let counters = adapter.counters(handle).unwrap();
    assert_eq!((counters.reads, counters.read_bytes), (3, 3072 + 1020));
}

#[test]
fn a_copy_ends_with_what_is_left_of_1024() {
    let (mut adapter, handle) = one_handle(options(4000, true));
    let mut notes = Notes::default();
    tap(&mut adapter, 7, 1100, &mut notes);
    let mut out = [0; 2000];
    let steps: Vec<_> = (0..3).map(|_| step(&mut adapter, handle, &mut out, &mut notes)).collect();
    assert_eq!(steps, [Some(1024), Some(96), None]);
    assert_eq!(records(&out[..1120])[0].data, [7; 1100]);
}

#[test]
fn a_flush_in_the_middle_of_a_read_ends_it_and_the_first_packet_is_lost() {
    let (mut adapter, handle) = one_handle(options(4000, true));
    let mut notes = Notes::default();
    (0..2).for_each(|tag| tap(&mut adapter, tag, 1514, &mut notes));
    let mut out = [0; 4000];
    step(&mut adapter, handle, &mut out, &mut notes);
    step(&mut adapter, handle, &mut out, &mut notes);
    let busy = adapter.read(0, handle, &mut out, &mut notes);
    assert_eq!(busy, Err(ReadError::Busy { handle }));
    let other = adapter.read_step(0, handle, &mut out[1..], &mut notes);
    assert_eq!(other, Err(ReadError::OtherBuffer { len: 3999, begun: 4000 }));
    adapter.set_buffer_size(0, handle, 2000, &mut notes).unwrap();
    let facts = |drop: &DropRecord| (drop.reason, drop.occupancy, drop.held, drop.capacity);
    assert_eq!(
        notes.drops().iter().map(facts).collect::<Vec<_>>(),
        [
            (DropReason::Flushed, 2048, Some(1536), 4000),
            (DropReason::Flushed, 1536, Some(1536), 4000)
        ]
    );
    assert_eq!((adapter.occupancy(handle).used, adapter.occupancy(handle).capacity), (0, 2000));
    assert_eq!(read(&mut adapter, handle, 4000, &mut notes), (0, 0), "a new read");
    tap(&mut adapter, 2, 60, &mut notes);
    assert_eq!(read(&mut adapter, handle, 4000, &mut notes), (80, 1));
    assert_eq!(notes.delivered.len(), 1);
}

#[test]
fn closing_and_removing_in_the_middle_of_a_read() {
    let (mut adapter, handle) = one_handle(options(4000, true));
    let mut notes = Notes::default();
    (0..2).for_each(|tag| tap(&mut adapter, tag, 1514, &mut notes));
    let mut out = [0; 4000];
    step(&mut adapter, handle, &mut out, &mut notes);
    adapter.remove(0, &mut notes);
    for _ in 0..2 {
        assert_eq!(step(&mut adapter, handle, &mut out, &mut notes), Some(1024));
    }
    let last = adapter.close(0, handle, &mut notes).unwrap();
    assert_eq!((last.delivered, notes.dropped(DropReason::Closed)), (1, vec![1]));
    assert_eq!(last.shown, last.delivered + last.dropped_total());
}

#[test]
fn a_buffer_of_size_0_drops_uncounted_and_the_heuristic_before_it_counts() {
    for (heuristic, reason, dropped) in
        [(false, DropReason::ZeroBuffer, 0), (true, DropReason::Prefiltered, 1)]
    {
        let (mut adapter, handle) = one_handle(options(0, heuristic));
        let mut notes = Notes::default();
        tap(&mut adapter, 5, 60, &mut notes);
        assert_eq!(notes.dropped(reason), [5]);
        assert_eq!(adapter.stats(handle).unwrap().dropped, dropped);
        assert_eq!(adapter.counters(handle).unwrap().dropped_total(), 1);
        assert!(notes.wakes.is_empty());
        let refused = adapter.read(0, handle, &mut [0; 100], &mut notes);
        assert_eq!(refused, Err(ReadError::ZeroBuffer));
    }
}

#[test]
fn absurd_sizes() {
    for size in [1, 19, 20, 21] {
        let (mut adapter, handle) = one_handle(options(size, false));
        let mut notes = Notes::default();
        tap(&mut adapter, 0, 0, &mut notes);
        assert_eq!(adapter.queued(handle), u64::from(size == 21), "20 must stay below the size");
    }
    let (mut adapter, handle) = one_handle(options(1 << 30, true));
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 65_536, &mut notes);
    assert_eq!(adapter.occupancy(handle).used, 65_556);
    let refused = adapter.read(0, handle, &mut [0; 19], &mut notes);
    assert_eq!(refused, Err(ReadError::BufferTooSmall { len: 19, need: 20 }));
    let data = [3; 5];
    let frame = Frame { data: &data, wire_len: u32::MAX, tag: 1 };
    adapter.tap(0, 0, 0, &[frame], &mut notes);
    let drop = notes.drops()[0];
    assert_eq!((drop.reason, drop.need), (DropReason::Prefiltered, u64::from(u32::MAX) + 20));
}
