//! The socket: accepts one front-end at a time, and serves it.
//!
//! Contract: a [`Server`] is a subscriber of an event manager. No front-end ends it: one that sends what it
//! must not is told so where it asked for an acknowledgement, its connection is dropped with an error that
//! names the message, its vrings stop, and the next one is accepted. While one is connected another is
//! turned away.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};

use event_manager::{EventOps, EventSet, Events, MutEventSubscriber};

use super::connection::{Connection, Received};
use super::error::ConnectionError;
use super::port::{Offer, Reply, Vrings};
use super::request::Header;
use super::session::Session;

/// What a server tells of its connections.
#[derive(Debug)]
pub enum Note {
    /// A front-end is connected.
    Connected,
    /// Another one came meanwhile and was turned away.
    TurnedAway,
    /// The front-end closed its connection.
    Closed,
    /// The front-end's connection was dropped.
    Dropped(ConnectionError),
    /// The listening socket fails; it is tried again.
    Listener(io::Error),
}

/// Who is told.
pub trait Notes {
    /// Something about a connection.
    fn note(&mut self, note: Note);
}

/// See the module's contract.
#[derive(Debug)]
pub struct Server<P> {
    listener: Option<UnixListener>,
    offer: Offer,
    /// What the vrings are served by.
    pub port: P,
    peer: Option<Peer>,
}

#[derive(Debug)]
struct Peer {
    connection: Connection,
    session: Session,
}

impl<P: Vrings + Notes> Server<P> {
    /// Serves whoever connects.
    ///
    /// # Errors
    /// The listener cannot be used without waiting.
    pub fn new(listener: UnixListener, offer: Offer, port: P) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: Some(listener), offer, port, peer: None })
    }

    /// Serves the front-end at the other end of `stream`, and nobody after it.
    ///
    /// # Errors
    /// The stream cannot be given a limit for writing.
    pub fn over(stream: UnixStream, offer: Offer, port: P) -> io::Result<Self> {
        let peer = Peer { connection: Connection::new(stream)?, session: Session::new(offer) };
        Ok(Self { listener: None, offer, port, peer: Some(peer) })
    }

    /// Whether another front-end may connect when this one has gone.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.listener.is_some()
    }

    /// Whether a front-end is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.peer.is_some()
    }

    /// Lets the front-end go, if there is one.
    pub fn hang_up(&mut self) {
        if let Some(mut peer) = self.peer.take() {
            peer.session.end(&mut self.port);
        }
    }

    fn accept(&mut self, ops: &mut EventOps<'_>) {
        let Some(listener) = &self.listener else { return };
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => return self.port.note(Note::Listener(error)),
        };
        if self.peer.is_some() {
            return self.port.note(Note::TurnedAway);
        }
        if let Err(error) = self.welcome(stream, ops) {
            self.port.note(Note::Dropped(ConnectionError::System(error)));
        }
    }

    fn welcome(&mut self, stream: UnixStream, ops: &mut EventOps<'_>) -> io::Result<()> {
        let connection = Connection::new(stream)?;
        let events = Events::new(connection.stream(), EventSet::IN);
        ops.add(events).map_err(|error| io::Error::other(error.to_string()))?;
        self.peer = Some(Peer { connection, session: Session::new(self.offer) });
        self.port.note(Note::Connected);
        Ok(())
    }

    /// Takes every message that is there.
    fn serve(&mut self, ops: &mut EventOps<'_>) {
        let Some(peer) = &mut self.peer else { return };
        let note = loop {
            match peer.connection.receive() {
                Ok(Received::Message(header, request, fds)) => {
                    let session = &mut peer.session;
                    let outcome = session.handle(request, fds, &mut self.port);
                    let answered = answer(&mut peer.connection, session, header, &outcome);
                    if let Err(error) = outcome {
                        break Note::Dropped(ConnectionError::Session(error));
                    }
                    if let Err(error) = answered {
                        break Note::Dropped(ConnectionError::System(error));
                    }
                }
                Ok(Received::NotYet) => return,
                Ok(Received::Closed) => break Note::Closed,
                Err(error) => break Note::Dropped(error),
            }
        };
        // The descriptor is closed below, which takes it out of the set as well.
        let _ = ops.remove(Events::empty(peer.connection.stream()));
        self.hang_up();
        self.port.note(note);
    }
}

/// Sends what a request is to be answered, if anything.
fn answer<E>(
    connection: &mut Connection,
    session: &Session,
    header: Header,
    outcome: &Result<Reply, E>,
) -> io::Result<()> {
    let acknowledge = header.need_reply && session.acknowledges();
    if let Ok(Reply::Inflight(inflight, file)) = outcome {
        let bytes = inflight.bytes();
        // As long as it was asked.
        let body = bytes.get(..header.size).unwrap_or(&bytes);
        return connection.reply(header.request, body, &[file.as_fd()]);
    }
    let mut reply = |body: &[u8]| connection.reply(header.request, body, &[]);
    match outcome {
        Ok(Reply::None) if acknowledge => reply(&0_u64.to_ne_bytes()),
        Ok(Reply::None | Reply::Inflight(..)) => Ok(()),
        Ok(Reply::Number(number)) => reply(&number.to_ne_bytes()),
        Ok(Reply::State { index, num }) => {
            reply(&[index.to_ne_bytes(), num.to_ne_bytes()].concat())
        }
        Ok(Reply::Config { offset, flags, bytes }) => {
            let fields = [*offset, bytes.len() as u32, *flags];
            reply(&[&fields.map(u32::to_ne_bytes).concat(), bytes.as_slice()].concat())
        }
        Err(_) if acknowledge => reply(&1_u64.to_ne_bytes()),
        Err(_) => Ok(()),
    }
}

impl<P: Vrings + Notes> MutEventSubscriber for Server<P> {
    fn init(&mut self, ops: &mut EventOps<'_>) {
        let peer = self.peer.as_ref().map(|peer| peer.connection.stream().as_raw_fd());
        for fd in self.listener.as_ref().map(AsRawFd::as_raw_fd).into_iter().chain(peer) {
            if let Err(error) = ops.add(Events::new_raw(fd, EventSet::IN)) {
                self.port.note(Note::Listener(io::Error::other(error.to_string())));
            }
        }
    }

    fn process(&mut self, events: Events, ops: &mut EventOps<'_>) {
        if self.listener.as_ref().is_some_and(|listener| events.fd() == listener.as_raw_fd()) {
            self.accept(ops);
        } else {
            self.serve(ops);
        }
    }
}
