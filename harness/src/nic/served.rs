//! The NIC in this process: the lanes of the daemon, and a thread that serves their vhost-user session.
//!
//! Contract: over a pair of sockets the session ends when the other end is closed, at a path when it is told
//! to; [`Nic::end`] waits for that, and then every vring has stopped.

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use event_manager::{EventManager, SubscriberOps};
use nic_model::vhost_user::port::Offer;
use nic_model::vhost_user::server::Server;

use super::build::{self, BuildError, Choices, Origin};
use super::desk::Desk;
use super::port::{Begin, Port};
use super::tally::Tally;
use crate::scenario::Scenario;

/// See the module's contract.
pub struct Nic {
    desk: Arc<Desk>,
    session: Option<JoinHandle<()>>,
    ends: Arc<AtomicBool>,
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

/// How often a NIC at a path looks whether it is to end, in milliseconds.
const LOOK: i32 = 50;

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
        let nic = Self::serve(scenario, &choices, |offer, port| Server::over(theirs, offer, port))?;
        Ok((nic, ours))
    }

    /// The same for whoever connects to `listener`; all features are offered.
    ///
    /// # Errors
    /// See [`NicError`].
    pub fn listen(
        scenario: &Scenario,
        from: Origin,
        poll: bool,
        cpus: Vec<usize>,
        listener: UnixListener,
    ) -> Result<Self, NicError> {
        let choices = Choices { from, features_of_scenario: false, poll, cpus };
        Self::serve(scenario, &choices, |offer, port| Server::new(listener, offer, port))
    }

    fn serve(
        scenario: &Scenario,
        choices: &Choices,
        server: impl FnOnce(Offer, Port) -> std::io::Result<Server<Port>>,
    ) -> Result<Self, NicError> {
        let (offer, mut port) = build::build(scenario, choices)?;
        port.begin = Begin::AllQueues;
        port.desk().be_quiet();
        let desk = Arc::clone(port.desk());
        let system = |what| move |error| NicError::System { what, error };
        let server = server(offer, port).map_err(system("a socket"))?;
        let stays = server.listens();
        let failed = |error: event_manager::Error| {
            system("the event loop")(std::io::Error::other(error.to_string()))
        };
        let mut manager = EventManager::<Server<Port>>::new().map_err(failed)?;
        let server = manager.add_subscriber(server);
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let session = std::thread::Builder::new().name("session".into()).spawn(move || {
            // The loop fails only with the machine; then the driver finds its back-end gone.
            while manager.run_with_timeout(LOOK).is_ok()
                && !told.load(Ordering::Relaxed)
                && manager.subscriber_mut(server).is_ok_and(|server| stays || server.is_connected())
            {
            }
            if let Ok(server) = manager.subscriber_mut(server) {
                server.hang_up();
            }
        });
        let session = Some(session.map_err(system("a thread"))?);
        Ok(Self { desk, session, ends })
    }

    /// The lanes, and what is true of all of them.
    #[must_use]
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Waits until the session over a pair of sockets has ended: what each lane has counted then.
    #[must_use]
    pub fn end(mut self) -> Vec<Tally> {
        self.join();
        self.desk.tallies()
    }

    fn join(&mut self) {
        if let Some(session) = self.session.take() {
            // A panic there was told there.
            let _ = session.join();
        }
    }
}

impl Drop for Nic {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.join();
    }
}
