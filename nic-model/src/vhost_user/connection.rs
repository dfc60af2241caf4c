//! A connection's bytes and file descriptors, made into messages and back.
//!
//! Contract: never waits for a peer that is slow: [`Connection::receive`] takes what is there and goes on
//! from where it was the next time. It never reads beyond the message under way, so that a file descriptor
//! belongs to the message whose bytes it came with. Descriptors of a message that is refused are closed.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use vhost::vhost_user::message::{FrontendReq, MAX_ATTACHED_FD_ENTRIES, VhostUserHeaderFlag};

use super::error::{ConnectionError, MessageError};
use super::request::{HEADER_LEN, Header, Request};

/// How long a message may wait for a peer that does not read.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// See the module's contract.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    header: Option<Header>,
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

/// What [`Connection::receive`] found.
#[derive(Debug)]
pub enum Received {
    /// A message, whole.
    Message(Header, Request, Vec<OwnedFd>),
    /// A part of one at most.
    NotYet,
    /// The peer has closed the connection between two messages.
    Closed,
}

impl Connection {
    /// Of a stream that was just accepted.
    ///
    /// # Errors
    /// It cannot be given a limit for writing.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, header: None, bytes: Vec::new(), fds: Vec::new() })
    }

    /// The stream, to be told when there is something to receive.
    #[must_use]
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Takes the next message, if all of it is there.
    ///
    /// # Errors
    /// The bytes are no message, or the connection broke in the middle of one.
    pub fn receive(&mut self) -> Result<Received, ConnectionError> {
        loop {
            let wanted = self.header.map_or(HEADER_LEN, |header| header.size);
            if self.bytes.len() < wanted {
                match self.read(wanted)? {
                    Read::Some => continue,
                    Read::Nothing => return Ok(Received::NotYet),
                    Read::End if self.header.is_none() && self.bytes.is_empty() => {
                        return Ok(Received::Closed);
                    }
                    Read::End => return Err(ConnectionError::Cut),
                }
            }
            let bytes = std::mem::take(&mut self.bytes);
            let Some(header) = self.header.take() else {
                let mut start = [0; HEADER_LEN];
                start.copy_from_slice(&bytes);
                self.header = Some(Header::parse(&start)?);
                continue;
            };
            let fds = std::mem::take(&mut self.fds);
            let request = Request::parse(&header, &bytes, fds.len())?;
            return Ok(Received::Message(header, request, fds));
        }
    }

    /// Answers a request.
    ///
    /// # Errors
    /// The peer does not take it.
    pub fn reply(
        &mut self,
        request: FrontendReq,
        body: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let flags = 1 | VhostUserHeaderFlag::REPLY.bits();
        send(&self.stream, request.into(), flags, body, fds)
    }

    /// Reads up to `wanted` bytes of the part under way.
    fn read(&mut self, wanted: usize) -> Result<Read, ConnectionError> {
        let had = self.bytes.len();
        self.bytes.resize(wanted, 0);
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_ATTACHED_FD_ENTRIES))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let mut part = [IoSliceMut::new(&mut self.bytes[had..])];
        let received = recvmsg(&self.stream, &mut part, &mut control, flags);
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
            }
        }
        let received = match received {
            Ok(received) => received,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {
                self.bytes.truncate(had);
                return Ok(Read::Nothing);
            }
            Err(error) => return Err(ConnectionError::System(error.into())),
        };
        self.bytes.truncate(had + received.bytes);
        if received.flags.contains(ReturnFlags::CTRUNC) || self.fds.len() > MAX_ATTACHED_FD_ENTRIES
        {
            return Err(ConnectionError::TooManyDescriptors);
        }
        Ok(if received.bytes == 0 { Read::End } else { Read::Some })
    }
}

enum Read {
    Some,
    Nothing,
    End,
}

/// Sends a message, all of it or an error.
pub(super) fn send(
    stream: &UnixStream,
    code: u32,
    flags: u32,
    body: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(HEADER_LEN + body.len());
    for word in [code, flags, body.len() as u32] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(body);
    let mut space =
        [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_ATTACHED_FD_ENTRIES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("more file descriptors than a message has room for"));
    }
    let mut sent = 0;
    while sent < bytes.len() {
        let part = [IoSlice::new(&bytes[sent..])];
        match sendmsg(stream.as_fd(), &part, &mut control, SendFlags::NOSIGNAL) {
            Ok(more) => sent += more,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        // They went with the first part.
        control.clear();
    }
    Ok(())
}

impl From<MessageError> for ConnectionError {
    fn from(error: MessageError) -> Self {
        Self::Message(error)
    }
}
