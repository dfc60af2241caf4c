//! Controls: what they flush, what they zero, what they refuse.

use crate::support::{Notes, one_handle, tap};
use npf_core::{
    Adapter, ControlError, DropReason, Event, HandleOptions, Occupancy, Stats, filter::Program,
};

/// A handle with two packets queued, one dropped for memory, and one for room.
fn busy() -> (Adapter, u32, Notes) {
    let (mut adapter, handle) = one_handle(HandleOptions {
        kernel_buffer: 100,
        min_to_copy: 0,
        object_limit: Some(2),
        ..HandleOptions::default()
    });
    let mut notes = Notes::default();
    tap(&mut adapter, 0, 100, &mut notes);
    tap(&mut adapter, 1, 60, &mut notes);
    adapter.read(0, handle, &mut [0; 200], &mut notes).unwrap();
    for (tag, len) in [(2, 10), (3, 60), (4, 60)] {
        tap(&mut adapter, tag, len, &mut notes);
    }
    assert_eq!(
        adapter.stats(handle).unwrap(),
        Stats { received: 5, accepted: 3, dropped: 2, resource_dropped: 1 }
    );
    notes.events.clear();
    (adapter, handle, notes)
}

const AFTER_RESET: Stats = Stats { received: 0, accepted: 0, dropped: 1, resource_dropped: 1 };

#[test]
fn a_new_buffer_size_flushes_in_order_and_zeroes_all_but_resource_dropped() {
    let (mut adapter, handle, mut notes) = busy();
    adapter.set_buffer_size(0, handle, 5000, &mut notes).unwrap();
    assert_eq!(adapter.stats(handle).unwrap(), AFTER_RESET);
    let [two, three] = notes.drops()[..] else { panic!() };
    assert_eq!((two.tag, two.reason, two.need, two.occupancy), (2, DropReason::Flushed, 30, 110));
    assert_eq!((three.tag, three.need, three.occupancy, three.capacity), (3, 80, 80, 100));
    assert_eq!(notes.events[2], Event::BufferReset { handle, flushed: 2, capacity: 5000 });
    let Occupancy { used, capacity, free, peak, memory, .. } = adapter.occupancy(handle);
    assert_eq!((used, capacity, free, peak, memory), (0, 5000, 5000, 0, 0));
    assert_eq!(adapter.queued(handle), 0);
    assert!(adapter.event_set(handle), "a control does not clear the event");
}

#[test]
fn the_same_buffer_size_changes_nothing() {
    let (mut adapter, handle, mut notes) = busy();
    let before = adapter.stats(handle).unwrap();
    adapter.set_buffer_size(0, handle, 100, &mut notes).unwrap();
    assert!(notes.events.is_empty());
    assert_eq!((adapter.queued(handle), adapter.stats(handle).unwrap()), (2, before));
}

#[test]
fn buffer_sizes_from_0_to_1_gib_are_granted() {
    let (mut adapter, handle, mut notes) = busy();
    let asked = (1 << 30) + 1;
    let refused = ControlError::BufferTooLarge { asked, limit: 1 << 30 };
    assert_eq!(adapter.set_buffer_size(0, handle, asked, &mut notes), Err(refused));
    assert_eq!((adapter.queued(handle), notes.events.len()), (2, 0));
    let open = adapter.open(HandleOptions { kernel_buffer: asked, ..HandleOptions::default() });
    assert_eq!(open, Err(refused));

    adapter.set_buffer_size(0, handle, 1 << 30, &mut notes).unwrap();
    adapter.set_buffer_size(0, handle, 0, &mut notes).unwrap();
    tap(&mut adapter, 9, 60, &mut notes);
    assert_eq!(notes.dropped(DropReason::ZeroBuffer), [9]);
    adapter.set_buffer_size(0, handle, 1, &mut notes).unwrap();
    tap(&mut adapter, 10, 60, &mut notes);
    assert_eq!(adapter.queued(handle), 1);
}

#[test]
fn a_new_filter_flushes_and_then_decides() {
    let (mut adapter, handle, mut notes) = busy();
    let reject = Program::parse_ddd("1\n6 0 0 0").unwrap();
    adapter
        .set_filter(0, handle, Some(reject.into()), npf_core::FilterReset::Yes, &mut notes)
        .unwrap();
    assert_eq!(notes.dropped(DropReason::Flushed), [2, 3]);
    assert_eq!(adapter.stats(handle).unwrap(), AFTER_RESET);
    assert_eq!(notes.events.last(), Some(&Event::FilterSet { handle, instructions: 1 }));
    tap(&mut adapter, 9, 60, &mut notes);
    assert_eq!(notes.events.last(), Some(&Event::Filtered { tag: 9, handle }));
    adapter.set_filter(0, handle, None, npf_core::FilterReset::Yes, &mut notes).unwrap();
    tap(&mut adapter, 10, 60, &mut notes);
    assert_eq!(adapter.queued(handle), 1);
}

#[test]
fn the_least_of_filter_snaplen_and_frame_is_kept() {
    let keep = |bytes: u32| Program::parse_ddd(&format!("1\n6 0 0 {bytes}")).ok().map(Into::into);
    for (accept, snaplen, caplen) in [(40, 100, 40), (100, 50, 50), (100, 100, 60)] {
        let (mut adapter, handle) = one_handle(HandleOptions {
            filter: keep(accept),
            snaplen: 262_144,
            ..HandleOptions::default()
        });
        let mut notes = Notes::default();
        adapter.set_snaplen(0, handle, snaplen, &mut notes).unwrap();
        assert_eq!(notes.events.pop(), Some(Event::SnaplenSet { handle, bytes: snaplen.into() }));
        tap(&mut adapter, 0, 60, &mut notes);
        let (charge, occupancy) = (20 + u64::from(caplen), 20 + u64::from(caplen));
        assert_eq!(notes.events, [Event::Stored { tag: 0, handle, caplen, charge, occupancy }]);
    }
}

#[test]
fn a_snaplen_of_0_is_refused() {
    let (mut adapter, handle, mut notes) = busy();
    assert_eq!(adapter.set_snaplen(0, handle, 0, &mut notes), Err(ControlError::ZeroSnaplen));
    let open = adapter.open(HandleOptions { snaplen: 0, ..HandleOptions::default() });
    assert_eq!(open, Err(ControlError::ZeroSnaplen));
}

#[test]
fn closing_drops_what_is_queued_and_gives_the_final_account() {
    let (mut adapter, handle, mut notes) = busy();
    let last = adapter.close(0, handle, &mut notes).unwrap();
    assert_eq!(notes.dropped(DropReason::Closed), [2, 3]);
    assert_eq!(notes.events.last(), Some(&Event::Closed { handle, lost: 2 }));
    assert_eq!((last.shown, last.filtered + last.delivered + last.dropped_total()), (5, 5));
    assert_eq!(adapter.handles().count(), 0);
    tap(&mut adapter, 9, 60, &mut notes);
    assert_eq!(notes.dropped(DropReason::NoHandle), [9]);
    assert_eq!(adapter.adapter_counters().no_handle, 1);
    let again = adapter.open(HandleOptions::default()).unwrap();
    assert_ne!(again, handle, "numbers are not used again");
}

#[test]
fn controls_of_a_handle_that_is_not_open_are_refused() {
    let (mut adapter, _, mut notes) = busy();
    let none = Err(ControlError::NoSuchHandle { handle: 7 });
    assert_eq!(adapter.close(0, 7, &mut notes).map(drop), none);
    assert_eq!(adapter.set_buffer_size(0, 7, 1, &mut notes), none);
    assert_eq!(adapter.set_filter(0, 7, None, npf_core::FilterReset::Yes, &mut notes), none);
    assert_eq!(adapter.set_min_to_copy(0, 7, 1, &mut notes), none);
    assert_eq!(adapter.set_snaplen(0, 7, 1, &mut notes), none);
    assert_eq!(adapter.stats(7).map(drop), none);
    assert_eq!(adapter.counters(7).map(drop), none);
    assert!(notes.events.is_empty());
}

#[test]
fn after_removal_sizes_and_openings_are_refused_and_the_rest_still_works() {
    let (mut adapter, handle, mut notes) = busy();
    adapter.remove(0, &mut notes);
    assert_eq!(notes.events, [Event::Detached { handle, queued: 2 }]);
    let gone = Err(ControlError::DeviceRemoved);
    assert_eq!(adapter.set_buffer_size(0, handle, 1, &mut notes), gone);
    assert_eq!(adapter.open(HandleOptions::default()).map(drop), gone);
    adapter.set_filter(0, handle, None, npf_core::FilterReset::Yes, &mut notes).unwrap();
    assert_eq!(notes.dropped(DropReason::Flushed), [2, 3]);
    adapter.close(0, handle, &mut notes).unwrap();
}
