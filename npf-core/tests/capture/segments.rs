//! The segments: what one CPU may hold, who is woken, what the reader finds, setting by setting.

use crate::support::{Notes, one_handle, records};
use npf_core::{
    Adapter, ControlError, CpuClamp, DropReason, EngineKind, Event, Frame, HandleOptions,
    Occupancy, ReadError, SegmentChoice, SegmentsOptions,
};

fn options(choices: SegmentsOptions, cpus: u16, kernel_buffer: u64) -> HandleOptions {
    HandleOptions {
        engine: EngineKind::Segments(choices),
        cpus,
        kernel_buffer,
        ..HandleOptions::default()
    }
}

fn shipped(cpus: u16, kernel_buffer: u64) -> HandleOptions {
    options(SegmentsOptions::default(), cpus, kernel_buffer)
}

/// Taps one frame on a CPU; its bytes count up from its tag.
fn tap(adapter: &mut Adapter, cpu: u16, tag: u64, len: usize, notes: &mut Notes) {
    let data: Vec<_> = (tag..).take(len).map(|byte| byte as u8).collect();
    adapter.tap(0, cpu, 0, &[Frame { data: &data, wire_len: len as u32, tag }], notes);
}

/// Tags of the packets that one read gives.
fn read(adapter: &mut Adapter, handle: u32, len: usize, notes: &mut Notes) -> Vec<u64> {
    let before = notes.delivered.len();
    adapter.read(0, handle, &mut vec![0; len], notes).unwrap();
    notes.delivered[before..].iter().map(|packet| packet.tag).collect()
}

/// Packets of `len` bytes, all on CPU 0, held before the first drop by a buffer of 1 000 000 bytes.
fn held(cpus: u16, len: usize) -> u64 {
    let (mut adapter, handle) = one_handle(shipped(cpus, 1_000_000));
    let mut notes = Notes::default();
    for tag in 0.. {
        tap(&mut adapter, 0, tag, len, &mut notes);
        if let Some(drop) = notes.drops().first() {
            let size = 1_000_000 / u64::from(cpus);
            assert_eq!((drop.reason, drop.tag), (DropReason::SegmentFull, tag));
            assert_eq!((drop.need, drop.capacity), (24 + len as u64, size));
            assert_eq!(drop.occupancy, adapter.occupancy(handle).used);
            assert_eq!(drop.free_elsewhere, size * (u64::from(cpus) - 1));
            break;
        }
        notes.events.clear();
    }
    adapter.queued(handle)
}

#[test]
fn one_cpu_may_fill_its_segment_and_no_other() {
    assert_eq!([60, 61, 1514].map(|len| held(1, len)), [11_904, 11_764, 650]);
    assert_eq!([60, 61, 1514].map(|len| held(16, len)), [744, 735, 40]);
    assert_eq!([60, 61, 1514].map(|len| held(64, len)), [186, 183, 10]);
}

#[test]
fn the_proposals_of_issue_317_give_one_flow_more_or_all_of_the_buffer() {
    for (choice, count, queued) in [
        (SegmentChoice::Cpu, None, 744),
        (SegmentChoice::Cpu, Some(4), 2976),
        (SegmentChoice::Modulo, Some(4), 2976),
        (SegmentChoice::RoundRobin, None, 16 * 744),
        (SegmentChoice::RoundRobin, Some(4), 4 * 2976),
    ] {
        let choices = SegmentsOptions { choice, count, ..SegmentsOptions::default() };
        let (mut adapter, handle) = one_handle(options(choices, 16, 1_000_000));
        let mut notes = Notes::default();
        (0..12_500).for_each(|tag| tap(&mut adapter, 5, tag, 60, &mut notes));
        assert_eq!(adapter.queued(handle), queued, "{choice:?} {count:?}");
    }
}

#[test]
fn the_reader_gets_what_several_cpus_stored_in_the_order_of_storing() {
    let (mut adapter, handle) = one_handle(shipped(4, 4000));
    let mut notes = Notes::default();
    let cpus = [3, 0, 0, 2, 1, 3, 3, 0];
    for (tag, cpu) in (0..).zip(cpus) {
        tap(&mut adapter, cpu, tag, 60 + tag as usize, &mut notes);
    }
    assert_eq!(read(&mut adapter, handle, 300, &mut notes), [0, 1, 2]);
    let mut out = [0; 1000];
    let read = adapter.read(0, handle, &mut out, &mut notes).unwrap();
    assert_eq!((read.packets, read.queued_left), (5, 0));
    for (tag, record) in (3..).zip(records(&out[..read.bytes])) {
        let data: Vec<_> = (tag..tag + 60 + tag).collect();
        assert_eq!((record.len, record.data), (60 + u32::from(tag), data));
    }
}

#[test]
fn data_wraps_a_header_does_not_and_a_skip_is_charged_to_the_packet_before() {
    let (mut adapter, handle) = one_handle(shipped(1, 100));
    let mut notes = Notes::default();
    let used = |adapter: &Adapter| adapter.occupancy(handle).used;
    // 0..64; then 64..88 and its data 88..100, 0..28.
    tap(&mut adapter, 0, 0, 40, &mut notes);
    assert_eq!(read(&mut adapter, handle, 60, &mut notes), [0]);
    tap(&mut adapter, 0, 1, 40, &mut notes);
    assert_eq!(used(&adapter), 64);
    assert_eq!(read(&mut adapter, handle, 60, &mut notes), [1]);
    assert_eq!(notes.delivered[1].data, (1..41).collect::<Vec<u8>>());
    // 28..77: 23 bytes are left, no header fits. Then 0..100 is one packet.
    tap(&mut adapter, 0, 2, 25, &mut notes);
    assert_eq!(used(&adapter), 49 + 23);
    assert_eq!(read(&mut adapter, handle, 60, &mut notes), [2]);
    assert_eq!(used(&adapter), 0);
    tap(&mut adapter, 0, 3, 76, &mut notes);
    assert_eq!((used(&adapter), adapter.occupancy(handle).free), (100, 0));
    assert_eq!(read(&mut adapter, handle, 100, &mut notes), [3]);
    assert!(notes.drops().is_empty());
}

#[test]
fn a_packet_is_kept_if_it_fits_to_the_byte() {
    let (mut adapter, handle) = one_handle(shipped(2, 168));
    let mut notes = Notes::default();
    tap(&mut adapter, 1, 0, 61, &mut notes);
    tap(&mut adapter, 1, 1, 60, &mut notes);
    tap(&mut adapter, 1, 2, 0, &mut notes);
    assert_eq!(notes.dropped(DropReason::SegmentFull), [0, 2]);
    let drop = notes.drops()[1];
    assert_eq!((drop.occupancy, drop.capacity, drop.need, drop.free_elsewhere), (84, 84, 24, 84));
    assert_eq!(adapter.queued(handle), 1);
}

#[test]
fn the_rest_of_the_division_is_wasted_and_less_than_a_header_is_nothing() {
    for (size, cpus, segment) in [(1000, 3, 333), (96, 4, 24), (95, 4, 0), (23, 1, 0), (0, 1, 0)] {
        let (mut adapter, handle) =
            one_handle(HandleOptions { min_to_copy: 0, ..shipped(cpus, size) });
        let mut notes = Notes::default();
        tap(&mut adapter, 0, 0, 1000, &mut notes);
        let drop = notes.drops()[0];
        assert_eq!((drop.capacity, adapter.occupancy(handle).capacity), (segment, size));
        assert_eq!(drop.free_elsewhere, segment * u64::from(cpus - 1));
        let reason = if size == 0 { DropReason::ZeroBuffer } else { DropReason::SegmentFull };
        assert_eq!((drop.reason, adapter.event_set(handle)), (reason, segment > 0));
        let read = adapter.read(0, handle, &mut [0; 100], &mut notes);
        assert_eq!(read.is_err(), segment == 0, "{read:?}");
    }
}

#[test]
fn one_segment_wakes_and_all_segments_are_waited_for() {
    // The share is 1000 / 3 = 333: one segment with 333, or all with more than 999.
    let with_min = HandleOptions { min_to_copy: 1000, ..shipped(3, 3000) };
    let (mut adapter, handle) = one_handle(with_min);
    let mut notes = Notes::default();
    for cpu in 0..3 {
        tap(&mut adapter, cpu, 0, 308, &mut notes);
    }
    assert_eq!((adapter.occupancy(handle).used, adapter.event_set(handle)), (996, false));
    assert!(!adapter.ready(handle));
    tap(&mut adapter, 2, 1, 0, &mut notes);
    assert_eq!(notes.events.last(), Some(&Event::Woken { handle, occupancy: 1020 }));
    // One packet of 309 bytes is enough for the wake; the reader that comes is served little.
    assert_eq!(read(&mut adapter, handle, 4000, &mut notes).len(), 4);
    tap(&mut adapter, 0, 2, 309, &mut notes);
    assert!(adapter.event_set(handle) && adapter.ready(handle));
    assert_eq!(read(&mut adapter, handle, 4000, &mut notes), [2]);
    // Two segments below their share: more than half of the minimum, nobody is woken.
    tap(&mut adapter, 0, 3, 250, &mut notes);
    tap(&mut adapter, 1, 4, 250, &mut notes);
    assert!(!adapter.ready(handle));
    adapter.set_immediate(0, handle, true, &mut notes).unwrap();
    assert!(adapter.ready(handle) && !adapter.event_set(handle));
    tap(&mut adapter, 1, 5, 0, &mut notes);
    assert!(adapter.event_set(handle));
}

#[test]
fn a_drop_wakes_with_npcap_and_does_not_with_winpcap() {
    for wake_on_drop in [true, false] {
        let choices = SegmentsOptions { wake_on_drop, ..SegmentsOptions::default() };
        let (mut adapter, handle) = one_handle(options(choices, 2, 200));
        let mut notes = Notes::default();
        tap(&mut adapter, 0, 0, 60, &mut notes);
        assert!(!adapter.event_set(handle));
        tap(&mut adapter, 0, 1, 60, &mut notes);
        assert_eq!(
            (adapter.event_set(handle), notes.wakes.len()),
            (wake_on_drop, wake_on_drop.into())
        );
    }
}

#[test]
fn a_record_larger_than_the_user_buffer_wedges_the_handle() {
    let (mut adapter, handle) = one_handle(shipped(2, 4000));
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 0, 10, &mut notes);
    tap(&mut adapter, 1, 1, 1000, &mut notes);
    tap(&mut adapter, 0, 2, 10, &mut notes);
    assert_eq!(read(&mut adapter, handle, 1019, &mut notes), [0]);
    for _ in 0..3 {
        assert_eq!(read(&mut adapter, handle, 1019, &mut notes), []);
    }
    assert_eq!(adapter.queued(handle), 2);
    assert_eq!(read(&mut adapter, handle, 1020, &mut notes), [1]);
    assert_eq!(read(&mut adapter, handle, 1020, &mut notes), [2]);
}

#[test]
fn edges_of_the_user_buffer() {
    let (mut adapter, handle) = one_handle(shipped(1, 4000));
    let mut notes = Notes::default();
    (0..3).for_each(|tag| tap(&mut adapter, 0, tag, 5, &mut notes));
    let refused = adapter.read(0, handle, &mut [0; 19], &mut notes);
    assert_eq!(refused, Err(ReadError::BufferTooSmall { len: 19, need: 20 }));
    assert_eq!(read(&mut adapter, handle, 24, &mut notes), []);
    // 20 + 5 fit, the padding of 3 does not.
    let mut out = [0xee; 26];
    let first = adapter.read(0, handle, &mut out, &mut notes).unwrap();
    assert_eq!((first.bytes, first.packets, first.padding_cut, out[25]), (26, 1, 2, 0));
    assert_eq!(read(&mut adapter, handle, 28 + 25, &mut notes), [1, 2]);
}

#[test]
fn cpus_63_to_127_share_a_segment() {
    let (mut adapter, handle) = one_handle(shipped(128, 64 * 84));
    let mut notes = Notes::default();
    for cpu in [63, 64, 127, 62] {
        tap(&mut adapter, cpu, cpu.into(), 60, &mut notes);
    }
    assert_eq!(notes.dropped(DropReason::SegmentFull), [64, 127]);
    assert_eq!(read(&mut adapter, handle, 1000, &mut notes), [63, 62]);
    let clamp = SegmentsOptions { clamp: CpuClamp::Off, ..SegmentsOptions::default() };
    let (mut adapter, _) = one_handle(options(clamp, 128, 128 * 84));
    let mut notes = Notes::default();
    (0..128).for_each(|cpu| tap(&mut adapter, cpu, cpu.into(), 60, &mut notes));
    assert!(notes.drops().is_empty());
}

#[test]
fn with_more_than_255_cpus_the_packets_of_cpu_255_end_the_capture() {
    let clamp = SegmentsOptions { clamp: CpuClamp::At255, ..SegmentsOptions::default() };
    let (mut adapter, handle) = one_handle(options(clamp, 256, 255 * 100));
    let mut notes = Notes::default();
    for (tag, cpu) in (0..).zip([254, 255, 3]) {
        tap(&mut adapter, cpu, tag, 60, &mut notes);
    }
    assert_eq!(read(&mut adapter, handle, 1000, &mut notes), [0]);
    assert_eq!(read(&mut adapter, handle, 1000, &mut notes), [], "1 is out of reach, 2 after it");
    assert_eq!(adapter.queued(handle), 2);
    tap(&mut adapter, 255, 3, 60, &mut notes);
    let drop = notes.drops()[0];
    // All segments but that of CPU 3, which holds 84 + 16 skipped, are free and of no use.
    assert_eq!((drop.occupancy, drop.capacity, drop.free_elsewhere), (100, 100, 254 * 100));
    adapter.close(0, handle, &mut notes).unwrap();
    assert_eq!(notes.dropped(DropReason::Closed), [1, 2]);
}

#[test]
fn free_space_that_drifts_ends_in_dropping_everything_while_the_buffer_is_empty() {
    for free_drift in [false, true] {
        let choices = SegmentsOptions { free_drift, ..SegmentsOptions::default() };
        let (mut adapter, handle) = one_handle(options(choices, 1, 1000));
        let mut notes = Notes::default();
        // Each lap of eleven packets ends with a skip of some bytes; each is read at once.
        for tag in 0..10_000 {
            tap(&mut adapter, 0, tag, 61 + tag as usize % 7, &mut notes);
            adapter.read(0, handle, &mut [0; 100], &mut notes).unwrap();
        }
        assert_eq!(adapter.queued(handle), 0);
        let Occupancy { used, free, .. } = adapter.occupancy(handle);
        if free_drift {
            let last = notes.drops().pop().unwrap();
            assert_eq!((last.tag, last.reason), (9999, DropReason::SegmentFull));
            assert!(used > 1000 - 91 && last.occupancy == used, "{used}");
            // Ever smaller packets still find room, as issue 119 reports; then a reset cures it.
            adapter.set_filter(0, handle, None, npf_core::FilterReset::Yes, &mut notes).unwrap();
            assert_eq!(adapter.occupancy(handle).used, 0);
            tap(&mut adapter, 0, 9, 900, &mut notes);
            assert_eq!(adapter.queued(handle), 1);
        } else {
            assert!(notes.drops().is_empty());
            assert_eq!((used, free), (0, 1000));
        }
    }
}

#[test]
fn controls_in_the_middle_flush_in_the_order_of_storing() {
    let (mut adapter, handle) = one_handle(shipped(2, 2000));
    let mut notes = Notes::default();
    for (tag, cpu) in (0..).zip([1, 0, 1, 1, 0]) {
        tap(&mut adapter, cpu, tag, 60, &mut notes);
    }
    assert_eq!(read(&mut adapter, handle, 80, &mut notes), [0]);
    adapter.set_buffer_size(0, handle, 1 << 30, &mut notes).unwrap();
    assert_eq!(notes.dropped(DropReason::Flushed), [1, 2, 3, 4]);
    let drops = notes.drops();
    let part = |at: usize| (drops[at].occupancy, drops[at].capacity, drops[at].held);
    assert_eq!(part(0), (168, 1000, Some(84)));
    assert_eq!(part(1), (168, 1000, Some(84)));
    tap(&mut adapter, 1, 9, 5000, &mut notes);
    assert_eq!(read(&mut adapter, handle, 6000, &mut notes), [9]);
    let Occupancy { memory, peak_memory, .. } = adapter.occupancy(handle);
    assert!(memory == 1 << 30 && peak_memory > memory);
    adapter.set_buffer_size(0, handle, 0, &mut notes).unwrap();
    assert_eq!(adapter.occupancy(handle).memory, 0);
    tap(&mut adapter, 0, 10, 0, &mut notes);
    assert_eq!(notes.dropped(DropReason::ZeroBuffer), [10]);
    let refused = adapter.read(0, handle, &mut [0; 100], &mut notes);
    assert_eq!(refused, Err(ReadError::ZeroBuffer));
}

#[test]
fn a_buffer_of_no_segments_is_refused() {
    let none = SegmentsOptions { count: Some(0), ..SegmentsOptions::default() };
    let refused = Adapter::new().open(options(none, 4, 1000));
    assert_eq!(refused, Err(ControlError::NoSegment));
}
