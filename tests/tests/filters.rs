//! The filter interpreter against libpcap's, on what people write and on any bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

use harness::libpcap::{self, FilterError};
use npf_core::filter::{Instruction, Program};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Expressions of every kind: lengths, ports, networks, tags, arithmetic, IPv6, negations.
const EXPRESSIONS: [&str; 14] = [
    "ip",
    "ip6 and udp",
    "udp port 53",
    "tcp[13] & 2 != 0",
    "src net 10.0.0.0/8 and not arp",
    "vlan 5 and ip",
    "ip6 proto 17 or icmp",
    "len > 200 and len <= 1000",
    "ether[0] & 1 = 1",
    "ip[2:2] - ((ip[0] & 15) << 2) > 100",
    "tcp portrange 1000-2000",
    "ether broadcast or ether multicast",
    "host 192.168.1.1 and (tcp or udp)",
    "ether proto 0x0806 or ip[6:2] & 0x1fff != 0",
];

/// Bytes that often look like Ethernet, IPv4, IPv6, UDP and TCP, and sometimes like nothing.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![Just(0x0800u16), Just(0x86dd), Just(0x0806), Just(0x8100), any::<u16>()];
    let protocol = prop_oneof![Just(6u8), Just(17), Just(1), any::<u8>()];
    let bytes = prop::collection::vec(any::<u8>(), 0..120);
    (bytes, kind, protocol, 0u16..3000).prop_map(|(mut bytes, kind, protocol, port)| {
        let mut put = |at: usize, value: &[u8]| {
            if let Some(place) = bytes.get_mut(at..at + value.len()) {
                place.copy_from_slice(value);
            }
        };
        put(12, &kind.to_be_bytes());
        put(14, &[0x45]);
        put(20, &[0, 0]);
        put(23, &[protocol]);
        put(36, &port.to_be_bytes());
        bytes
    })
}

/// The compiled expression for both sides; `None` without libpcap.
fn compile(expression: &str) -> Option<(Vec<libpcap::RawInstruction>, Program)> {
    let raw = match libpcap::compile(expression, 262_144) {
        Ok(raw) => raw,
        Err(FilterError::LibraryMissing { .. }) => {
            println!("skipped: libpcap is not installed (cargo xtask test installs it)");
            return None;
        }
        Err(error) => panic!("{expression}: {error}"),
    };
    let ours = raw.iter().map(|i| Instruction { code: i.code, jt: i.jt, jf: i.jf, k: i.k });
    let program = Program::new(ours.collect()).unwrap();
    Some((raw, program))
}

#[test]
fn compiled_expressions_agree_with_libpcap_on_any_frame() {
    let mut accepted = 0;
    for expression in EXPRESSIONS {
        let Some((raw, program)) = compile(expression) else { return };
        let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
        let seen = std::cell::Cell::new(0);
        TestRunner::new(config)
            .run(&(frame(), 0u32..200), |(frame, longer)| {
                let wire_len = frame.len() as u32 + longer;
                let theirs = libpcap::offline_filter(&raw, &frame, wire_len).unwrap();
                let ours = program.run(&frame, wire_len).accept;
                prop_assert_eq!(ours, theirs, "{} on {:?}", expression, frame);
                seen.set(seen.get() + u32::from(ours > 0));
                Ok(())
            })
            .unwrap();
        accepted += u32::from(seen.get() > 0);
    }
    assert!(accepted > 8, "most expressions never met a frame that they accept: {accepted}");
}
