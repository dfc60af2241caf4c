//! The zero-copy buffers: what they hold, whose they are, what a reader takes and when.

use crate::support::{Notes, one_handle, tap};
use npf_core::{
    Adapter, BufferMode, ControlError, DropReason, EngineKind, Event, FilterReset, HandleOptions,
    ReadError, Rotated, Taken, ViewError, WordSize, ZBUF_HEADER, ZeroCopyOptions, ZeroCopyReader,
};

/// Two buffers of 524 288 bytes, what libpcap asks for.
const LARGE: u64 = 2 * 524_288;
/// Two buffers of one page.
const SMALL: u64 = 2 * 4096;

fn options(kernel_buffer: u64, choices: ZeroCopyOptions) -> HandleOptions {
    HandleOptions { engine: EngineKind::ZeroCopy(choices), kernel_buffer, ..Default::default() }
}

fn small() -> (Adapter, u32, Notes) {
    let (adapter, handle) = one_handle(options(SMALL, ZeroCopyOptions::default()));
    (adapter, handle, Notes::default())
}

/// kernel_gen, kernel_len and user_gen as the opening process sees them.
fn header(adapter: &mut Adapter, handle: u32, buffer: usize) -> [u32; 3] {
    let mut bytes = [0; ZBUF_HEADER];
    adapter.user_read(handle, 0, buffer, 0, &mut bytes).unwrap();
    [0, 4, 8].map(|at| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()))
}

/// Packets of `len` bytes that one buffer of `LARGE` holds.
fn held(word: WordSize, len: usize) -> u64 {
    let choices = ZeroCopyOptions { word, ..ZeroCopyOptions::default() };
    let (mut adapter, handle) = one_handle(options(LARGE, choices));
    let mut notes = Notes::default();
    let mut tag = 0;
    while notes.dropped(DropReason::UserOwned).is_empty() {
        tap(&mut adapter, tag, len, &mut notes);
        tag += 1;
    }
    let (first, second) = (header(&mut adapter, handle, 0), header(&mut adapter, handle, 1));
    assert_eq!(first, second, "both are the user's, equally full");
    assert_eq!([first[0], first[2]], [1, 0]);
    let drop = notes.drops()[0];
    assert_eq!((drop.tag, adapter.queued(handle)), (tag - 1, tag - 1));
    assert_eq!((drop.occupancy, drop.capacity), (first[1].into(), 524_256));
    assert_eq!(drop.free_elsewhere, 524_256 - drop.occupancy);
    assert!(drop.occupancy + drop.need > drop.capacity);
    (tag - 1) / 2
}

#[test]
fn what_one_buffer_holds() {
    assert_eq!(held(WordSize::Lp64, 60), 5957);
    assert_eq!(held(WordSize::Bits32, 60), 6553);
}

#[test]
fn sizes_that_are_no_two_buffers_of_whole_pages_are_refused() {
    for (asked, granted) in
        [(0, 8192), (1, 8192), (8193, 16384), (1_000_000, 1_007_616), (4 << 20 | 1, 4 << 20)]
    {
        let refused = Adapter::new().open(options(asked, ZeroCopyOptions::default()));
        assert_eq!(refused, Err(ControlError::NoZeroCopyBuffer { asked, granted }), "{asked}");
        let text = ControlError::NoZeroCopyBuffer { asked, granted }.to_string();
        assert!(text.ends_with(&format!("ask for {granted}")), "{text}");
        let mut adapter = Adapter::new();
        let handle = adapter.open(options(granted, ZeroCopyOptions::default())).unwrap();
        assert_eq!(handle, 0, "a refusal uses no number up");
        assert_eq!(adapter.zbuf_size(handle), Ok((granted / 2) as usize));
    }
    let mut adapter = Adapter::new();
    let refused = adapter.open(options(1 << 30, ZeroCopyOptions::default()));
    assert!(matches!(refused, Err(ControlError::NoZeroCopyBuffer { .. })));
}

#[test]
fn a_reader_takes_the_buffers_in_turn_and_acknowledges_at_its_next_poll() {
    let (mut adapter, handle, mut notes) = small();
    let mut reader = ZeroCopyReader::new(&mut adapter, handle).unwrap();
    let poll = |reader: &mut ZeroCopyReader, adapter: &mut Adapter, notes: &mut Notes| {
        reader.poll(0, adapter, notes).unwrap()
    };
    let nothing = Taken { waits: true, ..Taken::default() };
    assert_eq!(poll(&mut reader, &mut adapter, &mut notes), nothing);
    tap(&mut adapter, 0, 60, &mut notes);
    tap(&mut adapter, 1, 60, &mut notes);
    assert!(notes.wakes.is_empty() && !adapter.ready(handle));
    assert_eq!(header(&mut adapter, handle, 0), [0, 0, 0]);

    // The time-out: 86, 2 of padding, 86.
    let taken = poll(&mut reader, &mut adapter, &mut notes);
    let two = Taken { packets: 2, records: 2, bytes: 174, rotated: true, ..Taken::default() };
    assert_eq!(taken, two);
    assert_eq!(notes.delivered.iter().map(|packet| packet.tag).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(notes.delivered[1].data, [1; 60]);
    assert!(notes.events.contains(&Event::Read { handle, packets: 2, bytes: 174, queued: 0 }));
    assert_eq!(header(&mut adapter, handle, 0), [1, 174, 0], "not acknowledged yet");
    assert!(adapter.ready(handle), "what is held is not acknowledged");

    tap(&mut adapter, 2, 60, &mut notes);
    assert_eq!(poll(&mut reader, &mut adapter, &mut notes), nothing);
    assert_eq!(header(&mut adapter, handle, 0), [1, 174, 1]);
    assert!(!adapter.ready(handle));
    // The kernel has not looked for the acknowledgement: something is held, so it rotates nothing.
    let taken = poll(&mut reader, &mut adapter, &mut notes);
    assert_eq!(taken, Taken { rotated: true, ..Taken::default() });
    assert_eq!(adapter.rotate(handle), Ok(None));
    tap(&mut adapter, 3, 60, &mut notes);
    assert_eq!(adapter.occupancy(handle).used, 174, "now the first one is free");
    assert_eq!(adapter.rotate(handle), Ok(Some(Rotated { buffer: 1, bytes: 174 })));
    let taken = poll(&mut reader, &mut adapter, &mut notes);
    assert_eq!((taken.packets, taken.rotated), (2, false));
    let counters = adapter.counters(handle).unwrap();
    assert_eq!((counters.delivered, counters.reads, counters.read_bytes), (4, 3, 348));
}

#[test]
fn none_one_or_both_buffers_are_the_users() {
    let (mut adapter, handle, mut notes) = small();
    // 4064 bytes: two records of 2026 and 6 of padding.
    for tag in 0..2 {
        tap(&mut adapter, tag, 2000, &mut notes);
    }
    assert_eq!([0, 1].map(|at| header(&mut adapter, handle, at)[0]), [0, 0]);
    tap(&mut adapter, 2, 2000, &mut notes);
    assert_eq!([0, 1].map(|at| header(&mut adapter, handle, at)[0]), [1, 0]);
    assert_eq!((&notes.wakes[..], adapter.event_set(handle)), (&[handle][..], true));
    tap(&mut adapter, 3, 2000, &mut notes);
    tap(&mut adapter, 4, 2000, &mut notes);
    assert_eq!([0, 1].map(|at| header(&mut adapter, handle, at)[0]), [1, 1]);
    assert_eq!((notes.wakes.len(), notes.dropped(DropReason::UserOwned)), (1, vec![4]));
    // One that would fit, but the buffer is the user's.
    tap(&mut adapter, 5, 0, &mut notes);
    let drop = notes.drops()[1];
    assert_eq!((drop.reason, drop.occupancy, drop.capacity), (DropReason::UserOwned, 4064, 4064));
    assert_eq!(drop.free_elsewhere, 4064 - 4058);
    assert_eq!(adapter.stats(handle).unwrap().dropped, 2);

    let mut reader = ZeroCopyReader::new(&mut adapter, handle).unwrap();
    for user_gen in [0, 1] {
        assert_eq!(reader.poll(0, &mut adapter, &mut notes).unwrap().packets, 2);
        assert_eq!(header(&mut adapter, handle, 0), [1, 4058, user_gen]);
        tap(&mut adapter, 6, 2000, &mut notes);
    }
    assert_eq!(notes.dropped(DropReason::UserOwned), [4, 5, 6], "then the first one was free");
    assert_eq!((adapter.queued(handle), adapter.occupancy(handle).used), (1, 2026 + 4058));
}

#[test]
fn a_packet_that_exceeds_a_buffer_is_cut_when_it_is_stored() {
    let (mut adapter, handle, mut notes) = small();
    tap(&mut adapter, 7, 5000, &mut notes);
    assert_eq!(adapter.occupancy(handle).used, 4064);
    adapter.rotate(handle).unwrap();
    let mut reader = ZeroCopyReader::new(&mut adapter, handle).unwrap();
    assert_eq!(reader.poll(0, &mut adapter, &mut notes).unwrap().bytes, 4064);
    assert_eq!((notes.delivered[0].data.len(), notes.delivered[0].len), (4064 - 26, 5000));
}

#[test]
fn immediate_mode_wakes_for_each_packet_and_makes_what_is_stored_worth_coming() {
    let (mut adapter, handle, mut notes) = small();
    adapter.set_immediate(0, handle, true, &mut notes).unwrap();
    tap(&mut adapter, 0, 60, &mut notes);
    assert_eq!((notes.wakes.len(), adapter.ready(handle)), (1, true));
    let mut reader = ZeroCopyReader::new(&mut adapter, handle).unwrap();
    assert!(reader.poll(0, &mut adapter, &mut notes).unwrap().waits);
    assert!(!adapter.event_set(handle), "the reader has come");
    tap(&mut adapter, 1, 60, &mut notes);
    assert_eq!(notes.wakes.len(), 2);
    assert_eq!(reader.poll(0, &mut adapter, &mut notes).unwrap().packets, 2);
}

#[test]
fn a_flush_leaves_what_is_the_users() {
    let (mut adapter, handle, mut notes) = small();
    let reset = |adapter: &mut Adapter, notes: &mut Notes| {
        adapter.set_filter(0, handle, None, FilterReset::Yes, notes).unwrap();
        adapter.queued(handle)
    };
    for tag in 0..3 {
        tap(&mut adapter, tag, 2000, &mut notes);
    }
    assert_eq!(reset(&mut adapter, &mut notes), 2);
    assert_eq!(notes.dropped(DropReason::Flushed), [2]);
    let reset_event = Event::BufferReset { handle, flushed: 1, capacity: 2 * 4064 };
    assert!(notes.events.contains(&reset_event));
    let occupancy = adapter.occupancy(handle);
    assert_eq!((occupancy.used, occupancy.peak, occupancy.capacity), (4058, 4058, 8128));

    // Both are the user's: nothing can be flushed, and both can still be read.
    for tag in 3..6 {
        tap(&mut adapter, tag, 2000, &mut notes);
    }
    assert_eq!(reset(&mut adapter, &mut notes), 4);
    let mut reader = ZeroCopyReader::new(&mut adapter, handle).unwrap();
    reader.poll(0, &mut adapter, &mut notes).unwrap();
    reader.poll(0, &mut adapter, &mut notes).unwrap();
    assert_eq!(notes.delivered.iter().map(|packet| packet.tag).collect::<Vec<_>>(), [0, 1, 3, 4]);
    // The first has been acknowledged, and a flush is one of the occasions to notice.
    assert_eq!(adapter.occupancy(handle).used, 2 * 4058);
    reset(&mut adapter, &mut notes);
    assert_eq!(adapter.occupancy(handle).used, 4058);
    tap(&mut adapter, 7, 60, &mut notes);
    assert_eq!(notes.dropped(DropReason::UserOwned), [5], "it begins the buffer that is free");
}

#[test]
fn closing_ends_what_is_the_users_too() {
    let (mut adapter, handle, mut notes) = small();
    for tag in 0..6 {
        tap(&mut adapter, tag, 1500, &mut notes);
    }
    let mut reader = ZeroCopyReader::new(&mut adapter, handle).unwrap();
    reader.poll(0, &mut adapter, &mut notes).unwrap();
    let last = adapter.close(0, handle, &mut notes).unwrap();
    assert_eq!(notes.dropped(DropReason::Closed), [2, 3]);
    assert_eq!((last.shown, last.delivered, last.dropped_total()), (6, 2, 4));
    let gone = Err(ViewError::NoSuchHandle { handle });
    assert_eq!(reader.poll(0, &mut adapter, &mut notes), gone);
}

#[test]
fn what_is_acknowledged_unread_is_lost_when_the_kernel_looks() {
    let (mut adapter, handle, mut notes) = small();
    tap(&mut adapter, 0, 60, &mut notes);
    tap(&mut adapter, 1, 60, &mut notes);
    adapter.rotate(handle).unwrap();
    adapter.user_write(handle, 0, 0, 8, &1_u32.to_le_bytes()).unwrap();
    assert_eq!(adapter.queued(handle), 2);
    tap(&mut adapter, 2, 60, &mut notes);
    assert_eq!((notes.dropped(DropReason::Unread), adapter.queued(handle)), (vec![0, 1], 1));
    let drops: Vec<_> = notes.drops().iter().map(|drop| (drop.held, drop.occupancy)).collect();
    assert_eq!(drops, [(Some(86), 174), (Some(88), 88)]);
    assert_eq!(adapter.stats(handle).unwrap().dropped, 0, "the driver does not know");
}

#[test]
fn a_mark_that_is_not_taken_off_makes_the_capture_deaf_after_one_round() {
    for (assigned_leak, delivered, unread) in [(false, 40, 0), (true, 3, 35)] {
        let choices = ZeroCopyOptions { assigned_leak, ..ZeroCopyOptions::default() };
        let (mut adapter, handle) = one_handle(options(SMALL, choices));
        let mut notes = Notes::default();
        let mut reader = ZeroCopyReader::new(&mut adapter, handle).unwrap();
        for tag in 0..40 {
            tap(&mut adapter, tag, 2000, &mut notes);
            while reader.poll(0, &mut adapter, &mut notes).unwrap().packets > 0 {}
        }
        adapter.rotate(handle).unwrap();
        for _ in 0..4 {
            reader.poll(0, &mut adapter, &mut notes).unwrap();
        }
        let lost = notes.dropped(DropReason::Unread).len();
        assert_eq!((notes.delivered.len(), lost), (delivered, unread), "{assigned_leak}");
        let counters = adapter.counters(handle).unwrap();
        assert_eq!(40, counters.delivered + counters.dropped_total() + adapter.queued(handle));
    }
}

#[test]
fn after_removal_what_is_there_stays_readable() {
    let (mut adapter, handle, mut notes) = small();
    let mut reader = ZeroCopyReader::new(&mut adapter, handle).unwrap();
    tap(&mut adapter, 0, 60, &mut notes);
    adapter.remove(0, &mut notes);
    assert!(reader.poll(0, &mut adapter, &mut notes).unwrap().waits);
    assert_eq!(reader.poll(0, &mut adapter, &mut notes).unwrap().packets, 1);
    assert!(reader.poll(0, &mut adapter, &mut notes).unwrap().waits);
    let refused = reader.poll(0, &mut adapter, &mut notes).unwrap_err();
    assert_eq!(refused, ViewError::DeviceRemoved { queued: 0 });
    assert!(refused.to_string().contains("close the handle"));
}

#[test]
fn what_the_design_does_not_have_is_refused() {
    let (mut adapter, handle, mut notes) = small();
    tap(&mut adapter, 0, 60, &mut notes);
    assert_eq!(adapter.read(0, handle, &mut [0; 4064], &mut notes), Err(ReadError::NoRead));
    for size in [SMALL, LARGE] {
        let fixed = adapter.set_buffer_size(0, handle, size, &mut notes);
        assert_eq!(fixed, Err(ControlError::BufferIsFixed));
    }
    assert_eq!(adapter.queued(handle), 1);

    let unknown = ViewError::NoSuchProcess { process: 1, processes: 1 };
    assert_eq!(adapter.fork(handle, 1), Err(unknown));
    assert_eq!(adapter.user_read(handle, 1, 0, 0, &mut [0]), Err(unknown));
    let no_buffer = ViewError::NoSuchBuffer { buffer: 2 };
    assert_eq!(adapter.user_write(handle, 0, 2, 0, &[0]), Err(no_buffer));
    assert_eq!(adapter.user_read(handle, 0, 1, 4095, &mut [0]), Ok(()));
    assert_eq!(adapter.user_read(handle, 0, 1, 4096, &mut []), Ok(()));
    for (offset, len) in [(4096, 1), (4095, 2), (usize::MAX, 1), (0, 4097)] {
        let outside = ViewError::OutOfRange { offset, len, size: 4096 };
        assert_eq!(adapter.user_write(handle, 0, 1, offset, &vec![1; len]), Err(outside));
    }
}

#[test]
fn other_designs_share_no_buffers_and_the_buffered_mode_is_one_of_them() {
    let buffered = ZeroCopyOptions { buffer_mode: BufferMode::Buffered, ..Default::default() };
    for options in [options(1000, buffered), HandleOptions::default()] {
        let (mut adapter, handle) = one_handle(options);
        let refused = ViewError::NotShared { handle };
        assert_eq!(adapter.fork(handle, 0), Err(refused));
        assert_eq!(adapter.rotate(handle), Err(refused));
        assert_eq!(ZeroCopyReader::new(&mut adapter, handle).unwrap_err(), refused);
    }
    let (mut adapter, handle) = one_handle(options(1000, buffered));
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    let read = adapter.read(0, handle, &mut [0; 500], &mut notes).unwrap();
    assert_eq!((read.packets, read.bytes), (1, 86), "the slot is half the buffer");
}

#[test]
fn memory_is_pages_views_and_what_the_kernel_notes() {
    let (mut adapter, handle, mut notes) = small();
    let before = adapter.occupancy(handle).memory;
    assert!((SMALL..SMALL + 1000).contains(&before), "{before}");
    tap(&mut adapter, 0, 60, &mut notes);
    let noted = adapter.occupancy(handle).memory;
    assert!(noted > before);
    adapter.fork(handle, 0).unwrap();
    let forked = adapter.occupancy(handle).memory;
    assert!((noted + 1..noted + 1000).contains(&forked), "views, no copies");
    adapter.user_write(handle, 1, 1, 4000, &[1]).unwrap();
    let occupancy = adapter.occupancy(handle);
    assert_eq!((occupancy.memory, occupancy.peak_memory), (forked + 4096, forked + 4096));
}
