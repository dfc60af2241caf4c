//! Where the driver put a virtqueue, and whether it may be there.

use super::inflight::InflightError;
use crate::spec::ring;
use std::fmt;
use vm_memory::{GuestAddress, GuestMemory, Permissions};

/// A virtqueue as the driver describes it in the common configuration (4.1.4.3). With
/// VIRTIO_F_RING_PACKED the descriptor table is the descriptor ring, the available ring the driver's event
/// suppression and the used ring the device's; both of 4 bytes, aligned to 4 (2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSetup {
    /// Entries, up to [`Device::queue_max_size`](crate::Device::queue_max_size): a power of two, or with
    /// VIRTIO_F_RING_PACKED any number from 1 on (2.8.10.1).
    pub size: u16,
    /// Guest address of the descriptor table, aligned to 16.
    pub descriptor_table: u64,
    /// Guest address of the available ring, aligned to 2.
    pub available_ring: u64,
    /// Guest address of the used ring, aligned to 4.
    pub used_ring: u64,
    /// MSI-X vector; `None` is VIRTIO_MSI_NO_VECTOR.
    pub vector: Option<u16>,
}

/// Why a queue cannot be set up or enabled, or a vector not assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueError {
    /// The device has no such virtqueue with the features negotiated.
    NoSuchQueue(u16),
    /// FEATURES_OK is not set yet, and which queues there are depends on the features.
    FeaturesNotNegotiated,
    /// The queue is in use; only its reset or that of the device ends that.
    AlreadyEnabled(u16),
    /// VIRTIO_F_RING_RESET was not negotiated.
    NoRingReset,
    /// The queue was not set up.
    NotSetUp(u16),
    /// The size is above the queue's most, or 0, or of a split queue no power of two.
    Size {
        /// As given.
        size: u16,
        /// The queue's most.
        max: u16,
    },
    /// A part of the queue is not aligned.
    Misaligned {
        /// Which.
        part: &'static str,
        /// Where it is.
        address: u64,
        /// What it must be a multiple of.
        align: u64,
    },
    /// A part of the queue is not wholly in guest memory.
    OutsideMemory {
        /// Which.
        part: &'static str,
        /// Where it starts.
        address: u64,
        /// Its bytes.
        len: u64,
    },
    /// The ring has no such place to go on from, or its used index cannot be read.
    Base {
        /// As given.
        base: u32,
    },
    /// The memory in which chains in flight are tracked cannot be gone on from.
    Inflight(InflightError),
    /// The available ring is at address 0, which the reference ring takes for "not set".
    AvailableRingAtZero,
    /// The MSI-X table has no such vector.
    NoSuchVector(u16),
}

impl QueueSetup {
    /// Checks size, alignment and that every part is in `memory`.
    pub(crate) fn validate<G: GuestMemory>(
        &self,
        memory: &G,
        max: u16,
        packed: bool,
    ) -> Result<(), QueueError> {
        let good = if packed { self.size > 0 } else { self.size.is_power_of_two() };
        if !good || self.size > max {
            return Err(QueueError::Size { size: self.size, max });
        }
        if packed { self.validate_packed(memory) } else { self.validate_split(memory) }
    }

    fn validate_packed<G: GuestMemory>(&self, memory: &G) -> Result<(), QueueError> {
        use Permissions::{Read, ReadWrite};
        let ring = ring::descriptor_table_len(self.size);
        let event = ring::EVENT_LEN;
        let (driver, device) = (self.available_ring, self.used_ring);
        let ring_at = self.descriptor_table;
        let parts = [
            ("descriptor ring", ring_at, ring::DESCRIPTOR_LEN, ring, ReadWrite),
            ("driver event suppression", driver, event, event, Read),
            ("device event suppression", device, event, event, ReadWrite),
        ];
        parts.into_iter().try_for_each(|part| check(memory, part))
    }

    fn validate_split<G: GuestMemory>(&self, memory: &G) -> Result<(), QueueError> {
        let parts = [
            (
                "descriptor table",
                self.descriptor_table,
                ring::DESCRIPTOR_LEN,
                ring::descriptor_table_len(self.size),
                Permissions::Read,
            ),
            (
                "available ring",
                self.available_ring,
                ring::AVAILABLE_ALIGN,
                ring::available_ring_len(self.size),
                Permissions::Read,
            ),
            (
                "used ring",
                self.used_ring,
                ring::USED_ALIGN,
                ring::used_ring_len(self.size),
                Permissions::ReadWrite,
            ),
        ];
        parts.into_iter().try_for_each(|part| check(memory, part))?;
        if self.available_ring == 0 {
            return Err(QueueError::AvailableRingAtZero);
        }
        Ok(())
    }
}

/// Name, address, alignment, length and use of a part of a queue.
type Part = (&'static str, u64, u64, u64, Permissions);

fn check<G: GuestMemory>(
    memory: &G,
    (part, address, align, len, access): Part,
) -> Result<(), QueueError> {
    if !address.is_multiple_of(align) {
        return Err(QueueError::Misaligned { part, address, align });
    }
    // At most 512 KiB: fits in a usize.
    if !memory.check_range(GuestAddress(address), len as usize, access) {
        return Err(QueueError::OutsideMemory { part, address, len });
    }
    Ok(())
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchQueue(queue) => {
                write!(f, "there is no virtqueue {queue} with these features: see num_queues")
            }
            Self::FeaturesNotNegotiated => {
                write!(f, "queues cannot be set up before the device has accepted FEATURES_OK")
            }
            Self::AlreadyEnabled(queue) => {
                write!(f, "virtqueue {queue} is enabled: reset it, or the device, to change it")
            }
            Self::NoRingReset => write!(
                f,
                "a virtqueue cannot be reset without VIRTIO_F_RING_RESET (bit 40): negotiate it, or reset the device"
            ),
            Self::NotSetUp(queue) => write!(f, "virtqueue {queue} is enabled before it is set up"),
            Self::Size { size, max } => {
                write!(
                    f,
                    "queue size {size}: choose a power of two up to {max}, or with packed queues any number"
                )
            }
            Self::Misaligned { part, address, align } => {
                write!(f, "the {part} at {address:#x} is not aligned to {align}")
            }
            Self::OutsideMemory { part, address, len } => {
                write!(f, "the {part} of {len} bytes at {address:#x} is not wholly in guest memory")
            }
            Self::Inflight(error) => error.fmt(f),
            Self::Base { base } => {
                write!(f, "the ring cannot go on at base {base:#x}: give the one it stopped at")
            }
            Self::AvailableRingAtZero => {
                write!(f, "the available ring is at address 0: put it anywhere else")
            }
            Self::NoSuchVector(vector) => {
                write!(f, "the MSI-X table has no vector {vector}")
            }
        }
    }
}

impl std::error::Error for QueueError {}
