//! What a fork does to a zero-copy capture (FreeBSD problem report 163370): who still sees packets, and
//! whose acknowledgements still reach the kernel.

use crate::support::{Notes, one_handle, tap};
use npf_core::{
    Adapter, BufferMode, DropReason, EngineKind, ForkedPages, HandleOptions, ZeroCopyOptions,
    ZeroCopyReader,
};

const RULES: [ForkedPages; 4] = [
    ForkedPages::CopiedAtFork,
    ForkedPages::EachWriterCopies,
    ForkedPages::WriterCopies,
    ForkedPages::YoungerCopies,
];

fn private(forked_pages: ForkedPages) -> ZeroCopyOptions {
    ZeroCopyOptions { forked_pages, ..ZeroCopyOptions::default() }
}

fn inherited() -> ZeroCopyOptions {
    ZeroCopyOptions { buffer_mode: BufferMode::ZeroCopyInherit, ..ZeroCopyOptions::default() }
}

/// Two buffers of two pages.
fn open(choices: ZeroCopyOptions) -> (Adapter, u32) {
    one_handle(HandleOptions {
        engine: EngineKind::ZeroCopy(choices),
        kernel_buffer: 4 * 4096,
        ..HandleOptions::default()
    })
}

/// When the reading process forks, in packets, and which of the two reads from then on.
#[derive(Debug, Clone, Copy)]
struct Story {
    fork_at: u64,
    child_reads: bool,
}

const PACKETS: u64 = 100;

/// Tells a story: a reader that comes after each packet, and its time-out. Gives the tags delivered,
/// in order, and those dropped because both buffers were the user's.
fn tell(choices: ZeroCopyOptions, story: Story) -> (Vec<u64>, Vec<u64>) {
    let (mut adapter, handle) = open(choices);
    let mut notes = Notes::default();
    let mut reader = ZeroCopyReader::new(&mut adapter, handle).unwrap();
    for tag in 0..PACKETS {
        if tag == story.fork_at {
            let child = adapter.fork(handle, 0).unwrap();
            if story.child_reads {
                reader = reader.in_child(child);
                assert_eq!(reader.process(), 1);
            }
        }
        tap(&mut adapter, tag, 1000, &mut notes);
        while reader.poll(0, &mut adapter, &mut notes).unwrap().packets > 0 {}
    }
    let counters = adapter.counters(handle).unwrap();
    let queued = adapter.queued(handle);
    assert_eq!(PACKETS, counters.delivered + counters.dropped_total() + queued);
    assert!(notes.delivered.iter().all(|packet| packet.data == [packet.tag as u8; 1000]));
    assert_eq!(notes.dropped(DropReason::Unread), []);
    let delivered = notes.delivered.iter().map(|packet| packet.tag).collect();
    (delivered, notes.dropped(DropReason::UserOwned))
}

fn stories() -> impl Iterator<Item = Story> {
    let times = [0, 1, 2, 7, 50, 51, 52, 53];
    times
        .into_iter()
        .flat_map(|fork_at| [false, true].map(|child_reads| Story { fork_at, child_reads }))
}

#[test]
fn with_inherited_pages_every_packet_arrives_whoever_reads() {
    for story in stories() {
        let (delivered, dropped) = tell(inherited(), story);
        assert!(delivered.iter().copied().eq(0..delivered.len() as u64), "{story:?}");
        assert!(delivered.len() >= 98 && dropped.is_empty(), "{story:?}: {dropped:?}");
    }
}

#[test]
fn without_a_fork_no_rule_matters() {
    let never = Story { fork_at: u64::MAX, child_reads: false };
    let expected = tell(inherited(), never);
    for rule in RULES {
        assert_eq!(tell(private(rule), never), expected, "{rule:?}");
    }
}

/// The report: a process that opens the capture and forks leaves the reading to its child, as
/// pflogd(8) does. What the child sees stands still at the latest when it acknowledges; its
/// acknowledgements reach nobody; both buffers stay the user's, and all else is dropped.
#[test]
fn a_child_with_private_pages_goes_deaf() {
    for rule in RULES {
        for story in stories().filter(|story| story.child_reads) {
            let (delivered, dropped) = tell(private(rule), story);
            // 7 packets fill a buffer, 1000 + 26 bytes each; what both take is not lost yet.
            let most = story.fork_at + 2 * 7;
            assert!(delivered.len() as u64 <= most, "{rule:?} {story:?}: {}", delivered.len());
            let lost = dropped.len() as u64;
            assert!(lost >= PACKETS - most - 7, "{rule:?} {story:?}: {lost}");
            let last: Vec<u64> = (PACKETS - lost..PACKETS).collect();
            assert_eq!(dropped, last, "{rule:?} {story:?}: once deaf, for ever");
        }
    }
}

/// A process that forks a helper, say for a DNS query, and goes on reading: it depends on who gets
/// the copy of a page when the reader, now and not the child, is the one that writes.
#[test]
fn a_parent_goes_deaf_if_its_own_write_takes_it_off_the_kernels_page() {
    for rule in RULES {
        for story in stories().filter(|story| !story.child_reads) {
            let (delivered, dropped) = tell(private(rule), story);
            let deaf = matches!(rule, ForkedPages::EachWriterCopies | ForkedPages::WriterCopies);
            assert_eq!(deaf, !dropped.is_empty(), "{rule:?} {story:?}");
            assert_eq!(deaf, delivered.len() < 98, "{rule:?} {story:?}");
        }
    }
}

/// What a process sees in the first word of a page of the first buffer.
fn sees(adapter: &mut Adapter, handle: u32, process: u32, page: usize) -> u32 {
    let mut word = [0; 4];
    adapter.user_read(handle, process, 0, page * 4096, &mut word).unwrap();
    u32::from_le_bytes(word)
}

fn writes(adapter: &mut Adapter, handle: u32, process: u32, page: usize, value: u32) {
    adapter.user_write(handle, process, 0, page * 4096, &value.to_le_bytes()).unwrap();
}

#[test]
fn private_views_part_page_by_page_whatever_the_rule() {
    // What parent and child see when the first of them has written a 2 to a page, and the other a 3.
    for rule in RULES {
        for (first, second, expected) in [(1, 0, [[1, 2], [3, 2]]), (0, 1, [[2, 1], [2, 3]])] {
            let (mut adapter, handle) = open(private(rule));
            writes(&mut adapter, handle, 0, 1, 1);
            adapter.fork(handle, 0).unwrap();
            let both = |adapter: &mut Adapter, page| [0, 1].map(|p| sees(adapter, handle, p, page));
            assert_eq!(both(&mut adapter, 1), [1, 1]);
            writes(&mut adapter, handle, first, 1, 2);
            assert_eq!(both(&mut adapter, 1), expected[0], "{rule:?}");
            writes(&mut adapter, handle, second, 1, 3);
            assert_eq!(both(&mut adapter, 1), expected[1], "{rule:?}");
            assert_eq!(both(&mut adapter, 0), [0, 0], "another page");
        }
    }
    let (mut adapter, handle) = open(inherited());
    adapter.fork(handle, 0).unwrap();
    writes(&mut adapter, handle, 1, 1, 2);
    assert_eq!(sees(&mut adapter, handle, 0, 1), 2);
}

#[test]
fn who_keeps_the_kernels_page() {
    // Per rule: whether parent and child see what the kernel writes, after the fork, after a write of
    // the child, after one of the parent too; and the same with the parent first.
    let (n, y) = (false, true);
    let cases = [
        (ForkedPages::CopiedAtFork, [[y, n], [y, n], [y, n]], [[y, n], [y, n], [y, n]]),
        (ForkedPages::EachWriterCopies, [[y, y], [y, n], [n, n]], [[y, y], [n, y], [n, n]]),
        (ForkedPages::WriterCopies, [[y, y], [y, n], [y, n]], [[y, y], [n, y], [n, y]]),
        (ForkedPages::YoungerCopies, [[y, y], [y, n], [y, n]], [[y, y], [y, n], [y, n]]),
    ];
    for (rule, child_first, parent_first) in cases {
        for (order, expected) in [([1, 0], child_first), ([0, 1], parent_first)] {
            let (mut adapter, handle) = open(private(rule));
            adapter.fork(handle, 0).unwrap();
            for (step, expected) in expected.into_iter().enumerate() {
                if step > 0 {
                    // A word of the header that the kernel does not look at.
                    let process = order[step - 1];
                    adapter.user_write(handle, process, 0, 12, &[7]).unwrap();
                }
                // The kernel's writes: a packet in the first buffer, flushed again.
                let fill = step as u8 + 1;
                tap(&mut adapter, fill.into(), 100, &mut Notes::default());
                let seen = [0, 1].map(|process| {
                    let mut byte = [0];
                    adapter.user_read(handle, process, 0, 32 + 26, &mut byte).unwrap();
                    byte == [fill]
                });
                assert_eq!(seen, expected, "{rule:?}, first {}, step {step}", order[0]);
                let reset = npf_core::FilterReset::Yes;
                adapter.set_filter(0, handle, None, reset, &mut Notes::default()).unwrap();
            }
        }
    }
}

#[test]
fn two_readers_of_shared_pages_deliver_no_packet_twice() {
    let (mut adapter, handle) = open(inherited());
    let mut notes = Notes::default();
    let mut parent = ZeroCopyReader::new(&mut adapter, handle).unwrap();
    let child = adapter.fork(handle, 0).unwrap();
    let mut child = parent.in_child(child);
    tap(&mut adapter, 0, 60, &mut notes);
    adapter.rotate(handle).unwrap();
    let first = parent.poll(0, &mut adapter, &mut notes).unwrap();
    let second = child.poll(0, &mut adapter, &mut notes).unwrap();
    assert_eq!((first.packets, first.records), (1, 1));
    assert_eq!((second.packets, second.records), (0, 1), "it sees what was delivered before");
    assert_eq!(notes.delivered.len(), 1);
}

#[test]
fn a_stale_view_delivers_nothing_that_is_gone() {
    // The child's copy shows the first hand-over for ever; the parent reads on and the kernel fills
    // the buffer again.
    let (mut adapter, handle) = open(private(ForkedPages::CopiedAtFork));
    let mut notes = Notes::default();
    let mut parent = ZeroCopyReader::new(&mut adapter, handle).unwrap();
    tap(&mut adapter, 0, 60, &mut notes);
    adapter.rotate(handle).unwrap();
    let child = adapter.fork(handle, 0).unwrap();
    let mut child = parent.in_child(child);
    for tag in 1..5 {
        while parent.poll(0, &mut adapter, &mut notes).unwrap().packets > 0 {}
        tap(&mut adapter, tag, 60, &mut notes);
    }
    let before = notes.delivered.len();
    let stale = child.poll(0, &mut adapter, &mut notes).unwrap();
    assert_eq!((stale.packets, stale.records, notes.delivered.len()), (0, 1, before));
    assert!(child.poll(0, &mut adapter, &mut notes).unwrap().waits);
}

#[test]
fn a_grandchild_has_what_its_parent_saw() {
    for rule in RULES {
        let (mut adapter, handle) = open(private(rule));
        let child = adapter.fork(handle, 0).unwrap();
        writes(&mut adapter, handle, child, 1, 5);
        let grandchild = adapter.fork(handle, child).unwrap();
        writes(&mut adapter, handle, child, 1, 6);
        assert_eq!(sees(&mut adapter, handle, grandchild, 1), 5, "{rule:?}");
        assert_eq!(sees(&mut adapter, handle, 0, 1), 0, "{rule:?}");
        assert_eq!((child, grandchild), (1, 2));
    }
}
