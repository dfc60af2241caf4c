//! The expressions that are measured: as programs, and written by hand in Rust.
//!
//! Contract: for every frame, the predicate keeps what the program keeps; `rxlab bench filter` checks
//! it on every frame before it measures. The programs are what libpcap 1.10 compiles with `tcpdump
//! -ddd`, kept here so that all versions and machines measure the same, libpcap or not.

/// Keeps [`SNAPLEN`] bytes of a frame, or 0.
pub type Predicate = fn(&[u8]) -> u32;

/// What an accepted frame keeps.
pub const SNAPLEN: u32 = 262_144;

/// One expression.
pub struct Subject {
    /// As a user writes it.
    pub expression: &'static str,
    /// As `tcpdump -ddd` prints it.
    pub program: &'static str,
    /// As somebody writes it who has no filters.
    pub predicate: Predicate,
}

/// From 4 to 25 instructions.
pub const SUBJECTS: [Subject; 4] = [
    Subject {
        expression: "ip",
        program: "4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n",
        predicate: |frame| keep(ip(frame)),
    },
    Subject {
        expression: "tcp dst port 80 and host 10.0.0.1",
        program: "16\n40 0 0 12\n21 13 0 34525\n21 0 12 2048\n48 0 0 23\n21 0 10 6\n40 0 0 20\n\
            69 8 0 8191\n177 0 0 14\n72 0 0 16\n21 0 5 80\n32 0 0 26\n21 2 0 167772161\n\
            32 0 0 30\n21 0 1 167772161\n6 0 0 262144\n6 0 0 0\n",
        predicate: |frame| keep(tcp_dst_port_80_and_host(frame)),
    },
    Subject {
        expression: "udp port 53",
        program: "20\n40 0 0 12\n21 0 6 34525\n48 0 0 20\n21 0 15 17\n40 0 0 54\n21 12 0 53\n\
            40 0 0 56\n21 10 11 53\n21 0 10 2048\n48 0 0 23\n21 0 8 17\n40 0 0 20\n69 6 0 8191\n\
            177 0 0 14\n72 0 0 14\n21 2 0 53\n72 0 0 16\n21 0 1 53\n6 0 0 262144\n6 0 0 0\n",
        predicate: |frame| keep(udp_port_53(frame)),
    },
    Subject {
        expression: "host 10.0.0.1 and (tcp port 80 or udp port 53)",
        program: "25\n40 0 0 12\n21 0 22 2048\n32 0 0 26\n21 2 0 167772161\n32 0 0 30\n\
            21 0 18 167772161\n48 0 0 23\n21 0 7 6\n40 0 0 20\n69 14 0 8191\n177 0 0 14\n\
            72 0 0 14\n21 10 0 80\n72 0 0 16\n21 8 9 80\n21 0 8 17\n40 0 0 20\n69 6 0 8191\n\
            177 0 0 14\n72 0 0 14\n21 2 0 53\n72 0 0 16\n21 0 1 53\n6 0 0 262144\n6 0 0 0\n",
        predicate: |frame| keep(host_and_tcp_80_or_udp_53(frame)),
    },
];

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TCP: u8 = 6;
const UDP: u8 = 17;
const HOST: [u8; 4] = [10, 0, 0, 1];

/// `None` is a frame too short to tell.
fn keep(matches: Option<bool>) -> u32 {
    if matches == Some(true) { SNAPLEN } else { 0 }
}

fn half(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?))
}

fn address(frame: &[u8], at: usize) -> Option<[u8; 4]> {
    frame.get(at..)?.first_chunk().copied()
}

fn ip(frame: &[u8]) -> Option<bool> {
    Some(half(frame, 12)? == IPV4)
}

/// Where the header after IPv4's starts; `None` in a later fragment.
fn behind_ipv4(frame: &[u8]) -> Option<usize> {
    if half(frame, 20)? & 0x1fff != 0 {
        return None;
    }
    Some(14 + usize::from(frame.get(14)? & 15) * 4)
}

fn has_host(frame: &[u8]) -> Option<bool> {
    Some(address(frame, 26)? == HOST || address(frame, 30)? == HOST)
}

fn has_port(frame: &[u8], transport: usize, port: u16) -> Option<bool> {
    Some(half(frame, transport)? == port || half(frame, transport + 2)? == port)
}

fn tcp_dst_port_80_and_host(frame: &[u8]) -> Option<bool> {
    if half(frame, 12)? != IPV4 || *frame.get(23)? != TCP {
        return Some(false);
    }
    let transport = behind_ipv4(frame)?;
    Some(half(frame, transport + 2)? == 80 && has_host(frame)?)
}

fn udp_port_53(frame: &[u8]) -> Option<bool> {
    match half(frame, 12)? {
        IPV4 if *frame.get(23)? == UDP => has_port(frame, behind_ipv4(frame)?, 53),
        IPV6 if *frame.get(20)? == UDP => has_port(frame, 54, 53),
        _ => Some(false),
    }
}

fn host_and_tcp_80_or_udp_53(frame: &[u8]) -> Option<bool> {
    if half(frame, 12)? != IPV4 || !has_host(frame)? {
        return Some(false);
    }
    let port = match *frame.get(23)? {
        TCP => 80,
        UDP => 53,
        _ => return Some(false),
    };
    has_port(frame, behind_ipv4(frame)?, port)
}
