//! Send queues: rhythm, early returns, disorder, bytes of a hostile user.

use crate::support::{Notes, check_account, one_handle};
use npf_core::{
    Adapter, HandleOptions, InjectError, Pacing, SEND_HEADER, SendQueue, SendQueueFault,
    Transmission, TransmitError, TransmitFault, TransmitNext, filter::Program,
};
use proptest::prelude::*;

const US: u64 = 1_000_000;

/// A queue of frames of 14 bytes, sent at these microseconds.
fn queue(micros: &[u64]) -> SendQueue {
    let mut queue = SendQueue::new(u32::MAX);
    for (at, micros) in micros.iter().enumerate() {
        let (sec, usec) = ((micros / 1_000_000) as u32, (micros % 1_000_000) as u32);
        queue.queue(sec, usec, &[at as u8; 14]).unwrap();
    }
    queue
}

/// Runs a queue to its end as a world would; gives when each frame was sent, in microseconds after
/// the start, and how often the call returned.
fn run(micros: &[u64], pacing: Pacing) -> Result<(Vec<u64>, usize), TransmitError> {
    let (mut adapter, handle) = one_handle(HandleOptions::default());
    let mut notes = Notes::default();
    let queue = queue(micros);
    let mut state = Transmission::new(pacing);
    let (start, mut sent_at, mut returns) = (7 * US, Vec::new(), 0);
    let mut now = start;
    loop {
        let before = notes.sent.len();
        let step = adapter.transmit(now, 0, handle, queue.as_bytes(), &mut state, &mut notes)?;
        let sent = notes.sent.len() - before;
        assert_eq!(
            (step.injected.copies as usize, step.injected.work.frames as usize),
            (sent, sent)
        );
        sent_at.extend(std::iter::repeat_n((now - start) / US, sent));
        assert_eq!(state.consumed(), notes.sent.len() * (SEND_HEADER + 14));
        let wait = match step.next {
            TransmitNext::Done => break,
            TransmitNext::Wait { until, .. } => until,
            TransmitNext::Returned { resume_at } => {
                returns += 1;
                resume_at
            }
        };
        assert!(wait > now || returns > 0);
        now = wait.max(now);
    }
    assert!(notes.sent.iter().enumerate().all(|(at, frame)| frame[..] == [at as u8; 14]));
    assert_eq!(adapter.counters(handle).unwrap().sent, notes.sent.len() as u64);
    check_account(&adapter, handle);
    Ok((sent_at, returns))
}

#[test]
fn unsynchronised_everything_goes_at_once() {
    assert_eq!(run(&[50, 0, 9_000_000], Pacing::None), Ok((vec![0, 0, 0], 0)));
    assert_eq!(run(&[], Pacing::None), Ok((vec![], 0)));
}

#[test]
fn synchronised_the_times_count_from_the_first_one() {
    for pacing in [Pacing::Npcap1_70, Pacing::WinPcap] {
        let (sent, returns) = run(&[5_000_000, 5_000_010, 5_000_010, 5_900_000], pacing).unwrap();
        assert_eq!((sent, returns), (vec![0, 10, 10, 900_000], 0));
    }
}

#[test]
fn the_call_returns_when_the_next_frame_is_more_than_a_second_away() {
    // Npcap: a second and a microsecond. WinPcap: seconds that differ by more than one.
    let cases = [
        (0, 1_000_000, 0, 0),
        (0, 1_000_001, 1, 0),
        (0, 1_999_999, 1, 0),
        (0, 2_000_000, 1, 1),
        (999_999, 2_000_000, 1, 1),
    ];
    for (first, second, npcap, winpcap) in cases {
        for (pacing, returns) in [(Pacing::Npcap1_70, npcap), (Pacing::WinPcap, winpcap)] {
            let ran = run(&[first, second], pacing).unwrap();
            assert_eq!(ran, (vec![0, second - first], returns), "{first} {second} {pacing:?}");
        }
    }
    // The next call counts from its own first frame, the loop from the first of all.
    let ran = run(&[0, 3_000_000, 3_900_000, 4_000_001], Pacing::Npcap1_70).unwrap();
    assert_eq!(ran, (vec![0, 3_000_000, 3_900_000, 4_000_001], 2));
}

#[test]
fn disorder_of_a_millisecond_is_sent_at_once_and_more_is_an_error() {
    let ran = run(&[0, 5000, 4000, 4500, 6000], Pacing::Npcap1_70).unwrap();
    assert_eq!(ran, (vec![0, 5000, 5000, 5000, 6000], 0), "measured against the latest so far");
    let refused = run(&[0, 5000, 3999], Pacing::Npcap1_70);
    let fault = TransmitFault::OutOfOrder { early: 1001 };
    assert_eq!(refused, Err(TransmitError { at: 60, fault }));
    assert_eq!(run(&[5_000_000, 0, 5_000_001], Pacing::WinPcap), Ok((vec![0, 0, 1], 0)));
}

#[test]
fn short_gaps_spin() {
    for (gap, pacing, expected) in [
        (49, Pacing::Npcap1_70, true),
        (50, Pacing::Npcap1_70, false),
        (500_000, Pacing::WinPcap, true),
    ] {
        let (mut adapter, handle) = one_handle(HandleOptions::default());
        let mut state = Transmission::new(pacing);
        let queue = queue(&[0, gap]);
        let mut notes = Notes::default();
        let step = adapter.transmit(3, 0, handle, queue.as_bytes(), &mut state, &mut notes);
        let wait = TransmitNext::Wait { until: 3 + gap * US, spins: expected };
        assert_eq!(step.unwrap().next, wait);
        // Called too early it says the same again.
        let step = adapter.transmit(4, 0, handle, queue.as_bytes(), &mut state, &mut notes);
        assert!(
            matches!(step.unwrap().next, TransmitNext::Wait { until, .. } if until == 3 + gap * US)
        );
        assert_eq!(notes.sent.len(), 1);
    }
}

/// What stops a queue, how much of it was sent before, and that it stops there again.
fn fault(bytes: &[u8], pacing: Pacing) -> (TransmitFault, usize, usize) {
    let (mut adapter, handle) = one_handle(HandleOptions::default());
    let mut notes = Notes::default();
    let mut state = Transmission::new(pacing);
    let mut attempt = || adapter.transmit(0, 0, handle, bytes, &mut state, &mut notes).unwrap_err();
    let TransmitError { at, fault } = attempt();
    assert_eq!(attempt(), TransmitError { at, fault });
    assert_eq!(state.consumed(), at);
    (fault, at, notes.sent.len())
}

#[test]
fn bytes_that_are_no_queue_are_refused_where_they_go_wrong() {
    let good = queue(&[0, 0]);
    let good = good.as_bytes();
    for left in 1..SEND_HEADER {
        let header = TransmitFault::Malformed(SendQueueFault::Header { left });
        assert_eq!(fault(&good[..30 + left], Pacing::None), (header, 30, 1));
    }
    let frame = TransmitFault::Malformed(SendQueueFault::Frame { caplen: 14, left: 13 });
    assert_eq!(fault(&good[..59], Pacing::Npcap1_70), (frame, 30, 1));
    let mut absurd = good.to_vec();
    absurd[38..42].fill(0xff);
    let frame = TransmitFault::Malformed(SendQueueFault::Frame { caplen: u32::MAX, left: 14 });
    assert_eq!(fault(&absurd, Pacing::WinPcap), (frame, 30, 1));
    absurd[38..42].fill(0);
    let empty = TransmitFault::Refused(InjectError::Empty);
    assert_eq!(fault(&absurd, Pacing::None), (empty, 30, 1));
    let mut long = SendQueue::new(4000);
    long.queue(0, 0, &[0; 1515]).unwrap();
    let too_long = TransmitFault::Refused(InjectError::TooLong { len: 1515, limit: 1514 });
    assert_eq!(fault(long.as_bytes(), Pacing::None), (too_long, 0, 0));
    let mut late = SendQueue::new(4000);
    late.queue(0, 0, &[0; 14]).unwrap();
    late.queue(u32::MAX, u32::MAX, &[0; 14]).unwrap();
    for pacing in [Pacing::Npcap1_70, Pacing::WinPcap] {
        assert_eq!(fault(late.as_bytes(), pacing), (TransmitFault::TooLate, 30, 1));
    }
}

#[test]
fn the_write_filter_stops_a_queue_and_the_write_repeat_does_not_matter() {
    let (mut adapter, handle) = one_handle(HandleOptions::default());
    let mut notes = Notes::default();
    adapter.set_write_repeat(0, handle, 7, &mut notes).unwrap();
    // Accepts frames whose first byte is below 2.
    let low = Program::parse_ddd("4\n48 0 0 0\n53 1 0 2\n6 0 0 1\n6 0 0 0").unwrap();
    adapter.set_write_filter(0, handle, Some(low), &mut notes).unwrap();
    let mut state = Transmission::new(Pacing::None);
    let queue = queue(&[0, 0, 0]);
    let refused = adapter.transmit(0, 0, handle, queue.as_bytes(), &mut state, &mut notes);
    let fault = TransmitFault::Refused(InjectError::Filtered);
    assert_eq!(refused, Err(TransmitError { at: 60, fault }));
    assert_eq!((notes.sent.len(), state.consumed()), (2, 60));
}

#[test]
fn a_handle_closed_or_an_adapter_removed_in_the_middle_stops_it() {
    let queue = queue(&[0, 10, 20]);
    let bytes = queue.as_bytes();
    let begin = || {
        let (mut adapter, handle) = one_handle(HandleOptions::default());
        let mut state = Transmission::new(Pacing::WinPcap);
        adapter.transmit(0, 0, handle, bytes, &mut state, &mut Notes::default()).unwrap();
        (adapter, handle, state)
    };
    let mut notes = Notes::default();
    let mut stops = |(mut adapter, handle, mut state): (Adapter, u32, Transmission),
                     close: bool| {
        if close {
            adapter.close(0, handle, &mut notes).unwrap();
        } else {
            adapter.remove(0, &mut notes);
        }
        adapter.transmit(99 * US, 0, handle, bytes, &mut state, &mut notes).unwrap_err()
    };
    let no_handle = TransmitFault::Refused(InjectError::NoSuchHandle { handle: 0 });
    assert_eq!(stops(begin(), true), TransmitError { at: 30, fault: no_handle });
    let removed = TransmitFault::Refused(InjectError::DeviceRemoved);
    assert_eq!(stops(begin(), false), TransmitError { at: 30, fault: removed });
}

proptest! {
    /// Whatever the bytes, it ends, and what was sent is a prefix of them.
    #[test]
    fn any_bytes_end(
        bytes in prop::collection::vec(prop_oneof![4 => 0u8..3, 1 => any::<u8>()], 0..300),
        pacing in prop_oneof![Just(Pacing::None), Just(Pacing::Npcap1_70), Just(Pacing::WinPcap)],
    ) {
        let (mut adapter, handle) = one_handle(HandleOptions::default());
        let mut notes = Notes::default();
        let mut state = Transmission::new(pacing);
        let mut now = 0;
        for _ in 0..300 {
            let step = adapter.transmit(now, 0, handle, &bytes, &mut state, &mut notes);
            now = match step.map(|step| step.next) {
                Ok(TransmitNext::Wait { until, .. }) => until,
                Ok(TransmitNext::Returned { resume_at }) => resume_at,
                Ok(TransmitNext::Done) | Err(_) => break,
            };
        }
        let sent: usize = notes.sent.iter().map(|frame| frame.len() + SEND_HEADER).sum();
        prop_assert_eq!(sent, state.consumed());
        prop_assert!(sent <= bytes.len());
        check_account(&adapter, handle);
    }
}
