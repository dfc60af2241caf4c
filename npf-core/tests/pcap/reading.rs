//! pcap_next_ex(3PCAP), pcap_loop(3PCAP): what reading calls return.

use crate::support::{US, dispatch, frames, frames_at, number, open};
use npf_core::capture::{Capture, CaptureError, Next, Packet, Platform, Waited};
use npf_core::{ControlError, ReadError};

/// pcap_next_ex(3PCAP): 1 if the packet was read, 0 if the packet buffer timeout expired.
#[test]
fn next_ex_gives_packets_then_the_time_out_then_the_end() {
    let mut playback = frames_at([3 * US, 5 * US + 1]);
    let mut capture = open(&mut playback);
    for (usec, n) in [(3, 1), (5, 2)] {
        let next = capture.next_ex().unwrap();
        assert_eq!(next.code(), 1);
        let Next::Packet(Packet { sec, usec: got, caplen, len, data }) = next else { panic!() };
        assert_eq!((sec, got, caplen, len, data), (0, usec, 60, 60, &[n; 60][..]));
    }
    assert_eq!(capture.next_ex(), Ok(Next::Timeout));
    assert_eq!(Next::Timeout.code(), 0);
    assert_eq!(capture.next_ex(), Ok(Next::Ended));
    assert_eq!(Next::Ended.code(), -2, "as at the end of a savefile");
    assert!(capture.ended());
    assert_eq!(capture.next_ex(), Ok(Next::Ended), "and so it stays");
}

/// pcap_loop(3PCAP): `cnt` is the most that dispatch processes, and only one bufferful is read at a time.
#[test]
fn dispatch_processes_one_bufferful_at_most() {
    let mut playback = frames(5);
    let mut capture = Capture::create(&mut playback);
    capture.set_timeout_ms(1).unwrap();
    capture.set_user_buffer(3 * 80).unwrap();
    capture.activate().unwrap();
    assert_eq!(dispatch(&mut capture, 2), (Ok(2), vec![1, 2]), "the count is reached");
    assert_eq!(dispatch(&mut capture, 2), (Ok(1), vec![3]), "the bufferful ends");
    assert_eq!(dispatch(&mut capture, -1), (Ok(2), vec![4, 5]), "another read");
    assert_eq!(dispatch(&mut capture, -1), (Ok(0), vec![]), "a time-out");
    assert!(!capture.ended());
    assert_eq!(dispatch(&mut capture, -1), (Ok(0), vec![]));
    assert!(capture.ended());
}

/// pcap_loop(3PCAP): a count of -1 or 0 causes all packets of one buffer to be processed.
#[test]
fn dispatch_without_a_count_takes_the_whole_bufferful() {
    for count in [0, -1, i32::MIN] {
        let mut playback = frames(200);
        assert_eq!(dispatch(&mut open(&mut playback), count).0, Ok(200));
    }
}

/// pcap_loop(3PCAP): it does not return when live packet buffer timeouts occur; 0 if `cnt` is exhausted.
#[test]
fn loop_goes_on_over_time_outs_until_the_count() {
    let mut playback = frames_at([1, 3_000_000 * US, 7_000_000 * US, 8_000_000 * US]);
    let mut capture = open(&mut playback);
    let mut numbers = vec![];
    assert_eq!(capture.loop_(3, |packet| numbers.push(number(packet))), Ok(()));
    assert_eq!(numbers, [1, 2, 3]);
    assert!(!capture.ended());
    assert_eq!(capture.loop_(-1, |packet| numbers.push(number(packet))), Ok(()));
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert!(capture.ended(), "no more packets, as in a savefile");
}

/// pcap_next_ex(3PCAP): both take the packets of the same buffer, in order.
#[test]
fn reading_calls_can_be_mixed() {
    let mut playback = frames(4);
    let mut capture = open(&mut playback);
    let Ok(Next::Packet(first)) = capture.next_ex() else { panic!() };
    assert_eq!(number(first), 1);
    assert_eq!(dispatch(&mut capture, 2), (Ok(2), vec![2, 3]));
    assert_eq!(capture.select(None), Ok(Waited::Ready), "the user buffer holds one");
    let Ok(Next::Packet(last)) = capture.next_ex() else { panic!() };
    assert_eq!(number(last), 4);
    assert_eq!(capture.select(Some(US)), Ok(Waited::TimedOut));
}

/// pcap_loop(3PCAP): PCAP_ERROR if an error occurs. What is queued is read first.
#[test]
fn a_removed_adapter_is_an_error_when_everything_is_read() {
    let mut playback = frames(2);
    let mut capture = open(&mut playback);
    assert_eq!(capture.select(Some(10 * US)), Ok(Waited::TimedOut));
    capture.platform().with(|now, adapter, host| adapter.remove(now, host));
    assert_eq!(dispatch(&mut capture, -1), (Ok(2), vec![1, 2]));
    let gone = CaptureError::Read(ReadError::DeviceRemoved { queued: 0 });
    assert_eq!(dispatch(&mut capture, -1), (Err(gone), vec![]));
    assert_eq!(gone.code(), -1);
    assert_eq!(capture.stats().unwrap().recv, 2, "statistics stay");
}

#[test]
fn a_capture_that_somebody_else_closed_is_an_error() {
    let mut playback = frames(2);
    let mut capture = open(&mut playback);
    let handle = capture.handle().unwrap();
    capture.platform().close(handle).unwrap();
    let gone = ControlError::NoSuchHandle { handle };
    assert_eq!(capture.next_ex(), Err(CaptureError::Read(ReadError::NoSuchHandle { handle })));
    assert_eq!(capture.stats(), Err(gone.into()));
    assert_eq!(capture.close(), Err(gone.into()));
}

/// nmap/npcap issue 119: a record that the user buffer cannot take stops the capture for good. Reading
/// goes on without packets and comes to the end.
#[test]
fn a_wedged_capture_ends_with_the_traffic() {
    use npf_core::{EngineKind, PacketQueueOptions, RingOptions, SegmentsOptions};
    for design in [
        EngineKind::PacketQueue(PacketQueueOptions::NPCAP_0_9992),
        EngineKind::Ring(RingOptions::default()),
        EngineKind::Segments(SegmentsOptions::default()),
    ] {
        let mut playback = frames(3);
        let mut capture = Capture::create(&mut playback);
        capture.set_engine(design).unwrap();
        capture.set_min_to_copy(0).unwrap();
        capture.set_timeout_ms(1).unwrap();
        capture.set_user_buffer(79).unwrap();
        capture.activate().unwrap();
        let mut packets = 0;
        assert_eq!(capture.loop_(-1, |_| packets += 1), Ok(()));
        assert_eq!(packets, 0);
        let counters = capture.close().unwrap();
        assert_eq!((counters.delivered, counters.dropped_total()), (0, 3), "closed");
    }
}
