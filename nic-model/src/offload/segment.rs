//! Segmentation: one long TCP or UDP frame in, frames of at most so much payload out.
//!
//! [`Plan::new`] finds the headers and checks them; after that nothing can fail. Each segment gets the
//! headers of the whole with what differs:
//!
//! | field | in segment i, counted from 0 |
//! |---|---|
//! | IPv4 total length, identification, header checksum | its own; identification + i; its own |
//! | IPv6 payload length | its own |
//! | TCP sequence number, checksum | + i * size; its own |
//! | TCP FIN, PSH | in the last one only |
//! | TCP CWR | in the first one only (RFC 3168, 6.1.2) |
//! | UDP length, checksum | its own |
//!
//! Not checked: options, which are copied; that the whole's own lengths are right, which are replaced.

use super::checksum::{checksum, transport_checksum};
use super::{Kind, Malformed, Place};
use crate::checksum::sum;
use crate::spec::ethernet;

const IPV4_HEADER_LEN: usize = 20;
const IPV6_HEADER_LEN: usize = 40;
/// Longest packet that IPv4's total length can tell. A longest frame is longer, as it may have tags.
const IPV4_TOTAL_MAX: usize = u16::MAX as usize;
const TCP_HEADER_LEN: usize = 20;
const UDP_HEADER_LEN: usize = 8;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
/// Extension headers of IPv6 that say their own length: hop-by-hop, routing, destination options.
const IPV6_EXTENSIONS: [u8; 3] = [0, 43, 60];
const TCP_FIN_PSH: u8 = 0x09;
const TCP_CWR: u8 = 0x80;

/// Where the headers of a frame are, and how its payload is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    version: Version,
    transport: Transport,
    /// Where the IP header starts.
    network_at: usize,
    /// Where the TCP or UDP header starts.
    transport_at: usize,
    /// Where the payload starts.
    payload_at: usize,
    /// Most bytes of payload in a segment.
    size: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V4,
    V6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

impl Plan {
    /// How `frame` is cut into segments of at most `size` bytes of payload.
    ///
    /// # Errors
    /// It is not a whole frame of that kind, its checksum is not where that kind has it, or a segment would
    /// have more than `longest` bytes, or more than IPv4 can count.
    pub(crate) fn new(
        frame: &[u8],
        kind: Kind,
        size: u16,
        place: Place,
        longest: usize,
    ) -> Result<Self, Malformed> {
        let (ethertype, network_at) = network(frame)?;
        let (version, found, transport_at) = match ethertype {
            ethernet::TYPE_IPV4 => ipv4(frame, network_at)?,
            ethernet::TYPE_IPV6 => ipv6(frame, network_at)?,
            _ => return Err(Malformed),
        };
        let transport = match (kind, version, found) {
            (Kind::Tcp4, Version::V4, PROTOCOL_TCP) | (Kind::Tcp6, Version::V6, PROTOCOL_TCP) => {
                Transport::Tcp
            }
            (Kind::Udp, _, PROTOCOL_UDP) => Transport::Udp,
            _ => return Err(Malformed),
        };
        let header = match transport {
            Transport::Tcp => {
                let offset = *frame.get(transport_at + 12).ok_or(Malformed)?;
                usize::from(offset >> 4) * 4
            }
            Transport::Udp => UDP_HEADER_LEN,
        };
        let (least, field) = match transport {
            Transport::Tcp => (TCP_HEADER_LEN, 16),
            Transport::Udp => (UDP_HEADER_LEN, 6),
        };
        let payload_at = transport_at + header;
        let size = usize::from(size);
        let payload = frame.len().checked_sub(payload_at).ok_or(Malformed)?;
        let end = payload_at + size.min(payload);
        let countable = version == Version::V6 || end - network_at <= IPV4_TOTAL_MAX;
        let fits = header >= least && end <= longest && countable;
        let agrees = usize::from(place.start) == transport_at && place.offset == field;
        if !fits || !agrees {
            return Err(Malformed);
        }
        Ok(Self { version, transport, network_at, transport_at, payload_at, size })
    }

    /// How many segments `frame` gives: one at least.
    pub(crate) fn count(&self, frame: &[u8]) -> usize {
        (frame.len() - self.payload_at).div_ceil(self.size).max(1)
    }

    /// Writes segment `index` of `frame` into `out`, which is emptied first.
    pub(crate) fn write(&self, frame: &[u8], index: usize, out: &mut Vec<u8>) {
        let from = self.payload_at + index * self.size;
        let to = (from + self.size).min(frame.len());
        out.clear();
        out.extend_from_slice(&frame[..self.payload_at]);
        out.extend_from_slice(&frame[from..to]);
        let last = to == frame.len();
        // An index beyond 16 bits wraps, as identifications and sequence numbers do.
        self.finish_network(out, index as u16);
        self.finish_transport(out, index, last);
    }

    fn finish_network(&self, out: &mut [u8], index: u16) {
        let (total, network) = (out.len() - self.network_at, &mut out[self.network_at..]);
        match self.version {
            Version::V4 => {
                let header = self.ipv4_header_len();
                // The plan has seen that it fits.
                put(network, 2, total as u16);
                let identification = u16::from_be_bytes([network[4], network[5]]);
                put(network, 4, identification.wrapping_add(index));
                put(network, 10, 0);
                put(network, 10, checksum(sum(&network[..header], 0)));
            }
            Version::V6 => put(network, 4, (total - IPV6_HEADER_LEN) as u16),
        }
    }

    fn finish_transport(&self, out: &mut [u8], index: usize, last: bool) {
        let len = out.len() - self.transport_at;
        let (addresses, protocol) = match self.version {
            Version::V4 => (self.network_at + 12..self.network_at + 20, self.protocol()),
            Version::V6 => (self.network_at + 8..self.network_at + 40, self.protocol()),
        };
        // At most a frame's length.
        let pseudo = sum(&out[addresses], u64::from(protocol) + len as u64);
        let transport = &mut out[self.transport_at..];
        let field = match self.transport {
            Transport::Tcp => {
                let [a, b, c, d] = [transport[4], transport[5], transport[6], transport[7]];
                let sequence =
                    u32::from_be_bytes([a, b, c, d]).wrapping_add((index * self.size) as u32);
                transport[4..8].copy_from_slice(&sequence.to_be_bytes());
                if !last {
                    transport[13] &= !TCP_FIN_PSH;
                }
                if index > 0 {
                    transport[13] &= !TCP_CWR;
                }
                16
            }
            Transport::Udp => {
                put(transport, 4, len as u16);
                6
            }
        };
        put(transport, field, 0);
        put(transport, field, transport_checksum(sum(transport, pseudo)));
    }

    fn ipv4_header_len(&self) -> usize {
        self.transport_at - self.network_at
    }

    fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Tcp => PROTOCOL_TCP,
            Transport::Udp => PROTOCOL_UDP,
        }
    }
}

/// EtherType and place of the network header, behind two tags at most.
fn network(frame: &[u8]) -> Result<(u16, usize), Malformed> {
    let mut at = ethernet::HEADER_LEN;
    for _ in 0..=ethernet::TAGS_MAX {
        let ethertype = word(frame, at - 2)?;
        if !matches!(ethertype, ethernet::TYPE_8021Q | ethernet::TYPE_8021AD) {
            return Ok((ethertype, at));
        }
        at += ethernet::TAG_LEN;
    }
    Err(Malformed)
}

/// Protocol and place of the transport header of IPv4. A fragment cannot be cut.
fn ipv4(frame: &[u8], at: usize) -> Result<(Version, u8, usize), Malformed> {
    let header = frame.get(at..at + IPV4_HEADER_LEN).ok_or(Malformed)?;
    let len = usize::from(header[0] & 0x0f) * 4;
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    if header[0] >> 4 != 4 || len < IPV4_HEADER_LEN || fragment {
        return Err(Malformed);
    }
    Ok((Version::V4, header[9], at + len))
}

/// The same of IPv6, behind extension headers.
fn ipv6(frame: &[u8], at: usize) -> Result<(Version, u8, usize), Malformed> {
    let header = frame.get(at..at + IPV6_HEADER_LEN).ok_or(Malformed)?;
    if header[0] >> 4 != 6 {
        return Err(Malformed);
    }
    let (mut next, mut at) = (header[6], at + IPV6_HEADER_LEN);
    while IPV6_EXTENSIONS.contains(&next) {
        // Each takes 8 bytes at least, so this ends with the frame.
        let [following, units] = *frame.get(at..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
        (next, at) = (following, at + 8 + 8 * usize::from(units));
    }
    Ok((Version::V6, next, at))
}

fn word(frame: &[u8], at: usize) -> Result<u16, Malformed> {
    let bytes = frame.get(at..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
    Ok(u16::from_be_bytes(*bytes))
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests;
