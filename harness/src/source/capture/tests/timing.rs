//! When the frames of a capture start, how many there are, and what is odd about them.

use super::*;

fn file(times_ms: &[u32]) -> Vec<u8> {
    let records = times_ms.iter().map(|ms| LITTLE.record(ms / 1000, ms % 1000 * 1000, 1, b"x"));
    [LITTLE.pcap(0xa1b2_c3d4, 1)].into_iter().chain(records).collect::<Vec<_>>().concat()
}

fn starts_ms(times_ms: &[u32], capture: &Capture) -> Vec<u64> {
    let (frames, fault, _) = play(&file(times_ms), capture);
    assert!(fault.is_none(), "{}", fault.unwrap());
    frames.into_iter().map(|(start, _)| start / 1_000_000_000).collect()
}

#[test]
fn timing_is_kept_scaled_or_dropped() {
    let times = [5000, 5010, 5030];
    for (timing, wanted) in [
        (Timing::Original, [0, 10, 30]),
        (Timing::Scaled { milli: 10_000 }, [0, 1, 3]),
        (Timing::Scaled { milli: 500 }, [0, 20, 60]),
        (Timing::Line, [0, 0, 0]),
    ] {
        assert_eq!(starts_ms(&times, &Capture { timing, ..capture() }), wanted);
    }
}

#[test]
fn the_limit_counts_over_all_passes() {
    let limited = |limit| Capture { limit: Some(limit), repeat: 3, ..capture() };
    assert_eq!(starts_ms(&[100, 150], &limited(1)), [0]);
    assert_eq!(starts_ms(&[100, 150], &limited(5)), [0, 50, 50, 100, 100]);
    assert_eq!(starts_ms(&[100, 150], &limited(99)), [0, 50, 50, 100, 100, 150]);
}

#[test]
fn time_that_goes_backwards_stands_still_and_is_counted() {
    let (frames, _, notices) = play(&file(&[1000, 1300, 900, 1200, 1400]), &capture());
    let starts: Vec<u64> = frames.iter().map(|(start, _)| start / 1_000_000_000).collect();
    assert_eq!(starts, [0, 300, 300, 300, 400]);
    assert_eq!((notices[0].name, notices[0].count), ("capture_backwards", 2));
}

#[test]
fn a_time_beyond_the_end_of_virtual_time_is_a_fault() {
    let file = [
        LITTLE.pcap(0xa1b2_c3d4, 1),
        LITTLE.record(0, 0, 1, b"x"),
        LITTLE.record(u32::MAX, 0, 1, b"x"),
    ];
    let (frames, fault, _) = play(&file.concat(), &capture());
    assert_eq!(frames.len(), 1);
    assert!(fault.unwrap().to_string().contains("more than 200 days after the first"));
    let slow = Capture { timing: Timing::Scaled { milli: 1 }, ..capture() };
    assert!(play(&file.concat(), &slow).1.is_some());
}

#[test]
fn what_is_odd_is_said_once() {
    let bytes = [LITTLE.pcap(0xa1b2_c3d4, 1), LITTLE.record(0, 0, 1500, b"cut")].concat();
    let (frames, _, notices) = play(&bytes, &Capture { repeat: 4, ..capture() });
    assert_eq!(frames.len(), 4);
    assert_eq!((notices.len(), notices[0].name, notices[0].count), (1, "capture_cut", 4));
    assert!(play(&file(&[0, 1]), &capture()).2.is_empty());
}
