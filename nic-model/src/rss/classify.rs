//! What of a frame is hashed: the hash types of virtio 5.1.6.4.3 and the fields each takes.
//!
//! Up to two VLAN tags are skipped. A fragment has no ports here, not even the first one, so that all
//! fragments of a packet meet on one queue. Headers that the frame cuts short end the search: what was
//! found until then counts. Not checked: checksums, lengths in the IP header, options of IPv4.

use super::toeplitz::INPUT_LEN_MAX;
use crate::spec::ethernet;

const TCP: u8 = 6;
const UDP: u8 = 17;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;
/// Mobility routing header (RFC 6275, 6.4).
const ROUTING_TYPE_2: u8 = 2;
/// Home address option (RFC 6275, 6.3).
const OPTION_HOME_ADDRESS: u8 = 0xc9;
const OPTION_PAD1: u8 = 0;

/// What a hash was computed over. The order is that of the feature's bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum HashType {
    /// VIRTIO_NET_HASH_TYPE_IPv4: both addresses.
    Ipv4,
    /// VIRTIO_NET_HASH_TYPE_TCPv4: addresses and ports.
    TcpIpv4,
    /// VIRTIO_NET_HASH_TYPE_UDPv4: addresses and ports.
    UdpIpv4,
    /// VIRTIO_NET_HASH_TYPE_IPv6: both addresses.
    Ipv6,
    /// VIRTIO_NET_HASH_TYPE_TCPv6: addresses and ports.
    TcpIpv6,
    /// VIRTIO_NET_HASH_TYPE_UDPv6: addresses and ports.
    UdpIpv6,
    /// VIRTIO_NET_HASH_TYPE_IP_EX: addresses, with home address and type 2 routing header.
    Ipv6Ex,
    /// VIRTIO_NET_HASH_TYPE_TCP_EX: the same and ports.
    TcpIpv6Ex,
    /// VIRTIO_NET_HASH_TYPE_UDP_EX: the same and ports.
    UdpIpv6Ex,
}

impl HashType {
    /// All nine, in the order of their bits.
    pub const ALL: [Self; 9] = [
        Self::Ipv4,
        Self::TcpIpv4,
        Self::UdpIpv4,
        Self::Ipv6,
        Self::TcpIpv6,
        Self::UdpIpv6,
        Self::Ipv6Ex,
        Self::TcpIpv6Ex,
        Self::UdpIpv6Ex,
    ];

    /// Bits of all nine.
    pub const ALL_BITS: u32 = 0x1ff;

    /// The bit in `hash_types`.
    #[must_use]
    pub const fn bit(self) -> u32 {
        1 << self as u8
    }

    /// VIRTIO_NET_HASH_REPORT_*: the value of `hash_report` (5.1.6.4.4).
    #[must_use]
    pub const fn report(self) -> u8 {
        1 + self as u8
    }

    /// Name in snake_case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::TcpIpv4 => "tcp_ipv4",
            Self::UdpIpv4 => "udp_ipv4",
            Self::Ipv6 => "ipv6",
            Self::TcpIpv6 => "tcp_ipv6",
            Self::UdpIpv6 => "udp_ipv6",
            Self::Ipv6Ex => "ipv6_ex",
            Self::TcpIpv6Ex => "tcp_ipv6_ex",
            Self::UdpIpv6Ex => "udp_ipv6_ex",
        }
    }
}

/// A hash type and the bytes to hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    hash_type: HashType,
    input: [u8; INPUT_LEN_MAX],
    len: usize,
}

impl Classified {
    /// What was found.
    #[must_use]
    pub fn hash_type(&self) -> HashType {
        self.hash_type
    }

    /// The bytes to hash: source address, destination address and, for TCP and UDP, both ports.
    #[inline]
    #[must_use]
    pub fn input(&self) -> &[u8] {
        &self.input[..self.len]
    }

    /// Lengths are constants, so that the copies are moves.
    #[inline]
    fn new<const N: usize>(
        hash_type: HashType,
        source: &[u8; N],
        destination: &[u8; N],
        ports: Option<&[u8; 4]>,
    ) -> Self {
        let mut found = Self { hash_type, input: [0; INPUT_LEN_MAX], len: 2 * N };
        found.input[..N].copy_from_slice(source);
        found.input[N..2 * N].copy_from_slice(destination);
        if let Some(ports) = ports {
            found.input[2 * N..2 * N + 4].copy_from_slice(ports);
            found.len += 4;
        }
        found
    }
}

/// The most specific of the enabled `hash_types` that fits the frame, in the order of 5.1.6.4.3.
#[inline]
#[must_use]
pub fn classify(frame: &[u8], hash_types: u32) -> Option<Classified> {
    let (ethertype, packet) = network_header(frame)?;
    match ethertype {
        ethernet::TYPE_IPV4 => ipv4(packet, hash_types),
        ethernet::TYPE_IPV6 => ipv6(packet, hash_types),
        _ => None,
    }
}

/// EtherType and what follows it, behind up to two tags.
pub(crate) fn network_header(frame: &[u8]) -> Option<(u16, &[u8])> {
    let mut offset = 12;
    for _ in 0..=ethernet::TAGS_MAX {
        let ethertype = u16::from_be_bytes(*frame.get(offset..)?.first_chunk()?);
        if !matches!(ethertype, ethernet::TYPE_8021Q | ethernet::TYPE_8021AD) {
            return Some((ethertype, &frame[offset + 2..]));
        }
        offset += ethernet::TAG_LEN;
    }
    None
}

fn ipv4(packet: &[u8], hash_types: u32) -> Option<Classified> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let header_len = usize::from(header[0] & 15) * 4;
    if header[0] >> 4 != 4 || header_len < 20 {
        return None;
    }
    // More fragments to come, or an offset: 0x3fff without "don't fragment".
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    let source = header[12..].first_chunk::<4>()?;
    let destination = header[16..].first_chunk()?;
    if !fragment {
        let with_ports = match header[9] {
            TCP => Some(HashType::TcpIpv4),
            UDP => Some(HashType::UdpIpv4),
            _ => None,
        };
        if let Some(hash_type) = with_ports.filter(|t| hash_types & t.bit() != 0)
            && let Some(ports) = ports(packet, header_len)
        {
            return Some(Classified::new(hash_type, source, destination, Some(ports)));
        }
    }
    (hash_types & HashType::Ipv4.bit() != 0)
        .then(|| Classified::new(HashType::Ipv4, source, destination, None))
}

fn ipv6(packet: &[u8], hash_types: u32) -> Option<Classified> {
    let header: &[u8; 40] = packet.first_chunk()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let source = header[8..].first_chunk()?;
    let destination = header[24..].first_chunk()?;
    let found = extension_headers(packet, header[6]);
    if found.any {
        let source = found.home_address.unwrap_or(source);
        let destination = found.routed_to.unwrap_or(destination);
        let types = [HashType::TcpIpv6Ex, HashType::UdpIpv6Ex, HashType::Ipv6Ex];
        if let Some(classified) =
            most_specific(packet, &found, types, hash_types, source, destination)
        {
            return Some(classified);
        }
    }
    let types = [HashType::TcpIpv6, HashType::UdpIpv6, HashType::Ipv6];
    most_specific(packet, &found, types, hash_types, source, destination)
}

/// Of `[TCP, UDP, addresses only]` the first that is enabled and fits.
fn most_specific(
    packet: &[u8],
    found: &Extensions<'_>,
    [tcp, udp, addresses]: [HashType; 3],
    hash_types: u32,
    source: &[u8; 16],
    destination: &[u8; 16],
) -> Option<Classified> {
    let with_ports = match found.protocol {
        Some(TCP) => Some(tcp),
        Some(UDP) => Some(udp),
        _ => None,
    };
    if let Some(hash_type) = with_ports.filter(|t| hash_types & t.bit() != 0)
        && let Some(ports) = ports(packet, found.offset)
    {
        return Some(Classified::new(hash_type, source, destination, Some(ports)));
    }
    (hash_types & addresses.bit() != 0)
        .then(|| Classified::new(addresses, source, destination, None))
}

/// What the extension headers say.
struct Extensions<'a> {
    /// There is at least one.
    any: bool,
    /// Protocol above them; `None` for a fragment and for a packet cut short.
    protocol: Option<u8>,
    /// Where that protocol's header starts.
    offset: usize,
    /// From the home address option.
    home_address: Option<&'a [u8; 16]>,
    /// From a routing header of type 2.
    routed_to: Option<&'a [u8; 16]>,
}

fn extension_headers(packet: &[u8], first: u8) -> Extensions<'_> {
    let mut found =
        Extensions { any: false, protocol: None, offset: 40, home_address: None, routed_to: None };
    let mut next = first;
    // Each header is at least 8 bytes of the frame, so this ends.
    while matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS) {
        found.any = true;
        let Some(&[following, len]) =
            packet.get(found.offset..).and_then(|rest| rest.first_chunk())
        else {
            return found;
        };
        if next == FRAGMENT {
            return found;
        }
        let end = found.offset + 8 * (1 + usize::from(len));
        let Some(header) = packet.get(found.offset..end) else {
            return found;
        };
        match next {
            DESTINATION_OPTIONS if found.home_address.is_none() => {
                found.home_address = home_address(&header[2..]);
            }
            ROUTING if header[2] == ROUTING_TYPE_2 && header.len() == 24 => {
                found.routed_to = header[8..].first_chunk();
            }
            _ => {}
        }
        found.offset = end;
        next = following;
    }
    found.protocol = Some(next);
    found
}

/// The home address among the options of a destination options header.
fn home_address(mut options: &[u8]) -> Option<&[u8; 16]> {
    loop {
        if *options.first()? == OPTION_PAD1 {
            options = &options[1..];
            continue;
        }
        let &[kind, len] = options.first_chunk()?;
        let value = options.get(2..2 + usize::from(len))?;
        if kind == OPTION_HOME_ADDRESS
            && let Ok(address) = value.try_into()
        {
            return Some(address);
        }
        options = &options[2 + usize::from(len)..];
    }
}

fn ports(packet: &[u8], offset: usize) -> Option<&[u8; 4]> {
    packet.get(offset..)?.first_chunk()
}

#[cfg(test)]
mod tests;
