//! A guest-side virtio-net driver, as a state machine over a [`Transport`].
//!
//! It brings the device up, posts receive buffers, takes interrupts, polls with a budget, hands frames in
//! batches to its [`Host`], refills, unmasks, and sends frames. Rings are split or packed; see
//! [`spec::SUPPORTED_FEATURES`] for what else it can agree to.
//!
//! ```text
//! start .. step .. Running          interrupt -> Poll(queue) -> poll .. finish_poll -> again? poll : done
//!                           next_deadline .. advance -> queues -> poll .. finish_poll -> ...
//! ```
//!
//! # Contract
//!
//! - Time comes in as `now`, picoseconds of the caller's clock. Effects go out through the transport, the
//!   host, and return values. No thread, clock, lock, or random number. Frames cost no allocation:
//!   only starts, resets, control commands and announcements allocate.
//! - The device is not trusted. Whatever it writes or answers is checked; the driver then drops a frame with a
//!   reason, stops a queue, or is broken, always with a counter and an event, never with a panic.
//! - **A stopped queue** (the device broke the rules of its ring) stays masked and yields nothing until it is
//!   reset, by itself or with the device; the other queues go on. **A broken driver** does nothing until the
//!   next [`Driver::start`].
//! - Every completion taken from a receive ring is indicated exactly once, in ring order, or dropped with
//!   exactly one [`DropReason`].
//!
//! # What it does not check
//!
//! - What is in a frame: the bytes are handed on as the device wrote them.
//! - Whether the device leaves alone the buffers it does not own. A frame is copied once and only the copy is
//!   looked at, but a device that writes early or late can spoil its own frames.

#![deny(unsafe_code)]

mod announce;
mod bring_up;
mod buffers;
mod channels;
mod coalesce;
mod command;
mod commanding;
mod config;
mod config_error;
mod control;
mod counters;
mod device_config;
mod dma;
mod drop;
mod error;
mod event;
mod filter;
mod header;
mod interrupt;
mod layout;
mod merge;
mod moderation;
mod policy;
mod poll;
mod prefetch;
mod queues;
mod recover;
mod reset;
mod reset_error;
mod reset_tx;
mod ring;
pub mod spec;
mod staging;
mod stats;
mod take;
mod timer;
mod transmit;
mod transport;
#[cfg(all(feature = "vfio", target_os = "linux"))]
pub mod vfio;
#[cfg(feature = "vhost-user")]
pub mod vhost_user;

pub use bring_up::Progress;
pub use buffers::{Buffers, Exhausted};
pub use channels::ChannelsError;
pub use coalesce::{Coalesce, CoalesceSettings};
pub use config::{
    DriverConfig, HashSettings, MAX_BUFFER_BYTES, MAX_QUEUE_PAIRS, MIN_RING, Masking, RssSettings,
    TxHeader,
};
pub use config_error::ConfigError;
pub use counters::{DriverCounters, QueueCounters, ReceiveCounters, TransmitCounters};
pub use dma::{DmaError, DmaRegion, REGION_ALIGN};
pub use drop::{DropReason, DropRecord};
pub use error::DriverError;
pub use event::{Event, Value};
pub use filter::{MAX_ADDRESSES, ReceiveFilter};
pub use header::{RxChecksum, RxHash};
pub use interrupt::Interrupt;
pub use policy::{ADAPTIVE_STEPS, ADAPTIVE_WINDOW_PS, Moderation, Rearm, Recover, Refill, Step};
pub use poll::{Finished, Polled};
pub use reset_error::ResetError;
pub use ring::RingError;
pub use staging::BATCH;
pub use stats::{DeviceStats, Stat};
pub use timer::Due;
pub use transmit::TransmitError;
pub use transport::{QueueSetup, Transport, TransportError};

use channels::Channels;
use commanding::Commanding;
use control::ControlQueue;
use device_config::DeviceConfig;
use layout::Layout;
use ring::Ring;
use ring::rx::RxQueue;
use ring::tx::TxQueue;
use staging::Staging;
use timer::Timers;

/// The MSI-X vector of configuration changes.
pub const CONFIG_VECTOR: u16 = 0;

/// The MSI-X vector of receive queue `queue`. Transmit and control queues have none.
pub const fn vector_of(queue: u16) -> u16 {
    1 + queue
}

/// What surrounds the driver: where frames and events go.
pub trait Host {
    /// Something happened.
    fn event(&mut self, now: u64, event: Event);

    /// At most [`BATCH`] frames of receive queue `queue`, in the order of its used ring. The bytes are
    /// there for the length of this call.
    fn indicate(&mut self, now: u64, queue: u16, frames: &[RxFrame<'_>]);
}

/// One received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxFrame<'a> {
    /// The Ethernet frame, without virtio header and FCS.
    pub data: &'a [u8],
    /// Which frame of this queue since start it is, counting from 0; dropped ones count as well.
    pub position: u64,
    /// What the device says about its checksum, with VIRTIO_NET_F_GUEST_CSUM.
    pub checksum: RxChecksum,
    /// The hash the device reports, with VIRTIO_NET_F_HASH_REPORT and if it computed one.
    pub hash: Option<RxHash>,
    /// The DMA buffer that the host has from now on, if the buffer policy hands buffers over; to be
    /// given back with [`Driver::give_back`].
    pub buffer: Option<u16>,
}

/// The driver of one device.
#[derive(Debug)]
pub struct Driver {
    config: DriverConfig,
    memory: DmaRegion,
    state: State,
    features: u64,
    device: DeviceConfig,
    rx: Vec<RxQueue>,
    tx: Vec<TxQueue>,
    control: ControlQueue,
    commanding: Commanding,
    channels: Channels,
    staging: Staging,
    timers: Timers,
    counters: DriverCounters,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Stopped,
    /// Waits for the device to finish its reset.
    Resetting {
        deadline: u64,
    },
    /// DRIVER_OK is set, frames flow; waits for the answers to the commands of the bring-up.
    Commanding,
    Running,
    Broken(DriverError),
}

impl Driver {
    /// Lays rings and buffers out in `memory`, which belongs to the driver (and its device) from now on.
    /// Touches neither memory nor device.
    ///
    /// # Errors
    /// The configuration breaks a rule, or the memory is too small or not aligned.
    pub fn new(config: DriverConfig, memory: DmaRegion) -> Result<Self, DriverError> {
        memory.check(config.memory_needed()?)?;
        let layout = Layout::new(&config);
        Ok(Self {
            memory,
            state: State::Stopped,
            features: 0,
            device: DeviceConfig::default(),
            rx: layout.rx.into_iter().map(|queue| RxQueue::new(queue, &config)).collect(),
            tx: layout.tx.into_iter().map(|queue| TxQueue::new(queue, config.tx_header)).collect(),
            control: ControlQueue::new(layout.control),
            staging: Staging::new(&config),
            commanding: Commanding::default(),
            channels: Channels::new(config.queue_pairs),
            timers: Timers::default(),
            counters: DriverCounters::default(),
            config,
        })
    }

    /// Completions of receive queue `queue` taken since start; 0 for a queue that does not exist.
    pub fn consumed(&self, queue: u16) -> u64 {
        self.rx.get(usize::from(queue)).map_or(0, |rx| rx.consumed)
    }

    /// Receive buffers of `queue` that the device owns; 0 for a queue that does not exist.
    pub fn posted(&self, queue: u16) -> u64 {
        self.rx.get(usize::from(queue)).map_or(0, |rx| rx.ring.outstanding().into())
    }

    /// Chains of a virtqueue that the driver has given away and not got back, by virtqueue index (5.1.2);
    /// 0 for one that does not exist.
    pub fn outstanding(&self, virtqueue: u16) -> u16 {
        let pair = usize::from(virtqueue / 2);
        let ring = match virtqueue {
            control if Some(control) == self.control_index() => Some(&self.control.ring),
            receive if receive % 2 == 0 => self.rx.get(pair).map(|rx| &rx.ring),
            _ => self.tx.get(pair).map(|tx| &tx.ring),
        };
        ring.map_or(0, Ring::outstanding)
    }

    /// Why receive queue `queue` has stopped, if it has.
    pub fn queue_error(&self, queue: u16) -> Option<RingError> {
        self.rx.get(usize::from(queue)).and_then(|rx| rx.broken)
    }

    /// Why the driver is broken, if it is.
    pub fn error(&self) -> Option<&DriverError> {
        match &self.state {
            State::Broken(error) => Some(error),
            _ => None,
        }
    }

    /// Counters of the driver as a whole.
    pub fn counters(&self) -> &DriverCounters {
        &self.counters
    }

    /// Counters of receive queue `queue`.
    pub fn queue_counters(&self, queue: u16) -> Option<&QueueCounters> {
        self.rx.get(usize::from(queue)).map(|rx| &rx.counters)
    }

    /// Counters of transmit queue `queue`.
    pub fn transmit_counters(&self, queue: u16) -> Option<&TransmitCounters> {
        self.tx.get(usize::from(queue)).map(|tx| &tx.counters)
    }

    /// The configuration given.
    pub fn config(&self) -> &DriverConfig {
        &self.config
    }

    /// The agreed features; 0 before.
    pub fn features(&self) -> u64 {
        self.features
    }

    /// Whether the link is up; a device that cannot tell is taken to be.
    pub fn link_up(&self) -> bool {
        self.device.link_up
    }

    /// The device's MAC address, if it has one.
    pub fn mac(&self) -> Option<[u8; 6]> {
        self.device.mac
    }

    /// The device's MTU, if it tells.
    pub fn mtu(&self) -> Option<u16> {
        self.device.mtu
    }

    /// DRIVER_OK is set and nothing is known to be wrong with the device.
    #[inline]
    fn is_live(&self) -> bool {
        matches!(self.state, State::Running | State::Commanding)
    }
}
