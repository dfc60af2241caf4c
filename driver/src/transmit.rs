//! The transmit path: one frame per call, copied, with completions taken back on the way.

use std::fmt;

use crate::dma::DmaRegion;
use crate::event::Event;
use crate::recover::Fault;
use crate::ring::RingError;
use crate::ring::tx::TxQueue;
use crate::spec;
use crate::transport::Transport;
use crate::{Driver, Host};

impl Driver {
    /// Gives `frame` (Ethernet, without FCS) to transmit queue `queue`, after taking back what the device
    /// has finished with, and tells the device if it wants to know.
    ///
    /// # Errors
    /// The frame was not taken: wrong length, no free descriptor, no such queue, or not running.
    pub fn transmit<T: Transport, H: Host>(
        &mut self,
        now: u64,
        queue: u16,
        frame: &[u8],
        transport: &mut T,
        host: &mut H,
    ) -> Result<(), TransmitError> {
        let (live, max) = (self.is_live(), self.max_frame());
        let active = self.channels.active();
        let tx = self.tx.get_mut(usize::from(queue)).ok_or(TransmitError::NoSuchQueue { queue })?;
        if !live {
            return Err(TransmitError::NotRunning);
        }
        if queue >= active {
            return Err(TransmitError::NotInUse { queue, active });
        }
        if tx.resetting.is_some() {
            return Err(TransmitError::InReset);
        }
        if let Some(error) = tx.broken {
            return Err(TransmitError::Broken(error));
        }
        if !(spec::ETHERNET_HEADER_BYTES..=max).contains(&frame.len()) {
            tx.counters.bad_length += 1;
            return Err(TransmitError::BadLength { len: frame.len() as u64, max: max as u64 });
        }
        if let Err(error) = tx.reap(&self.memory) {
            stop(now, queue, tx, error, host);
            // The frame at hand is the caller's in any case.
            self.recover(now, Fault::Transmit(queue), transport, host);
            return Err(TransmitError::Broken(error));
        }
        if !tx.send(&self.memory, frame) {
            tx.counters.queue_full += 1;
            return Err(TransmitError::QueueFull);
        }
        tx.counters.sent += 1;
        tx.counters.bytes += frame.len() as u64;
        host.event(now, Event::FrameSent { queue, len: frame.len() as u32 });
        if tx.ring.kick_wanted(&self.memory) {
            tx.counters.kicks += 1;
            host.event(now, Event::TransmitKicked { queue });
            transport.notify(2 * queue + 1);
        } else {
            tx.counters.kicks_suppressed += 1;
        }
        Ok(())
    }

    /// What a buffer holds, and what the MTU allows beside an Ethernet header with one VLAN tag.
    fn max_frame(&self) -> usize {
        let buffer = self.config.tx_buffer_size() as usize - spec::header_bytes(self.features);
        let link = spec::ETHERNET_HEADER_BYTES + spec::VLAN_TAG_BYTES;
        self.device.mtu.map_or(buffer, |mtu| buffer.min(usize::from(mtu) + link))
    }
}

/// The device does not touch the queue any more: what it has finished with is taken back, and what it has not
/// is counted, once.
pub(crate) fn harvest<H: Host>(
    now: u64,
    queue: u16,
    tx: &mut TxQueue,
    memory: &DmaRegion,
    host: &mut H,
) {
    if !std::mem::take(&mut tx.up) {
        return;
    }
    if tx.broken.is_none()
        && let Err(error) = tx.reap(memory)
    {
        stop(now, queue, tx, error, host);
    }
    tx.counters.reset_in_flight += u64::from(tx.ring.outstanding());
}

/// Stops the queue until a reset; the frames in it are the device's affair.
fn stop<H: Host>(now: u64, queue: u16, tx: &mut TxQueue, error: RingError, host: &mut H) {
    match error {
        RingError::IndexJump { .. } => tx.counters.index_jumps += 1,
        RingError::UnknownId { .. } => tx.counters.unknown_id += 1,
        RingError::DuplicateId { .. } => tx.counters.duplicate_id += 1,
        RingError::DescriptorFlags { .. } => tx.counters.descriptor_flags += 1,
        RingError::BatchTooLong { .. } => tx.counters.batch_too_long += 1,
        // Of receive queues only.
        RingError::MissingBuffers { .. } => {}
    }
    tx.broken = Some(error);
    host.event(now, Event::TransmitBroken { queue, error: error.name() });
}

/// Why a frame could not be given to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransmitError {
    /// There is no such transmit queue.
    NoSuchQueue {
        /// The queue named.
        queue: u16,
    },
    /// The driver is not running.
    NotRunning,
    /// The device has broken the rules of this ring.
    Broken(RingError),
    /// The queue is being reset.
    InReset,
    /// So many pairs are in use, and this is none of them.
    NotInUse {
        /// The queue named.
        queue: u16,
        /// Pairs in use.
        active: u16,
    },
    /// Every descriptor is with the device; try again later.
    QueueFull,
    /// The frame is shorter than an Ethernet header or longer than a buffer or the MTU allows.
    BadLength {
        /// Bytes of the frame.
        len: u64,
        /// The most that can be sent.
        max: u64,
    },
}

impl fmt::Display for TransmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchQueue { queue } => {
                write!(f, "there is no transmit queue {queue}; use one below queue_pairs")
            }
            Self::NotRunning => write!(f, "the driver is not running; start it first"),
            Self::Broken(error) => {
                write!(f, "transmit queue: {error}; reset the queue, or restart the driver")
            }
            Self::NotInUse { queue, active } => {
                write!(f, "transmit queue {queue} is not in use; use one below {active}")
            }
            Self::InReset => write!(f, "the transmit queue is in reset; try again later"),
            Self::QueueFull => {
                write!(f, "every transmit descriptor is with the device; try again later")
            }
            Self::BadLength { len, max } => {
                write!(f, "a frame of {len} bytes cannot be sent; send 14..={max}")
            }
        }
    }
}

impl std::error::Error for TransmitError {}
