//! Markers: where they stand in the stream, what they cost, that no loss goes untold.

use crate::dump::engines;
use crate::support::{Notes, check_account, one_handle, tap};
use npf_core::{
    Adapter, BufferMode, DropReason, EngineKind, Event, FilterReset, HandleOptions,
    MalformedRecord, Marker, MarkerKind, Mode, PacketQueueOptions, RecordFormat, Records,
    StoreHoldOptions, WordSize, ZeroCopyOptions, ZeroCopyReader,
};

/// What a reader finds: frames by their first byte, markers.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Frame(u8),
    Lost(u64),
    Filter(u64),
}
use Found::{Filter, Frame, Lost};

fn found(format: RecordFormat, bytes: &[u8]) -> Vec<Found> {
    let found = |record: npf_core::Record<'_>| match record.marker() {
        None => Frame(record.data[0]),
        Some(Marker { kind: MarkerKind::Lost, count }) => Lost(count),
        Some(Marker { kind: MarkerKind::FilterChanged, count }) => Filter(count),
    };
    Records::new(format, bytes).map(|record| found(record.unwrap())).collect()
}

fn marked(engine: EngineKind, kernel_buffer: u64) -> HandleOptions {
    HandleOptions { engine, kernel_buffer, markers: true, ..HandleOptions::default() }
}

/// Everything that there is to be read.
fn read_all(
    adapter: &mut Adapter,
    handle: u32,
    engine: EngineKind,
    notes: &mut Notes,
) -> Vec<Found> {
    adapter.work(0, handle, u32::MAX, notes).unwrap();
    let format = engine.record_format();
    let mut all = Vec::new();
    if let EngineKind::ZeroCopy(ZeroCopyOptions { buffer_mode, .. }) = engine {
        assert_ne!(buffer_mode, BufferMode::Buffered);
        return read_shared(adapter, handle, format, notes);
    }
    let len = engine.read_length(adapter.occupancy(handle).capacity).unwrap_or(20_000);
    loop {
        let mut out = vec![0xee; len as usize];
        let read = adapter.read(0, handle, &mut out, notes).unwrap();
        let new = found(format, &out[..read.bytes]);
        let frames = new.iter().filter(|found| matches!(found, Frame(_))).count();
        assert_eq!(read.packets as usize, frames, "markers are no packets");
        if read.bytes == 0 && adapter.queued(handle) == 0 {
            return all;
        }
        all.extend(new);
    }
}

/// From shared buffers, by the events, as the reader keeps the records to itself.
fn read_shared(
    adapter: &mut Adapter,
    handle: u32,
    format: RecordFormat,
    notes: &mut Notes,
) -> Vec<Found> {
    let mut all = Vec::new();
    let size = adapter.zbuf_size(handle).unwrap();
    // The buffers alternate; one round more than there are sees nothing new.
    let mut reader = ZeroCopyReader::new(adapter, handle).unwrap();
    for buffer in [0, 1, 0, 1] {
        let mut taken = reader.poll(0, adapter, notes).unwrap();
        if taken.waits {
            taken = reader.poll(0, adapter, notes).unwrap();
        }
        if taken.bytes == 0 {
            break;
        }
        let mut bytes = vec![0; taken.bytes];
        adapter.user_read(handle, 0, buffer, npf_core::ZBUF_HEADER, &mut bytes).unwrap();
        assert!(npf_core::ZBUF_HEADER + bytes.len() <= size);
        let new = found(format, &bytes);
        let frames = new.iter().filter(|found| matches!(found, Frame(_))).count();
        assert_eq!((taken.packets as usize, taken.records as usize), (frames, new.len()));
        all.extend(new);
    }
    all
}

/// Frames of 1000 bytes until one is dropped in every design but the worker's, which drops as the
/// worker comes to them.
fn fill(adapter: &mut Adapter, handle: u32, frames: u64, notes: &mut Notes) -> u64 {
    (0..frames).for_each(|tag| tap(adapter, tag, 1000, notes));
    adapter.work(0, handle, u32::MAX, notes).unwrap();
    adapter.counters(handle).unwrap().dropped_total()
}

#[test]
fn in_every_design_the_loss_stands_before_the_next_frame_that_is_stored() {
    for engine in engines() {
        let (mut adapter, handle) = one_handle(marked(engine, 8192));
        let mut notes = Notes::default();
        let lost = fill(&mut adapter, handle, 12, &mut notes);
        assert!(lost > 0 && lost < 12, "{engine:?}");
        let before = read_all(&mut adapter, handle, engine, &mut notes);
        let frames: Vec<_> = (0..12 - lost as u8).map(Frame).collect();
        // A marker may have had room where the next frame had none; then it tells that much.
        let told: u64 = before.iter().map(|found| if let Lost(n) = found { *n } else { 0 }).sum();
        let (seen, _): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|found| matches!(found, Frame(_)));
        assert_eq!(seen, frames, "{engine:?}");

        tap(&mut adapter, 100, 60, &mut notes);
        tap(&mut adapter, 101, 60, &mut notes);
        let after = read_all(&mut adapter, handle, engine, &mut notes);
        assert_eq!(after, [Lost(lost - told), Frame(100), Frame(101)], "{engine:?}");
        assert_eq!(adapter.queued(handle), 0);
        check_account(&adapter, handle);
    }
}

#[test]
fn without_the_option_the_stream_is_as_ever() {
    for engine in engines() {
        let options = HandleOptions { markers: false, ..marked(engine, 8192) };
        let (mut adapter, handle) = one_handle(options);
        let mut notes = Notes::default();
        fill(&mut adapter, handle, 12, &mut notes);
        adapter.set_filter(0, handle, None, FilterReset::No, &mut notes).unwrap();
        let all = read_all(&mut adapter, handle, engine, &mut notes);
        assert!(all.iter().all(|found| matches!(found, Frame(_))));
        assert_eq!(adapter.counters(handle).unwrap().markers, 0);
    }
}

#[test]
fn a_filter_change_stands_between_what_the_old_and_what_the_new_one_accepted() {
    for engine in engines() {
        let (mut adapter, handle) = one_handle(marked(engine, 8192));
        let mut notes = Notes::default();
        tap(&mut adapter, 1, 60, &mut notes);
        adapter.set_filter(0, handle, None, FilterReset::No, &mut notes).unwrap();
        adapter.set_filter(0, handle, None, FilterReset::No, &mut notes).unwrap();
        tap(&mut adapter, 2, 60, &mut notes);
        let queued = adapter.queued(handle);
        assert_eq!(queued, 2, "{engine:?}");
        let all = read_all(&mut adapter, handle, engine, &mut notes);
        assert_eq!(all, [Frame(1), Filter(2), Frame(2)], "{engine:?}");
        assert_eq!(adapter.counters(handle).unwrap().markers, 1);
        check_account(&adapter, handle);
    }
}

#[test]
fn a_flush_is_a_loss_too_and_loses_no_count() {
    for engine in engines() {
        let (mut adapter, handle) = one_handle(marked(engine, 8192));
        let mut notes = Notes::default();
        tap(&mut adapter, 1, 60, &mut notes);
        adapter.set_filter(0, handle, None, FilterReset::Yes, &mut notes).unwrap();
        tap(&mut adapter, 2, 60, &mut notes);
        // Both markers are queued and flushed with the packet.
        adapter.set_filter(0, handle, None, FilterReset::Yes, &mut notes).unwrap();
        assert_eq!(notes.dropped(DropReason::Flushed), [1, 2], "{engine:?}");
        let flushed = notes.events.iter().filter_map(|event| match event {
            Event::BufferReset { flushed, .. } => Some(*flushed),
            _ => None,
        });
        assert_eq!(flushed.collect::<Vec<_>>(), [1, 1], "markers are no packets");
        let gone: Vec<_> = notes
            .events
            .iter()
            .filter_map(|event| match event {
                Event::MarkerDropped { marker, .. } => Some((marker.kind, marker.count)),
                _ => None,
            })
            .collect();
        assert_eq!(gone, [(MarkerKind::Lost, 1), (MarkerKind::FilterChanged, 1)]);
        tap(&mut adapter, 3, 60, &mut notes);
        let all = read_all(&mut adapter, handle, engine, &mut notes);
        assert_eq!(all, [Lost(2), Filter(2), Frame(3)], "{engine:?}");
        check_account(&adapter, handle);
    }
}

#[test]
fn a_marker_is_charged_like_a_record_and_waits_until_it_has_room() {
    let hard = PacketQueueOptions { soft_limit: false, ..PacketQueueOptions::CURRENT };
    let (mut adapter, handle) = one_handle(marked(EngineKind::PacketQueue(hard), 115));
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    tap(&mut adapter, 1, 60, &mut notes);
    notes.events.clear();
    // 35 bytes are free: a frame of 15 fits, a marker, of 36, does not.
    tap(&mut adapter, 2, 15, &mut notes);
    let stored = Event::Stored { tag: 2, handle, caplen: 15, charge: 35, occupancy: 115 };
    assert_eq!(notes.events, [stored]);
    adapter.read(0, handle, &mut [0; 200], &mut notes).unwrap();
    notes.events.clear();
    tap(&mut adapter, 3, 60, &mut notes);
    let marker = Marker { kind: MarkerKind::Lost, count: 1 };
    let marked = Event::MarkerStored { handle, marker, charge: 36, occupancy: 36 };
    assert_eq!(notes.events[0], marked);
    assert_eq!(adapter.occupancy(handle).used, 36);
    // It took the room of the frame, whose loss the next one tells.
    assert_eq!(notes.dropped(DropReason::BufferFull), [3]);
    let mut out = [0; 200];
    let read = adapter.read(0, handle, &mut out, &mut notes).unwrap();
    assert_eq!((read.bytes, read.packets, read.queued_left), (36, 0, 0));
    tap(&mut adapter, 4, 10, &mut notes);
    let all = read_all(&mut adapter, handle, EngineKind::PacketQueue(hard), &mut notes);
    assert_eq!(all, [Lost(1), Frame(4)]);
    check_account(&adapter, handle);
}

#[test]
fn a_marker_that_the_read_cuts_is_told_again() {
    let engine = EngineKind::PacketQueue(PacketQueueOptions::CURRENT);
    let (mut adapter, handle) = one_handle(marked(engine, 5000));
    let mut notes = Notes::default();
    adapter.set_filter(0, handle, None, FilterReset::No, &mut notes).unwrap();
    tap(&mut adapter, 1, 60, &mut notes);
    notes.events.clear();
    let read = adapter.read(0, handle, &mut [0; 30], &mut notes).unwrap();
    assert_eq!((read.bytes, read.packets, read.truncated, read.queued_left), (30, 0, true, 1));
    let marker = Marker { kind: MarkerKind::FilterChanged, count: 1 };
    let told = Event::Read { handle, packets: 0, bytes: 30, queued: 1 };
    assert_eq!(notes.events, [Event::MarkerDropped { handle, marker }, told]);
    tap(&mut adapter, 2, 60, &mut notes);
    let all = read_all(&mut adapter, handle, engine, &mut notes);
    assert_eq!(all, [Frame(1), Filter(1), Frame(2)]);
    assert_eq!(adapter.counters(handle).unwrap().truncated, 0);
}

#[test]
fn a_slot_too_small_for_a_marker_has_none_and_works_on() {
    let choices = StoreHoldOptions { word: WordSize::Bits32, ..StoreHoldOptions::default() };
    let engine = EngineKind::StoreHold(choices);
    let (mut adapter, handle) = one_handle(marked(engine, 66));
    let mut notes = Notes::default();
    adapter.set_filter(0, handle, None, FilterReset::No, &mut notes).unwrap();
    (0..5).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
    let counters = adapter.counters(handle).unwrap();
    assert_eq!((counters.markers, counters.dropped_total()), (0, 3));
    check_account(&adapter, handle);
}

#[test]
fn a_marker_that_pushes_packets_out_tells_of_them_next_time() {
    let choices = StoreHoldOptions { word: WordSize::Bits32, head_drop: true };
    let engine = EngineKind::StoreHold(choices);
    let (mut adapter, handle) = one_handle(marked(engine, 400));
    let mut notes = Notes::default();
    // One frame fills a slot; markers and frames push each other out.
    (0..10).for_each(|tag| tap(&mut adapter, tag, 180, &mut notes));
    let mut lost = 0;
    for tag in 10..13 {
        let all = read_all(&mut adapter, handle, engine, &mut notes);
        lost += all.iter().map(|found| if let Lost(n) = found { *n } else { 0 }).sum::<u64>();
        tap(&mut adapter, tag, 60, &mut notes);
    }
    let dropped = adapter.counters(handle).unwrap().dropped_total();
    assert_eq!((lost, dropped > 5), (dropped, true));
    check_account(&adapter, handle);
}

#[test]
fn a_dump_file_has_none_and_what_is_left_is_told_afterwards() {
    let engine = EngineKind::PacketQueue(PacketQueueOptions::CURRENT);
    let (mut adapter, handle) = one_handle(marked(engine, 200));
    let mut notes = Notes::default();
    adapter.set_filter(0, handle, None, FilterReset::No, &mut notes).unwrap();
    tap(&mut adapter, 1, 60, &mut notes);
    adapter.set_mode(0, handle, Mode::Dump(Default::default()), &mut notes).unwrap();
    (2..6).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
    let step = adapter.dump(0, handle, 99, &mut notes).unwrap();
    assert_eq!((step.packets, step.left), (3, 0));
    tap(&mut adapter, 6, 60, &mut notes);
    assert_eq!(adapter.dump(0, handle, 99, &mut notes).unwrap().packets, 1);
    // The one that was queued before is no packet; none was put in since.
    assert_eq!(adapter.counters(handle).unwrap().markers, 1);
    assert_eq!(crate::savefile::savefile(&notes.file).1.len(), 4);
    adapter.set_mode(0, handle, Mode::Capture, &mut notes).unwrap();
    tap(&mut adapter, 9, 60, &mut notes);
    let all = read_all(&mut adapter, handle, engine, &mut notes);
    assert_eq!(all, [Lost(2), Filter(1), Frame(9)]);
    check_account(&adapter, handle);
}

#[test]
fn handles_have_their_own_markers_and_share_the_frame() {
    let mut adapter = Adapter::new();
    let engine = EngineKind::PacketQueue(PacketQueueOptions::CURRENT);
    let small = adapter.open(marked(engine, 60)).unwrap();
    let large = adapter.open(marked(engine, 5000)).unwrap();
    let mut notes = Notes::default();
    (0..3).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
    adapter.read(0, small, &mut [0; 100], &mut notes).unwrap();
    tap(&mut adapter, 3, 10, &mut notes);
    let all = read_all(&mut adapter, small, engine, &mut notes);
    assert_eq!(all, [Lost(2), Frame(3)]);
    let all = read_all(&mut adapter, large, engine, &mut notes);
    assert_eq!(all, [Frame(0), Frame(1), Frame(2), Frame(3)]);
    assert_eq!(adapter.occupancy(small).memory + adapter.occupancy(large).memory, 0);
}

#[test]
fn records_end_where_the_bytes_do_whatever_they_are() {
    for format in
        [RecordFormat::Npf, RecordFormat::Bsd(WordSize::Bits32), RecordFormat::Bsd(WordSize::Lp64)]
    {
        assert_eq!(Records::new(format, &[]).count(), 0);
        for fill in [0, 0xff] {
            for len in 1..80 {
                let bytes = vec![fill; len];
                let all: Vec<_> = Records::new(format, &bytes).collect();
                assert_eq!(all, [Err(MalformedRecord { at: 0 })]);
            }
        }
    }
}
