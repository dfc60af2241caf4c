//! What the session, the control socket and signals work on together: the lanes, and what is true of all of
//! them.
//!
//! Contract: whoever serves the front-end's socket never waits here for a lane while addresses go through the
//! driver's IOMMU ([`Desk::translates`]): the lane may be waiting for a translation, which comes over that
//! socket. Everybody else may wait.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nic_model::QueueError;
use nic_model::vhost_user::error::ChannelError;

use super::feed::steering;
use super::lane::{Lane, Order};
use super::tally::Tally;
use crate::scenario::Rxfh;

/// See the module's contract.
pub struct Desk {
    lanes: Arc<[Lane]>,
    /// What steers frames to lanes.
    rxfh: Mutex<Rxfh>,
    /// By lane: its receive queue is enabled.
    enabled: Mutex<Vec<bool>>,
    /// Held while steering changes.
    steers: Mutex<()>,
    translates: AtomicBool,
    connected: AtomicBool,
    /// Vrings whose start nobody waits for.
    starting: Mutex<Vec<Starting>>,
    /// When the first receive queue was enabled, and the traffic began.
    begun: Mutex<Option<Instant>>,
    connections: Mutex<Connections>,
    /// Nothing is said of connections.
    quiet: AtomicBool,
}

/// A vring, and whether it has started.
type Starting = (u16, Receiver<Result<(), QueueError>>);

/// Counts of what happened on the socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connections {
    /// Front-ends served.
    pub accepted: u64,
    /// Turned away because one was there.
    pub turned_away: u64,
    /// Dropped with an error.
    pub dropped: u64,
    /// Closed by the front-end.
    pub closed: u64,
    /// Vrings that were refused when nobody waited for the answer any more.
    pub vrings_refused: u64,
    /// Channels to a front-end that could not be had, or on which it sent what it must not.
    pub channels_dropped: u64,
}

impl Desk {
    /// Of these lanes.
    #[must_use]
    pub fn new(lanes: Vec<Lane>, rxfh: Rxfh) -> Self {
        Self {
            enabled: Mutex::new(vec![false; lanes.len()]),
            lanes: lanes.into(),
            rxfh: Mutex::new(rxfh),
            steers: Mutex::default(),
            translates: AtomicBool::new(false),
            connected: AtomicBool::new(false),
            starting: Mutex::default(),
            begun: Mutex::default(),
            connections: Mutex::default(),
            quiet: AtomicBool::new(false),
        }
    }

    /// The lanes.
    #[must_use]
    pub fn lanes(&self) -> &Arc<[Lane]> {
        &self.lanes
    }

    /// What steers frames to lanes. [`Desk::steer`] puts a change into force.
    pub fn rxfh(&self) -> MutexGuard<'_, Rxfh> {
        lock(&self.rxfh)
    }

    /// What happened on the socket.
    pub fn connections(&self) -> MutexGuard<'_, Connections> {
        lock(&self.connections)
    }

    /// Whether addresses go through the driver's IOMMU.
    #[must_use]
    pub fn translates(&self) -> bool {
        self.translates.load(Ordering::Acquire)
    }

    /// They do from now on, or do not.
    pub fn set_translates(&self, on: bool) {
        self.translates.store(on, Ordering::Release);
    }

    /// Whether a front-end is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// One is from now on, or is not.
    pub fn set_connected(&self, on: bool) {
        self.connected.store(on, Ordering::Release);
    }

    /// A lane's receive queue is enabled or not; whether that is new.
    pub fn set_enabled(&self, lane: u16, on: bool) -> bool {
        let mut enabled = lock(&self.enabled);
        let state = enabled.get_mut(usize::from(lane));
        state.is_some_and(|state| std::mem::replace(state, on) != on)
    }

    /// Whether every lane's receive queue is enabled.
    #[must_use]
    pub fn all_enabled(&self) -> bool {
        lock(&self.enabled).iter().all(|on| *on)
    }

    /// Nothing is said of connections from now on.
    pub fn be_quiet(&self) {
        self.quiet.store(true, Ordering::Release);
    }

    /// Tells a person.
    pub fn say(&self, what: &dyn std::fmt::Display) {
        if !self.quiet.load(Ordering::Acquire) {
            // Nobody to tell is no reason to stop.
            let _ = writeln!(std::io::stderr(), "rxlab nic: {what}");
        }
    }

    /// Nobody waits for the start of this vring.
    pub fn starts(&self, vring: u16, answer: Receiver<Result<(), QueueError>>) {
        lock(&self.starting).push((vring, answer));
    }

    /// Tells of vrings that were refused when nobody waited for the answer any more.
    pub fn settle(&self) {
        lock(&self.starting).retain(|(vring, answer)| match answer.try_recv() {
            Ok(Err(error)) => {
                self.connections().vrings_refused += 1;
                self.say(&format_args!("vring {vring} is refused: {error}"));
                false
            }
            Err(TryRecvError::Empty) => true,
            Ok(Ok(())) | Err(TryRecvError::Disconnected) => false,
        });
    }

    /// The front-end can be asked for no translation any more.
    pub fn channel_fails(&self, error: &ChannelError) {
        self.connections().channels_dropped += 1;
        self.say(&format_args!("{error}. No translation is asked for any more"));
    }

    /// What each lane has counted, at one time each.
    #[must_use]
    pub fn tallies(&self) -> Vec<Tally> {
        self.lanes.iter().filter_map(|lane| lane.ask(Order::Tell)).collect()
    }

    /// The traffic begins, if it has not.
    pub fn go(&self) {
        let at = *lock(&self.begun).get_or_insert_with(Instant::now);
        self.lanes.iter().for_each(|lane| lane.order(Order::Go(at)));
    }

    /// Steers frames by what is wanted to the lanes from the first one on that are enabled now. If the first is
    /// not, they go where they went.
    pub fn steer(&self) {
        let _steers = lock(&self.steers);
        let usable = lock(&self.enabled).iter().take_while(|on| **on).count() as u16;
        if usable == 0 {
            return;
        }
        let steering = Arc::new(steering(&self.rxfh(), usable));
        let from = self.hold();
        for lane in self.lanes.iter() {
            lane.order(Order::Steer(Arc::clone(&steering), from));
        }
    }

    /// When the traffic began, if it has.
    #[must_use]
    pub fn begun(&self) -> Option<Instant> {
        *lock(&self.begun)
    }

    /// The traffic ends where the lane is that has come farthest.
    pub fn end_traffic(&self) {
        let end = self.hold();
        for lane in self.lanes.iter() {
            lane.order(Order::EndAt(end));
        }
    }

    /// No lane takes another frame until it is told how to go on. Every lane plays the whole traffic: the number of
    /// the first frame that none of them has looked at.
    fn hold(&self) -> u64 {
        let positions = self.lanes.iter().filter_map(|lane| lane.ask(Order::Hold));
        positions.max().unwrap_or_default()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
