//! Statistics mode: a filter and a counter, read by time.

use crate::support::{Notes, check_account, one_handle, tap};
use npf_core::{
    Adapter, DropReason, EngineKind, Event, Frame, HandleOptions, Mode, ReadError, ReadStep,
    RingOptions, STATISTICS_RECORD, Stats, filter::Program,
};

fn statistics() -> HandleOptions {
    HandleOptions { mode: Mode::Statistics, kernel_buffer: 0, ..HandleOptions::default() }
}

/// Packets and bytes of a record, whose header is checked.
fn counters(record: &[u8]) -> (i64, i64) {
    assert_eq!(record[8..20], [16, 0, 0, 0, 16, 0, 0, 0, 20, 0, 0, 0]);
    let number = |at: usize| i64::from_le_bytes(record[at..at + 8].try_into().unwrap());
    (number(20), number(28))
}

#[test]
fn a_read_gives_both_counters_and_zeroes_them() {
    let (mut adapter, handle) = one_handle(HandleOptions { epoch_seconds: 100, ..statistics() });
    let mut notes = Notes::default();
    for (tag, len) in [(0, 0), (1, 59), (2, 60), (3, 61), (4, 1514)] {
        tap(&mut adapter, tag, len, &mut notes);
        assert_eq!(notes.events.last(), Some(&Event::Counted { tag, handle, len: len as u32 }));
    }
    let mut out = [0xff; 40];
    let read = adapter.read(3_000_004_000_000, handle, &mut out, &mut notes).unwrap();
    assert_eq!((read.bytes, read.packets, read.queued_left), (STATISTICS_RECORD, 0, 0));
    assert_eq!(out[..8], [103, 0, 0, 0, 4, 0, 0, 0]);
    assert_eq!(out[36..], [0xff; 4]);
    let bytes = 72 * 3 + 73 + 1526;
    assert_eq!(counters(&out), (5, bytes));
    let told = Event::Statistics { handle, packets: 5, bytes: bytes as u64 };
    assert_eq!(notes.events[5..], [told, Event::Read { handle, packets: 0, bytes: 36, queued: 0 }]);

    adapter.read(4, handle, &mut out, &mut notes).unwrap();
    assert_eq!(counters(&out), (0, 0), "zeroed by the read before");
    let account = adapter.counters(handle).unwrap();
    assert_eq!((account.shown, account.counted, account.reads), (5, 5, 2));
    check_account(&adapter, handle);
}

#[test]
fn the_filter_classifies_and_truncation_does_not_matter() {
    let longer = Program::parse_ddd("4\n128 0 0 0\n53 0 1 100\n6 0 0 20\n6 0 0 0").unwrap();
    let options = HandleOptions { filter: Some(longer.into()), snaplen: 10, ..statistics() };
    let (mut adapter, handle) = one_handle(options);
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 99, &mut notes);
    tap(&mut adapter, 1, 100, &mut notes);
    assert_eq!(notes.events[0], Event::Filtered { tag: 0, handle });
    let mut out = [0; 36];
    adapter.read(0, handle, &mut out, &mut notes).unwrap();
    assert_eq!(counters(&out), (1, 112));
    let expected = Stats { received: 1, accepted: 0, dropped: 0, resource_dropped: 0 };
    assert_eq!(adapter.stats(handle).unwrap(), expected);
}

#[test]
fn nothing_is_stored_and_nothing_wakes_the_reader() {
    let options = HandleOptions { immediate: true, object_limit: Some(0), ..statistics() };
    let (mut adapter, handle) = one_handle(options);
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    assert!(notes.wakes.is_empty() && !adapter.event_set(handle) && !adapter.ready(handle));
    assert_eq!((adapter.queued(handle), adapter.occupancy(handle).peak_memory), (0, 0));
    assert_eq!(adapter.adapter_counters().bytes_copied, 0);
    assert!(notes.drops().is_empty(), "neither the size of the buffer nor objects matter");
}

#[test]
fn a_buffer_of_less_than_the_record_is_refused_and_zeroes_nothing() {
    let (mut adapter, handle) = one_handle(statistics());
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    for len in [0, 20, 35] {
        let refused = adapter.read(0, handle, &mut vec![0; len], &mut notes);
        assert_eq!(refused, Err(ReadError::BufferTooSmall { len, need: 36 }));
    }
    let mut out = [0; 36];
    adapter.read(0, handle, &mut out, &mut notes).unwrap();
    assert_eq!(counters(&out), (1, 72));
}

#[test]
fn what_was_captured_before_stays_queued_until_the_mode_is_capture_again() {
    let (mut adapter, handle) = one_handle(HandleOptions::default());
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    adapter.set_mode(0, handle, Mode::Statistics, &mut notes).unwrap();
    assert_eq!(notes.events.last(), Some(&Event::ModeSet { handle, mode: "statistics" }));
    tap(&mut adapter, 1, 60, &mut notes);
    let mut out = [0; 200];
    let read = adapter.read(0, handle, &mut out, &mut notes).unwrap();
    assert_eq!((read.bytes, read.queued_left), (36, 1));
    tap(&mut adapter, 2, 60, &mut notes);
    adapter.set_mode(0, handle, Mode::Statistics, &mut notes).unwrap();
    adapter.read(0, handle, &mut out, &mut notes).unwrap();
    assert_eq!(counters(&out), (0, 0), "setting the mode again zeroes the counters");
    check_account(&adapter, handle);

    adapter.set_mode(0, handle, Mode::Capture, &mut notes).unwrap();
    assert_eq!(adapter.read(0, handle, &mut out, &mut notes).unwrap().packets, 1);
    assert_eq!(notes.delivered[0].tag, 0);
    assert!(notes.drops().is_empty());
    check_account(&adapter, handle);
}

#[test]
fn a_read_that_was_begun_goes_on_when_the_mode_changes_in_the_middle() {
    let options = HandleOptions {
        engine: EngineKind::Ring(RingOptions::default()),
        kernel_buffer: 5000,
        ..HandleOptions::default()
    };
    let (mut adapter, handle) = one_handle(options);
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 1500, &mut notes);
    let mut out = [0; 4000];
    let step = adapter.read_step(0, handle, &mut out, &mut notes).unwrap();
    assert!(matches!(step, ReadStep::Copying { .. }));
    adapter.set_mode(0, handle, Mode::Statistics, &mut notes).unwrap();
    let busy = adapter.read(0, handle, &mut [0; 36], &mut notes);
    assert_eq!(busy, Err(ReadError::Busy { handle }), "two readers");
    let read = loop {
        if let ReadStep::Done(read) = adapter.read_step(0, handle, &mut out, &mut notes).unwrap() {
            break read;
        }
    };
    assert_eq!((read.bytes, read.packets), (1520, 1));
    assert_eq!(adapter.read(0, handle, &mut out, &mut notes).unwrap().bytes, 36);
    check_account(&adapter, handle);
}

#[test]
fn the_prefilter_heuristic_of_a_full_ring_is_not_asked() {
    let options = HandleOptions {
        engine: EngineKind::Ring(RingOptions { prefilter_heuristic: true }),
        ..statistics()
    };
    let (mut adapter, handle) = one_handle(options);
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    assert_eq!(adapter.counters(handle).unwrap().counted, 1);
    adapter.set_mode(0, handle, Mode::Capture, &mut notes).unwrap();
    tap(&mut adapter, 1, 60, &mut notes);
    assert_eq!(notes.dropped(DropReason::Prefiltered), [1]);
    check_account(&adapter, handle);
}

#[test]
fn after_removal_the_last_counters_can_be_read_once() {
    let (mut adapter, handle) = one_handle(statistics());
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    adapter.remove(0, &mut notes);
    let mut out = [0; 36];
    adapter.read(0, handle, &mut out, &mut notes).unwrap();
    assert_eq!(counters(&out), (1, 72));
    let refused = adapter.read(0, handle, &mut out, &mut notes);
    assert_eq!(refused, Err(ReadError::DeviceRemoved { queued: 0 }));
    let refused = adapter.set_mode(0, handle, Mode::Capture, &mut notes);
    assert_eq!(refused, Err(npf_core::ControlError::DeviceRemoved));
}

#[test]
fn a_capturing_handle_beside_it_is_not_disturbed() {
    let mut adapter = Adapter::new();
    let counting = adapter.open(statistics()).unwrap();
    let capturing = adapter.open(HandleOptions::default()).unwrap();
    let mut notes = Notes::default();
    let frame = Frame { data: &[7; 60], wire_len: 2000, tag: 9 };
    let work = adapter.tap(0, 0, 0, &[frame], &mut notes);
    assert_eq!((work.accepted, work.bytes_copied), (1, 60));
    let mut out = [0; 100];
    adapter.read(0, counting, &mut out, &mut notes).unwrap();
    assert_eq!(counters(&out), (1, 2012), "the length on the wire counts");
    adapter.read(0, capturing, &mut out, &mut notes).unwrap();
    assert_eq!(notes.delivered.len(), 1);
}
