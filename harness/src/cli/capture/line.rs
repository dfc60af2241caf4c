//! One line about a packet: its time, who sends to whom, how much of it there is.
//!
//! Contract: any bytes give a line. Ethernet with up to two VLAN tags, IPv4, IPv6 without extension
//! headers, ports of TCP, UDP and SCTP; whatever else it is, the line says so by number.

use npf_core::MarkerKind;
use npf_core::capture::Packet;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

const SECONDS_PER_DAY: u64 = 86_400;

/// The line of a packet, or of a marker.
pub(super) fn packet(packet: &Packet<'_>) -> Vec<u8> {
    let mut line = time(packet);
    // A String takes everything.
    let _ = match packet.marker() {
        Some(marker) => match marker.kind {
            MarkerKind::Lost => writeln!(line, "-- {} lost here", marker.count),
            MarkerKind::FilterChanged => writeln!(line, "-- filter changed {}x here", marker.count),
        },
        None => {
            let (what, Packet { caplen, len, .. }) = (describe(packet.data), packet);
            writeln!(line, "{what}, {caplen} of {len} bytes")
        }
    };
    line.into_bytes()
}

/// The line of the counters that a handle in statistics mode gives.
pub(super) fn counters(packet: &Packet<'_>) -> Vec<u8> {
    let number = |at: usize| {
        let bytes = packet.data.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_le_bytes)
    };
    format!("{}{} packets, {} bytes\n", time(packet), number(0), number(8)).into_bytes()
}

/// Hours, minutes, seconds and microseconds, as tcpdump has them.
fn time(packet: &Packet<'_>) -> String {
    let second = packet.sec % SECONDS_PER_DAY;
    let (hours, minutes) = (second / 3600, second / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:06} ", second % 60, packet.usec)
}

fn describe(frame: &[u8]) -> String {
    ethernet(frame).unwrap_or_else(|| "too short".into())
}

fn ethernet(frame: &[u8]) -> Option<String> {
    let mut at = 12;
    for _ in 0..2 {
        if matches!(word(frame, at)?, 0x8100 | 0x88a8) {
            at += 4;
        }
    }
    let inner = frame.get(at + 2..)?;
    let ip = match word(frame, at)? {
        0x0800 => ipv4(inner),
        0x86dd => ipv6(inner),
        0x0806 => return Some("ARP".into()),
        ethertype => return Some(format!("ethertype 0x{ethertype:04x}")),
    };
    Some(ip.unwrap_or_else(|| "IP, cut".into()))
}

fn ipv4(packet: &[u8]) -> Option<String> {
    let header = usize::from(packet.first()? & 15) * 4;
    let address = |at: usize| -> Option<String> {
        let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(bytes).to_string())
    };
    let first = word(packet, 6)? & 0x1fff == 0;
    let rest = packet.get(header..).filter(|_| first).unwrap_or_default();
    Some(flow(&address(12)?, &address(16)?, *packet.get(9)?, rest))
}

fn ipv6(packet: &[u8]) -> Option<String> {
    let address = |at: usize| -> Option<String> {
        let bytes: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
        Some(Ipv6Addr::from(bytes).to_string())
    };
    let rest = packet.get(40..).unwrap_or_default();
    Some(flow(&address(8)?, &address(24)?, *packet.get(6)?, rest))
}

/// Source and destination, with ports where the protocol has them and they are there.
fn flow(from: &str, to: &str, protocol: u8, rest: &[u8]) -> String {
    let name = match protocol {
        1 => "ICMP".into(),
        6 => "TCP".into(),
        17 => "UDP".into(),
        58 => "ICMPv6".into(),
        132 => "SCTP".into(),
        other => format!("protocol {other}"),
    };
    match (word(rest, 0), word(rest, 2)) {
        (Some(source), Some(target)) if matches!(protocol, 6 | 17 | 132) => {
            format!("{from}.{source} > {to}.{target}: {name}")
        }
        _ => format!("{from} > {to}: {name}"),
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(data: &[u8]) -> String {
        let caplen = data.len() as u32;
        let line = packet(&Packet { sec: 90_061, usec: 7, caplen, len: 1514, data });
        String::from_utf8(line).unwrap()
    }

    /// Ethernet with this EtherType, and what follows it.
    fn frame(ethertype: u16, rest: &[u8]) -> Vec<u8> {
        [&[0; 12][..], &ethertype.to_be_bytes(), rest].concat()
    }

    fn udp4(fragment: u8) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, fragment, 64, 17, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2, 0x12, 0x34, 0, 53]);
        packet
    }

    #[test]
    fn ports_are_shown_where_they_are() {
        let ended = "of 1514 bytes\n";
        let told = "01:01:01.000007 10.0.0.1.4660 > 10.0.0.2.53: UDP, 38";
        assert_eq!(line(&frame(0x0800, &udp4(0))), format!("{told} {ended}"));
        let tagged = frame(0x8100, &[&[0, 5, 8, 0][..], &udp4(0)].concat());
        assert_eq!(line(&tagged), format!("{} {ended}", told.replace("38", "42")));
        let fragment = "01:01:01.000007 10.0.0.1 > 10.0.0.2: UDP, 38";
        assert_eq!(line(&frame(0x0800, &udp4(1))), format!("{fragment} {ended}"));
        let mut six = vec![0x60, 0, 0, 0, 0, 4, 6, 64];
        six.extend([0; 15]);
        six.push(1);
        six.extend([0; 15]);
        six.extend([2, 0, 80, 0, 81]);
        assert!(line(&frame(0x86dd, &six)).contains("::1.80 > ::2.81: TCP, "));
    }

    #[test]
    fn any_bytes_give_one_line() {
        let whole = frame(0x8100, &[&[0, 5, 8, 0][..], &udp4(0)].concat());
        for end in 0..=whole.len() {
            assert_eq!(line(&whole[..end]).lines().count(), 1);
        }
        assert!(line(&[]).contains("too short, 0 of"));
        assert!(line(&frame(0x0806, &[])).contains(" ARP, "));
        assert!(line(&frame(0x88cc, &[])).contains(" ethertype 0x88cc, "));
        assert!(line(&frame(0x0800, &udp4(0)[..19])).contains(" IP, cut, "));
    }

    #[test]
    fn markers_and_counters_have_lines_of_their_own() {
        let data = *b"RXLM\x01\0\0\0\x05\0\0\0\0\0\0\0";
        let marker = Packet { sec: 0, usec: 0, caplen: 16, len: 0, data: &data };
        assert_eq!(packet(&marker), b"00:00:00.000000 -- 5 lost here\n");
        let data: Vec<u8> = [3u64, 216].into_iter().flat_map(u64::to_le_bytes).collect();
        let counts = Packet { sec: 1, usec: 0, caplen: 16, len: 16, data: &data };
        assert_eq!(counters(&counts), b"00:00:01.000000 3 packets, 216 bytes\n");
    }
}
