//! Numbered datagrams: the first 8 bytes are a number, most significant byte first.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use protocol::data::LAST;
use protocol::{Datagrams, Reply};

use super::serve::Refusal;

/// Sends numbers from 0 on, in turn from `ports` ports.
///
/// # Errors
/// The system refuses.
pub fn send(
    to: SocketAddrV4,
    count: u64,
    size: u32,
    ports: u16,
    pause_us: u64,
) -> Result<Reply, Refusal> {
    if !(8..=65_000).contains(&size) || ports == 0 {
        return Err(Refusal::Value(format!("{size} bytes from {ports} ports: 8 to 65000, from 1")));
    }
    let bound: std::io::Result<Vec<UdpSocket>> =
        (0..ports).map(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))).collect();
    let sockets = bound.map_err(Refusal::system("a port to send from"))?;
    let mut bytes = vec![0; size as usize];
    for (number, socket) in (0..count).zip(sockets.iter().cycle()) {
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        socket.send_to(&bytes, to).map_err(Refusal::system(format!("sending to {to}")))?;
        if pause_us > 0 {
            std::thread::sleep(Duration::from_micros(pause_us));
        }
    }
    Ok(Reply::Nothing)
}

/// What another queue still has may come behind the last one.
const GRACE: Duration = Duration::from_millis(300);

/// Receives until [`LAST`] comes and then nothing more, or nothing for a time.
///
/// # Errors
/// The system refuses.
pub fn receive(port: u16, idle_ms: u64) -> Result<Reply, Refusal> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))
        .map_err(Refusal::system(format!("port {port}")))?;
    let idle = Duration::from_millis(idle_ms.max(1));
    socket.set_read_timeout(Some(idle)).map_err(Refusal::system("a limit"))?;
    let mut seen = BTreeSet::new();
    let mut counts = Datagrams::default();
    let mut bytes = vec![0; 1 << 16];
    while let Ok(len) = socket.recv(&mut bytes) {
        let number = bytes[..len].first_chunk().map(|number| u64::from_be_bytes(*number));
        match number {
            Some(LAST) => {
                counts.ended = true;
                socket.set_read_timeout(Some(GRACE)).map_err(Refusal::system("a limit"))?;
            }
            Some(number) if seen.insert(number) => counts.different += 1,
            Some(_) => counts.again += 1,
            None => counts.foreign += 1,
        }
    }
    Ok(Reply::Datagrams(counts))
}
