//! The zero-copy buffers: what they hold, whose they are, what a reader takes and when.

use crate::support::{Notes, one_handle, tap};
use npf_core::{
    Adapter, ControlError, DropReason, EngineKind, Event, HandleOptions, Rotated, Taken, WordSize,
    ZBUF_HEADER, ZeroCopyOptions, ZeroCopyReader,
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
