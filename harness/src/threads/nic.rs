//! The NIC of the threads world: the lanes of `rxlab nic`, and a thread that serves their vhost-user session over a
//! pair of sockets.
//!
//! Contract: the session ends when the other end of the stream is closed; [`Nic::end`] waits for that.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;

use event_manager::{EventManager, SubscriberOps};
use nic_model::vhost_user::server::Server;

use super::ThreadsError;
use crate::nic::build::{self, Choices, Origin};
use crate::nic::lane::{Lane, Order};
use crate::nic::port::{Begin, Port};
use crate::nic::tally::Tally;
use crate::scenario::Scenario;

/// See the module's contract.
pub(super) struct Nic {
    lanes: Arc<[Lane]>,
    session: JoinHandle<()>,
}

impl Nic {
    /// Starts the lanes; the stream is the front-end's. The traffic begins when every receive queue is enabled.
    pub(super) fn start(
        scenario: &Scenario,
        from: Origin,
        poll: bool,
        cpus: Vec<usize>,
    ) -> Result<(Self, UnixStream), ThreadsError> {
        let choices = Choices { from, features_of_scenario: true, poll, cpus };
        let (offer, mut port) = build::build(scenario, &choices)?;
        port.begin = Begin::AllQueues;
        port.is_quiet = true;
        let lanes = Arc::clone(port.lanes());
        let system = |what| move |error| ThreadsError::System { what, error };
        let (ours, theirs) = UnixStream::pair().map_err(system("a pair of sockets"))?;
        let server = Server::over(theirs, offer, port).map_err(system("a socket"))?;
        let failed = |error: event_manager::Error| {
            system("the event loop")(std::io::Error::other(error.to_string()))
        };
        let mut manager = EventManager::<Server<Port>>::new().map_err(failed)?;
        let server = manager.add_subscriber(server);
        let session = std::thread::Builder::new().name("session".into()).spawn(move || {
            // The loop fails only with the machine; then the driver finds its back-end gone.
            while manager.run().is_ok()
                && manager.subscriber_mut(server).is_ok_and(|server| server.is_connected())
            {
            }
        });
        let session = session.map_err(system("a thread"))?;
        Ok((Self { lanes, session }, ours))
    }

    /// What each lane has counted.
    pub(super) fn tallies(&self) -> Vec<Tally> {
        self.lanes.iter().filter_map(|lane| lane.ask(Order::Tell)).collect()
    }

    /// Whether the traffic has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.tallies().iter().any(|tally| tally.device.offered > 0 || tally.feed.is_over)
    }

    /// The traffic ends where the lane is that has come farthest.
    pub(super) fn end_traffic(&self) {
        let positions: Vec<u64> =
            self.lanes.iter().filter_map(|lane| lane.ask(Order::Hold)).collect();
        let end = positions.into_iter().max().unwrap_or_default();
        for lane in self.lanes.iter() {
            lane.order(Order::EndAt(end));
        }
    }

    /// Waits until the session has ended: what each lane has counted then, its vrings stopped.
    pub(super) fn end(self) -> Vec<Tally> {
        let Self { lanes, session } = self;
        // A panic there was told there.
        let _ = session.join();
        lanes.iter().filter_map(|lane| lane.ask(Order::Tell)).collect()
    }
}
