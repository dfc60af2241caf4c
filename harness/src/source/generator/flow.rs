//! Flows and their frames: headers made once, a few fields patched per frame.
//!
//! Contract: lengths and checksums are right in every frame (RFC 791, 768, 8200, 9293), and a TCP
//! flow's sequence numbers advance with its payload, so that an analyser finds nothing to say.
//! Addresses: sources in 10.0.0.0/8 and 2001:2:0:1::/64, one per flow; destinations in the ranges
//! for benchmarks, 198.18.0.0/15 (RFC 2544) and 2001:2::/48 (RFC 5180); ports in the dynamic range.

use super::pick::Pick;
use crate::scenario::{Generator, Mix};
use crate::source::random::Stream;

/// Bytes of the frame's number.
const NUMBER: usize = 6;
/// The longest of the headers: Ethernet, IPv6, TCP.
const HEADER_MAX: usize = 14 + 40 + 20;
/// Start of the IP header.
const IP: usize = 14;

/// What a flow's frames are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Udp4,
    Tcp4,
    Udp6,
    Tcp6,
    Arp,
}

use Protocol::{Arp, Tcp4, Tcp6, Udp4, Udp6};

impl Protocol {
    const ALL: [Self; 5] = [Udp4, Tcp4, Udp6, Tcp6, Arp];

    /// Bytes before the payload.
    const fn header(self) -> usize {
        match self {
            Udp4 => IP + 20 + 8,
            Tcp4 => IP + 20 + 20,
            Udp6 => IP + 40 + 8,
            Tcp6 => IP + 40 + 20,
            Arp => IP + 28,
        }
    }

    /// Where the frame's number is: at the start of the payload. An ARP request has none; its
    /// number is the target hardware address, which is what it asks for (RFC 826), so that the
    /// padding stays zero.
    const fn number(self) -> usize {
        match self {
            Arp => IP + 18,
            _ => self.header(),
        }
    }

    /// The least length of a frame that holds its headers and its number.
    fn least(self) -> usize {
        self.header().max(self.number() + NUMBER)
    }

    /// Start of the transport header.
    const fn transport(self) -> usize {
        match self {
            Udp4 | Tcp4 | Arp => IP + 20,
            Udp6 | Tcp6 => IP + 40,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Udp4 => "UDP over IPv4",
            Tcp4 => "TCP over IPv4",
            Udp6 => "UDP over IPv6",
            Tcp6 => "TCP over IPv6",
            Arp => "ARP",
        }
    }

    /// How likely each is, in the order of [`Self::ALL`].
    fn weights(mix: &Mix) -> [u64; 5] {
        let [ipv4, ipv6, other, udp, tcp] =
            [mix.ipv4, mix.ipv6, mix.other, mix.udp, mix.tcp].map(u64::from);
        let transports = (udp + tcp).max(1); // 1 if there are no IP flows
        [ipv4 * udp, ipv4 * tcp, ipv6 * udp, ipv6 * tcp, other * transports]
    }
}

/// The least length, without FCS, of a frame that holds every protocol of `mix` and the frame's
/// number, and the protocol that needs it.
pub fn headers_len(mix: &Mix) -> (u64, &'static str) {
    let used = Protocol::ALL.into_iter().zip(Protocol::weights(mix)).filter(|(_, w)| *w > 0);
    let longest = used.map(|(protocol, _)| protocol).max_by_key(|protocol| protocol.least());
    longest.map_or((0, "nothing"), |longest| (longest.least() as u64, longest.name()))
}

/// What follows the headers: the same bytes in every frame, and their checksums.
pub(super) struct Payloads {
    /// Payload byte i is i modulo 256; the number overwrites the first six.
    bytes: Vec<u8>,
    lengths: Vec<usize>,
    /// Sum of the payload's 16-bit words behind the number, by size and protocol.
    sums: Vec<[u32; 5]>,
}

impl Payloads {
    /// For frames of these lengths, without FCS.
    pub(super) fn new(lengths: &[u64]) -> Self {
        let lengths: Vec<usize> = lengths.iter().map(|&length| length as usize).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let bytes: Vec<u8> = (0..longest).map(|index| index as u8).collect();
        let sum = |length: usize, protocol: Protocol| {
            bytes.get(NUMBER..length.saturating_sub(protocol.header())).map_or(0, words)
        };
        let sums = lengths.iter().map(|&length| Protocol::ALL.map(|p| sum(length, p))).collect();
        Self { bytes, lengths, sums }
    }
}

/// One flow.
pub(super) struct Flow {
    protocol: Protocol,
    header: [u8; HEADER_MAX],
    /// Sum of the IPv4 header without its length.
    ip_sum: u32,
    /// Sum of pseudo header and transport header without lengths and sequence number.
    transport_sum: u32,
    /// TCP sequence number of the next frame.
    sequence: u32,
}

/// All flows towards the device `mac`. One draw of `protocols` and three of `endpoints` for each.
pub(super) fn all(
    generator: &Generator,
    mac: [u8; 6],
    protocols: Stream,
    mut endpoints: Stream,
) -> Vec<Flow> {
    let weights = Protocol::weights(&generator.mix);
    let used: Vec<usize> = (0..5).filter(|&index| weights[index] > 0).collect();
    let used_weights: Vec<u64> = used.iter().map(|&index| weights[index]).collect();
    let mut pick = Pick::weighted(&used_weights, protocols);
    let mut flow = |index| {
        let protocol = Protocol::ALL[used[pick.draw()]];
        Flow::new(protocol, index, mac, [(); 3].map(|()| endpoints.next_u64()))
    };
    (0..generator.flows).map(&mut flow).collect()
}

impl Flow {
    fn new(protocol: Protocol, index: u32, mac: [u8; 6], random: [u64; 3]) -> Self {
        let [ports, target, sequence] = random;
        let station = (index + 1).to_be_bytes(); // 24 bits: a scenario has 2^20 flows at most
        let mut header = [0; HEADER_MAX];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        let source_mac = [0x02, 0x00, 0x01, station[1], station[2], station[3]];
        let source4 = [10, station[1], station[2], station[3]];
        let target4 = [198, 18 | (target >> 16) as u8 & 1, (target >> 8) as u8, target as u8];
        put(0, &if protocol == Arp { [0xff; 6] } else { mac });
        put(6, &source_mac);
        match protocol {
            Udp4 | Tcp4 => {
                put(12, &[0x08, 0x00, 0x45]);
                put(IP + 6, &[0x40, 0, 64]); // do not fragment, hop limit
                put(IP + 9, &[if protocol == Udp4 { 17 } else { 6 }]);
                put(IP + 12, &source4);
                put(IP + 16, &target4);
            }
            Udp6 | Tcp6 => {
                put(12, &[0x86, 0xdd, 0x60]);
                put(IP + 6, &[if protocol == Udp6 { 17 } else { 6 }, 64]);
                put(IP + 8, &[0x20, 0x01, 0, 2, 0, 0, 0, 1]);
                put(IP + 20, &station);
                put(IP + 24, &[0x20, 0x01, 0, 2, 0, 0]);
                put(IP + 32, &target.to_be_bytes());
            }
            Arp => {
                put(12, &[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]); // who has, Ethernet and IPv4
                put(IP + 8, &source_mac);
                put(IP + 14, &source4);
                put(IP + 24, &target4);
            }
        }
        let transport = protocol.transport();
        if protocol != Arp {
            let port = |bits: u64| (0xc000 | (bits as u16 & 0x3fff)).to_be_bytes();
            put(transport, &port(ports));
            put(transport + 2, &port(ports >> 16));
        }
        if matches!(protocol, Tcp4 | Tcp6) {
            put(transport + 8, &[0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff]); // ack 1, ACK, window
        }
        let addresses = if matches!(protocol, Udp6 | Tcp6) { IP + 8 } else { IP + 12 };
        let number = if matches!(protocol, Udp4 | Udp6) { 17 } else { 6 };
        Self {
            protocol,
            ip_sum: words(&header[IP..IP + 20]),
            transport_sum: number + words(&header[addresses..protocol.header()]),
            sequence: sequence as u32,
            header,
        }
    }

    /// Writes the frame number `number` of the run, of the `size`-th length.
    #[inline]
    pub(super) fn write(
        &mut self,
        number: u64,
        payloads: &Payloads,
        size: usize,
        frame: &mut Vec<u8>,
    ) {
        let (length, header) = (payloads.lengths[size], self.protocol.header());
        let number = &number.to_be_bytes()[2..];
        frame.clear();
        frame.extend_from_slice(&self.header[..header]);
        if self.protocol == Arp {
            frame.resize(length, 0);
        } else {
            frame.extend_from_slice(&payloads.bytes[..length - header]);
        }
        let at = self.protocol.number();
        frame[at..at + NUMBER].copy_from_slice(number);

        let transport = self.protocol.transport();
        let mut sum = self.transport_sum
            + payloads.sums[size][self.protocol as usize]
            + words(number)
            + (length - transport) as u32;
        match self.protocol {
            Udp4 | Tcp4 => {
                let total = (length - IP) as u16;
                put(frame, IP + 2, total);
                put(frame, IP + 10, !fold(self.ip_sum + u32::from(total)));
            }
            Udp6 | Tcp6 => put(frame, IP + 4, (length - IP - 40) as u16),
            Arp => return,
        }
        if matches!(self.protocol, Udp4 | Udp6) {
            let udp = (length - transport) as u16;
            put(frame, transport + 4, udp);
            sum += u32::from(udp);
            // 0 would say "no checksum" (RFC 768), and all ones is the same number
            put(
                frame,
                transport + 6,
                match !fold(sum) {
                    0 => 0xffff,
                    sum => sum,
                },
            );
        } else {
            let sequence = self.sequence.to_be_bytes();
            frame[transport + 4..transport + 8].copy_from_slice(&sequence);
            sum += words(&sequence);
            put(frame, transport + 16, !fold(sum));
            self.sequence = self.sequence.wrapping_add((length - header) as u32);
        }
    }
}

fn put(frame: &mut [u8], at: usize, value: u16) {
    frame[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// Sum of the big-endian 16-bit words, an odd last byte padded with zero (RFC 1071). The longest
/// frame has 2^15 words, so the sum of them fits 32 bits.
#[inline]
fn words(bytes: &[u8]) -> u32 {
    let pairs = bytes.chunks_exact(2);
    let odd = pairs.remainder().first().map_or(0, |&byte| u32::from(byte) << 8);
    odd + pairs.map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>()
}

/// The carries added back in: the ones' complement sum.
#[inline]
fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}
