//! A thread that serves a vhost-user session.
//!
//! Contract: it ends when the connection of a server that does not listen has gone, or when the [`Session`] is
//! dropped; then every vring has stopped.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use event_manager::{EventManager, SubscriberOps};
use nic_model::vhost_user::port::Vrings;
use nic_model::vhost_user::server::{Notes, Server};

/// See the module's contract.
pub struct Session {
    thread: Option<JoinHandle<()>>,
    ends: Arc<AtomicBool>,
}

/// How often a session at a path looks whether it is to end, in milliseconds.
const LOOK: i32 = 50;

impl Session {
    /// Serves `server`.
    ///
    /// # Errors
    /// The system refuses an event loop or a thread.
    pub fn start<P>(server: Server<P>) -> io::Result<Self>
    where
        P: Vrings + Notes + Send + 'static,
    {
        let stays = server.listens();
        let mut manager = EventManager::<Server<P>>::new()
            .map_err(|error| io::Error::other(error.to_string()))?;
        let server = manager.add_subscriber(server);
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let thread = std::thread::Builder::new().name("session".into()).spawn(move || {
            // The loop fails only with the machine; then the driver finds its back-end gone.
            while manager.run_with_timeout(LOOK).is_ok()
                && !told.load(Ordering::Relaxed)
                && manager.subscriber_mut(server).is_ok_and(|server| stays || server.is_connected())
            {
            }
            if let Ok(server) = manager.subscriber_mut(server) {
                server.hang_up();
            }
        })?;
        Ok(Self { thread: Some(thread), ends })
    }

    /// Waits until it has ended by itself.
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic there was told there.
            let _ = thread.join();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.join();
    }
}
