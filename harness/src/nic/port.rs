//! The lanes as a vhost-user session sees them, and what the daemon tells of its connections.
//!
//! Contract: vring `2 i` is the receive queue of lane `i`, `2 i + 1` its transmit queue. Frames are steered
//! to the lanes from the first one on whose receive queues are enabled.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use nic_model::QueueError;
use nic_model::vhost_user::channel::Channel;
use nic_model::vhost_user::iotlb::Translations;
use nic_model::vhost_user::memory::Memory;
use nic_model::vhost_user::port::{Start, Vrings};
use nic_model::vhost_user::server::{Note, Notes};

use super::feed::steering;
use super::lane::{Lane, Order};
use super::tally::Tally;
use crate::scenario::Rxfh;

/// When the traffic begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With the first receive queue that is enabled.
    FirstQueue,
    /// When all of them are.
    AllQueues,
    /// When it is told to ([`Port::go`]).
    Command,
}

/// Reads the configuration space from an offset on.
pub type ReadConfig = Box<dyn Fn(u32, &mut [u8]) + Send>;

/// See the module's contract.
pub struct Port {
    lanes: Arc<[Lane]>,
    /// What steers frames to lanes.
    pub rxfh: Rxfh,
    /// By lane: its receive queue is enabled.
    enabled: Vec<bool>,
    /// Addresses of the driver's IOMMU: a vring's start may have to wait for a translation, which comes over
    /// the connection that is being served.
    translates: bool,
    /// Vrings whose start nobody waits for.
    starting: Vec<(u16, Receiver<Result<(), QueueError>>)>,
    /// When the first receive queue was enabled, and the traffic began.
    begun: Option<Instant>,
    /// MTU of the device.
    mtu: u16,
    config: ReadConfig,
    /// What happened on the socket.
    pub connections: Connections,
    /// When the traffic begins.
    pub begin: Begin,
    /// Nothing is said of connections.
    pub is_quiet: bool,
}

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
}

impl Port {
    /// Of these lanes.
    #[must_use]
    pub fn new(lanes: Vec<Lane>, rxfh: Rxfh, mtu: u16, config: ReadConfig) -> Self {
        let enabled = vec![false; lanes.len()];
        let connections = Connections::default();
        Self {
            lanes: lanes.into(),
            rxfh,
            enabled,
            translates: false,
            starting: Vec::new(),
            begun: None,
            mtu,
            config,
            connections,
            begin: Begin::FirstQueue,
            is_quiet: false,
        }
    }

    /// The lanes.
    #[must_use]
    pub fn lanes(&self) -> &Arc<[Lane]> {
        &self.lanes
    }

    /// Whether addresses go through the driver's IOMMU.
    #[must_use]
    pub fn translates(&self) -> bool {
        self.translates
    }

    /// Tells of vrings that were refused when nobody waited for the answer any more.
    pub fn settle(&mut self) {
        for (vring, answer) in std::mem::take(&mut self.starting) {
            match answer.try_recv() {
                Ok(Err(error)) => {
                    self.connections.vrings_refused += 1;
                    self.say(&format_args!("vring {vring} is refused: {error}"));
                }
                Err(TryRecvError::Empty) => self.starting.push((vring, answer)),
                Ok(Ok(())) | Err(TryRecvError::Disconnected) => {}
            }
        }
    }

    /// What each lane has counted, at one time each.
    #[must_use]
    pub fn tallies(&self) -> Vec<Tally> {
        self.lanes.iter().filter_map(|lane| lane.ask(Order::Tell)).collect()
    }

    /// The traffic begins, if it has not.
    pub fn go(&mut self) {
        let at = *self.begun.get_or_insert_with(Instant::now);
        self.lanes.iter().for_each(|lane| lane.order(Order::Go(at)));
    }

    /// Steers frames by what is wanted to the lanes from the first one on that are enabled now. If the first is
    /// not, they go where they went.
    pub fn steer(&self) {
        let usable = (0..).zip(&self.enabled).take_while(|(_, on)| **on).count() as u16;
        if usable == 0 {
            return;
        }
        let steering = Arc::new(steering(&self.rxfh, usable));
        // Every lane plays the whole traffic, and none may have come farther than where it changes.
        let positions: Vec<u64> =
            self.lanes.iter().filter_map(|lane| lane.ask(Order::Hold)).collect();
        let from = positions.into_iter().max().unwrap_or_default();
        for lane in self.lanes.iter() {
            lane.order(Order::Steer(Arc::clone(&steering), from));
        }
    }

    fn lane(&self, vring: u16) -> Option<(&Lane, u16)> {
        self.lanes.get(usize::from(vring / 2)).map(|lane| (lane, vring % 2))
    }

    fn order(&self, vring: u16, order: impl FnOnce(u16) -> Order) {
        if let Some((lane, side)) = self.lane(vring) {
            lane.order(order(side));
        }
    }

    fn say(&self, what: &dyn std::fmt::Display) {
        if self.is_quiet {
            return;
        }
        // Nobody to tell is no reason to stop.
        let _ = writeln!(std::io::stderr(), "rxlab nic: {what}");
    }
}

impl Vrings for Port {
    fn set_memory(&mut self, memory: Option<Arc<Memory>>) {
        self.translates = memory.as_ref().is_some_and(|memory| memory.get_iommu_enabled());
        for lane in &*self.lanes {
            lane.order(Order::Memory(memory.clone()));
        }
        // The old one is let go when the call returns.
        for lane in self.lanes.iter() {
            if !self.translates {
                let _ = lane.ask(Order::Sync);
            }
        }
    }

    fn set_features(&mut self, features: u64) {
        for lane in self.lanes.iter() {
            lane.order(Order::Features(features));
        }
    }

    fn start(&mut self, vring: u16, start: Start) -> Result<(), QueueError> {
        let Some((lane, side)) = self.lane(vring) else {
            return Err(QueueError::NoSuchQueue(vring));
        };
        let enabled = start.enabled;
        if self.translates {
            let (done, answer) = std::sync::mpsc::sync_channel(1);
            lane.order(Order::Start { vring: side, start, done });
            self.starting.push((vring, answer));
        } else {
            let started = lane.ask(|done| Order::Start { vring: side, start, done });
            started.unwrap_or(Err(QueueError::NoSuchQueue(vring)))?;
        }
        self.enable(vring, enabled);
        Ok(())
    }

    fn stop(&mut self, vring: u16) -> u32 {
        let Some((lane, side)) = self.lane(vring) else { return 0 };
        lane.ask(|done| Order::Stop { vring: side, done }).unwrap_or_default()
    }

    fn enable(&mut self, vring: u16, enabled: bool) {
        self.order(vring, |side| Order::Enable { vring: side, on: enabled });
        if vring.is_multiple_of(2)
            && let Some(state) = self.enabled.get_mut(usize::from(vring / 2))
            && *state != enabled
        {
            *state = enabled;
            self.steer();
        }
        let begins = match self.begin {
            Begin::FirstQueue => vring.is_multiple_of(2) && enabled,
            Begin::AllQueues => self.enabled.iter().all(|on| *on),
            Begin::Command => false,
        };
        if begins {
            self.go();
        }
    }

    fn set_kick(&mut self, vring: u16, kick: Option<OwnedFd>) {
        self.settle();
        self.order(vring, |side| Order::Kick(side, kick));
    }

    fn set_call(&mut self, vring: u16, call: Option<OwnedFd>) {
        self.order(vring, |side| Order::Call(side, call));
    }

    fn set_err(&mut self, _vring: u16, _err: Option<OwnedFd>) {
        // A ring that breaks is told by the device status of virtio, which this device sets; the descriptor
        // is closed.
    }

    fn set_channel(&mut self, channel: OwnedFd, translations: &Arc<Translations>) {
        translations.ask(Some(Arc::new(Channel::new(UnixStream::from(channel)))));
    }

    fn announce(&mut self, mac: [u8; 6]) {
        self.order(0, |_| Order::Announce(mac));
    }

    fn set_mtu(&mut self, mtu: u16) -> bool {
        mtu <= self.mtu
    }

    fn read_config(&self, offset: u32, out: &mut [u8]) {
        (self.config)(offset, out);
    }
}

impl Notes for Port {
    fn note(&mut self, note: Note) {
        self.settle();
        let counts = &mut self.connections;
        match &note {
            Note::Connected => counts.accepted += 1,
            Note::TurnedAway => counts.turned_away += 1,
            Note::Closed => counts.closed += 1,
            Note::Dropped(_) => counts.dropped += 1,
            Note::Listener(_) => {}
        }
        let words = match note {
            Note::Connected => "a front-end is connected".into(),
            Note::TurnedAway => "another front-end was turned away: one is connected".into(),
            Note::Closed => "the front-end has gone".into(),
            Note::Dropped(error) => format!("the front-end's connection was dropped: {error}"),
            Note::Listener(error) => format!("the socket cannot accept: {error}"),
        };
        self.say(&words);
    }
}
