//! Bulk streams. The guest connects, whichever way the data goes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use protocol::Reply;
use protocol::data::{Bytes, Digest};

use super::serve::Refusal;

/// A stream that stands still for so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const PIECE: usize = 64 * 1024;

/// Sends so many bytes of the data of `seed`.
///
/// # Errors
/// The connection fails.
pub fn send(to: SocketAddrV4, bytes: u64, seed: u64) -> Result<Reply, Refusal> {
    let mut stream = connect(to)?;
    let (mut data, mut digest) = (Bytes::new(seed), Digest::default());
    let mut piece = vec![0; PIECE];
    let mut left = bytes;
    while left > 0 {
        let len = left.min(PIECE as u64) as usize;
        data.fill(&mut piece[..len]);
        digest.add(&piece[..len]);
        stream.write_all(&piece[..len]).map_err(Refusal::system(format!("sending to {to}")))?;
        left -= len as u64;
    }
    stream.shutdown(Shutdown::Write).map_err(Refusal::system(format!("ending to {to}")))?;
    // The other side closes when it has taken all.
    let rest = stream.read(&mut piece).map_err(Refusal::system(format!("{to} does not end")))?;
    if rest > 0 {
        return Err(Refusal::Value(format!("{to} sends where it should receive")));
    }
    Ok(stream_reply(digest))
}

/// Reads until the other side ends.
///
/// # Errors
/// The connection fails.
pub fn receive(from: SocketAddrV4) -> Result<Reply, Refusal> {
    let mut stream = connect(from)?;
    let mut digest = Digest::default();
    let mut piece = vec![0; PIECE];
    loop {
        match stream.read(&mut piece).map_err(Refusal::system(format!("reading from {from}")))? {
            0 => return Ok(stream_reply(digest)),
            len => digest.add(&piece[..len]),
        }
    }
}

fn stream_reply(digest: Digest) -> Reply {
    let (bytes, sha256) = digest.end();
    Reply::Stream { bytes, sha256 }
}

fn connect(to: SocketAddrV4) -> Result<TcpStream, Refusal> {
    let stream = TcpStream::connect_timeout(&SocketAddr::V4(to), PATIENCE)
        .map_err(Refusal::system(format!("connecting to {to}")))?;
    let limits = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    limits.map_err(Refusal::system(format!("a limit for {to}")))?;
    Ok(stream)
}
