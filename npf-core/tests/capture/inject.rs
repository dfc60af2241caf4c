//! Injection: copies, refusals, what the handles see of it.

use crate::support::{Notes, SENT, check_account, one_handle};
use npf_core::{
    Adapter, ControlError, Event, HandleOptions, InjectError, Injected, MAX_WRITE_REPEAT, TapWork,
    filter::Program,
};

#[test]
fn a_written_frame_is_seen_by_all_and_then_sent() {
    let mut adapter = Adapter::new();
    let writer = adapter.open(HandleOptions::default()).unwrap();
    let other = adapter.open(HandleOptions { snaplen: 10, ..HandleOptions::default() }).unwrap();
    let mut notes = Notes::default();
    let injected = adapter.inject(5, 3, writer, &[7; 60], &mut notes).unwrap();
    let work = TapWork { frames: 1, accepted: 2, instructions: 0, compiled: 0, bytes_copied: 60 };
    assert_eq!(injected, Injected { copies: 1, work });
    assert_eq!(notes.sent, [[7; 60]]);
    assert_eq!(notes.tapped, [SENT]);
    let stored = |handle, caplen: u32| {
        let charge = u64::from(caplen) + 20;
        Event::Stored { tag: SENT, handle, caplen, charge, occupancy: charge }
    };
    let sent = Event::Sent { tag: SENT, handle: writer, len: 60 };
    assert_eq!(notes.events, [stored(writer, 60), stored(other, 10), sent]);
    assert_eq!(adapter.counters(writer).unwrap().sent, 1);
    let counters = adapter.adapter_counters();
    assert_eq!((counters.sent, counters.frames, counters.bytes_copied), (1, 0, 60));
    check_account(&adapter, writer);
    check_account(&adapter, other);
}

#[test]
fn each_frame_is_sent_as_often_as_asked_for() {
    let (mut adapter, handle) = one_handle(HandleOptions::default());
    let mut notes = Notes::default();
    adapter.set_write_repeat(0, handle, 1000, &mut notes).unwrap();
    assert_eq!(notes.events, [Event::WriteRepeatSet { handle, times: 1000 }]);
    let injected = adapter.inject(0, 0, handle, &[7; 60], &mut notes).unwrap();
    assert_eq!((injected.copies, injected.work.accepted), (1000, 1000));
    assert_eq!((notes.sent.len(), notes.tapped.len()), (1000, 1000));
    assert_eq!(adapter.queued(handle), 1000, "each copy is seen");
    check_account(&adapter, handle);

    adapter.set_write_repeat(0, handle, 0, &mut notes).unwrap();
    for frame in [&[7; 60][..], &[], &[7; 60_000]] {
        let injected = adapter.inject(0, 0, handle, frame, &mut notes);
        assert_eq!(injected, Ok(Injected::default()), "success, and nothing is sent");
    }
    assert_eq!(notes.sent.len(), 1000);
    let asked = MAX_WRITE_REPEAT + 1;
    let refused = ControlError::TooManyRepeats { asked, limit: MAX_WRITE_REPEAT };
    assert_eq!(adapter.set_write_repeat(0, handle, asked, &mut notes), Err(refused));
    assert_eq!(adapter.inject(0, 0, handle, &[7; 60], &mut notes), Ok(Injected::default()));
}

#[test]
fn what_cannot_be_sent_is_refused_and_nobody_sees_it() {
    let (mut adapter, handle) = one_handle(HandleOptions::default());
    let mut notes = Notes::default();
    let mut inject = |adapter: &mut Adapter, handle, len| {
        let injected = adapter.inject(0, 0, handle, &vec![7; len], &mut notes);
        assert!(injected.is_ok() || notes.events.is_empty() && notes.sent.is_empty());
        injected.map(|injected| injected.copies)
    };
    assert_eq!(inject(&mut adapter, 9, 60), Err(InjectError::NoSuchHandle { handle: 9 }));
    assert_eq!(inject(&mut adapter, handle, 0), Err(InjectError::Empty));
    let too_long = InjectError::TooLong { len: 1515, limit: 1514 };
    assert_eq!(inject(&mut adapter, handle, 1515), Err(too_long));
    let refused = ControlError::MaxFrameTooSmall { asked: 13, least: 14 };
    assert_eq!(adapter.set_max_frame(13), Err(refused));
    adapter.set_max_frame(20).unwrap();
    assert_eq!(inject(&mut adapter, handle, 21), Err(InjectError::TooLong { len: 21, limit: 20 }));
    assert_eq!(inject(&mut adapter, handle, 20), Ok(1));
    adapter.remove(0, &mut Notes::default());
    notes = Notes::default();
    let gone = adapter.inject(0, 0, handle, &[7; 10], &mut notes);
    assert_eq!(gone, Err(InjectError::DeviceRemoved));
    assert!(notes.events.is_empty());
    assert_eq!(adapter.counters(handle).unwrap().sent, 1);
}

#[test]
fn the_write_filter_decides_what_may_be_written_and_not_what_is_read() {
    let (mut adapter, handle) = one_handle(HandleOptions::default());
    let mut notes = Notes::default();
    let longer = Program::parse_ddd("4\n128 0 0 0\n53 0 1 50\n6 0 0 1\n6 0 0 0").unwrap();
    adapter.set_write_filter(0, handle, Some(longer), &mut notes).unwrap();
    assert_eq!(notes.events.pop(), Some(Event::WriteFilterSet { handle, instructions: 4 }));
    let refused = adapter.inject(0, 0, handle, &[7; 49], &mut notes);
    assert_eq!(refused, Err(InjectError::Filtered));
    assert!(notes.events.is_empty() && notes.sent.is_empty());
    let injected = adapter.inject(0, 0, handle, &[7; 50], &mut notes).unwrap();
    assert_eq!((injected.copies, injected.work.instructions), (1, 3));
    assert_eq!(notes.sent[0].len(), 50, "what it accepts is sent whole");
    assert_eq!(adapter.counters(handle).unwrap().instructions, 6);
    adapter.set_write_filter(0, handle, None, &mut notes).unwrap();
    adapter.inject(0, 0, handle, &[7; 49], &mut notes).unwrap();
    check_account(&adapter, handle);
}

#[test]
fn with_feedback_a_sent_frame_comes_back_as_a_received_one() {
    let mut adapter = Adapter::new();
    let writer =
        adapter.open(HandleOptions { skip_own: true, ..HandleOptions::default() }).unwrap();
    let other = adapter.open(HandleOptions::default()).unwrap();
    let mut notes = Notes::default();
    adapter.set_feedback(0, writer, true, &mut notes).unwrap();
    assert_eq!(notes.events, [Event::FeedbackSet { handle: writer, on: true }]);
    adapter.set_write_repeat(0, writer, 2, &mut notes).unwrap();
    let injected = adapter.inject(0, 0, writer, &[7; 60], &mut notes).unwrap();
    assert_eq!((injected.copies, injected.work.frames, injected.work.accepted), (2, 4, 6));
    assert_eq!(notes.tapped, [SENT, SENT + 1, SENT + 2, SENT + 3]);
    assert_eq!((adapter.queued(writer), adapter.queued(other)), (2, 4));
    assert_eq!(adapter.counters(writer).unwrap().sent, 2);
    check_account(&adapter, writer);
    adapter.set_feedback(0, writer, false, &mut notes).unwrap();
    adapter.inject(0, 0, writer, &[7; 60], &mut notes).unwrap();
    assert_eq!((adapter.queued(writer), adapter.queued(other)), (2, 6));
}
