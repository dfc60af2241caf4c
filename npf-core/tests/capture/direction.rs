//! Which frames a handle looks at: received, sent, its own.

use crate::support::{Notes, SENT, check_account, one_handle, tap};
use npf_core::{
    Adapter, ControlError, Direction, DropReason, EngineKind, Event, HandleOptions, ReadError,
    ReadStep, RingOptions, Stats,
};

#[test]
fn each_direction_shows_its_frames_and_only_those() {
    let mut adapter = Adapter::new();
    let mut open = |direction, skip_own| {
        adapter.open(HandleOptions { direction, skip_own, ..HandleOptions::default() }).unwrap()
    };
    let both = open(Direction::InOut, false);
    let received = open(Direction::In, false);
    let sent = open(Direction::Out, false);
    let writer = open(Direction::InOut, true);
    let writer_of_sent = open(Direction::Out, true);
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    adapter.inject(0, 0, writer, &[1; 60], &mut notes).unwrap();
    adapter.inject(0, 0, writer_of_sent, &[2; 60], &mut notes).unwrap();
    let expected = [
        (both, vec![0, SENT, SENT + 1]),
        (received, vec![0]),
        (sent, vec![SENT, SENT + 1]),
        (writer, vec![0, SENT + 1]),
        (writer_of_sent, vec![SENT]),
    ];
    for (handle, tags) in expected {
        let skipped: Vec<_> =
            [0, SENT, SENT + 1].into_iter().filter(|t| !tags.contains(t)).collect();
        let told = |tag: u64| notes.events.contains(&Event::Skipped { tag, handle });
        assert!(skipped.iter().all(|tag| told(*tag)) && !tags.iter().any(|tag| told(*tag)));
        notes.delivered.clear();
        adapter.read(0, handle, &mut [0; 1000], &mut notes).unwrap();
        assert_eq!(notes.delivered.iter().map(|packet| packet.tag).collect::<Vec<_>>(), tags);
        let counters = adapter.counters(handle).unwrap();
        assert_eq!(counters.skipped, skipped.len() as u64);
        assert_eq!(counters.shown + counters.skipped, 3);
        assert_eq!(adapter.stats(handle).unwrap().received, counters.shown);
        check_account(&adapter, handle);
    }
}

#[test]
fn a_frame_that_all_skip_is_nobodys_and_is_not_copied() {
    let options = HandleOptions { direction: Direction::Out, ..HandleOptions::default() };
    let (mut adapter, handle) = one_handle(options);
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    assert_eq!(notes.events, [Event::Skipped { tag: 0, handle }]);
    assert_eq!(adapter.adapter_counters().bytes_copied, 0);
}

#[test]
fn a_direction_is_changed_without_a_flush() {
    let (mut adapter, handle) = one_handle(HandleOptions::default());
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 60, &mut notes);
    adapter.set_direction(0, handle, Direction::Out, &mut notes).unwrap();
    assert_eq!(notes.events.last(), Some(&Event::DirectionSet { handle, direction: "out" }));
    tap(&mut adapter, 1, 60, &mut notes);
    assert_eq!((adapter.queued(handle), adapter.counters(handle).unwrap().skipped), (1, 1));
    assert!(notes.drops().is_empty());
}

#[test]
fn to_begin_to_skip_ones_own_resets_the_buffer_and_nothing_else_does() {
    let (mut adapter, handle) = one_handle(HandleOptions::default());
    let mut notes = Notes::default();
    adapter.set_skip_own(0, handle, false, &mut notes).unwrap();
    tap(&mut adapter, 0, 60, &mut notes);
    adapter.set_skip_own(0, handle, true, &mut notes).unwrap();
    assert_eq!(notes.dropped(DropReason::Flushed), [0]);
    assert_eq!(adapter.stats(handle).unwrap(), Stats::default());
    assert_eq!(notes.events.last(), Some(&Event::SkipOwnSet { handle, on: true }));
    tap(&mut adapter, 1, 60, &mut notes);
    adapter.set_skip_own(0, handle, true, &mut notes).unwrap();
    adapter.set_skip_own(0, handle, false, &mut notes).unwrap();
    assert_eq!((adapter.queued(handle), adapter.counters(handle).unwrap().resets), (1, 1));
    check_account(&adapter, handle);
}

/// A ring with a read in its first step.
fn in_the_middle_of_a_read() -> (Adapter, u32, Notes) {
    let engine = EngineKind::Ring(RingOptions::default());
    let options = HandleOptions { engine, kernel_buffer: 9000, ..HandleOptions::default() };
    let (mut adapter, handle) = one_handle(options);
    let mut notes = Notes::default();
    (0..3).for_each(|tag| tap(&mut adapter, tag, 1500, &mut notes));
    adapter.read_step(0, handle, &mut [0; 8000], &mut notes).unwrap();
    (adapter, handle, notes)
}

#[test]
fn controls_in_the_middle_of_a_read_end_it_if_they_flush() {
    type Control = fn(&mut Adapter, u32, &mut Notes) -> Result<(), ControlError>;
    let flushing: [Control; 3] = [
        |adapter, handle, notes| adapter.set_skip_own(0, handle, true, notes),
        |adapter, handle, notes| adapter.set_buffer_size(0, handle, 5000, notes),
        |adapter, handle, notes| {
            adapter.set_filter(0, handle, None, npf_core::FilterReset::Yes, notes)
        },
    ];
    let leaving: [Control; 6] = [
        |adapter, handle, notes| adapter.set_direction(0, handle, Direction::Out, notes),
        |adapter, handle, notes| adapter.set_write_repeat(0, handle, 9, notes),
        |adapter, handle, notes| adapter.set_snaplen(0, handle, 9, notes),
        |adapter, handle, notes| adapter.set_min_to_copy(0, handle, 9, notes),
        |adapter, handle, notes| adapter.set_immediate(0, handle, true, notes),
        |adapter, handle, notes| {
            adapter.set_filter(0, handle, None, npf_core::FilterReset::No, notes)
        },
    ];
    for (control, ends) in
        flushing.map(|control| (control, true)).into_iter().chain(leaving.map(|c| (c, false)))
    {
        let (mut adapter, handle, mut notes) = in_the_middle_of_a_read();
        let busy = adapter.read(0, handle, &mut [0; 8000], &mut notes);
        assert_eq!(busy, Err(ReadError::Busy { handle }), "two readers");
        let other = adapter.read_step(0, handle, &mut [0; 10], &mut notes);
        assert_eq!(other, Err(ReadError::OtherBuffer { len: 10, begun: 8000 }));
        control(&mut adapter, handle, &mut notes).unwrap();
        check_account(&adapter, handle);
        let mut out = [0; 8000];
        let mut steps = 0;
        let read = loop {
            steps += 1;
            if let ReadStep::Done(read) =
                adapter.read_step(0, handle, &mut out, &mut notes).unwrap()
            {
                break read;
            }
        };
        if ends {
            assert_eq!((steps, read.bytes), (1, 0), "a new read of an empty buffer");
            assert_eq!(notes.dropped(DropReason::Flushed), [0, 1, 2]);
        } else {
            assert_eq!((read.packets, notes.delivered.len()), (3, 3));
        }
        check_account(&adapter, handle);
    }
}

#[test]
fn closing_and_removal_in_the_middle_of_a_read() {
    let (mut adapter, handle, mut notes) = in_the_middle_of_a_read();
    let last = adapter.close(0, handle, &mut notes).unwrap();
    assert_eq!((last.shown, last.dropped_total()), (3, 3));
    let gone = adapter.read_step(0, handle, &mut [0; 8000], &mut notes);
    assert_eq!(gone, Err(ReadError::NoSuchHandle { handle }));

    let (mut adapter, handle, mut notes) = in_the_middle_of_a_read();
    adapter.remove(0, &mut notes);
    let mut out = [0; 8000];
    while !matches!(adapter.read_step(0, handle, &mut out, &mut notes), Ok(ReadStep::Done(_))) {}
    assert_eq!(notes.delivered.len(), 3);
    check_account(&adapter, handle);
}
