//! Tests of the sources as the harness uses them: through [`open`].

use super::*;

mod frames;
mod independence;

/// The source of a scenario text.
fn source(text: &str) -> Box<dyn Source> {
    let scenario = Scenario::parse(text, "test.toml", &[]).map_err(miette::Report::new).unwrap();
    open(&scenario).unwrap()
}

/// Every frame of it with its arrival.
fn all(text: &str) -> Vec<(Vec<u8>, Arrival)> {
    let mut source = source(text);
    let mut frame = Vec::new();
    let mut frames = Vec::new();
    while let Some(arrival) = source.next(&mut frame).unwrap() {
        frames.push((frame.clone(), arrival));
    }
    assert!(source.next(&mut frame).unwrap().is_none(), "the end stays the end");
    frames
}

/// FNV-1a over everything that a source gives.
fn digest(frames: &[(Vec<u8>, Arrival)]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut eat = |bytes: &[u8]| {
        for &byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    for (frame, arrival) in frames {
        eat(&(frame.len() as u64).to_le_bytes());
        eat(frame);
        eat(&arrival.earliest_ps.to_le_bytes());
        eat(&[u8::from(arrival.fcs_ok)]);
    }
    hash
}
