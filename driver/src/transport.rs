//! The seam between the driver and whatever carries its register accesses.
//!
//! It has the shape of virtio-pci's common configuration, notification area and MSI-X table
//! (virtio 1.x section 4.1.4), which a vhost-user front-end and a VFIO PCI device can offer as well.
//! What each call promises is written at the call. Two promises hold for all of them:
//!
//! - **Synchronous.** When a call returns, the device has seen the access. Posted PCI writes must be
//!   flushed only where the text below asks for it.
//! - **Infallible unless it says otherwise.** A device that has gone away answers with all ones, as PCI
//!   does: [`Transport::status`] then reads 0xff, which the driver takes for "removed".
//!
//! The driver does not trust what comes out: it validates every value it reads.

use std::fmt;

/// Register access of one virtio-net device, as the driver needs it.
pub trait Transport {
    /// Feature bits 0..=63 the device offers. Constant between resets. Section 2.2.
    fn device_features(&mut self) -> u64;

    /// Writes all 64 feature bits that the driver accepts. Called once, before FEATURES_OK.
    fn set_driver_features(&mut self, features: u64);

    /// The device status byte as the device holds it now, not a cached copy: FEATURES_OK is a
    /// question whose answer is read here, and NEEDS_RESET appears by itself. Section 2.1.
    fn status(&mut self) -> u8;

    /// Writes the device status. 0 asks for a reset, which is finished when [`Transport::status`]
    /// reads 0; until then the implementer must not report other registers as new. After a finished
    /// reset no queue is enabled, no vector is assigned, and the device touches no memory.
    fn set_status(&mut self, status: u8);

    /// Changes whenever the configuration space has changed in a way that matters to a reader who is
    /// in the middle of it. A carrier without generations (vhost-user) returns a constant and must
    /// then serve each [`Transport::read_config`] from one consistent copy. Section 2.5.
    fn config_generation(&mut self) -> u8;

    /// Fills `out` from the device configuration at `offset`; bytes the device does not have read 0.
    fn read_config(&mut self, offset: u32, out: &mut [u8]);

    /// How many virtqueues the device has, control queue included.
    fn num_queues(&mut self) -> u16;

    /// Most entries virtqueue `queue` can have; 0 if there is no such queue.
    fn queue_max_size(&mut self, queue: u16) -> u16;

    /// Gives virtqueue `queue` its size, addresses and vector. The device does not look at the ring
    /// before [`Transport::enable_queue`]. A vector that the device does not take (it reads back as
    /// "none" on PCI) must be reported as an error here, not later as silence.
    ///
    /// # Errors
    /// The device or the carrier refused; nothing about the queue may be assumed.
    fn setup_queue(&mut self, queue: u16, setup: &QueueSetup) -> Result<(), TransportError>;

    /// Lets the device use virtqueue `queue`, set up before. Cannot be undone but by a reset, of the device or
    /// of the queue.
    ///
    /// # Errors
    /// The device or the carrier refused.
    fn enable_queue(&mut self, queue: u16) -> Result<(), TransportError>;

    /// Asks the device to reset virtqueue `queue`: writes 1 to `queue_reset`. Only with VIRTIO_F_RING_RESET
    /// agreed. When [`Transport::queue_resetting`] says it is done, the device touches no memory of the
    /// queue, sends nothing for it, and the queue may be set up anew. Sections 2.6.1, 4.1.4.3.
    ///
    /// # Errors
    /// The device or the carrier refused; the queue goes on.
    fn reset_queue(&mut self, queue: u16) -> Result<(), TransportError>;

    /// Whether the reset of virtqueue `queue` is still under way: `queue_reset` reads as 1.
    fn queue_resetting(&mut self, queue: u16) -> bool;

    /// Chooses the MSI-X vector of configuration changes; `None` for no interrupt.
    ///
    /// # Errors
    /// There is no such vector.
    fn set_config_vector(&mut self, vector: Option<u16>) -> Result<(), TransportError>;

    /// Masks or unmasks one MSI-X vector. A message that falls due while the vector is masked is
    /// remembered (once, however many there were) and sent at unmasking; the driver builds on this
    /// when it masks by MSI-X. A masking write must have reached the device when this returns.
    fn set_vector_masked(&mut self, vector: u16, masked: bool);

    /// Available buffer notification ("kick") of virtqueue `queue`. Everything the driver stored into
    /// memory before the call must be visible to the device that receives it.
    fn notify(&mut self, queue: u16);
}

/// What the device must know about one virtqueue. Addresses are those of the
/// [`DmaRegion`](crate::DmaRegion): guest physical, or I/O virtual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSetup {
    /// Entries; a power of two.
    pub size: u16,
    /// Address of the descriptor table, 16-byte aligned (here 64).
    pub descriptor_table: u64,
    /// Address of the available ring ("driver area"), 2-byte aligned (here 64).
    pub available_ring: u64,
    /// Address of the used ring ("device area"), 4-byte aligned (here 64).
    pub used_ring: u64,
    /// MSI-X vector of this queue; `None` for no interrupt.
    pub vector: Option<u16>,
}

/// Why a transport could not do what it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// The device refused the set-up of a virtqueue.
    QueueRefused {
        /// The virtqueue.
        queue: u16,
        /// The device's or carrier's words.
        why: &'static str,
    },
    /// The device has no such vector, or did not take it.
    VectorRefused {
        /// The vector.
        vector: u16,
        /// The device's or carrier's words.
        why: &'static str,
    },
    /// The carrier itself failed: connection closed, file descriptor gone.
    Lost {
        /// The carrier's words.
        why: &'static str,
    },
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueRefused { queue, why } => {
                write!(f, "the device refuses virtqueue {queue}: {why}")
            }
            Self::VectorRefused { vector, why } => write!(
                f,
                "the device refuses MSI-X vector {vector}: {why}; it needs one vector per \
                 receive queue and one for the configuration"
            ),
            Self::Lost { why } => write!(f, "the connection to the device is lost: {why}"),
        }
    }
}

impl std::error::Error for TransportError {}
