//! Queues that move from one back-end to the next: what vhost-user asks of a device beyond virtio.
//!
//! A front-end may stop a single virtqueue and learn where it would have gone on, start it there again, and
//! exchange guest memory under the device. None of it is visible to the driver.
//!
//! | a frame of a stopped receive queue that is | meets |
//! |---|---|
//! | in the FIFO, or on the DMA engine and not yet published | a drop, `queue_disabled` |
//! | steered there before the queue starts again | the same |

use super::{Device, Queue, Role};
use crate::drop::DropReason;
use crate::host::Host;
use crate::ring::inflight::{ResumeError, Tracked};
use crate::ring::{QueueError, QueueSetup, Region, Ring, Virtqueue};
use std::ops::Deref;
use vm_memory::GuestMemory;

impl<M> Device<M>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    /// Guest memory is this from now on. Rings that are in use must lie in it as they did before.
    pub fn set_memory(&mut self, memory: M) {
        self.memory = memory;
    }

    /// Sets a virtqueue up, to go on at `base`, as [`Ring::base`] has it. It is enabled with
    /// [`Device::enable_queue`].
    ///
    /// # Errors
    /// See [`QueueError`].
    pub fn resume_queue(
        &mut self,
        queue: u16,
        setup: &QueueSetup,
        base: u32,
    ) -> Result<(), QueueError> {
        self.setup_queue(queue, setup)?;
        let state = &mut self.queues[usize::from(queue)];
        let ring = state.ring.as_mut().ok_or(QueueError::NotSetUp(queue))?;
        if !ring.resume(&*self.memory, base) {
            *state = Queue::default();
            return Err(QueueError::Base { base });
        }
        Ok(())
    }

    /// The same, with what the next back-end needs in `region`, which was made for queues of `entries` entries. If
    /// another back-end has left something there, the queue goes on behind it and not at `base`.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub fn resume_tracked(
        &mut self,
        queue: u16,
        setup: &QueueSetup,
        base: u32,
        entries: u16,
        region: Box<dyn Region>,
    ) -> Result<(), QueueError> {
        self.setup_queue(queue, setup)?;
        let state = &mut self.queues[usize::from(queue)];
        let ring = state.ring.take().ok_or(QueueError::NotSetUp(queue))?;
        match Tracked::resume(ring, &*self.memory, setup, base, entries, region) {
            Ok(tracked) => state.ring = Some(Virtqueue::Tracked(Box::new(tracked))),
            Err(error) => {
                *state = Queue::default();
                return Err(match error {
                    ResumeError::Base => QueueError::Base { base },
                    ResumeError::Inflight(error) => QueueError::Inflight(error),
                });
            }
        }
        Ok(())
    }

    /// Lets frames into a receive queue that is set up, or keeps them away: what the FIFO holds for it is
    /// dropped then, as in the table above.
    pub fn set_receiving<H: Host>(&mut self, now: u64, queue: u16, on: bool, host: &mut H) {
        let Some(Role::Receive(pair)) = self.role(queue) else { return };
        let now = self.catch_up(now, host);
        let state = &mut self.queues[usize::from(queue)];
        if state.ring.is_none() || state.enabled == on {
            return;
        }
        state.enabled = on;
        if !on {
            self.flush(now, pair, DropReason::QueueDisabled, host);
        }
        self.run_dma(now, host);
    }

    /// Looks at a virtqueue without having been kicked, as a back-end does that polls.
    pub fn poll_queue<H: Host>(&mut self, now: u64, queue: u16, host: &mut H) {
        let now = self.catch_up(now, host);
        if self.role(queue).is_some() {
            self.serve(now, queue, host);
        }
    }

    /// Takes a virtqueue out of use: where it would have gone on; `None` if it was not set up.
    pub fn stop_queue<H: Host>(&mut self, now: u64, queue: u16, host: &mut H) -> Option<u32> {
        let role = self.role(queue)?;
        let now = self.catch_up(now, host);
        if let Role::Receive(pair) = role {
            self.flush(now, pair, DropReason::QueueDisabled, host);
            self.dma.renew(pair);
        }
        let state = std::mem::take(&mut self.queues[usize::from(queue)]);
        self.run_dma(now, host);
        state.ring.map(|ring| ring.base())
    }
}
