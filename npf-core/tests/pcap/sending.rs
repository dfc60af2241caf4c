//! pcap_inject(3PCAP), pcap_sendpacket(3PCAP), pcap_setdirection(3PCAP); WinPcap's send queues.

use crate::support::{MS, US, dispatch, frames_at, open};
use npf_core::capture::{Capture, CaptureError, Platform};
use npf_core::{Direction, InjectError, Pacing, SendQueue};

/// pcap_inject(3PCAP): the number of bytes written on success; pcap_sendpacket: 0.
#[test]
fn inject_gives_the_length_and_sendpacket_nothing() {
    let mut playback = frames_at([]);
    let mut capture = open(&mut playback);
    assert_eq!(capture.inject(&[1; 77]), Ok(77));
    assert_eq!(capture.sendpacket(&[2; 60]), Ok(()));
    assert_eq!(dispatch(&mut capture, -1), (Ok(2), vec![1, 2]), "seen on the way out");
    assert_eq!(playback.sent(), [vec![1; 77], vec![2; 60]]);
}

/// pcap_inject(3PCAP): PCAP_ERROR on failure.
#[test]
fn frames_that_cannot_be_sent_are_refused() {
    let mut playback = frames_at([]);
    let mut capture = open(&mut playback);
    let refused = capture.inject(&[]).unwrap_err();
    assert_eq!((refused, refused.code()), (InjectError::Empty.into(), -1));
    let refused = InjectError::TooLong { len: 1515, limit: 1514 };
    assert_eq!(capture.inject(&[0; 1515]), Err(refused.into()));
    capture.platform().with(|now, adapter, host| adapter.remove(now, host));
    assert_eq!(capture.sendpacket(&[0; 60]), Err(InjectError::DeviceRemoved.into()));
    assert!(playback.sent().is_empty());
}

/// pcap_setdirection(3PCAP).
#[test]
fn directions_choose_received_or_sent_frames() {
    for (direction, seen) in
        [(Direction::InOut, vec![9, 1]), (Direction::In, vec![1]), (Direction::Out, vec![9])]
    {
        let mut playback = frames_at([US]);
        let mut capture = open(&mut playback);
        capture.setdirection(direction).unwrap();
        capture.inject(&[9; 60]).unwrap();
        assert_eq!(dispatch(&mut capture, -1).1, seen);
    }
}

/// pcap_sendqueue_transmit: the bytes sent, which takes the time between the packets.
#[test]
fn a_send_queue_takes_its_time() {
    let mut queue = SendQueue::new(1000);
    for (usec, n) in [(100, 1), (3_100, 2), (5_100, 3)] {
        queue.queue(7, usec, &[n; 60]).unwrap();
    }
    let bytes = queue.as_bytes();
    for (pacing, took) in
        [(Pacing::None, 0), (Pacing::Npcap1_70, 5 * MS), (Pacing::WinPcap, 5 * MS)]
    {
        let mut playback = frames_at([]);
        let mut capture = Capture::create(&mut playback);
        capture.set_timeout_ms(1).unwrap();
        capture.activate().unwrap();
        assert_eq!(capture.sendqueue_transmit(bytes, pacing), Ok(bytes.len()));
        let mut times = vec![];
        capture.loop_(-1, |packet| times.push(packet.usec)).unwrap();
        let paced = if took > 0 { vec![0, 3_000, 5_000] } else { vec![0; 3] };
        assert_eq!(times, paced, "{pacing:?}");
        assert_eq!(playback.sent().len(), 3);
    }
}

#[test]
fn a_send_queue_of_anything_is_refused_where_it_is_wrong() {
    let mut queue = SendQueue::new(1000);
    queue.queue(0, 0, &[1; 60]).unwrap();
    let mut bytes = queue.as_bytes().to_vec();
    bytes.extend([0xff; 20]);
    let mut playback = frames_at([]);
    let mut capture = open(&mut playback);
    let refused = capture.sendqueue_transmit(&bytes, Pacing::None).unwrap_err();
    assert!(matches!(refused, CaptureError::Transmit(error) if error.at == 76), "{refused}");
    assert_eq!(playback.sent().len(), 1, "what came before was sent");
}
