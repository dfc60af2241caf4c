//! What these tests share: playbacks of numbered frames, and captures ready to read.

use npf_core::capture::{Capture, Packet, Playback};
use npf_core::filter::Program;

pub const US: u64 = 1_000_000;
pub const MS: u64 = 1_000_000_000;
pub const S: u64 = 1_000_000_000_000;

/// A playback of frames of 60 bytes, numbered from 1 in each byte, at these times.
pub fn frames_at(times: impl IntoIterator<Item = u64>) -> Playback {
    Playback::new((1..).zip(times).map(|(n, at)| (at, vec![n; 60])))
}

/// `count` such frames, one per microsecond.
pub fn frames(count: u64) -> Playback {
    frames_at((1..=count).map(|n| n * US))
}

/// An activated capture with a time-out of 1 s.
pub fn open(playback: &mut Playback) -> Capture<&mut Playback> {
    let mut capture = Capture::create(playback);
    capture.set_timeout_ms(1000).unwrap();
    assert_eq!(capture.activate(), Ok(vec![]));
    capture
}

/// The number of a frame.
pub fn number(packet: Packet<'_>) -> u8 {
    packet.data[0]
}

/// What a dispatch gave: its result, and the numbers of the packets.
pub fn dispatch(
    capture: &mut Capture<&mut Playback>,
    count: i32,
) -> (Result<u32, npf_core::capture::CaptureError>, Vec<u8>) {
    let mut numbers = Vec::new();
    let result = capture.dispatch(count, |packet| numbers.push(number(packet)));
    (result, numbers)
}

/// A filter that keeps frames with a number of at least `least`.
pub fn at_least(least: u8) -> Program {
    Program::parse_ddd(&format!("4\n48 0 0 0\n53 0 1 {least}\n6 0 0 262144\n6 0 0 0\n")).unwrap()
}
