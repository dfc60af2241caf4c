//! A virtio-net device with multi-queue RSS, as a state machine.
//!
//! [`Device`] has two sides. From the *wire* whole frames come in by [`Device::receive`]; they pass the MAC
//! checks, get a queue ([`rss`]), wait in a FIFO of bytes if they must, and are written into the driver's
//! buffers by one serial DMA engine. On the *register* side is what virtio-pci's common configuration and
//! MSI-X offer a driver, one method each. Time is an argument (picoseconds), effects go to a [`Host`].
//!
//! Every frame offered has one fate: written, dropped for one [`DropReason`], or held in the FIFO; see
//! [`counters`](DeviceCounters) for the sums that hold after every call.
//!
//! # What a broken driver does to it
//!
//! The device believes nothing it reads from guest memory. A malformed ring is stopped until its queue or the
//! device is reset: its frames, held or new, are dropped `ring_broken`, DEVICE_NEEDS_RESET is set, a configuration
//! interrupt is sent, and [`Device::broken`] says what was wrong. All other rings go on working.
//!
//! # Interrupts
//!
//! For each frame published, in this order:
//!
//! 1. the used index is stored;
//! 2. does the driver want an interrupt (`used_event`, or VIRTQ_AVAIL_F_NO_INTERRUPT)? If not, the driver
//!    has said so before it saw this frame, and by the specification it looks at the used index again after
//!    it asks for interrupts; a full fence between storing the index and reading the wish makes one of the two
//!    see the other (2.7.7). So none is lost;
//! 3. coalescing may put it off: until enough frames or a timer in [`Device::next_deadline`]. Then the driver
//!    is asked once more (5.1.6.5.9): one that has been polling meanwhile wants none, and looks at the used
//!    index when it wants them again. One that wants them again by then may find it spurious;
//! 4. a masked MSI-X vector sets its pending bit instead, and unmasking sends it, once;
//! 5. otherwise [`Host::interrupt`] is called.
//!
//! # Kicks
//!
//! A receive queue asks for kicks when a frame found its ring empty, and then looks at the ring once more;
//! when it finds descriptors again, it stops asking. Without a frame waiting it needs none. Transmit and
//! control queues stop asking while they work and ask again, and look again, when they find nothing.
//!
//! # Not modelled
//!
//! Receive coalescing (GUEST_TSO and the like), UDP fragmentation, RSS contexts, migration. Two queues of a
//! driver that share memory are its own affair.
#![deny(unsafe_code)]

mod checksum;
mod coalesce;
mod config;
mod config_space;
mod counters;
mod ctrl;
mod device;
mod drop;
mod event;
mod fault;
mod features;
mod fifo;
mod filter;
mod header;
mod host;
mod msix;
mod offload;
pub mod ring;
pub mod rss;
pub mod spec;
#[cfg(feature = "vhost-user")]
pub mod vhost_user;
pub mod wire;

pub use config::{
    Coalesce, ConfigError, DEFAULT_FEATURES, DeviceConfig, FIFO_BYTES_MAX, QUEUE_PAIRS_MAX,
    SUPPORTED_FEATURES,
};
pub use counters::{DeviceCounters, OffloadCounters, QueueCounters};
pub use device::Device;
pub use drop::{DropReason, DropRecord};
pub use event::{Event, Value};
pub use fault::{Fault, FaultError, Lie};
pub use features::{FEATURE_RULES, FeatureRule, broken_rule};
pub use host::Host;
pub use ring::{ChainFault, DeviceError, QueueError, QueueSetup, RingFault, RingKind};
