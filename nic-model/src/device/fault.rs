//! Faults on request: what [`Device::inject`] arms, and what the data path does where one is armed.
//!
//! The state lives in a box that is there from the first fault on. The data path asks only whether it is:
//! before that a frame costs one test more.

use super::Device;
use crate::drop::DropReason;
use crate::event::Event;
use crate::fault::{Fault, FaultError, Lie};
use crate::fifo::Held;
use crate::host::Host;
use crate::ring::{False, Ring, RingFault, Used};
use crate::spec::status;
use std::collections::VecDeque;
use std::ops::Deref;
use vm_memory::GuestMemory;

/// What is armed.
#[derive(Debug, Default)]
pub(super) struct Armed {
    /// By pair, and last for whichever pair comes first: what the next completions say instead of the truth.
    lies: Vec<VecDeque<Lie>>,
    /// By pair: its used index stands still.
    delayed: Vec<bool>,
    /// By pair: frames that are written and not published, oldest first.
    withheld: Vec<VecDeque<(Held, Used)>>,
    /// By pair: their used elements, several for a frame over several buffers.
    withheld_used: Vec<Vec<Used>>,
    control_dead: bool,
    /// Why frames are dropped, while the device has stopped by itself.
    halted: Option<DropReason>,
}

impl Armed {
    fn new(pairs: u16) -> Self {
        let pairs = usize::from(pairs);
        Self {
            lies: vec![VecDeque::new(); pairs + 1],
            delayed: vec![false; pairs],
            withheld: (0..pairs).map(|_| VecDeque::new()).collect(),
            withheld_used: vec![Vec::new(); pairs],
            ..Self::default()
        }
    }

    /// The lie that the next completion of `pair` is to tell; it is used up.
    fn take_lie(&mut self, pair: u16) -> Option<Lie> {
        let any = self.lies.len() - 1;
        self.lies[usize::from(pair)].pop_front().or_else(|| self.lies[any].pop_front())
    }
}

impl<M> Device<M>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    /// Makes the device do what `fault` says from now on; see [`Fault`] for each, and for how it ends.
    /// A device that is gone stays gone.
    ///
    /// # Errors
    /// The device has no such queue; nothing has changed.
    pub fn inject<H: Host>(
        &mut self,
        now: u64,
        fault: Fault,
        host: &mut H,
    ) -> Result<(), FaultError> {
        let pairs = self.config.max_queue_pairs;
        if let Some(pair) = fault.pair().filter(|pair| *pair >= pairs) {
            return Err(FaultError::NoSuchPair { pair, pairs });
        }
        let now = self.catch_up(now, host);
        let (name, queue) = (fault.name(), fault.pair());
        host.event(
            now,
            match fault.is_end() {
                true => Event::FaultEnded { fault: name, queue },
                false => Event::FaultInjected { fault: name, queue },
            },
        );
        let armed = self.armed.get_or_insert_with(|| Box::new(Armed::new(pairs)));
        match fault {
            Fault::FifoShrink { bytes } => {
                self.fifo.set_capacity(bytes.unwrap_or(self.config.fifo_bytes));
            }
            Fault::DmaSlow { times } => self.dma.slow_down(times),
            Fault::DmaStall { lasting_ps } => {
                self.dma.stall(now, lasting_ps);
            }
            Fault::DmaReorder { on } => self.dma.go_backwards(on),
            Fault::UsedIndexDelayed { pair, on } => {
                armed.delayed[usize::from(pair)] = on;
                if !on {
                    self.publish_withheld(now, pair, host);
                }
            }
            Fault::Completion { pair, lie } => {
                armed.lies[usize::from(pair.unwrap_or(pairs))].push_back(lie);
            }
            Fault::QueueStuck { pair, on } => {
                self.dma.set_stuck(pair, on);
                self.run_dma(now, host);
            }
            Fault::ControlQueueDead { on } => {
                armed.control_dead = on;
                if let Some(queue) = self.registers.control_queue(&self.config) {
                    self.serve(now, queue, host);
                }
            }
            Fault::ConfigChanged => {
                self.registers.generation = self.registers.generation.wrapping_add(1);
                self.configuration_interrupt(now, host);
            }
            Fault::DeviceReset => {
                if armed.halted.is_none() {
                    self.halt(now, DropReason::NeedsReset, host);
                    self.registers.status |= status::DEVICE_NEEDS_RESET;
                    self.configuration_interrupt(now, host);
                }
            }
            Fault::SurpriseRemoval => self.halt(now, DropReason::Removed, host),
        }
        Ok(())
    }

    /// Stops everything: frames held and new are dropped for `reason`.
    fn halt<H: Host>(&mut self, now: u64, reason: DropReason, host: &mut H) {
        if let Some(armed) = &mut self.armed {
            armed.halted = Some(reason);
        }
        self.registers.halted = true;
        for pair in 0..self.config.max_queue_pairs {
            self.flush(now, pair, reason, host);
        }
        self.rx_coalescer.reset();
        self.tx_coalescer.reset();
        if reason == DropReason::Removed {
            self.msix.forget_pending();
        }
    }

    /// Why a device that is not live drops a frame.
    #[cold]
    pub(super) fn why_not_live(&self) -> DropReason {
        let halted = self.armed.as_ref().and_then(|armed| armed.halted);
        halted.unwrap_or(DropReason::NotReady)
    }

    /// The device is gone, and with it all that it could tell.
    #[inline]
    pub(super) fn is_removed(&self) -> bool {
        self.registers.halted && self.why_not_live() == DropReason::Removed
    }

    /// The driver's reset ends what the device did by itself, but does not bring a device back.
    pub(super) fn reset_ends_halt(&mut self) -> bool {
        match &mut self.armed {
            Some(armed) => {
                armed.halted = armed.halted.filter(|reason| *reason == DropReason::Removed);
                armed.halted.is_some()
            }
            None => false,
        }
    }

    /// Whether commands are to be left unread.
    #[inline]
    pub(super) fn control_dead(&self) -> bool {
        self.armed.as_ref().is_some_and(|armed| armed.control_dead)
    }

    /// Frames of a pair that are written and not published.
    pub(super) fn withheld_of(&self, pair: u16) -> u64 {
        self.armed.as_ref().map_or(0, |armed| armed.withheld[usize::from(pair)].len() as u64)
    }

    /// The oldest frame of a pair is in memory, `used` is its completion, and something may be armed.
    #[cold]
    pub(super) fn finish_armed<H: Host>(
        &mut self,
        now: u64,
        pair: u16,
        held: Held,
        used: Used,
        host: &mut H,
    ) {
        let Some(bent) = self.bend(pair, held, used) else {
            self.note_waiting(pair);
            return;
        };
        if let Err(fault) = self.publish_bent(pair, bent) {
            self.break_ring(now, 2 * pair, fault, host);
            return;
        }
        self.fifo.remove(pair, held);
        self.note_waiting(pair);
        self.tell_written(now, pair, (held.tag, held.len), bent.used, host);
        if let Err(fault) = self.after_bent(now, pair, bent, host) {
            self.break_ring(now, 2 * pair, fault, host);
            return;
        }
        self.after_publication(now, pair, 1, host);
    }

    /// Makes the completion a lie, or holds the frame back; `Some` is to be published.
    fn bend(&mut self, pair: u16, held: Held, used: Used) -> Option<Bent> {
        let Some(armed) = &mut self.armed else { return Some(Bent { used, lie: None }) };
        if armed.delayed[usize::from(pair)] {
            armed.withheld[usize::from(pair)].push_back((held, used));
            armed.withheld_used[usize::from(pair)].extend(self.dma.merged.elements(&used));
            self.fifo.withhold(pair, held);
            return None;
        }
        let lie = armed.take_lie(pair);
        let used = match lie {
            Some(Lie::Short { len }) => {
                if let Some(first) = self.dma.merged.parts.first_mut() {
                    first.len = len;
                }
                Used { len, ..used }
            }
            _ => used,
        };
        Some(Bent { used, lie })
    }

    /// Publishes a completion with its lie.
    fn publish_bent(&mut self, pair: u16, bent: Bent) -> Result<(), RingFault> {
        let Some(ring) = &mut self.queues[2 * usize::from(pair)].ring else { return Ok(()) };
        match bent.lie {
            Some(Lie::WrongId) => ring.put_false(&*self.memory, False::WrongId(bent.used.len)),
            _ => ring.put_used(&*self.memory, self.dma.merged.elements(&bent.used)),
        }
    }

    /// After a frame was published: tells of its lie, and publishes what is no frame.
    fn after_bent<H: Host>(
        &mut self,
        now: u64,
        pair: u16,
        bent: Bent,
        host: &mut H,
    ) -> Result<(), RingFault> {
        let Some(lie) = bent.lie else { return Ok(()) };
        let queue = Some(pair);
        let name = Fault::Completion { pair: queue, lie }.name();
        host.event(now, Event::FaultActed { fault: name, queue });
        let Some(ring) = &mut self.queues[2 * usize::from(pair)].ring else { return Ok(()) };
        match lie {
            Lie::Duplicated => ring.put_used(&*self.memory, &[bent.used])?,
            Lie::Stale => ring.put_false(&*self.memory, False::Stale)?,
            Lie::Short { .. } | Lie::WrongId => return Ok(()),
        }
        self.published[usize::from(pair)] += 1;
        host.event(now, Event::FalseCompletion { queue: pair });
        Ok(())
    }

    /// Publishes what a pair held back, oldest first, all of it before the first event.
    pub(super) fn publish_withheld<H: Host>(&mut self, now: u64, pair: u16, host: &mut H) {
        let Some(armed) = &mut self.armed else { return };
        let Some(ring) = &mut self.queues[2 * usize::from(pair)].ring else { return };
        // A ring that broke or a device that is gone has lost what it held back.
        if armed.withheld[usize::from(pair)].is_empty() {
            return;
        }
        if let Err(fault) = ring.put_used(&*self.memory, &armed.withheld_used[usize::from(pair)]) {
            self.break_ring(now, 2 * pair, fault, host);
            return;
        }
        armed.withheld_used[usize::from(pair)].clear();
        for (held, used) in std::mem::take(&mut armed.withheld[usize::from(pair)]) {
            self.fifo.release(held.len);
            self.tell_written(now, pair, (held.tag, held.len), used, host);
            self.after_publication(now, pair, 1, host);
        }
    }

    /// Loses what a pair held back.
    pub(super) fn drop_withheld<H: Host>(
        &mut self,
        now: u64,
        pair: u16,
        reason: DropReason,
        host: &mut H,
    ) {
        let Some(armed) = &mut self.armed else { return };
        armed.withheld_used[usize::from(pair)].clear();
        for (held, _) in std::mem::take(&mut armed.withheld[usize::from(pair)]) {
            self.fifo.release(held.len);
            self.drop_frame(now, super::one_frame(held.tag, reason, Some(pair)), host);
        }
    }
}

/// A completion, and the lie that goes with it.
#[derive(Clone, Copy, Debug)]
struct Bent {
    used: Used,
    lie: Option<Lie>,
}
