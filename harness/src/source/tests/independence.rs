//! Random streams: frozen, and independent of each other.

use super::random::{Chance, Stream};
use super::*;
use crate::scenario::Ratio;

const BASE: &str = "
    seed = 9
    [traffic]
    source = 'generator'
    frames = 3000
    flows = 20
    size = 'imix'
    jitter = '1/2'
    skew = 'elephant:30%'
    rate = '100kpps'
";

fn with(wire: &str) -> Vec<(Vec<u8>, Arrival)> {
    all(&format!("{BASE}\n[wire]\n{wire}"))
}

#[test]
fn the_streams_are_frozen() {
    let mut stream = Stream::new(42, "generator", "flow");
    let first = [
        7_133_492_282_347_952_560,
        3_315_825_716_093_128_768,
        14_714_180_128_279_355_268,
        47_532_621_889_300_730,
    ];
    assert_eq!([(); 4].map(|()| stream.next_u64()), first);
    let mut later = Stream::new(42, "generator", "flow");
    let far = (0..1000).map(|_| later.next_u64()).last();
    assert_eq!(far, Some(7_077_674_479_197_242_140), "the 1000th, blocks later");
}

#[test]
fn seed_component_and_purpose_each_make_another_stream() {
    let first = |seed, component, purpose| Stream::new(seed, component, purpose).next_u64();
    let mut firsts = vec![
        first(1, "a", "b"),
        first(2, "a", "b"),
        first(1, "b", "a"),
        first(1, "ab", ""),
        first(1, "a", "c"),
    ];
    firsts.sort_unstable();
    firsts.dedup();
    assert_eq!(firsts.len(), 5);
}

#[test]
fn draws_stay_in_their_bounds_and_chances_are_met() {
    let mut stream = Stream::new(1, "test", "bounds");
    for bound in [1, 2, 3, 1000, u64::MAX] {
        assert!((0..1000).all(|_| stream.below(bound) < bound));
    }
    let hits = |ratio: Ratio| {
        let mut stream = Stream::new(1, "test", "chance");
        (0..100_000).filter(|_| stream.chance(Chance::from(ratio))).count()
    };
    assert_eq!((hits(Ratio::ZERO), hits(Ratio::ONE)), (0, 100_000));
    assert!(hits(Ratio::new(1, 4).unwrap()).abs_diff(25_000) < 500);
}

#[test]
fn a_fault_leaves_everything_else_as_it_was() {
    let clean = with("");
    let faulty = with("bad_fcs = '10%'\nrunt = '5%'\ngiant = '5%'");
    let mut hit = [0; 3];
    for ((frame, arrival), (damaged, late)) in clean.iter().zip(&faulty) {
        assert_eq!(arrival.earliest_ps, late.earliest_ps);
        hit[0] += u32::from(!late.fcs_ok);
        if damaged.len() < 60 {
            hit[1] += 1;
            assert!(damaged.len() >= 14);
            assert_eq!(damaged[..], frame[..damaged.len()]);
        } else if damaged.len() > 1500 + 14 + 8 {
            hit[2] += 1;
            assert_eq!(damaged[..frame.len()], frame[..]);
        } else {
            assert_eq!(damaged, frame);
        }
    }
    for (hits, wanted) in hit.into_iter().zip([300, 150, 150]) {
        assert!(u32::abs_diff(hits, wanted) < 60, "{hit:?}");
    }
}

#[test]
fn one_fault_hits_the_same_frames_whatever_the_others_do() {
    let damaged = |frames: Vec<(Vec<u8>, Arrival)>| -> Vec<usize> {
        let frames = frames.iter().enumerate();
        frames.filter(|(_, (_, arrival))| !arrival.fcs_ok).map(|(index, _)| index).collect()
    };
    let alone = damaged(with("bad_fcs = '5%'"));
    assert!(!alone.is_empty());
    assert_eq!(alone, damaged(with("bad_fcs = '5%'\nrunt = '20%'\ngiant = '20%'")));
}

#[test]
fn jitter_and_burst_leave_the_frames_as_they_were() {
    let frames = |text: &str| -> Vec<Vec<u8>> { all(text).into_iter().map(|(f, _)| f).collect() };
    let calm = BASE.replace("jitter = '1/2'", "burst = 9");
    assert_eq!(frames(BASE), frames(&calm));
}
