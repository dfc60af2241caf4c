//! The seam between the device and its virtqueues.
//!
//! A [`Ring`] gives the device validated descriptor chains and takes used entries back. What it promises:
//!
//! - a [`Chain`] was read once, descriptor by descriptor, and only what was read counts from then on: the
//!   driver may change the table afterwards, and nothing is fetched twice. One that was put back may be read
//!   anew, and then nothing of the first reading counts;
//! - it ends properly, is no longer than the queue, has no empty or misplaced descriptor and no indirect one
//!   that breaks a rule (2.7.5.3), and every byte of it lies in guest memory;
//! - [`Ring::put_used`] writes all elements, then stores the index once, with release ordering;
//! - a fault leaves the ring as it is; the device stops using it.
//!
//! [`Split`] does this with up to 64 chains in a pass, [`Reference`] chain by chain with the
//! `virtio-queue` crate: both give the same chains and leave the same bytes in the used ring. Packed
//! virtqueues are [`Packed`]. A [`Virtqueue`] is one of them, or one that another back-end can take over
//! ([`inflight`]).
//!
//! Not checked: that chains do not share descriptors or buffers, and that rings do not overlap; a driver
//! that does so harms itself only.

mod access;
mod chain;
mod fault;
pub mod inflight;
mod packed;
mod prefetch;
mod queue;
mod reference;
mod setup;
mod split;
mod validate;

pub use chain::{Chain, Front, Segment};
pub use fault::{ChainFault, DeviceError, RingFault};
pub use inflight::{InflightError, Region};
pub use packed::Packed;
pub use queue::{RingFeatures, RingKind, Virtqueue};
pub use reference::Reference;
pub use setup::{QueueError, QueueSetup};
pub use split::Split;

use vm_memory::GuestMemory;

/// A virtqueue, from the device's side.
pub trait Ring {
    /// Entries of the queue.
    fn size(&self) -> u16;

    /// Chains the driver offers that have not been fetched.
    ///
    /// # Errors
    /// The index cannot be read, or is too far ahead.
    fn available<G: GuestMemory>(&self, memory: &G) -> Result<u16, RingFault>;

    /// The same; what it has cost to find out is not spent again.
    ///
    /// # Errors
    /// As of [`Ring::available`].
    fn look<G: GuestMemory>(&mut self, memory: &G) -> Result<u16, RingFault> {
        self.available(memory)
    }

    /// Fetches the next chain into `chain`, if there is one and it has at least `need` bytes to write.
    ///
    /// # Errors
    /// The ring or the chain is malformed.
    fn fetch<G: GuestMemory>(
        &mut self,
        memory: &G,
        shape: Shape,
        need: u32,
        chain: &mut Chain,
    ) -> Result<Fetched, RingFault>;

    /// Puts the chain fetched last back, as if it had not been.
    fn unfetch(&mut self);

    /// Publishes used entries in this order, all at once. Chains are used in the order fetched.
    ///
    /// # Errors
    /// The ring cannot be written.
    fn put_used<G: GuestMemory>(&mut self, memory: &G, used: &[Used]) -> Result<(), RingFault>;

    /// Publishes one element that is a lie, for a fault.
    ///
    /// # Errors
    /// The ring cannot be read and written.
    fn put_false<G: GuestMemory>(&mut self, memory: &G, element: False) -> Result<(), RingFault>;

    /// Does the driver want an interrupt for what was published since [`Ring::settle`]? By `used_event` with
    /// VIRTIO_F_EVENT_IDX, otherwise by VIRTQ_AVAIL_F_NO_INTERRUPT. May be asked again: the driver may have
    /// changed its mind.
    ///
    /// # Errors
    /// The driver's wish cannot be read.
    fn wants_interrupt<G: GuestMemory>(&self, memory: &G) -> Result<bool, RingFault>;

    /// The interrupt for all that was published was sent, or was not wanted.
    fn settle(&mut self);

    /// Asks the driver for notifications, or not to bother. Having asked: have chains come meanwhile?
    ///
    /// # Errors
    /// The wish cannot be written, or the ring not be read.
    fn set_kicks<G: GuestMemory>(&mut self, memory: &G, wanted: bool) -> Result<bool, RingFault>;

    /// Where the next chain comes from, as a vhost-user SET_VRING_BASE has it: the available index, or with a
    /// packed ring both cursors, the used one in the upper half, each with its wrap counter in bit 15.
    fn base(&self) -> u32;

    /// Goes on from there; the ring is new. `false`: there is no such place, or the used index of a split
    /// ring, which says where that goes on, cannot be read.
    fn resume<G: GuestMemory>(&mut self, memory: &G, base: u32) -> bool;
}

/// A completion that is a lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum False {
    /// It names a descriptor that no ring has, with this length.
    WrongId(u32),
    /// What has stood in its place since a lap ago.
    Stale,
}

/// The descriptor number of [`False::WrongId`]: beyond the largest queue (2.7).
const WRONG_ID: u16 = u16::MAX;

/// What [`Ring::fetch`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The ring is empty.
    Empty,
    /// The next chain has only so many bytes to write; it stays in the ring.
    TooSmall {
        /// Those bytes.
        capacity: u32,
    },
    /// The chain was taken out of the ring.
    Chain,
}

/// Which descriptors belong in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The device writes them all.
    Receive,
    /// The device reads them all.
    Transmit,
    /// Some to read, then some to write.
    Control,
}

/// A used element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Head of the chain; with a packed ring its buffer id.
    pub head: u16,
    /// Bytes written into it.
    pub len: u32,
}
