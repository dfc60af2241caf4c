//! What a read writes: records, padding, truncation, edges of the user buffer.

use crate::support::{Notes, one_handle, records, tap};
use npf_core::{
    DropReason, EngineKind, Event, Frame, HandleOptions, PacketQueueOptions, ReadError,
};

#[test]
fn records_are_aligned_and_the_rest_stays_queued() {
    let (mut adapter, handle) =
        one_handle(HandleOptions { epoch_seconds: 1000, ..HandleOptions::default() });
    let mut notes = Notes::default();
    let now = 2_000_003_999_999;
    for (tag, data) in [&b"one"[..], b"", b"three"].iter().enumerate() {
        let frame = Frame { data, wire_len: 100 + tag as u32, tag: tag as u64 };
        adapter.tap(now, 0, 0, &[frame], &mut notes);
    }
    let mut out = [0xff; 71];
    let read = adapter.read(9, handle, &mut out, &mut notes).unwrap();
    // 20 + 3 -> 24, 20 + 0 -> 44, and 20 + 5 = 25 fit into the 27 left; the padding, 3, does not.
    assert_eq!((read.bytes, read.packets, read.queued_left), (71, 3, 0));
    assert_eq!((read.truncated, read.padding_cut), (false, 1));
    let found = records(&out);
    assert_eq!(found.iter().map(|record| record.len).collect::<Vec<_>>(), [100, 101, 102]);
    assert_eq!(
        found.iter().map(|record| &record.data[..]).collect::<Vec<_>>(),
        [&b"one"[..], b"", b"three"]
    );
    assert!(found.iter().all(|record| (record.sec, record.usec) == (1002, 3)));
    assert_eq!(notes.delivered.len(), 3);
    assert!(notes.events.contains(&Event::Read { handle, packets: 3, bytes: 71, queued: 0 }));

    let read = adapter.read(9, handle, &mut out, &mut notes).unwrap();
    assert_eq!((read.bytes, read.packets), (0, 0), "an empty buffer is no error");
}

#[test]
fn a_record_that_does_not_fit_behind_others_waits_for_the_next_read() {
    let (mut adapter, handle) = one_handle(HandleOptions::default());
    let mut notes = Notes::default();
    tap(&mut adapter, 1, 60, &mut notes);
    tap(&mut adapter, 2, 60, &mut notes);
    let mut out = [0xff; 159];
    let read = adapter.read(0, handle, &mut out, &mut notes).unwrap();
    assert_eq!((read.bytes, read.packets, read.queued_left), (80, 1, 1));
    assert_eq!(out[80..], [0xff; 79], "nothing is written beyond what is reported");
    let read = adapter.read(0, handle, &mut out, &mut notes).unwrap();
    assert_eq!((read.packets, records(&out[..80])[0].data[0]), (1, 2));
    assert_eq!(adapter.occupancy(handle).used, 0);
}

#[test]
fn edges_of_the_user_buffer() {
    // (length, bytes written, record bytes if there is a record, packets left)
    let cases = [
        (20, 0, None, 1),
        (21, 21, Some(1), 0),
        (24, 24, Some(4), 0),
        (79, 79, Some(59), 0),
        (80, 80, Some(60), 0),
        (81, 80, Some(60), 0),
    ];
    for (length, bytes, data, left) in cases {
        let (mut adapter, handle) = one_handle(HandleOptions::default());
        let mut notes = Notes::default();
        tap(&mut adapter, 7, 60, &mut notes);
        let mut out = vec![0xff; length];
        let read = adapter.read(0, handle, &mut out, &mut notes).unwrap();
        assert_eq!((read.bytes, read.queued_left), (bytes, left), "{length}");
        let found = records(&out[..read.bytes]);
        assert_eq!(found.first().map(|record| record.data.len()), data, "{length}");
        assert_eq!(read.truncated, (21..80).contains(&length), "{length}");
        if let Some(caplen) = data {
            assert_eq!((found[0].len, notes.delivered[0].data.len()), (60, caplen));
            assert_eq!(adapter.occupancy(handle).used, 0, "the whole charge comes back");
        }
        let truncated = adapter.counters(handle).unwrap().truncated;
        assert_eq!(truncated, u64::from(read.truncated));
    }
}

#[test]
fn a_read_into_less_than_a_header_is_refused_and_changes_nothing() {
    let (mut adapter, handle) =
        one_handle(HandleOptions { min_to_copy: 0, ..HandleOptions::default() });
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    for len in [0, 1, 19] {
        let refused = adapter.read(0, handle, &mut vec![0; len], &mut notes);
        assert_eq!(refused, Err(ReadError::BufferTooSmall { len, need: 20 }));
    }
    assert!(adapter.event_set(handle));
    assert_eq!(adapter.counters(handle).unwrap().reads, 0);
}

#[test]
fn before_1_10_a_record_larger_than_the_user_buffer_wedges_the_handle() {
    let quirks = PacketQueueOptions { truncate_first: false, ..PacketQueueOptions::CURRENT };
    let (mut adapter, handle) = one_handle(HandleOptions {
        engine: EngineKind::PacketQueue(quirks),
        ..HandleOptions::default()
    });
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    tap(&mut adapter, 1, 10, &mut notes);
    for _ in 0..3 {
        let read = adapter.read(0, handle, &mut [0; 79], &mut notes).unwrap();
        assert_eq!((read.bytes, read.queued_left), (0, 2));
    }
    adapter.remove(0, &mut notes);
    let refused = adapter.read(0, handle, &mut [0; 79], &mut notes);
    assert_eq!(refused, Err(ReadError::DeviceRemoved { queued: 2 }));
    assert_eq!(adapter.read(0, handle, &mut [0; 80], &mut notes).unwrap().packets, 1);
}

#[test]
fn after_removal_what_is_queued_stays_readable() {
    let (mut adapter, handle) = one_handle(HandleOptions::default());
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    adapter.remove(0, &mut notes);
    tap(&mut adapter, 1, 60, &mut notes);
    assert_eq!(notes.dropped(DropReason::NoHandle), [1]);
    assert_eq!(notes.drops()[0].handle, None);
    assert!(notes.wakes.is_empty());
    assert_eq!(adapter.read(0, handle, &mut [0; 100], &mut notes).unwrap().packets, 1);
    let refused = adapter.read(0, handle, &mut [0; 100], &mut notes);
    assert_eq!(refused, Err(ReadError::DeviceRemoved { queued: 0 }));
    assert_eq!(adapter.stats(handle).unwrap().accepted, 1, "statistics stay readable");
    assert_eq!(adapter.counters(handle).unwrap().shown, 1);
}

#[test]
fn reads_of_no_handle_and_of_no_buffer_are_refused() {
    let (mut adapter, handle) =
        one_handle(HandleOptions { kernel_buffer: 0, ..HandleOptions::default() });
    let mut notes = Notes::default();
    let refused = adapter.read(0, handle, &mut [0; 100], &mut notes);
    assert_eq!(refused, Err(ReadError::ZeroBuffer));
    let refused = adapter.read(0, 9, &mut [0; 100], &mut notes);
    assert_eq!(refused, Err(ReadError::NoSuchHandle { handle: 9 }));
}
