//! A user who scribbles on the shared pages: what the kernel believes, and what becomes of packets.

use crate::support::{Notes, one_handle, tap};
use npf_core::{
    Adapter, DropReason, EngineKind, HandleOptions, Taken, ZeroCopyOptions, ZeroCopyReader,
};

/// Two buffers of one page.
fn open() -> (Adapter, u32, Notes) {
    let (adapter, handle) = one_handle(HandleOptions {
        engine: EngineKind::ZeroCopy(ZeroCopyOptions::default()),
        kernel_buffer: 2 * 4096,
        ..HandleOptions::default()
    });
    (adapter, handle, Notes::default())
}

fn scribble(adapter: &mut Adapter, handle: u32, buffer: usize, at: usize, word: u32) {
    adapter.user_write(handle, 0, buffer, at, &word.to_le_bytes()).unwrap();
}

fn adds_up(adapter: &Adapter, handle: u32) {
    let counters = adapter.counters(handle).unwrap();
    let settled = counters.delivered + counters.dropped_total() + adapter.queued(handle);
    assert_eq!(counters.shown, settled);
}

#[test]
fn the_kernel_believes_no_generation_but_its_own_and_no_length() {
    let (mut adapter, handle, mut notes) = open();
    tap(&mut adapter, 0, 60, &mut notes);
    // kernel_gen and kernel_len of a buffer that is the kernel's.
    scribble(&mut adapter, handle, 0, 0, 77);
    scribble(&mut adapter, handle, 0, 4, u32::MAX);
    tap(&mut adapter, 1, 60, &mut notes);
    assert_eq!(adapter.occupancy(handle).used, 174, "the next packet goes where it belongs");
    assert_eq!(adapter.rotate(handle).unwrap().unwrap().bytes, 174);
    let mut words = [0; 8];
    adapter.user_read(handle, 0, 0, 0, &mut words).unwrap();
    assert_eq!(words, [1, 0, 0, 0, 174, 0, 0, 0], "the hand-over says what is true");
    let mut reader = ZeroCopyReader::new(&mut adapter, handle).unwrap();
    assert_eq!(reader.poll(0, &mut adapter, &mut notes).unwrap().packets, 2);
    adds_up(&adapter, handle);
}

#[test]
fn any_user_generation_but_the_right_one_leaves_the_buffer_with_the_user() {
    let (mut adapter, handle, mut notes) = open();
    tap(&mut adapter, 0, 2000, &mut notes);
    adapter.rotate(handle).unwrap();
    for (tag, generation) in [2, 3, 77, u32::MAX, 1 << 31, 256].into_iter().enumerate() {
        scribble(&mut adapter, handle, 0, 8, generation);
        tap(&mut adapter, tag as u64 + 1, 2000, &mut notes);
    }
    assert_eq!(notes.dropped(DropReason::UserOwned), [3, 4, 5, 6]);
    assert_eq!((adapter.queued(handle), adapter.ready(handle)), (3, true));
    adds_up(&adapter, handle);
}

#[test]
fn a_buffer_acknowledged_before_it_is_handed_over_comes_back_unread() {
    let (mut adapter, handle, mut notes) = open();
    scribble(&mut adapter, handle, 0, 8, 1);
    for tag in 0..3 {
        tap(&mut adapter, tag, 2000, &mut notes);
    }
    assert!(notes.drops().is_empty(), "the third began the other buffer");
    tap(&mut adapter, 3, 2000, &mut notes);
    assert_eq!(notes.dropped(DropReason::Unread), [0, 1]);
    adds_up(&adapter, handle);
}

#[test]
fn a_reader_follows_a_scribbled_header_no_further_than_the_buffer() {
    for (at, word, records, packets) in [
        // kernel_len: too long; in the middle of the second record; nothing.
        (4, u32::MAX, 2, 2),
        (4, 100, 1, 1),
        (4, 0, 0, 0),
        // caplen of the first record: beyond the buffer; one byte; reaching into the second record.
        (32 + 16, u32::MAX, 0, 0),
        (32 + 16, 1, 1, 1),
        (32 + 16, 64, 1, 1),
        // hdrlen: none, as if the record stood still.
        (32 + 24, 0, 0, 0),
        // A generation that no hand-over had: the records are seen, and are no packets.
        (0, 9, 2, 0),
    ] {
        let (mut adapter, handle, mut notes) = open();
        tap(&mut adapter, 0, 60, &mut notes);
        tap(&mut adapter, 1, 60, &mut notes);
        adapter.rotate(handle).unwrap();
        scribble(&mut adapter, handle, 0, at, word);
        let mut reader = ZeroCopyReader::new(&mut adapter, handle).unwrap();
        let taken = reader.poll(0, &mut adapter, &mut notes).unwrap();
        let Taken { bytes, waits, rotated, .. } = taken;
        assert_eq!((taken.records, taken.packets), (records, packets), "{at} {word}: {taken:?}");
        assert!(bytes <= 4064 && !waits && !rotated, "{taken:?}");
        assert!(
            notes.delivered.iter().all(|packet| packet.data.len() <= 60),
            "no more than stored"
        );
        adds_up(&adapter, handle);

        // Acknowledged, if the reader has the kernel's generation to acknowledge with.
        reader.poll(0, &mut adapter, &mut notes).unwrap();
        tap(&mut adapter, 2, 60, &mut notes);
        let unread = if at == 0 { 0 } else { 2 - packets as usize };
        assert_eq!(notes.dropped(DropReason::Unread).len(), unread, "{at} {word}");
        adds_up(&adapter, handle);
        adapter.close(0, handle, &mut notes).unwrap();
        assert_eq!(notes.delivered.len() + notes.drops().len(), 3, "each has its one fate");
    }
}

#[test]
fn what_is_delivered_is_what_the_reader_saw() {
    let (mut adapter, handle, mut notes) = open();
    tap(&mut adapter, 7, 60, &mut notes);
    adapter.rotate(handle).unwrap();
    adapter.user_write(handle, 0, 0, 32 + 26 + 3, &[0xee]).unwrap();
    let mut reader = ZeroCopyReader::new(&mut adapter, handle).unwrap();
    reader.poll(0, &mut adapter, &mut notes).unwrap();
    assert_eq!(notes.delivered[0].data[..5], [7, 7, 7, 0xee, 7]);
}
