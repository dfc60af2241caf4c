//! The Internet checksum of a frame by its plain definition (RFC 1071), written without a look at the device:
//! what the oracle holds against a device that says DATA_VALID (virtio 5.1.6.4).
//!
//! Contract: TCP and UDP over IPv4 and IPv6, whole and without extension headers, behind any VLAN tags. Of all
//! else no checksum is known, so that nobody may call it right.

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Whether the frame carries a TCP or UDP checksum, and the right one.
#[must_use]
pub fn is_right(frame: &[u8]) -> bool {
    let Some((pseudo, segment)) = segment(frame) else { return false };
    let words = |bytes: &[u8]| {
        let words = bytes.chunks(2);
        words.fold(0_u16, |sum, pair| {
            let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
            let (next, carry) = sum.overflowing_add(word);
            next + u16::from(carry)
        })
    };
    let (sum, carry) = words(&pseudo).overflowing_add(words(segment));
    sum + u16::from(carry) == 0xffff
}

/// The pseudo header (RFC 9293 3.1, RFC 768, RFC 8200 8.1), and what its checksum is of.
fn segment(frame: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut at = 12;
    while matches!(frame.get(at..at + 2)?, [0x81, 0x00] | [0x88, 0xa8]) {
        at += 4;
    }
    let packet = frame.get(at + 2..)?;
    let (addresses, protocol, segment) = match frame.get(at..at + 2)? {
        [0x08, 0x00] => {
            let header = packet.get(..20)?;
            let len = usize::from(header[0] & 15) * 4;
            let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
            // Neither the bit for more fragments, nor an offset.
            let whole = (header[6] & 0x3f, header[7]) == (0, 0);
            (&packet[12..20], header[9], packet.get(len..total).filter(|_| whole && len >= 20)?)
        }
        [0x86, 0xdd] => {
            let header = packet.get(..40)?;
            let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
            (&packet[8..40], header[6], packet.get(40..40 + len)?)
        }
        _ => return None,
    };
    let carried = match protocol {
        TCP => segment.len() >= 20,
        UDP => segment.len() >= 8 && segment[6..8] != [0, 0],
        _ => false,
    };
    let len = (segment.len() as u32).to_be_bytes();
    carried.then(|| ([addresses, &len, &[0, protocol]].concat(), segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A DNS query of 27 bytes as its sender computed it: from 192.168.1.2 port 0xd4 0x31 to 8.8.8.8.
    fn query() -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
        frame.extend([0x45, 0, 0, 32, 0, 1, 0, 0, 64, UDP, 0, 0, 192, 168, 1, 2, 8, 8, 8, 8]);
        frame.extend([0xd4, 0x31, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4]);
        // By hand: c0a8 + 0102 + 0808 + 0808 + 0011 + 000c + d431 + 0035 + 000c + 0102 + 0304 = 1aa4f, so
        // aa50 with its carry, and 55af is what is missing.
        frame[40..42].copy_from_slice(&[0x55, 0xaf]);
        frame
    }

    #[test]
    fn a_checksum_computed_by_hand_is_right_and_any_changed_bit_wrong() {
        let frame = query();
        assert!(is_right(&frame));
        for bit in 26 * 8..frame.len() * 8 {
            let mut changed = frame.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_right(&changed), "bit {bit}");
        }
        // Padding does not count.
        assert!(is_right(&[&frame[..], &[7; 14]].concat()));
    }

    #[test]
    fn what_carries_none_is_never_right() {
        let frame = query();
        let changed = |at: usize, to: u8| {
            let mut frame = frame.clone();
            frame[at] = to;
            is_right(&frame)
        };
        assert!(!changed(20, 0x20), "more fragments");
        assert!(!changed(23, 1), "ICMP");
        assert!(!changed(12, 0x09), "no IP");
        assert!(!is_right(&frame[..frame.len() - 1]), "cut");
        let mut without = frame.clone();
        without[40..42].fill(0);
        assert!(!is_right(&without), "UDP without a checksum");
    }
}
