//! What a driver may ask the device to do to a frame it sends: complete a checksum, cut it into segments
//! (virtio 5.1.6.2).
//!
//! [`Request::parse`] reads `struct virtio_net_hdr` and refuses what was not negotiated or cannot be meant;
//! [`segment::Plan`] and [`checksum`] do the work. Neither believes an offset before it was compared with the
//! frame. `hdr_len` is not used, as it cannot be relied on; where the headers end is read from them.

pub(crate) mod checksum;
pub(crate) mod segment;

use crate::spec::{feature, header};

/// What the header of a frame to transmit asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// The frame is to leave as it is.
    Nothing,
    /// The checksum from `start` on is to be stored `offset` bytes behind `start`.
    Checksum(Place),
    /// The frame is to be cut into segments with at most `size` bytes of payload.
    Segments { kind: Kind, size: u16, place: Place },
}

/// Where a checksum starts, and how far behind that it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) start: u16,
    pub(crate) offset: u16,
}

/// What is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP over either.
    Udp,
}

/// The driver asks for what it did not negotiate, or for what cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Request {
    /// Reads a header. Flags that mean nothing here are ignored, as they must be.
    pub(crate) fn parse(bytes: &[u8; header::LEN], features: u64) -> Result<Self, Malformed> {
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let needs_csum = bytes[header::FLAGS] & header::F_NEEDS_CSUM != 0;
        if needs_csum && features & feature::CSUM == 0 {
            return Err(Malformed);
        }
        let place = Place { start: word(header::CSUM_START), offset: word(header::CSUM_OFFSET) };
        let gso_type = bytes[header::GSO_TYPE];
        if gso_type == header::GSO_NONE {
            return Ok(if needs_csum { Self::Checksum(place) } else { Self::Nothing });
        }
        let ecn = gso_type & header::GSO_ECN != 0;
        let (kind, needed) = match gso_type & !header::GSO_ECN {
            header::GSO_TCPV4 => (Kind::Tcp4, feature::HOST_TSO4),
            header::GSO_TCPV6 => (Kind::Tcp6, feature::HOST_TSO6),
            header::GSO_UDP_L4 => (Kind::Udp, feature::HOST_USO),
            _ => return Err(Malformed),
        };
        let size = word(header::GSO_SIZE);
        let agreed = features & needed != 0;
        let ecn_fits = !ecn || (kind != Kind::Udp && features & feature::HOST_ECN != 0);
        if !agreed || !ecn_fits || !needs_csum || size == 0 {
            return Err(Malformed);
        }
        Ok(Self::Segments { kind, size, place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u64 = feature::CSUM
        | feature::HOST_TSO4
        | feature::HOST_TSO6
        | feature::HOST_ECN
        | feature::HOST_USO;

    fn header(flags: u8, gso_type: u8, gso_size: u16) -> [u8; header::LEN] {
        let [low, high] = gso_size.to_le_bytes();
        [flags, gso_type, 9, 9, low, high, 34, 0, 16, 0, 0, 0]
    }

    const PLACE: Place = Place { start: 34, offset: 16 };

    #[test]
    fn what_is_asked_for_is_read_from_the_header() {
        let parse = |flags, gso, size| Request::parse(&header(flags, gso, size), ALL);
        let cut = |kind| Ok(Request::Segments { kind, size: 1448, place: PLACE });
        assert_eq!(parse(0, 0, 7), Ok(Request::Nothing));
        assert_eq!(parse(0xfe, 0, 7), Ok(Request::Nothing), "flags of no meaning are ignored");
        assert_eq!(parse(1, 0, 7), Ok(Request::Checksum(PLACE)));
        assert_eq!(parse(1, 1, 1448), cut(Kind::Tcp4));
        assert_eq!(parse(1, 0x81, 1448), cut(Kind::Tcp4));
        assert_eq!(parse(1, 4, 1448), cut(Kind::Tcp6));
        assert_eq!(parse(1, 0x84, 1448), cut(Kind::Tcp6));
        assert_eq!(parse(1, 5, 1448), cut(Kind::Udp));
    }

    #[test]
    fn nonsense_is_refused() {
        let refused = [
            (0, 1, 1448),    // without NEEDS_CSUM
            (1, 1, 0),       // segments of nothing
            (1, 2, 1448),    // no such type
            (1, 3, 1448),    // UFO, never offered
            (1, 6, 1448),    // no such type
            (1, 0x80, 1448), // ECN of nothing
            (1, 0x85, 1448), // ECN of UDP
        ];
        for (flags, gso, size) in refused {
            let answer = Request::parse(&header(flags, gso, size), u64::MAX);
            assert_eq!(answer, Err(Malformed), "{flags} {gso:#x} {size}");
        }
    }

    #[test]
    fn each_offload_needs_its_feature() {
        let needs = [
            (1, 0, feature::CSUM),
            (1, 1, feature::HOST_TSO4),
            (1, 4, feature::HOST_TSO6),
            (1, 0x81, feature::HOST_ECN),
            (1, 5, feature::HOST_USO),
        ];
        for (flags, gso, needed) in needs {
            let bytes = header(flags, gso, 100);
            assert!(Request::parse(&bytes, ALL).is_ok());
            assert_eq!(Request::parse(&bytes, ALL & !needed), Err(Malformed), "{gso:#x}");
        }
    }
}
