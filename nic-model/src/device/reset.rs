//! Resets of a single virtqueue (virtio 2.6.1, 4.1.4.3): what `queue_reset` of the common configuration does.
//!
//! A reset is complete when the call returns, so a driver that reads `queue_reset` back reads 0. The queue is
//! then as after a reset of the device: not set up, not enabled, with nothing to say. What was published
//! in its used ring stays in guest memory and belongs to the driver.
//!
//! | a frame of the queue that is | meets |
//! |---|---|
//! | in the FIFO, or on the DMA engine and not yet published | a drop, `queue_reset` |
//! | steered there by RSS before the queue is enabled again | a drop, `queue_reset` (5.1.6.5.7.3) |
//! | steered there by the automatic rule | another queue; the same drop if all are in reset (5.1.6.5.6.1) |
//!
//! A chain to transmit that was not fetched is the driver's affair; it was never the device's.

use super::{Device, Queue, Role};
use crate::drop::DropReason;
use crate::event::Event;
use crate::host::Host;
use crate::ring::QueueError;
use crate::spec::feature;
use std::ops::Deref;
use vm_memory::GuestMemory;

impl<M> Device<M>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    /// Resets a virtqueue, enabled or not; a malformed ring is forgotten too, but DEVICE_NEEDS_RESET stays.
    /// Afterwards the queue may be set up anew, in another place and size, and enabled.
    ///
    /// # Errors
    /// There is no such queue, or VIRTIO_F_RING_RESET was not negotiated; nothing has changed then.
    pub fn reset_queue<H: Host>(
        &mut self,
        now: u64,
        queue: u16,
        host: &mut H,
    ) -> Result<(), QueueError> {
        if !self.registers.negotiated(feature::RING_RESET) {
            return Err(QueueError::NoRingReset);
        }
        let role = self.role(queue).ok_or(QueueError::NoSuchQueue(queue))?;
        let now = self.catch_up(now, host);
        self.counters.queue_resets += 1;
        let frames = match role {
            Role::Receive(pair) => self.fifo_frames_of(pair),
            Role::Transmit(_) | Role::Control => 0,
        };
        host.event(now, Event::QueueReset { virtqueue: queue, frames });
        match role {
            Role::Receive(pair) => {
                self.flush(now, pair, DropReason::QueueReset, host);
                self.dma.renew(pair);
                self.rx_coalescer.renew(pair);
            }
            Role::Transmit(pair) => self.tx_coalescer.renew(pair),
            Role::Control => {}
        }
        self.queues[usize::from(queue)] = Queue { in_reset: true, ..Queue::default() };
        // The engine may have been busy with a frame of this queue.
        self.run_dma(now, host);
        Ok(())
    }

    /// The pair that a frame steered to `pair` goes to: another one if that is in reset and steering is
    /// free to choose.
    #[inline]
    pub(super) fn around_resets(&self, pair: u16) -> u16 {
        if self.queues[2 * usize::from(pair)].in_reset { self.choose_again(pair) } else { pair }
    }

    #[cold]
    fn choose_again(&self, pair: u16) -> u16 {
        if self.steering.is_rss() {
            return pair;
        }
        let active = self.steering.active_pairs();
        let others = (1..active).map(|distance| (pair + distance) % active);
        let mut usable = others.filter(|other| self.queues[2 * usize::from(*other)].enabled);
        usable.next().unwrap_or(pair)
    }
}
