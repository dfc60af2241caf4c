//! pcap_breakloop(3PCAP): if PCAP_ERROR_BREAK is returned the flag is cleared, so a subsequent call will
//! resume reading packets; if a positive number is returned the flag is not cleared, so a subsequent call
//! will return PCAP_ERROR_BREAK and clear the flag.

use crate::support::{dispatch, frames, number, open};
use npf_core::capture::{Capture, CaptureError, Next, Playback};

const BREAK: Result<u32, CaptureError> = Err(CaptureError::Break);

/// Dispatches and breaks at this frame.
fn break_at(capture: &mut Capture<&mut Playback>, at: u8) -> (Result<u32, CaptureError>, Vec<u8>) {
    let stop = capture.break_handle();
    let mut numbers = Vec::new();
    let result = capture.dispatch(-1, |packet| {
        numbers.push(number(packet));
        if number(packet) == at {
            stop.break_loop();
        }
    });
    (result, numbers)
}

#[test]
fn a_break_before_the_first_packet_is_an_error_and_clears_the_flag() {
    let mut playback = frames(2);
    let mut capture = open(&mut playback);
    capture.break_loop();
    assert_eq!(dispatch(&mut capture, -1), (BREAK, vec![]));
    assert_eq!(CaptureError::Break.code(), -2);
    assert_eq!(dispatch(&mut capture, -1), (Ok(2), vec![1, 2]));
}

#[test]
fn a_break_after_packets_gives_their_count_and_stays_for_the_next_call() {
    let mut playback = frames(4);
    let mut capture = open(&mut playback);
    assert_eq!(break_at(&mut capture, 2), (Ok(2), vec![1, 2]));
    assert_eq!(dispatch(&mut capture, -1), (BREAK, vec![]), "with packets in the user buffer");
    assert_eq!(dispatch(&mut capture, -1), (Ok(2), vec![3, 4]), "none of them is lost");
}

#[test]
fn a_break_at_the_last_packet_meets_the_next_read() {
    let mut playback = frames(2);
    let mut capture = open(&mut playback);
    assert_eq!(break_at(&mut capture, 2), (Ok(2), vec![1, 2]));
    assert_eq!(dispatch(&mut capture, -1), (BREAK, vec![]));
    assert_eq!(dispatch(&mut capture, -1), (Ok(0), vec![]), "the time-out");
}

#[test]
fn a_break_when_the_count_is_reached_stays_too() {
    let mut playback = frames(2);
    let mut capture = open(&mut playback);
    let stop = capture.break_handle();
    assert_eq!(capture.dispatch(1, |_| stop.break_loop()), Ok(1));
    assert_eq!(dispatch(&mut capture, -1).0, BREAK);
}

/// libpcap `pcap.c`, pcap_loop: the flag is met by the next read, which has processed nothing. When the
/// count is reached at the same packet, that comes first.
#[test]
fn a_loop_fails_with_break_unless_its_count_is_reached() {
    let mut playback = frames(5);
    let mut capture = open(&mut playback);
    let stop = capture.break_handle();
    let mut seen = 0;
    let end = capture.loop_(-1, |_| {
        seen += 1;
        stop.break_loop();
    });
    assert_eq!((end, seen), (Err(CaptureError::Break), 1));
    assert_eq!(capture.loop_(1, |_| stop.break_loop()), Ok(()));
    assert_eq!(capture.loop_(1, |_| ()), Err(CaptureError::Break));
    assert_eq!(capture.loop_(0, |_| seen += 1), Ok(()));
    assert_eq!(seen, 4, "all five, each once");
}

/// pcap_breakloop(3PCAP): it should be used even if pcap_next_ex() is being used.
#[test]
fn next_ex_looks_at_the_flag_too() {
    let mut playback = frames(2);
    let mut capture = open(&mut playback);
    capture.break_loop();
    assert_eq!(capture.next_ex(), Err(CaptureError::Break));
    assert!(matches!(capture.next_ex(), Ok(Next::Packet(_))));
    capture.break_loop();
    assert_eq!(capture.next_ex(), Err(CaptureError::Break), "with a packet in the user buffer");
    assert!(matches!(capture.next_ex(), Ok(Next::Packet(packet)) if number(packet) == 2));
}

/// pcap_breakloop(3PCAP): it is safe to use in a thread other than the one in which the loop is running.
#[test]
fn another_thread_may_break() {
    let mut playback = frames(3);
    let mut capture = open(&mut playback);
    let stop = capture.break_handle();
    std::thread::spawn(move || stop.break_loop()).join().unwrap();
    assert_eq!(dispatch(&mut capture, -1).0, BREAK);
}
