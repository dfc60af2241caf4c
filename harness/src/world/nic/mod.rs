//! The NIC of a world: in this process, or at the other end of a wire.
//!
//! Contract: whichever it is, the same calls at the same times have the same effects, in the same order. A NIC
//! at the other end that cannot be reached any more does nothing, and [`Device::lost`] says why.

pub mod message;
mod model;
pub mod remote;
pub mod server;

use std::sync::Arc;

use nic_model::spec::feature;
use nic_model::{DeviceCounters, Fault, QueueCounters, QueueError, QueueSetup};
use vm_memory::GuestMemoryMmap;

use super::book::Book;
use remote::Remote;

/// See the module's contract.
pub enum Device {
    /// In this process.
    Here(Box<nic_model::Device<Arc<GuestMemoryMmap>>>),
    /// In another one.
    There(Box<Remote>),
}

impl Device {
    /// Why it cannot be reached any more.
    #[must_use]
    pub fn lost(&self) -> Option<&str> {
        match self {
            Self::Here(_) => None,
            Self::There(remote) => remote.lost(),
        }
    }

    // What the wire and the world do to it.

    /// A frame has arrived.
    #[inline]
    pub fn receive(&mut self, now: u64, frame: &[u8], fcs_ok: bool, tag: u64, book: &mut Book) {
        match self {
            Self::Here(device) => device.receive(now, frame, fcs_ok, tag, book),
            Self::There(remote) => remote.receive(now, frame, fcs_ok, tag, book),
        }
    }

    /// Time has come to `now`.
    #[inline]
    pub fn advance(&mut self, now: u64, book: &mut Book) {
        match self {
            Self::Here(device) => device.advance(now, book),
            Self::There(remote) => remote.advance(now, book),
        }
    }

    /// The cable is in, or not.
    pub fn set_link(&mut self, now: u64, up: bool, book: &mut Book) {
        match self {
            Self::Here(device) => device.set_link(now, up, book),
            Self::There(remote) => remote.set_link(now, up, book),
        }
    }

    /// The driver is asked to announce itself.
    pub fn ask_to_announce(&mut self, now: u64, book: &mut Book) {
        match self {
            Self::Here(device) => {
                device.ask_to_announce(now, book);
            }
            Self::There(remote) => remote.ask_to_announce(now, book),
        }
    }

    /// It does something wrong from now on. The scenario was checked: every queue that it names is there.
    pub fn inject(&mut self, now: u64, fault: Fault, book: &mut Book) {
        match self {
            Self::Here(device) => {
                let _ = device.inject(now, fault, book);
            }
            Self::There(remote) => remote.inject(now, fault, book),
        }
    }

    // Its registers.

    /// See [`driver::Transport::device_features`].
    pub fn device_features(&mut self) -> u64 {
        match self {
            Self::Here(device) => device.device_features(),
            Self::There(remote) => remote.device_features(),
        }
    }

    /// See [`driver::Transport::set_driver_features`].
    pub fn set_driver_features(&mut self, features: u64) {
        match self {
            Self::Here(device) => device.set_driver_features(features),
            Self::There(remote) => remote.set_driver_features(features),
        }
    }

    /// See [`driver::Transport::status`].
    pub fn status(&mut self) -> u8 {
        match self {
            Self::Here(device) => device.status(),
            Self::There(remote) => remote.status(),
        }
    }

    /// See [`driver::Transport::set_status`].
    pub fn set_status(&mut self, now: u64, status: u8, book: &mut Book) {
        match self {
            Self::Here(device) => device.set_status(now, status, book),
            Self::There(remote) => remote.set_status(now, status, book),
        }
    }

    /// See [`driver::Transport::config_generation`].
    pub fn config_generation(&mut self) -> u8 {
        match self {
            Self::Here(device) => device.config_generation(),
            Self::There(remote) => remote.config_generation(),
        }
    }

    /// See [`driver::Transport::read_config`].
    pub fn read_config(&mut self, offset: u32, out: &mut [u8]) {
        match self {
            Self::Here(device) => device.read_config(offset, out),
            Self::There(remote) => remote.read_config(offset, out),
        }
    }

    /// See [`driver::Transport::num_queues`].
    #[must_use]
    pub fn num_queues(&self) -> u16 {
        match self {
            Self::Here(device) => device.num_queues(),
            Self::There(remote) => remote.state().num_queues,
        }
    }

    /// See [`driver::Transport::queue_max_size`].
    pub fn queue_max_size(&mut self, queue: u16) -> u16 {
        match self {
            Self::Here(device) => device.queue_max_size(queue),
            Self::There(remote) => remote.queue_max_size(queue),
        }
    }

    /// See [`driver::Transport::setup_queue`].
    ///
    /// # Errors
    /// It refuses, and why.
    pub fn setup_queue(&mut self, queue: u16, setup: &QueueSetup) -> Result<(), &'static str> {
        match self {
            Self::Here(device) => device.setup_queue(queue, setup).map_err(|error| why(&error)),
            Self::There(remote) => remote.setup_queue(queue, setup),
        }
    }

    /// See [`driver::Transport::enable_queue`].
    ///
    /// # Errors
    /// It refuses, and why.
    pub fn enable_queue(&mut self, queue: u16) -> Result<(), &'static str> {
        match self {
            Self::Here(device) => device.enable_queue(queue).map_err(|error| why(&error)),
            Self::There(remote) => remote.enable_queue(queue),
        }
    }

    /// See [`driver::Transport::reset_queue`].
    ///
    /// # Errors
    /// It refuses, and why.
    pub fn reset_queue(
        &mut self,
        now: u64,
        queue: u16,
        book: &mut Book,
    ) -> Result<(), &'static str> {
        match self {
            Self::Here(device) => device.reset_queue(now, queue, book).map_err(|error| why(&error)),
            Self::There(remote) => remote.reset_queue(now, queue, book),
        }
    }

    /// See [`driver::Transport::set_config_vector`].
    ///
    /// # Errors
    /// It refuses, and why.
    pub fn set_config_vector(&mut self, vector: Option<u16>) -> Result<(), &'static str> {
        match self {
            Self::Here(device) => device.set_config_vector(vector).map_err(|error| why(&error)),
            Self::There(remote) => remote.set_config_vector(vector),
        }
    }

    /// See [`driver::Transport::set_vector_masked`].
    pub fn set_vector_masked(&mut self, now: u64, vector: u16, masked: bool, book: &mut Book) {
        match self {
            Self::Here(device) => device.set_vector_masked(now, vector, masked, book),
            Self::There(remote) => remote.set_vector_masked(now, vector, masked, book),
        }
    }

    /// See [`driver::Transport::notify`].
    #[inline]
    pub fn notify(&mut self, now: u64, queue: u16, book: &mut Book) {
        match self {
            Self::Here(device) => device.notify(now, queue, book),
            Self::There(remote) => remote.notify(now, queue, book),
        }
    }

    // What it says of itself.

    /// When it does something by itself, at the latest.
    #[inline]
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        match self {
            Self::Here(device) => device.next_deadline(),
            Self::There(remote) => remote.state().next_deadline,
        }
    }

    /// Frames in its FIFO.
    #[inline]
    #[must_use]
    pub fn fifo_frames(&self) -> u64 {
        match self {
            Self::Here(device) => device.fifo_frames(),
            Self::There(remote) => remote.state().fifo_frames,
        }
    }

    /// Frames in its FIFO for a pair.
    #[inline]
    #[must_use]
    pub fn fifo_frames_of(&self, pair: u16) -> u64 {
        match self {
            Self::Here(device) => device.fifo_frames_of(pair),
            Self::There(remote) => remote.of(pair).fifo_frames,
        }
    }

    /// Frames that it has published for a pair.
    #[inline]
    #[must_use]
    pub fn published(&self, pair: u16) -> u64 {
        match self {
            Self::Here(device) => device.published(pair),
            Self::There(remote) => remote.of(pair).published,
        }
    }

    /// Its counters.
    #[inline]
    #[must_use]
    pub fn counters(&self) -> &DeviceCounters {
        match self {
            Self::Here(device) => device.counters(),
            Self::There(remote) => &remote.state().counters,
        }
    }

    /// Its counters of a pair.
    #[inline]
    #[must_use]
    pub fn queue_counters(&self, pair: u16) -> &QueueCounters {
        match self {
            Self::Here(device) => device.queue_counters(pair),
            Self::There(remote) => &remote.of(pair).counters,
        }
    }

    // For who draws its rings.

    /// Where a virtqueue in use lies.
    #[must_use]
    pub fn queue_setup(&self, virtqueue: u16) -> Option<&QueueSetup> {
        match self {
            Self::Here(device) => device.queue_setup(virtqueue),
            Self::There(remote) => remote.queue_setup(virtqueue),
        }
    }

    /// Whether the driver chose all of these features.
    #[must_use]
    pub fn negotiated(&self, features: u64) -> bool {
        let chosen = match self {
            Self::Here(device) => device.driver_features(),
            Self::There(remote) => remote.driver_features(),
        };
        chosen & features == features
    }

    /// Whether the last virtqueue is the control queue.
    #[must_use]
    pub fn has_control_queue(&self) -> bool {
        self.negotiated(feature::CTRL_VQ)
    }

    /// The memory that its rings lie in.
    #[must_use]
    pub fn memory(&self) -> &GuestMemoryMmap {
        match self {
            Self::Here(device) => device.memory(),
            Self::There(remote) => remote.memory(),
        }
    }
}

/// The device's reason to refuse a queue or a vector, in the words that a transport has for it.
fn why(error: &QueueError) -> &'static str {
    match error {
        QueueError::NoSuchQueue(_) => "there is no such queue with these features",
        QueueError::FeaturesNotNegotiated => "the features are not agreed yet",
        QueueError::AlreadyEnabled(_) => "the queue is in use",
        QueueError::NoRingReset => "VIRTIO_F_RING_RESET is not agreed",
        QueueError::NotSetUp(_) => "the queue was not set up",
        QueueError::Size { .. } => "the size is no power of two, or too large",
        QueueError::Misaligned { .. } => "a part of the queue is not aligned",
        QueueError::OutsideMemory { .. } => "a part of the queue is outside guest memory",
        QueueError::Base { .. } => "the ring has no such place to go on from",
        QueueError::AvailableRingAtZero => "the available ring is at address 0",
        QueueError::NoSuchVector(_) => "there is no such MSI-X vector",
        QueueError::Inflight(_) => "its chains in flight cannot be taken over",
    }
}

#[cfg(test)]
mod tests;
