//! Memory is bounded by the frames in flight, not by the frames offered.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod common;

/// The peak, in KiB, of a process that plays so many frames of the benchmark's scenario.
fn peak(frames: &str) -> u64 {
    let (code, stdout, stderr) = common::run(&["bench", "sim", "--memory-probe", frames]);
    assert_eq!(code, 0, "{stderr}");
    stdout.trim().parse().unwrap()
}

#[test]
fn peak_memory_does_not_grow_with_the_number_of_frames() {
    let (few, many) = (peak("20000"), peak("200000"));
    // Ten times the frames; if one byte of each stayed, it would be 176 KiB. Two MiB are for the
    // allocator's whims; keeping as little as a header of each frame would take more.
    assert!(many < few + 2048, "{few} KiB, then {many} KiB");
}
