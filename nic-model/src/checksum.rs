//! The Internet checksum of a received frame (RFC 1071): right, wrong, or none that could be checked.
//!
//! Checked are TCP and UDP over IPv4 and IPv6, behind up to two VLAN tags, by the lengths in the IP header,
//! so that padding does not count. Not checked, and never called right: fragments, IPv6 with extension
//! headers, UDP that carries no checksum, and what the frame cuts short. The checksum of the IPv4 header
//! itself is not looked at: DATA_VALID speaks of the packet's (5.1.6.4).

use crate::rss::network_header;
use crate::spec::ethernet;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// What is known about a frame's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    /// Nothing that this device checks.
    None,
    /// It is right.
    Valid,
    /// It is wrong.
    Bad,
}

/// Verifies the checksum of TCP or UDP.
pub(crate) fn verify(frame: &[u8]) -> Checksum {
    match segment(frame) {
        Some((pseudo, bytes)) if fold(sum(bytes, pseudo)) == 0xffff => Checksum::Valid,
        Some(_) => Checksum::Bad,
        None => Checksum::None,
    }
}

/// Sum of the pseudo header, and the TCP segment or UDP datagram with a checksum in it.
fn segment(frame: &[u8]) -> Option<(u64, &[u8])> {
    let (ethertype, packet) = network_header(frame)?;
    let (protocol, addresses, bytes) = match ethertype {
        ethernet::TYPE_IPV4 => ipv4(packet)?,
        ethernet::TYPE_IPV6 => ipv6(packet)?,
        _ => return None,
    };
    let least = match protocol {
        TCP => 20,
        // Its checksum is at 6; 0 means that there is none (RFC 768, RFC 6935).
        UDP if bytes.get(6..8)? != [0, 0] => 8,
        _ => return None,
    };
    if bytes.len() < least {
        return None;
    }
    Some((sum(addresses, u64::from(protocol) + bytes.len() as u64), bytes))
}

fn ipv4(packet: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let header_len = usize::from(header[0] & 15) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    if header[0] >> 4 != 4 || header_len < 20 || fragment {
        return None;
    }
    Some((header[9], &packet[12..20], packet.get(header_len..total)?))
}

fn ipv6(packet: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let header: &[u8; 40] = packet.first_chunk()?;
    let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if header[0] >> 4 != 6 {
        return None;
    }
    Some((header[6], &packet[8..40], packet.get(40..40 + len)?))
}

/// Adds `bytes` as big-endian words of 16 bits to `start`; an odd last byte is the high one.
///
/// No frame is long enough to overflow 64 bits.
pub(crate) fn sum(bytes: &[u8], start: u64) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    // 2^16 = 1 modulo 0xffff, so that words of 32 bits add up to the same once folded.
    let total = words.iter().fold(start, |sum, word| sum + u64::from(u32::from_be_bytes(*word)));
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    total + u64::from(u32::from_be_bytes(last))
}

/// Adds the carries in; all ones if a checksum that was part of the sum is right.
pub(crate) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The plain definition: words of 16 bits, each carry added in at once.
    fn plain(bytes: &[u8]) -> u16 {
        let words = bytes
            .chunks(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        words.fold(0_u16, |sum, word| {
            let (next, carry) = sum.overflowing_add(word);
            next + u16::from(carry)
        })
    }

    /// Ethernet, IPv4 or IPv6, this protocol with a right checksum, `padding` bytes behind it.
    fn frame(protocol: u8, v6: bool, payload: &[u8], padding: usize) -> Vec<u8> {
        let mut packet = vec![7; if protocol == TCP { 20 } else { 8 }];
        let at = if protocol == TCP { 16 } else { 6 };
        packet[at..at + 2].fill(0);
        packet.extend(payload);
        let len = packet.len() as u16;
        let (ethertype, mut header) = if v6 {
            let mut header = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
            header[4..6].copy_from_slice(&len.to_be_bytes());
            header.extend(1..=32);
            ([0x86, 0xdd], header)
        } else {
            let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
            header[2..4].copy_from_slice(&(len + 20).to_be_bytes());
            header.extend([10, 0, 0, 1, 192, 168, 250, 9]);
            ([8, 0], header)
        };
        let addresses = if v6 { 8 } else { 12 };
        let pseudo = [&header[addresses..], &[0, protocol][..], &len.to_be_bytes()].concat();
        let checksum = !plain(&[&pseudo[..], &packet].concat());
        let checksum = if checksum == 0 { 0xffff } else { checksum };
        packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        let mut frame = vec![2; 12];
        frame.extend(ethertype);
        frame.append(&mut header);
        frame.extend(packet);
        frame.resize(frame.len() + padding, 0xee);
        frame
    }

    #[test]
    fn the_example_of_rfc_1071_adds_up() {
        // Section 3: 0001 f203 f4f5 f6f7 gives ddf2.
        assert_eq!(fold(sum(&[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7], 0)), 0xddf2);
    }

    #[test]
    fn what_is_not_checked_is_never_called_valid() {
        let good = frame(UDP, false, &[1, 2, 3], 9);
        assert_eq!(verify(&good), Checksum::Valid);
        let changed = |at: usize, value: u8| {
            let mut frame = good.clone();
            frame[at] = value;
            frame
        };
        for (what, frame) in [
            ("a fragment", changed(20, 0x20)),
            ("another protocol", changed(23, 1)),
            ("no IP", changed(12, 9)),
            ("a header too short", changed(14, 0x44)),
            ("cut short", good[..40].to_vec()),
            ("nothing", vec![]),
        ] {
            assert_eq!(verify(&frame), Checksum::None, "{what}");
        }
        let mut without = good.clone();
        without[40..42].fill(0);
        assert_eq!(verify(&without), Checksum::None, "UDP without checksum");
        let mut ends_early = good;
        ends_early[17] = 25;
        assert_eq!(verify(&ends_early), Checksum::None, "no room for the UDP header");
    }

    proptest! {
        #[test]
        fn the_sum_is_the_plain_one(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(fold(sum(&bytes, 0)) % 0xffff, plain(&bytes) % 0xffff);
        }

        /// A right checksum is seen as right; with one bit of the packet flipped it is wrong.
        #[test]
        fn one_flipped_bit_is_seen(
            tcp in any::<bool>(), v6 in any::<bool>(), padding in 0_usize..20,
            payload in proptest::collection::vec(any::<u8>(), 0..60), bit in any::<prop::sample::Index>(),
        ) {
            let protocol = if tcp { TCP } else { UDP };
            let mut frame = frame(protocol, v6, &payload, padding);
            prop_assert_eq!(verify(&frame), Checksum::Valid);
            let first = if v6 { 54 } else { 34 };
            let last = frame.len() - padding;
            let bit = bit.index((last - first) * 8);
            frame[first + bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(verify(&frame), Checksum::Valid);
        }
    }
}
