//! Dump mode: from every design's buffer to a capture file, with limits and an end.

use crate::savefile::savefile;
use crate::support::{Notes, check_account, one_handle, tap};
use npf_core::{
    Adapter, ControlError, DropReason, DumpLimits, DumpStep, EngineKind, Event, Frame,
    HandleOptions, Mode, ReadError, ReadStep, RingOptions, SegmentsOptions, StoreHoldOptions,
    WorkerOptions, ZeroCopyOptions,
};

pub fn engines() -> [EngineKind; 6] {
    [
        EngineKind::Segments(SegmentsOptions::default()),
        EngineKind::Worker(WorkerOptions::default()),
        EngineKind::PacketQueue(Default::default()),
        EngineKind::Ring(RingOptions::default()),
        EngineKind::StoreHold(StoreHoldOptions::default()),
        EngineKind::ZeroCopy(ZeroCopyOptions::default()),
    ]
}

const NO_LIMITS: DumpLimits =
    DumpLimits { max_bytes: None, max_packets: None, one_too_many: false };

fn dumping(limits: DumpLimits) -> HandleOptions {
    HandleOptions { mode: Mode::Dump(limits), kernel_buffer: 8192, ..HandleOptions::default() }
}

/// Lets the worker work, and dumps all there is.
fn dump(adapter: &mut Adapter, handle: u32, notes: &mut Notes) -> DumpStep {
    adapter.work(0, handle, u32::MAX, notes).unwrap();
    adapter.dump(0, handle, u32::MAX, notes).unwrap()
}

#[test]
fn every_design_writes_the_file_that_libpcap_reads() {
    for engine in engines() {
        let options =
            HandleOptions { engine, epoch_seconds: 1000, snaplen: 100, ..dumping(NO_LIMITS) };
        let (mut adapter, handle) = one_handle(options);
        let mut notes = Notes::default();
        let mut expected = Vec::new();
        // Enough rounds for every ring to wrap.
        for round in 0..40u64 {
            for at in 0..11 {
                let tag = round * 11 + at;
                let len = (tag * 37 % 130) as usize;
                let data: Vec<u8> = (0..len).map(|byte| byte as u8 ^ tag as u8).collect();
                let frame = Frame { data: &data, wire_len: len as u32 + 3, tag };
                adapter.tap(2_000_003_999_999, 0, 0, &[frame], &mut notes);
                expected.push((len as u32 + 3, data[..len.min(100)].to_vec()));
            }
            let step = dump(&mut adapter, handle, &mut notes);
            assert_eq!((step.packets, step.left, step.ended), (11, 0, false), "{engine:?}");
            check_account(&adapter, handle);
        }
        let (snaplen, packets) = savefile(&notes.file);
        assert_eq!(snaplen, 100);
        assert!(packets.iter().all(|packet| (packet.sec, packet.usec) == (1002, 3)));
        let found: Vec<_> = packets.into_iter().map(|saved| (saved.len, saved.data)).collect();
        assert_eq!(found, expected, "{engine:?}");
        let counters = adapter.counters(handle).unwrap();
        assert_eq!((counters.dumped, counters.dump_bytes), (440, notes.file.len() as u64));
        let occupancy = adapter.occupancy(handle);
        assert_eq!(occupancy.used, 0, "{engine:?}");
    }
}

#[test]
fn the_core_copies_each_byte_once_and_capture_twice() {
    for (mode, copies) in [(Mode::Dump(NO_LIMITS), 1), (Mode::Capture, 2)] {
        let (mut adapter, handle) = one_handle(HandleOptions { mode, ..HandleOptions::default() });
        let mut notes = Notes::default();
        for tag in 0..10 {
            tap(&mut adapter, tag, 60, &mut notes);
        }
        if mode == Mode::Capture {
            adapter.read(0, handle, &mut [0; 1000], &mut notes).unwrap();
        } else {
            adapter.dump(0, handle, 10, &mut notes).unwrap();
        }
        let counters = adapter.adapter_counters();
        assert_eq!(counters.bytes_copied + counters.read_copied, copies * 600);
    }
}

#[test]
fn a_call_writes_as_many_packets_as_it_may_and_the_header_once() {
    let (mut adapter, handle) = one_handle(dumping(NO_LIMITS));
    let mut notes = Notes::default();
    (0..3).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
    let step = adapter.dump(0, handle, 0, &mut notes).unwrap();
    assert_eq!(step, DumpStep { packets: 0, bytes: 24, left: 3, ended: false });
    let step = adapter.dump(0, handle, 2, &mut notes).unwrap();
    assert_eq!(step, DumpStep { packets: 2, bytes: 152, left: 1, ended: false });
    assert_eq!(notes.events.last(), Some(&Event::Dumped { tag: 1, handle, caplen: 60 }));
    let step = adapter.dump(0, handle, 2, &mut notes).unwrap();
    assert_eq!((step.packets, step.bytes, step.left), (1, 76, 0));
    assert_eq!(savefile(&notes.file).1.len(), 3);
    // The mode set again begins another file.
    notes.file.clear();
    adapter.set_mode(0, handle, Mode::Dump(NO_LIMITS), &mut notes).unwrap();
    assert_eq!(adapter.dump(0, handle, 9, &mut notes).unwrap().bytes, 24);
    assert_eq!(savefile(&notes.file).1.len(), 0);
    assert_eq!(adapter.counters(handle).unwrap().dump_bytes, 24 + 3 * 76 + 24);
}

#[test]
fn the_byte_limit_is_for_the_whole_file_and_whole_packets() {
    for (max_bytes, fit) in [(24, 0), (24 + 75, 0), (24 + 76, 1), (24 + 77, 1), (24 + 3 * 76, 3)] {
        for engine in engines() {
            let limits = DumpLimits { max_bytes: Some(max_bytes), ..NO_LIMITS };
            let (mut adapter, handle) = one_handle(HandleOptions { engine, ..dumping(limits) });
            let mut notes = Notes::default();
            (0..5).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
            let step = dump(&mut adapter, handle, &mut notes);
            assert_eq!((u64::from(step.packets), step.left, step.ended), (fit, 0, true));
            assert_eq!(savefile(&notes.file).1.len() as u64, fit);
            let size = notes.file.len() as u64;
            assert!(size <= max_bytes);
            assert_eq!(notes.events.last(), Some(&Event::Woken { handle, occupancy: 0 }));
            let ended = Event::DumpEnded { handle, packets: fit, bytes: size };
            assert!(notes.events.contains(&ended), "{engine:?}");
            assert_eq!(notes.dropped(DropReason::DumpEnded), (fit..5).collect::<Vec<_>>());
            for drop in notes.drops() {
                assert_eq!((drop.occupancy, drop.capacity, drop.need), (size, size, 76));
                assert!(drop.held.is_some());
            }
            assert_eq!(notes.wakes, [handle]);
            check_account(&adapter, handle);
        }
    }
}

#[test]
fn a_shorter_packet_behind_one_that_is_too_long_does_not_get_in() {
    let limits = DumpLimits { max_bytes: Some(100), ..NO_LIMITS };
    let (mut adapter, handle) = one_handle(dumping(limits));
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 61, &mut notes);
    tap(&mut adapter, 1, 10, &mut notes);
    assert!(dump(&mut adapter, handle, &mut notes).ended);
    assert_eq!(notes.file.len(), 24);
    // Requests that still wait for the worker are lost, too.
    let engine = EngineKind::Worker(WorkerOptions::default());
    let (mut adapter, handle) = one_handle(HandleOptions { engine, ..dumping(limits) });
    tap(&mut adapter, 0, 61, &mut notes);
    adapter.work(0, handle, 1, &mut notes).unwrap();
    tap(&mut adapter, 1, 10, &mut notes);
    notes.events.clear();
    assert!(adapter.dump(0, handle, 9, &mut notes).unwrap().ended);
    let held: Vec<_> = notes.drops().iter().map(|drop| (drop.tag, drop.held, drop.need)).collect();
    assert_eq!(held, [(0, Some(81), 77), (1, Some(0), 26)]);
    assert_eq!((adapter.queued(handle), adapter.pending(handle)), (0, 0));
    check_account(&adapter, handle);
}

#[test]
fn the_packet_limit_is_exact_or_one_too_many() {
    for engine in engines() {
        for (max, one_too_many, fit) in [(0, false, 0), (0, true, 1), (3, false, 3), (3, true, 4)] {
            let limits = DumpLimits { max_packets: Some(max), one_too_many, ..NO_LIMITS };
            let (mut adapter, handle) = one_handle(HandleOptions { engine, ..dumping(limits) });
            let mut notes = Notes::default();
            (0..6).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
            assert_eq!(adapter.queued(handle), fit, "nothing is stored that would not be written");
            assert_eq!(notes.dump_wakes, [handle], "which also wakes");
            let step = dump(&mut adapter, handle, &mut notes);
            assert_eq!((u64::from(step.packets), step.ended), (fit, true), "{engine:?}");
            tap(&mut adapter, 6, 60, &mut notes);
            let lost: Vec<_> = (fit..=6).collect();
            assert_eq!(notes.dropped(DropReason::DumpEnded), lost);
            assert!(notes.drops().iter().all(|drop| drop.held.is_none() && drop.need == 76));
            assert_eq!(savefile(&notes.file).1.len() as u64, fit);
            let again = adapter.dump(0, handle, 9, &mut notes).unwrap();
            assert_eq!(again, DumpStep { ended: true, ..DumpStep::default() });
            assert_eq!(adapter.stats(handle).unwrap().dropped, 0);
            check_account(&adapter, handle);
        }
    }
}

#[test]
fn half_the_buffer_wakes_the_writer_and_nothing_wakes_the_reader() {
    let options = HandleOptions { kernel_buffer: 400, min_to_copy: 0, ..dumping(NO_LIMITS) };
    let (mut adapter, handle) = one_handle(options);
    let mut notes = Notes::default();
    (0..2).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
    assert!(notes.dump_wakes.is_empty());
    (2..4).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
    assert_eq!(notes.dump_wakes, [handle], "once until the next dump");
    assert!(notes.events.contains(&Event::DumpWoken { handle, occupancy: 240 }));
    adapter.dump(0, handle, 1, &mut notes).unwrap();
    tap(&mut adapter, 4, 60, &mut notes);
    assert_eq!(notes.dump_wakes.len(), 2);
    assert!(notes.wakes.is_empty() && !adapter.ready(handle));
    // Back in capture mode the old number of bytes holds.
    adapter.set_mode(0, handle, Mode::Capture, &mut notes).unwrap();
    tap(&mut adapter, 5, 60, &mut notes);
    assert_eq!((notes.wakes.len(), notes.dump_wakes.len()), (1, 2));
}

#[test]
fn reads_give_nothing_and_are_served_when_the_file_is_complete() {
    let limits = DumpLimits { max_packets: Some(1), ..NO_LIMITS };
    let (mut adapter, handle) = one_handle(dumping(limits));
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    let read = adapter.read(0, handle, &mut [], &mut notes).unwrap();
    assert_eq!((read.bytes, read.packets, read.queued_left), (0, 0, 1));
    dump(&mut adapter, handle, &mut notes);
    assert!(adapter.ready(handle));
    assert_eq!(adapter.read(0, handle, &mut [0; 99], &mut notes).unwrap().bytes, 0);
    assert!(!adapter.ready(handle), "the read has cleared the event");
}

#[test]
fn what_was_captured_before_is_dumped_but_not_while_it_is_read() {
    let options = HandleOptions {
        engine: EngineKind::Ring(RingOptions::default()),
        kernel_buffer: 5000,
        ..HandleOptions::default()
    };
    let (mut adapter, handle) = one_handle(options);
    let mut notes = Notes::default();
    let refused = adapter.dump(0, handle, 1, &mut notes);
    assert_eq!(refused, Err(ControlError::NotDumping { handle }));
    (0..3).for_each(|tag| tap(&mut adapter, tag, 1000, &mut notes));
    let mut out = [0; 2500];
    adapter.read_step(0, handle, &mut out, &mut notes).unwrap();
    adapter.set_mode(0, handle, Mode::Dump(NO_LIMITS), &mut notes).unwrap();
    let refused = adapter.dump(0, handle, 1, &mut notes);
    assert_eq!(refused, Err(ControlError::ReadInProgress { handle }));
    while !matches!(adapter.read_step(0, handle, &mut out, &mut notes), Ok(ReadStep::Done(_))) {}
    assert_eq!(adapter.dump(0, handle, 9, &mut notes).unwrap().packets, 1);
    assert_eq!(savefile(&notes.file).1[0].data, [2; 1000]);
    check_account(&adapter, handle);
}

#[test]
fn removal_ends_the_dump_when_everything_is_written() {
    for engine in engines() {
        let (mut adapter, handle) = one_handle(HandleOptions { engine, ..dumping(NO_LIMITS) });
        let mut notes = Notes::default();
        (0..3).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
        adapter.remove(0, &mut notes);
        let refused = adapter.read(0, handle, &mut [0; 99], &mut notes);
        assert_eq!(refused, Err(ReadError::DeviceRemoved { queued: 3 }));
        adapter.work(0, handle, 9, &mut notes).unwrap();
        assert!(!adapter.dump(0, handle, 2, &mut notes).unwrap().ended);
        assert!(adapter.dump(0, handle, 2, &mut notes).unwrap().ended);
        assert_eq!((notes.wakes.len(), savefile(&notes.file).1.len()), (1, 3));
        check_account(&adapter, handle);
    }
}

#[test]
fn a_handle_that_is_closed_while_packets_are_queued_loses_them() {
    let (mut adapter, handle) = one_handle(dumping(NO_LIMITS));
    let mut notes = Notes::default();
    (0..3).for_each(|tag| tap(&mut adapter, tag, 60, &mut notes));
    adapter.dump(0, handle, 1, &mut notes).unwrap();
    let last = adapter.close(0, handle, &mut notes).unwrap();
    assert_eq!((last.shown, last.dumped, last.dropped_total()), (3, 1, 2));
    assert_eq!(notes.dropped(DropReason::Closed), [1, 2]);
    assert_eq!(notes.file.len(), 24 + 76);
    let refused = adapter.dump(0, handle, 1, &mut notes);
    assert_eq!(refused, Err(ControlError::NoSuchHandle { handle }));
}

#[test]
fn limits_without_room_for_the_header_are_refused_and_a_buffer_of_0_dumps_nothing() {
    let limits = DumpLimits { max_bytes: Some(23), ..NO_LIMITS };
    let refused = ControlError::DumpTooSmall { asked: 23, least: 24 };
    assert_eq!(Adapter::new().open(dumping(limits)), Err(refused));
    let (mut adapter, handle) = one_handle(HandleOptions::default());
    let mut notes = Notes::default();
    let set = adapter.set_mode(0, handle, Mode::Dump(limits), &mut notes);
    assert_eq!((set, notes.events.len()), (Err(refused), 0));
    tap(&mut adapter, 0, 60, &mut notes);
    assert_eq!(adapter.queued(handle), 1, "the mode is still capture");

    let absurd =
        DumpLimits { max_bytes: Some(u64::MAX), max_packets: Some(u64::MAX), one_too_many: true };
    let (mut adapter, handle) = one_handle(HandleOptions { kernel_buffer: 0, ..dumping(absurd) });
    tap(&mut adapter, 1, 60, &mut notes);
    assert_eq!(notes.dropped(DropReason::ZeroBuffer), [1]);
    let step = adapter.dump(0, handle, u32::MAX, &mut notes).unwrap();
    assert_eq!(step, DumpStep { bytes: 24, ..DumpStep::default() });
    check_account(&adapter, handle);
}
