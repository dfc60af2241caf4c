//! ICMP echo (RFC 792).

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use protocol::Reply;
use protocol::data::Bytes;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketType, ipproto, recvfrom, sendto,
    socket,
};

use super::serve::Refusal;

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
/// Type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;
const SIZE_MAX: u32 = 65_000;

/// Sends `count` requests, each when the one before is answered or given up.
///
/// # Errors
/// The system refuses. An answer that does not come is none.
pub fn ping(to: Ipv4Addr, count: u32, size: u32, wait_ms: u64) -> Result<Reply, Refusal> {
    if size > SIZE_MAX {
        return Err(Refusal::Value(format!("{size} bytes of data: at most {SIZE_MAX}")));
    }
    let system = |error: rustix::io::Errno| Refusal::system(format!("ping {to}"))(error.into());
    let socket =
        socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).map_err(system)?;
    let address = SocketAddrV4::new(to, 0);
    let mut answered = 0;
    let mut packet = vec![0; HEADER + size as usize];
    let mut got = vec![0; 1 << 16];
    for number in 0..count {
        Bytes::new(u64::from(number) + 1).fill(&mut packet[HEADER..]);
        packet[..HEADER].copy_from_slice(&[ECHO_REQUEST, 0, 0, 0, 0x72, 0x78, 0, 0]);
        packet[6..8].copy_from_slice(&(number as u16).to_be_bytes());
        let sum = checksum(&packet).to_be_bytes();
        packet[2..4].copy_from_slice(&sum);
        sendto(&socket, &packet, SendFlags::empty(), &address).map_err(system)?;
        let deadline = Instant::now() + Duration::from_millis(wait_ms);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // A timeout of 0 would mean none.
            let left = left.max(Duration::from_millis(1));
            set_socket_timeout(&socket, Timeout::Recv, Some(left)).map_err(system)?;
            let (len, from) = match recvfrom(&socket, &mut got, RecvFlags::empty()) {
                Ok((len, _, from)) => (len, from),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(system(error)),
            };
            if is_from(from, to) && answers(&got[..len], &packet) {
                answered += 1;
                break;
            }
        }
    }
    Ok(Reply::Ping { sent: count, answered })
}

fn is_from(from: Option<SocketAddrAny>, to: Ipv4Addr) -> bool {
    from.and_then(|from| SocketAddrV4::try_from(from).ok()).is_some_and(|from| *from.ip() == to)
}

/// Whether a packet, from its IPv4 header on, is the reply to a request, with the same data.
fn answers(packet: &[u8], request: &[u8]) -> bool {
    let Some(header) = packet.first().map(|byte| usize::from(byte & 0xf) * 4) else { return false };
    let Some(reply) = packet.get(header..) else { return false };
    reply.len() == request.len()
        && reply[0] == ECHO_REPLY
        && reply[4..] == request[4..]
        && checksum(reply) == 0
}

/// The Internet's checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 1071, section 3.
    #[test]
    fn the_checksum_is_the_internets() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&bytes), !0xddf2);
        assert_eq!(checksum(&[0xff]), !0xff00);
    }

    #[test]
    fn only_the_whole_reply_answers() {
        let mut request = vec![ECHO_REQUEST, 0, 0, 0, 1, 2, 3, 4, 5, 6];
        let mut reply = request.clone();
        reply[0] = ECHO_REPLY;
        for packet in [&mut request, &mut reply] {
            let sum = checksum(packet).to_be_bytes();
            packet[2..4].copy_from_slice(&sum);
        }
        let ip = |body: &[u8]| [&[0x45; 20], body].concat();
        assert!(answers(&ip(&reply), &request));
        assert!(!answers(&ip(&request), &request));
        reply[9] ^= 1;
        assert!(!answers(&ip(&reply), &request));
        for len in 0..30 {
            assert!(!answers(&ip(&reply)[..len.min(29)], &request));
        }
    }
}
