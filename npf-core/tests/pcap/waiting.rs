//! pcap_set_timeout(3PCAP), pcap_set_immediate_mode(3PCAP), pcap_setnonblock(3PCAP): how long reading
//! calls wait, in virtual time.

use crate::support::{MS, S, US, dispatch, frames_at, open};
use npf_core::capture::{Capture, CaptureError, Next, Playback, Waited};
use npf_core::{EngineKind, StoreHoldOptions};

/// A capture with this time-out, and otherwise as `set` says.
fn capture(
    playback: &mut Playback,
    timeout_ms: u32,
    set: impl FnOnce(&mut Capture<&mut Playback>),
) -> Capture<&mut Playback> {
    let mut capture = Capture::create(playback);
    capture.set_timeout_ms(timeout_ms).unwrap();
    set(&mut capture);
    capture.activate().unwrap();
    capture
}

fn now(capture: &mut Capture<&mut Playback>) -> u64 {
    capture.platform().now()
}

/// pcap(3PCAP): packets are not delivered as soon as they arrive but after a short delay, the packet
/// buffer timeout, which begins here when the reader comes.
#[test]
fn packets_wait_for_the_time_out_in_the_buffer() {
    let mut playback = frames_at([US, 40 * MS, 60 * MS]);
    let mut capture = capture(&mut playback, 50, |_| ());
    assert_eq!(dispatch(&mut capture, -1), (Ok(2), vec![1, 2]));
    assert_eq!(now(&mut capture), 50 * MS);
    assert_eq!(dispatch(&mut capture, -1), (Ok(1), vec![3]));
    assert_eq!(now(&mut capture), 100 * MS);
}

/// pcap_loop(3PCAP): dispatch returns 0 if the timeout expires before any packets arrive.
#[test]
fn a_time_out_without_packets_is_0() {
    let mut playback = frames_at([S]);
    let mut capture = capture(&mut playback, 10, |_| ());
    assert_eq!(dispatch(&mut capture, -1), (Ok(0), vec![]));
    assert_eq!((now(&mut capture), capture.ended()), (10 * MS, false));
    assert_eq!(capture.next_ex(), Ok(Next::Timeout));
    assert_eq!(now(&mut capture), 20 * MS);
}

/// pcap_set_timeout(3PCAP): a time-out of 0 waits until enough packets are there: 16 000 bytes queued,
/// which is the 200th record of 80 bytes.
#[test]
fn without_a_time_out_enough_must_be_queued() {
    let mut playback = frames_at((1..=250).map(|n| n * US));
    let mut capture = capture(&mut playback, 0, |_| ());
    assert_eq!(dispatch(&mut capture, -1).0, Ok(200));
    assert_eq!(now(&mut capture), 200 * US);
    assert_eq!(dispatch(&mut capture, -1).0, Ok(0), "the rest would wait for ever");
    assert!(capture.ended());
    assert_eq!(capture.close().unwrap().dropped_total(), 50);
}

/// pcap_set_immediate_mode(3PCAP): packets are delivered as they arrive, with no buffering.
#[test]
fn immediate_mode_delivers_each_packet_as_it_arrives() {
    let bsd = StoreHoldOptions::default();
    for engine in [EngineKind::PacketQueue(Default::default()), EngineKind::StoreHold(bsd)] {
        let mut playback = frames_at([5 * US, 9 * US]);
        let mut capture = capture(&mut playback, 0, |capture| {
            capture.set_engine(engine).unwrap();
            capture.set_immediate_mode(true).unwrap();
        });
        for (n, at) in [(1, 5 * US), (2, 9 * US)] {
            assert_eq!(dispatch(&mut capture, -1), (Ok(1), vec![n]), "{engine:?}");
            assert_eq!(now(&mut capture), at);
        }
    }
}

#[test]
fn min_to_copy_decides_who_is_woken_when() {
    let mut playback = frames_at([US, 2 * US, 3 * US, 4 * US, 5 * US]);
    let mut capture = capture(&mut playback, 1000, |capture| capture.set_min_to_copy(160).unwrap());
    assert_eq!(dispatch(&mut capture, -1), (Ok(2), vec![1, 2]));
    capture.setmintocopy(240).unwrap();
    assert_eq!(dispatch(&mut capture, -1), (Ok(3), vec![3, 4, 5]));
    assert_eq!(now(&mut capture), 5 * US);
}

/// pcap_setnonblock(3PCAP): dispatch and next_ex return 0 immediately if no packets are available; a
/// capture is not in this mode when it is activated.
#[test]
fn a_capture_that_does_not_block_takes_no_time() {
    let mut playback = frames_at([US, 3 * US]);
    let mut capture = open(&mut playback);
    assert_eq!(capture.getnonblock(), Ok(false));
    capture.setnonblock(true).unwrap();
    assert_eq!(capture.getnonblock(), Ok(true));
    assert_eq!(dispatch(&mut capture, -1), (Ok(0), vec![]));
    assert_eq!(capture.next_ex(), Ok(Next::Timeout));
    assert_eq!((now(&mut capture), capture.ended()), (0, false));
    assert_eq!(capture.select(Some(2 * US)), Ok(Waited::TimedOut), "too few bytes to be woken");
    assert_eq!(dispatch(&mut capture, -1), (Ok(1), vec![1]), "but there to be read");
    assert_eq!(now(&mut capture), 2 * US);
}

/// pcap_setnonblock(3PCAP): pcap_loop will loop forever; here it is refused.
#[test]
fn a_loop_that_does_not_block_is_refused() {
    let mut playback = frames_at([US]);
    let mut capture = open(&mut playback);
    capture.setnonblock(true).unwrap();
    let refused = capture.loop_(-1, |_| ()).unwrap_err();
    assert_eq!((refused, refused.code()), (CaptureError::WouldSpin, -1));
    capture.setnonblock(false).unwrap();
    assert_eq!(capture.loop_(1, |_| ()), Ok(()));
}
