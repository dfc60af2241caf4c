//! The NIC in this process: the lanes of the daemon, and a thread that serves their vhost-user session.
//!
//! Contract: over a pair of sockets the session ends when the other end is closed, at a path when it is told
//! to; [`Nic::end`] waits for that, and then every vring has stopped.

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use nic_model::vhost_user::port::Offer;
use nic_model::vhost_user::server::Server;

use super::build::{self, BuildError, Choices, Origin};
use super::desk::Desk;
use super::port::{Begin, Port};
use super::session::Session;
use super::tally::Tally;
use crate::scenario::Scenario;

/// See the module's contract.
pub struct Nic {
    desk: Arc<Desk>,
    session: Session,
}

/// Why there is no NIC.
#[derive(Debug, thiserror::Error)]
pub enum NicError {
    /// Its lanes cannot be had.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The system refuses.
    #[error("{what}: {error}")]
    System {
        /// What for.
        what: &'static str,
        /// What it says.
        error: std::io::Error,
    },
}

impl Nic {
    /// Starts the lanes; the stream is the front-end's. The traffic begins when every receive queue is
    /// enabled.
    ///
    /// # Errors
    /// See [`NicError`].
    pub fn start(
        scenario: &Scenario,
        from: Origin,
        poll: bool,
        cpus: Vec<usize>,
    ) -> Result<(Self, UnixStream), NicError> {
        let pair = UnixStream::pair();
        let (ours, theirs) = pair.map_err(|error| NicError::System { what: "sockets", error })?;
        let choices = Choices { from, features_of_scenario: true, poll, cpus };
        let begin = Begin::AllQueues;
        let nic = Self::serve(scenario, &choices, begin, |offer, port| {
            Server::over(theirs, offer, port)
        })?;
        Ok((nic, ours))
    }

    /// The same for whoever connects to `listener`; all features are offered, and the traffic begins by `begin`.
    ///
    /// # Errors
    /// See [`NicError`].
    pub fn listen(
        scenario: &Scenario,
        from: Origin,
        poll: bool,
        cpus: Vec<usize>,
        listener: UnixListener,
        begin: Begin,
    ) -> Result<Self, NicError> {
        let choices = Choices { from, features_of_scenario: false, poll, cpus };
        Self::serve(scenario, &choices, begin, |offer, port| Server::new(listener, offer, port))
    }

    fn serve(
        scenario: &Scenario,
        choices: &Choices,
        begin: Begin,
        server: impl FnOnce(Offer, Port) -> std::io::Result<Server<Port>>,
    ) -> Result<Self, NicError> {
        let (offer, mut port) = build::build(scenario, choices)?;
        port.begin = begin;
        port.desk().be_quiet();
        let desk = Arc::clone(port.desk());
        let system = |what| move |error| NicError::System { what, error };
        let server = server(offer, port).map_err(system("a socket"))?;
        let session = Session::start(server).map_err(system("a thread for the session"))?;
        Ok(Self { desk, session })
    }

    /// The lanes, and what is true of all of them.
    #[must_use]
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Waits until the session over a pair of sockets has ended: what each lane has counted then.
    #[must_use]
    pub fn end(mut self) -> Vec<Tally> {
        self.session.join();
        self.desk.tallies()
    }
}
