//! The seam between a session and the device that it is for.
//!
//! Contract: vrings are numbered as in virtio 1.x 5.1.2, without the control queue: receive queue of pair `i`
//! is `2 i`, its transmit queue `2 i + 1`. Calls come in the order of the messages that cause them.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::inflight::Tracking;
use super::iotlb::Translations;
use super::memory::Memory;
use super::request::Inflight;
use crate::ring::QueueSetup;

/// What a session makes the device do.
pub trait Vrings {
    /// Guest memory is this from now on; `None`: there is none.
    fn set_memory(&mut self, memory: Option<Arc<Memory>>);

    /// These features are agreed on; for vrings that start later.
    fn set_features(&mut self, features: u64);

    /// A vring runs.
    ///
    /// # Errors
    /// The device refuses it.
    fn start(&mut self, vring: u16, start: Start) -> Result<(), crate::QueueError>;

    /// A vring runs no more: where it would have gone on, as GET_VRING_BASE has it.
    fn stop(&mut self, vring: u16) -> u32;

    /// Frames may flow on a vring, or not.
    fn enable(&mut self, vring: u16, enabled: bool);

    /// Chains are announced by this one from now on; `None`: never, look by yourself.
    fn set_kick(&mut self, vring: u16, kick: Option<OwnedFd>);

    /// Interrupts go to this one from now on; `None`: nobody wants any.
    fn set_call(&mut self, vring: u16, call: Option<OwnedFd>);

    /// Trouble with the vring is told to this one.
    fn set_err(&mut self, vring: u16, err: Option<OwnedFd>);

    /// The connection for messages the other way, whether the front-end answers them, and the translations that
    /// are asked for over it.
    fn set_channel(&mut self, channel: OwnedFd, answers: bool, translations: &Arc<Translations>);

    /// The guest, with this address, is here now: tell the network.
    fn announce(&mut self, mac: [u8; 6]);

    /// The guest was told this MTU; `false`: the device cannot do that.
    fn set_mtu(&mut self, mtu: u16) -> bool;

    /// The configuration space from `offset` on.
    fn read_config(&self, offset: u32, out: &mut [u8]);
}

/// All that a vring needs to run.
#[derive(Debug)]
pub struct Start {
    /// Where its parts are: guest addresses, or the driver's with an IOMMU.
    pub setup: QueueSetup,
    /// Where it goes on, as SET_VRING_BASE has it.
    pub base: u32,
    /// Frames may flow.
    pub enabled: bool,
    /// Chains in flight are tracked there.
    pub tracking: Option<Tracking>,
}

/// What the device side offers.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// Virtio features, without those of the transport.
    pub features: u64,
    /// Receive/transmit queue pairs.
    pub pairs: u16,
    /// Most entries of a vring.
    pub entries_max: u16,
    /// Bytes of the configuration space.
    pub config_len: u32,
}

/// What to answer.
#[derive(Debug)]
pub enum Reply {
    /// Nothing beside the acknowledgement, if one is asked for.
    None,
    /// A number.
    Number(u64),
    /// A vring and a number.
    State {
        /// Which.
        index: u32,
        /// The number.
        num: u32,
    },
    /// Memory for chains in flight, and its file.
    Inflight(Inflight, OwnedFd),
    /// Bytes of the configuration space.
    Config {
        /// First.
        offset: u32,
        /// As asked.
        flags: u32,
        /// The bytes; none for a part that there is not.
        bytes: Vec<u8>,
    },
}
