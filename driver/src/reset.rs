//! Resets under load: of one receive queue, and of the whole device. Those of transmit queues are in
//! `reset_tx.rs`, those that happen by themselves after a fault in `recover.rs`.
//!
//! | a frame that is, at a reset | meets |
//! |---|---|
//! | with the device: FIFO, DMA | the device's own drop |
//! | completed and not taken, ring sound | the host: it is taken first, and indicated |
//! | completed and not taken, ring broken | a drop, [`DropReason::DriverReset`], if it can be told from others |
//! | given to the device to be sent, not completed | nobody knows: counted as `reset_in_flight` |
//!
//! Behind a break frames are told from each other only where each takes one buffer: with mergeable buffers
//! nobody can say which is the first of a frame. Every buffer that is left is counted as `reset_left`.
//!
//! Completions are taken when the device has said that its reset is over, as it touches no memory from then
//! on: so none can come too late.
//!
//! Contract: a queue in reset is polled by nobody and given nothing; its positions go on counting.

use crate::bring_up::Progress;
use crate::command::Command;
use crate::config::MIN_RING;
use crate::drop::DropReason;
use crate::event::Event;
use crate::policy::{ADAPTIVE_STEPS, Moderation};
use crate::reset_error::ResetError;
use crate::ring::RingFeatures;
use crate::spec;
use crate::take;
use crate::transmit;
use crate::transport::{QueueSetup, Transport, TransportError};
use crate::{Driver, Host, vector_of};

/// Picoseconds between two looks at a queue or a device whose reset takes its time.
pub(crate) const LOOK_PS: u64 = 10_000_000;

/// A receive queue that the device resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resetting {
    deadline: u64,
    entries: u16,
}

impl Driver {
    /// Resets receive queue `queue` alone and puts it to use again with `entries` ring entries, or as many
    /// as before (virtio 1.x 2.6.1; what `ethtool -G` does with virtio-net). If the device takes its
    /// time, [`Driver::advance`] goes on with it.
    ///
    /// # Errors
    /// The queue is as it was, unless the transport failed on the way: then it has stopped.
    pub fn reset_queue<T: Transport, H: Host>(
        &mut self,
        now: u64,
        queue: u16,
        entries: Option<u16>,
        transport: &mut T,
        host: &mut H,
    ) -> Result<Progress, ResetError> {
        let deadline = self.queue_reset_deadline(now)?;
        let max = self.config.rx_ring;
        let rx = self.rx.get_mut(usize::from(queue)).ok_or(ResetError::NoSuchQueue { queue })?;
        if rx.resetting.is_some() {
            return Err(ResetError::UnderWay { queue });
        }
        let entries = entries.unwrap_or(rx.ring.size());
        if !(MIN_RING..=max).contains(&entries) || !entries.is_power_of_two() {
            return Err(ResetError::Entries { entries, max });
        }
        if self.device.check_ring(&self.config, entries, self.features).is_err() {
            return Err(ResetError::TooShort { entries });
        }
        transport.reset_queue(2 * queue).map_err(ResetError::Transport)?;
        rx.counters.receive.queue_resets += 1;
        rx.resetting = Some(Resetting { deadline, entries });
        host.event(now, Event::QueueResetBegun { queue });
        self.go_on_resetting(now, queue, transport, host)
    }

    /// When the device must be done with the reset of a queue that begins now, if one may begin.
    pub(crate) fn queue_reset_deadline(&self, now: u64) -> Result<u64, ResetError> {
        if !self.is_live() {
            return Err(ResetError::NotRunning);
        }
        if self.features & spec::F_RING_RESET == 0 {
            return Err(ResetError::NotAgreed);
        }
        Ok(self.deadline(now))
    }

    /// Resets the device and brings it up again. What it had completed is indicated first.
    ///
    /// # Errors
    /// As [`Driver::start`].
    pub fn reset<T: Transport, H: Host>(
        &mut self,
        now: u64,
        transport: &mut T,
        host: &mut H,
    ) -> Result<Progress, crate::DriverError> {
        self.counters.device_resets += 1;
        self.start(now, transport, host)
    }

    /// Goes on with the reset of a queue, if it is in one.
    pub(crate) fn go_on_resetting<T: Transport, H: Host>(
        &mut self,
        now: u64,
        queue: u16,
        transport: &mut T,
        host: &mut H,
    ) -> Result<Progress, ResetError> {
        let rx = &mut self.rx[usize::from(queue)];
        let Some(Resetting { deadline, entries }) = rx.resetting else {
            return Ok(Progress::Running);
        };
        if transport.queue_resetting(2 * queue) {
            if now >= deadline {
                rx.counters.receive.queue_reset_timeouts += 1;
                host.event(now, Event::QueueResetTimeout { queue });
                return Err(ResetError::Timeout { queue });
            }
            let look = now.saturating_add(LOOK_PS).min(deadline);
            rx.timer.poll_at(look);
            self.timers.set(look);
            return Ok(Progress::Waiting { deadline });
        }
        self.harvest(now, queue, host);
        let rx = &mut self.rx[usize::from(queue)];
        rx.resetting = None;
        let consumed = rx.consumed;
        rx.resize(entries);
        rx.reset(&self.memory, RingFeatures::of(self.features));
        rx.consumed = consumed;
        rx.refill(&self.memory);
        let setup = rx.ring.setup(&self.memory, Some(vector_of(queue)));
        if let Err(error) = put_to_use(2 * queue, &setup, transport) {
            // Nothing may be assumed of the queue: it stays as one that nobody will ever finish.
            rx.resetting = Some(Resetting { deadline: now, entries });
            rx.counters.receive.queue_reset_failures += 1;
            host.event(now, Event::QueueResetFailed { queue });
            return Err(ResetError::Transport(error));
        }
        let posted = rx.ring.outstanding();
        host.event(now, Event::QueueRestarted { queue, entries, posted });
        rx.kick(now, queue, &self.memory, transport, host);
        transport.set_vector_masked(vector_of(queue), false);
        if matches!(self.config.moderation, Moderation::BusyPoll { .. }) {
            self.start_polling(now, queue, transport, host);
        }
        self.coalesce_again(now, queue, transport, host);
        Ok(Progress::Running)
    }

    /// A queue that is enabled again has the limits for all queues (5.1.6.5.9.1): it is told its own.
    fn coalesce_again<T: Transport, H: Host>(
        &mut self,
        now: u64,
        queue: u16,
        transport: &mut T,
        host: &mut H,
    ) {
        let own = self.config.coalesce.queues.iter().rfind(|(of, _)| *of == queue);
        let adaptive = self.config.moderation == Moderation::AdaptiveDevice;
        let first = adaptive.then(|| ADAPTIVE_STEPS[0].limits());
        if let Some(limits) = own.map(|(_, limits)| *limits).or(first) {
            let command = Command::coalesce_queue(queue, limits);
            self.order_latest(now, command, transport, host);
        }
    }

    /// Takes what the device has completed in a queue that it does not touch any more: indicates it if the
    /// ring is sound, drops it if not.
    pub(crate) fn harvest<H: Host>(&mut self, now: u64, queue: u16, host: &mut H) {
        let rx = &mut self.rx[usize::from(queue)];
        if !std::mem::take(&mut rx.up) {
            return;
        }
        if rx.broken.is_none() {
            let polled = take::take_all(now, queue, rx, &self.memory, &mut self.staging, host);
            rx.counters.receive.reset_taken += u64::from(polled.frames);
        }
        if rx.broken.is_none() {
            return;
        }
        let abandoned = rx.ring.abandoned(&self.memory);
        rx.counters.receive.reset_left += u64::from(abandoned);
        let frames = if self.staging.format.mergeable { 0 } else { abandoned };
        for left in (1..=frames).rev() {
            let position = rx.consumed;
            rx.consumed += 1;
            rx.counters.receive.consumed += 1;
            let numbers = (left.into(), rx.ring.slots().into(), 1);
            take::drop_it(now, queue, position, DropReason::DriverReset, numbers, rx, host);
        }
    }

    /// The same for all queues, and the frames that were on their way out are counted. The device is in
    /// reset.
    pub(crate) fn harvest_all<H: Host>(&mut self, now: u64, host: &mut H) {
        for queue in 0..self.rx.len() as u16 {
            self.harvest(now, queue, host);
            self.rx[usize::from(queue)].consumed = 0;
        }
        for (queue, tx) in (0..).zip(&mut self.tx) {
            transmit::harvest(now, queue, tx, &self.memory, host);
        }
    }
}

pub(crate) fn put_to_use<T: Transport>(
    virtqueue: u16,
    setup: &QueueSetup,
    transport: &mut T,
) -> Result<(), TransportError> {
    transport.setup_queue(virtqueue, setup)?;
    transport.enable_queue(virtqueue)
}
