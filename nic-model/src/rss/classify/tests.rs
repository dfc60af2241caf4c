//! Tests of the classification: every hash type, the order among them, and headers cut short.

use super::*;
use proptest::prelude::*;

const SOURCE: [u8; 16] = [0x20; 16];
const DESTINATION: [u8; 16] = [0x30; 16];
const HOME: [u8; 16] = [0x40; 16];
const ROUTED: [u8; 16] = [0x50; 16];
const PORTS: [u8; 4] = [1, 2, 3, 4];

fn ethernet(tags: &[u16], ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 12];
    for tag in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend([0, 5]);
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(packet);
    frame
}

fn v4(protocol: u8, fragment: u16, options: usize) -> Vec<u8> {
    let mut packet = vec![0; 20 + options];
    packet[0] = 0x45 + (options / 4) as u8;
    packet[6..8].copy_from_slice(&fragment.to_be_bytes());
    packet[9] = protocol;
    packet[12..16].copy_from_slice(&SOURCE[..4]);
    packet[16..20].copy_from_slice(&DESTINATION[..4]);
    packet.extend(PORTS);
    packet
}

fn v6(next: u8, rest: &[&[u8]]) -> Vec<u8> {
    let mut packet = vec![0; 40];
    packet[0] = 0x60;
    packet[6] = next;
    packet[8..24].copy_from_slice(&SOURCE);
    packet[24..40].copy_from_slice(&DESTINATION);
    packet.extend(rest.concat());
    packet
}

/// Destination options: a pad, an unknown option, the home address.
fn destination_options(next: u8) -> Vec<u8> {
    let mut header = vec![next, 2, 0, 0x3e, 0, OPTION_HOME_ADDRESS, 16];
    header.extend(HOME);
    header.push(0);
    assert_eq!(header.len(), 24);
    header
}

fn routing(next: u8, kind: u8) -> Vec<u8> {
    let mut header = vec![next, 2, kind, 1, 0, 0, 0, 0];
    header.extend(ROUTED);
    header
}

fn found(frame: &[u8], types: u32) -> Option<(HashType, Vec<u8>)> {
    classify(frame, types).map(|found| (found.hash_type(), found.input().to_vec()))
}

fn with_ports(addresses: [&[u8]; 2]) -> Vec<u8> {
    [addresses[0], addresses[1], &PORTS].concat()
}

#[test]
fn ipv4_types_fall_back_to_addresses() {
    let addresses = [&SOURCE[..4], &DESTINATION[..4]];
    for (protocol, hash_type) in [(TCP, HashType::TcpIpv4), (UDP, HashType::UdpIpv4)] {
        let frame = ethernet(&[], 0x0800, &v4(protocol, 0x4000, 8));
        assert_eq!(found(&frame, HashType::ALL_BITS), Some((hash_type, with_ports(addresses))));
        assert_eq!(
            found(&frame, HashType::ALL_BITS & !hash_type.bit()),
            Some((HashType::Ipv4, addresses.concat()))
        );
        assert_eq!(found(&frame, HashType::ALL_BITS & !(hash_type.bit() | 1)), None);
    }
    let icmp = ethernet(&[], 0x0800, &v4(1, 0, 0));
    assert_eq!(found(&icmp, HashType::ALL_BITS), Some((HashType::Ipv4, addresses.concat())));
}

#[test]
fn no_fragment_has_ports() {
    for fragment in [0x2000, 0x0001, 0x3fff] {
        let frame = ethernet(&[], 0x0800, &v4(UDP, fragment, 0));
        assert_eq!(found(&frame, HashType::ALL_BITS).unwrap().0, HashType::Ipv4);
    }
    let fragment = [UDP, 0, 0, 1, 0, 0, 0, 9];
    let frame = ethernet(&[], 0x86dd, &v6(FRAGMENT, &[&fragment, &PORTS]));
    assert_eq!(found(&frame, HashType::ALL_BITS).unwrap().0, HashType::Ipv6Ex);
    assert_eq!(found(&frame, 0x3f).unwrap().0, HashType::Ipv6);
}

#[test]
fn ipv6_without_extension_headers_never_uses_the_ex_types() {
    let addresses = [&SOURCE[..], &DESTINATION[..]];
    for (protocol, hash_type) in [(TCP, HashType::TcpIpv6), (UDP, HashType::UdpIpv6)] {
        let frame = ethernet(&[], 0x86dd, &v6(protocol, &[&PORTS]));
        assert_eq!(found(&frame, HashType::ALL_BITS), Some((hash_type, with_ports(addresses))));
        assert_eq!(found(&frame, 0x1c0), None);
    }
    let frame = ethernet(&[], 0x86dd, &v6(58, &[&PORTS]));
    assert_eq!(found(&frame, HashType::ALL_BITS), Some((HashType::Ipv6, addresses.concat())));
}

#[test]
fn ipv6_extension_types_use_home_address_and_routing_header() {
    for (protocol, ex, plain) in [
        (TCP, HashType::TcpIpv6Ex, HashType::TcpIpv6),
        (UDP, HashType::UdpIpv6Ex, HashType::UdpIpv6),
    ] {
        let hop = [DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0];
        let options = destination_options(ROUTING);
        let route = routing(protocol, ROUTING_TYPE_2);
        let frame = ethernet(&[], 0x86dd, &v6(HOP_BY_HOP, &[&hop, &options, &route, &PORTS]));
        assert_eq!(found(&frame, HashType::ALL_BITS), Some((ex, with_ports([&HOME, &ROUTED]))));
        assert_eq!(
            found(&frame, HashType::ALL_BITS & !ex.bit()),
            Some((HashType::Ipv6Ex, [HOME, ROUTED].concat()))
        );
        assert_eq!(found(&frame, 0x3f), Some((plain, with_ports([&SOURCE, &DESTINATION]))));
    }
}

#[test]
fn a_routing_header_of_another_type_does_not_count() {
    let frame = ethernet(&[], 0x86dd, &v6(ROUTING, &[&routing(TCP, 4), &PORTS]));
    let expected = (HashType::TcpIpv6Ex, with_ports([&SOURCE, &DESTINATION]));
    assert_eq!(found(&frame, HashType::ALL_BITS), Some(expected));
}

#[test]
fn up_to_two_tags_are_skipped() {
    let packet = v4(TCP, 0, 0);
    for tags in [&[0x8100_u16][..], &[0x88a8, 0x8100]] {
        let frame = ethernet(tags, 0x0800, &packet);
        assert_eq!(found(&frame, HashType::ALL_BITS).unwrap().0, HashType::TcpIpv4);
    }
    assert_eq!(found(&ethernet(&[0x8100; 3], 0x0800, &packet), HashType::ALL_BITS), None);
}

#[test]
fn cut_short_headers_count_as_far_as_they_go() {
    let whole = ethernet(&[], 0x0800, &v4(TCP, 0, 0));
    assert_eq!(found(&whole[..14 + 23], HashType::ALL_BITS).unwrap().0, HashType::Ipv4);
    assert_eq!(found(&whole[..14 + 19], HashType::ALL_BITS), None);
    let options = destination_options(TCP);
    let whole = ethernet(&[], 0x86dd, &v6(DESTINATION_OPTIONS, &[&options, &PORTS]));
    let cut = found(&whole[..whole.len() - 10], HashType::ALL_BITS);
    assert_eq!(cut, Some((HashType::Ipv6Ex, [SOURCE, DESTINATION].concat())));
}

proptest! {
    #[test]
    fn any_bytes_are_classified_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        v6 in any::<bool>(),
        types in any::<u32>(),
    ) {
        let _ = classify(&bytes, types);
        let mut packet = bytes;
        if let Some(first) = packet.first_mut() {
            *first = if v6 { 0x60 } else { *first & 15 | 0x40 };
        }
        let frame = ethernet(&[], if v6 { 0x86dd } else { 0x0800 }, &packet);
        if let Some(found) = classify(&frame, types) {
            prop_assert!(types & found.hash_type().bit() != 0);
            prop_assert!([8, 12, 32, 36].contains(&found.input().len()));
        }
    }
}
