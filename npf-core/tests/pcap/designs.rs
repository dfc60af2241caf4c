//! Every design of a capture buffer behind the same calls: the same packets, whatever the records.

use crate::support::US;
use npf_core::capture::{Capture, CaptureError, Platform, Playback};
use npf_core::{
    BufferMode, EngineKind, PacketQueueOptions, RingOptions, SegmentsOptions, StoreHoldOptions,
    WordSize, WorkerOptions, ZeroCopyOptions,
};
use proptest::prelude::*;

pub fn designs() -> Vec<EngineKind> {
    let mut designs = vec![
        EngineKind::Segments(SegmentsOptions::default()),
        EngineKind::Worker(WorkerOptions::default()),
        EngineKind::PacketQueue(PacketQueueOptions::CURRENT),
        EngineKind::Ring(RingOptions::default()),
    ];
    for word in [WordSize::Bits32, WordSize::Lp64] {
        designs.push(EngineKind::StoreHold(StoreHoldOptions { word, head_drop: false }));
        for buffer_mode in [BufferMode::Buffered, BufferMode::ZeroCopy, BufferMode::ZeroCopyInherit]
        {
            let options = ZeroCopyOptions { word, buffer_mode, ..ZeroCopyOptions::default() };
            designs.push(EngineKind::ZeroCopy(options));
        }
    }
    designs
}

/// Times, lengths and bytes of frames; plays them and reads them by `count`s.
fn read_back(
    engine: EngineKind,
    frames: &[(u64, Vec<u8>)],
    snaplen: u32,
    counts: &[i32],
) -> Vec<(u64, u32, u32, Vec<u8>)> {
    let mut playback = Playback::new(frames.iter().cloned());
    let mut capture = Capture::create(&mut playback);
    capture.set_engine(engine).unwrap();
    capture.set_snaplen(snaplen).unwrap();
    capture.set_timeout_ms(1).unwrap();
    capture.activate().unwrap();
    let mut seen = vec![];
    for count in counts.iter().cycle() {
        let got = capture.dispatch(*count, |packet| {
            let micros = packet.sec * 1_000_000 + u64::from(packet.usec);
            seen.push((micros, packet.caplen, packet.len, packet.data.to_vec()));
        });
        if got == Ok(0) && capture.ended() {
            break;
        }
    }
    let stats = capture.stats().unwrap();
    let handle = capture.handle().unwrap();
    let queued = capture.platform().with(|_, adapter, _| adapter.queued(handle));
    assert_eq!((stats.recv, stats.drop, queued), (frames.len() as u64, 0, 0), "{engine:?}");
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn every_design_gives_the_same_packets(
        frames in prop::collection::vec((0..3000u64, 1..400usize, any::<u8>()), 0..120),
        snaplen in 1..500u32,
        counts in prop::collection::vec(-1..9i32, 1..5),
    ) {
        let mut at = 0;
        let frames: Vec<(u64, Vec<u8>)> = frames.into_iter().map(|(gap, len, byte)| {
            at += gap * US;
            (at, (0..len).map(|index| byte.wrapping_add(index as u8)).collect())
        }).collect();
        let kept = |(at, data): &(u64, Vec<u8>)| {
            let caplen = data.len().min(snaplen as usize);
            (at / US, caplen as u32, data.len() as u32, data[..caplen].to_vec())
        };
        let expected: Vec<_> = frames.iter().map(kept).collect();
        for engine in designs() {
            let seen = read_back(engine, &frames, snaplen, &counts);
            prop_assert_eq!(&seen, &expected, "{:?}", engine);
        }
    }
}

/// What would wait for ever stays where it is, however often one asks; what is asked for without
/// blocking comes.
#[test]
fn the_end_stays_the_end_and_not_blocking_gives_what_is_there() {
    for engine in designs() {
        let mut playback = Playback::new([(US, vec![1; 60])]);
        let mut capture = Capture::create(&mut playback);
        capture.set_engine(engine).unwrap();
        capture.activate().unwrap();
        for _ in 0..3 {
            assert_eq!(capture.dispatch(-1, |_| ()), Ok(0), "{engine:?}");
            assert!(capture.ended());
        }
        capture.setnonblock(true).unwrap();
        assert_eq!(capture.dispatch(-1, |_| ()), Ok(1), "{engine:?}");
        assert!(!capture.ended());
    }
}

/// Whoever shares the buffers can write to them; a record that is none is an error, once.
#[test]
fn scribbled_records_are_an_error_and_the_capture_goes_on() {
    let mut playback = Playback::new((1..=3).map(|n| (n * US, vec![n as u8; 60])));
    let mut capture = Capture::create(&mut playback);
    capture.set_engine(EngineKind::ZeroCopy(ZeroCopyOptions::default())).unwrap();
    capture.set_timeout_ms(1).unwrap();
    capture.activate().unwrap();
    capture.platform().sleep(0, 2 * US);
    let handle = capture.handle().unwrap();
    // hdrlen of the second record, at 32 + 88.
    capture.platform().with(|_, adapter, _| {
        adapter.user_write(handle, 0, 0, 32 + 88 + 24, &[1, 0]).unwrap();
    });
    let mut seen = 0;
    assert_eq!(capture.loop_(-1, |_| seen += 1), Err(CaptureError::Malformed));
    assert_eq!(seen, 1);
    assert_eq!(capture.loop_(-1, |_| seen += 1), Ok(()));
}
