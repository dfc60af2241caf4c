//! The lanes as a vhost-user session sees them, and what the daemon tells of its connections.
//!
//! Contract: vring `2 i` is the receive queue of lane `i`, `2 i + 1` its transmit queue. Frames are steered
//! to the lanes from the first one on whose receive queues are enabled.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use nic_model::QueueError;
use nic_model::vhost_user::iotlb::Translations;
use nic_model::vhost_user::memory::Memory;
use nic_model::vhost_user::port::{Start, Vrings};
use nic_model::vhost_user::server::{Note, Notes};

use super::asks;
use super::desk::Desk;
use super::lane::{Lane, Order};
use crate::scenario::Rxfh;

/// When the traffic begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With the first receive queue that is enabled.
    FirstQueue,
    /// When all of them are.
    AllQueues,
    /// When it is told to ([`Desk::go`]).
    Command,
}

/// Reads the configuration space from an offset on.
pub type ReadConfig = Box<dyn Fn(u32, &mut [u8]) + Send>;

/// See the module's contract.
pub struct Port {
    desk: Arc<Desk>,
    /// MTU of the device.
    mtu: u16,
    config: ReadConfig,
    /// Of the session under way, if its addresses may go through an IOMMU.
    translations: Option<Arc<Translations>>,
    /// When the traffic begins.
    pub begin: Begin,
}

impl Port {
    /// Of these lanes.
    #[must_use]
    pub fn new(lanes: Vec<Lane>, rxfh: Rxfh, mtu: u16, config: ReadConfig) -> Self {
        let desk = Arc::new(Desk::new(lanes, rxfh));
        Self { desk, mtu, config, translations: None, begin: Begin::FirstQueue }
    }

    /// What others work on as well.
    #[must_use]
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// Does what may wait for a lane: here, or elsewhere if the lane may be waiting for what comes in here.
    fn soon(&self, work: impl FnOnce(&Desk) + Send + 'static) {
        if !self.desk.translates() {
            return work(&self.desk);
        }
        let desk = Arc::clone(&self.desk);
        let started =
            std::thread::Builder::new().name("steering".into()).spawn(move || work(&desk));
        if let Err(error) = started {
            self.desk.say(&format_args!("frames are steered as before: no thread: {error}"));
        }
    }

    fn lane(&self, vring: u16) -> Option<(&Lane, u16)> {
        self.desk.lanes().get(usize::from(vring / 2)).map(|lane| (lane, vring % 2))
    }

    fn order(&self, vring: u16, order: impl FnOnce(u16) -> Order) {
        if let Some((lane, side)) = self.lane(vring) {
            lane.order(order(side));
        }
    }
}

impl Vrings for Port {
    fn set_memory(&mut self, memory: Option<Arc<Memory>>) {
        let translates = memory.as_ref().is_some_and(|memory| memory.get_iommu_enabled());
        self.desk.set_translates(translates);
        for lane in self.desk.lanes().iter() {
            lane.order(Order::Memory(memory.clone()));
        }
        // The old one is let go when the call returns.
        for lane in self.desk.lanes().iter() {
            if !translates {
                let _ = lane.ask(Order::Sync);
            }
        }
    }

    fn set_features(&mut self, features: u64) {
        for lane in self.desk.lanes().iter() {
            lane.order(Order::Features(features));
        }
    }

    fn start(&mut self, vring: u16, start: Start) -> Result<(), QueueError> {
        let Some((lane, side)) = self.lane(vring) else {
            return Err(QueueError::NoSuchQueue(vring));
        };
        let enabled = start.enabled;
        if self.desk.translates() {
            let (done, answer) = std::sync::mpsc::sync_channel(1);
            lane.order(Order::Start { vring: side, start, done });
            self.desk.starts(vring, answer);
        } else {
            let started = lane.ask(|done| Order::Start { vring: side, start, done });
            started.unwrap_or(Err(QueueError::NoSuchQueue(vring)))?;
        }
        self.enable(vring, enabled);
        Ok(())
    }

    fn stop(&mut self, vring: u16) -> u32 {
        let Some((lane, side)) = self.lane(vring) else { return 0 };
        let stop = || lane.ask(|done| Order::Stop { vring: side, done }).unwrap_or_default();
        match (&self.translations, lane.thread()) {
            // QEMU from 8.0 on answers no question while it waits for this.
            (Some(translations), Some(thread)) => translations.without(thread, stop),
            _ => stop(),
        }
    }

    fn enable(&mut self, vring: u16, enabled: bool) {
        self.order(vring, |side| Order::Enable { vring: side, on: enabled });
        if !vring.is_multiple_of(2) {
            return;
        }
        let steers = self.desk.set_enabled(vring / 2, enabled);
        let goes = match self.begin {
            Begin::FirstQueue => enabled,
            Begin::AllQueues => self.desk.all_enabled(),
            Begin::Command => false,
        };
        if steers || goes {
            self.soon(move |desk| {
                if steers {
                    desk.steer();
                }
                if goes {
                    desk.go();
                }
            });
        }
    }

    fn set_kick(&mut self, vring: u16, kick: Option<OwnedFd>) {
        self.desk.settle();
        self.order(vring, |side| Order::Kick(side, kick));
    }

    fn set_call(&mut self, vring: u16, call: Option<OwnedFd>) {
        self.order(vring, |side| Order::Call(side, call));
    }

    fn set_err(&mut self, _vring: u16, _err: Option<OwnedFd>) {
        // A ring that breaks is told by the device status of virtio, which this device sets; the descriptor
        // is closed.
    }

    fn set_channel(&mut self, channel: OwnedFd, answers: bool, translations: &Arc<Translations>) {
        self.translations = Some(Arc::clone(translations));
        let desk = Arc::clone(&self.desk);
        asks::connect(channel, answers, translations, move |error| desk.channel_fails(error));
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
        self.desk.settle();
        let mut counts = self.desk.connections();
        match &note {
            Note::Connected => counts.accepted += 1,
            Note::TurnedAway => counts.turned_away += 1,
            Note::Closed => counts.closed += 1,
            Note::Dropped(_) => counts.dropped += 1,
            Note::Listener(_) => {}
        }
        drop(counts);
        match &note {
            Note::Connected => self.desk.set_connected(true),
            Note::Closed | Note::Dropped(_) => self.desk.set_connected(false),
            Note::TurnedAway | Note::Listener(_) => {}
        }
        let words = match note {
            Note::Connected => "a front-end is connected".into(),
            Note::TurnedAway => "another front-end was turned away: one is connected".into(),
            Note::Closed => "the front-end has gone".into(),
            Note::Dropped(error) => format!("the front-end's connection was dropped: {error}"),
            Note::Listener(error) => format!("the socket cannot accept: {error}"),
        };
        self.desk.say(&words);
    }
}
