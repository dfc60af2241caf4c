//! Segments put together again are what was cut, and each stands for itself: lengths, numbers, checksums.

use super::*;
use proptest::prelude::*;

/// A frame to be cut, and where its headers are.
#[derive(Clone, Debug)]
struct Whole {
    frame: Vec<u8>,
    kind: Kind,
    network_at: usize,
    transport_at: usize,
    payload_at: usize,
}

impl Whole {
    fn place(&self) -> Place {
        let offset = if self.kind == Kind::Udp { 6 } else { 16 };
        Place { start: self.transport_at as u16, offset }
    }

    fn plan(&self, size: u16) -> Result<Plan, Malformed> {
        Plan::new(&self.frame, self.kind, size, self.place(), 1_000_000)
    }

    fn is_v4(&self) -> bool {
        self.frame[self.network_at] >> 4 == 4
    }
}

/// Tags, version, options or extension headers (in 4 or 8 bytes), transport, TCP flags, payload.
fn whole() -> impl Strategy<Value = Whole> {
    let payload = prop::collection::vec(any::<u8>(), 0..5000);
    (0usize..=2, any::<bool>(), 0usize..=3, any::<bool>(), any::<u8>(), payload).prop_map(
        |(tags, v4, more, tcp, flags, payload)| {
            let mut frame = vec![0xaa; 12];
            for _ in 0..tags {
                frame.extend([0x81, 0x00, 0x00, 0x05]);
            }
            frame.extend(if v4 { [0x08, 0x00] } else { [0x86, 0xdd] });
            let network_at = frame.len();
            let protocol = if tcp { 6 } else { 17 };
            if v4 {
                let ihl = 5 + more as u8;
                frame.extend([0x40 | ihl, 0, 0, 0, 0xff, 0xfe, 0x40, 0, 64, protocol, 1, 2]);
                frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
                frame.extend(vec![1; 4 * more]);
            } else {
                let first = if more == 0 { protocol } else { 60 };
                frame.extend([0x60, 0, 0, 0, 0, 0, first, 64]);
                frame.extend([0x20; 32]);
                for index in 0..more {
                    let next = if index + 1 == more { protocol } else { 43 };
                    frame.extend([next, 0, 0, 0, 0, 0, 0, 0]);
                }
            }
            let transport_at = frame.len();
            frame.extend([0x30, 0x39, 0, 80]);
            if tcp {
                let words = 5 + more as u8;
                frame.extend([0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 1, words << 4, flags]);
                frame.extend([0x20, 0, 0x12, 0x34, 0, 0]);
                frame.extend(vec![1; 4 * more]);
            } else {
                frame.extend([0, 0, 0x12, 0x34]);
            }
            let payload_at = frame.len();
            frame.extend(payload);
            let kind = match (tcp, v4) {
                (false, _) => Kind::Udp,
                (true, true) => Kind::Tcp4,
                (true, false) => Kind::Tcp6,
            };
            Whole { frame, kind, network_at, transport_at, payload_at }
        },
    )
}

/// Ones' complement sum of words, with the carry at once; all ones if a checksum among them is right.
fn ones_sum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let mut sum: u16 = 0;
    for pair in bytes.chunks(2) {
        let word = u16::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u16::from(*low));
        let (added, carry) = sum.overflowing_add(word);
        sum = added + u16::from(carry);
    }
    sum
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// What a receiver would check of one segment.
fn check_segment(whole: &Whole, segment: &[u8], index: usize, size: usize) {
    let network = &segment[whole.network_at..];
    let transport = &segment[whole.transport_at..];
    let protocol = if whole.kind == Kind::Udp { 17 } else { 6 };
    let len = (transport.len() as u32).to_be_bytes();
    let pseudo_end = [0, 0, 0, protocol];
    if whole.is_v4() {
        assert_eq!(usize::from(be16(network, 2)), network.len());
        assert_eq!(be16(network, 4), 0xfffeu16.wrapping_add(index as u16));
        let header = &network[..whole.transport_at - whole.network_at];
        assert_eq!(ones_sum(&[header]), 0xffff, "header checksum");
        assert_eq!(ones_sum(&[&network[12..20], &len, &pseudo_end, transport]), 0xffff);
    } else {
        assert_eq!(usize::from(be16(network, 4)), network.len() - 40);
        assert_eq!(ones_sum(&[&network[8..40], &len, &pseudo_end, transport]), 0xffff);
    }
    if whole.kind == Kind::Udp {
        assert_eq!(usize::from(be16(transport, 4)), transport.len());
        assert_ne!(be16(transport, 6), 0, "0 would mean that there is none");
    } else {
        let sequence = u32::from_be_bytes([transport[4], transport[5], transport[6], transport[7]]);
        assert_eq!(sequence, 0xffff_fff0u32.wrapping_add((index * size) as u32));
    }
}

proptest! {
    #[test]
    fn segments_put_together_are_the_payload_and_each_is_right(
        whole in whole(), size in 1u16..3000,
    ) {
        let plan = whole.plan(size).map_err(|_| TestCaseError::fail("a good frame"))?;
        let payload = &whole.frame[whole.payload_at..];
        let count = plan.count(&whole.frame);
        prop_assert_eq!(count, payload.len().div_ceil(size.into()).max(1));
        let mut together = Vec::new();
        let mut segment = Vec::new();
        for index in 0..count {
            plan.write(&whole.frame, index, &mut segment);
            check_segment(&whole, &segment, index, size.into());
            let part = &segment[whole.payload_at..];
            prop_assert!(part.len() <= size.into());
            prop_assert!(index + 1 == count || part.len() == usize::from(size));
            together.extend_from_slice(part);
            if whole.kind != Kind::Udp {
                let flags = whole.frame[whole.transport_at + 13];
                let (first, last) = (index == 0, index + 1 == count);
                let mut expected = flags;
                if !last {
                    expected &= !0x09;
                }
                if !first {
                    expected &= !0x80;
                }
                prop_assert_eq!(segment[whole.transport_at + 13], expected);
            }
        }
        prop_assert_eq!(&together[..], payload);
    }

    /// Cut short anywhere, or with any byte changed: refused, or cut without harm.
    #[test]
    fn no_frame_makes_it_panic(
        whole in whole(), size in 1u16.., keep in 0usize..5200, at in 0usize..120, byte in any::<u8>(),
    ) {
        let mut frame = whole.frame.clone();
        frame.truncate(keep);
        if let Some(changed) = frame.get_mut(at) {
            *changed = byte;
        }
        for start in [whole.place().start, u16::from(byte)] {
            let place = Place { start, ..whole.place() };
            if let Ok(plan) = Plan::new(&frame, whole.kind, size, place, 1514) {
                let mut segment = Vec::new();
                for index in [0, plan.count(&frame) - 1] {
                    plan.write(&frame, index, &mut segment);
                    prop_assert!(segment.len() <= 1514);
                }
            }
        }
    }
}

fn tcp4(payload: usize) -> Whole {
    let mut frame = vec![0; 12];
    frame.extend([8, 0, 0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0]);
    frame.resize(54 + payload, 7);
    Whole { frame, kind: Kind::Tcp4, network_at: 14, transport_at: 34, payload_at: 54 }
}

#[test]
fn each_thing_that_is_wrong_with_a_frame_is_seen() {
    let good = tcp4(3000);
    assert!(good.plan(1000).is_ok());
    type Damage = fn(&mut Vec<u8>);
    let wrong: [(&str, Damage); 9] = [
        ("no IP", |frame| frame[12] = 0x99),
        ("IPv6 inside IPv4's type", |frame| frame[14] = 0x65),
        ("a short header", |frame| frame[14] = 0x44),
        ("UDP", |frame| frame[23] = 17),
        ("more fragments", |frame| frame[20] = 0x20),
        ("a later fragment", |frame| frame[21] = 1),
        ("a data offset below 5", |frame| frame[46] = 0x40),
        ("options beyond the frame", |frame| frame.truncate(60)),
        ("no transport header", |frame| frame.truncate(40)),
    ];
    for (what, spoil) in wrong {
        let mut bad = good.clone();
        if what == "options beyond the frame" {
            bad.frame[46] = 0xf0;
        }
        spoil(&mut bad.frame);
        assert_eq!(bad.plan(1000), Err(Malformed), "{what}");
    }
    for place in [Place { start: 33, offset: 16 }, Place { start: 34, offset: 6 }] {
        let refused = Plan::new(&good.frame, Kind::Tcp4, 1000, place, 1514);
        assert_eq!(refused, Err(Malformed), "the checksum is elsewhere");
    }
    let fits = |size, longest| Plan::new(&good.frame, Kind::Tcp4, size, good.place(), longest);
    assert!(fits(1460, 1514).is_ok());
    assert_eq!(fits(1461, 1514), Err(Malformed), "no segment is longer than a frame may be");
    assert_eq!(fits(1000, 1053), Err(Malformed));
}

#[test]
fn a_frame_without_payload_is_one_segment() {
    let bare = tcp4(0);
    let plan = bare.plan(100).unwrap();
    let mut segment = Vec::new();
    plan.write(&bare.frame, 0, &mut segment);
    assert_eq!((plan.count(&bare.frame), segment.len()), (1, 54));
    assert_eq!(be16(&segment, 16), 40, "total length");
    assert_eq!(ones_sum(&[&segment[14..34]]), 0xffff);
}
