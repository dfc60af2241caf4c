//! The control queue: commands in, answers out, effects on the device.
//!
//! One call answers at most as many commands as the queue is long; the rest is due at once.

use super::Device;
use crate::ctrl::{self, Agreed, COMMAND_LEN_MAX, Order};
use crate::drop::DropReason;
use crate::event::Event;
use crate::host::Host;
use crate::ring::{Fetched, Reference, Ring, RingFault, Shape, Used};
use crate::spec::control;
use std::ops::Deref;
use vm_memory::GuestMemory;

impl<M> Device<M>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    /// Works off the control queue, which is enabled.
    pub(super) fn serve_control<H: Host>(&mut self, now: u64, virtqueue: u16, host: &mut H) {
        if self.control_dead() {
            return;
        }
        match self.answer_commands(now, virtqueue.into(), host) {
            Ok(true) => self.interrupt_if_wanted(now, virtqueue, host),
            Ok(false) => {}
            Err(fault) => self.break_ring(now, virtqueue, fault, host),
        }
    }

    fn answer_commands<H: Host>(
        &mut self,
        now: u64,
        index: usize,
        host: &mut H,
    ) -> Result<bool, RingFault> {
        let bound = self.queues[index].ring.as_ref().map_or(0, Reference::size);
        self.set_kicks(index, false)?;
        let mut answered = false;
        for _ in 0..bound {
            let Some(ring) = &mut self.queues[index].ring else { break };
            let chain = &mut self.scratch.chain;
            if ring.fetch(&*self.memory, Shape::Control, 1, chain)? == Fetched::Chain {
                self.answer_one(now, host)?;
                answered |= self.publish(index)?;
            } else if !self.set_kicks(index, true)? {
                return Ok(answered);
            }
        }
        let more = self.set_kicks(index, true)?;
        self.set_unfinished(index, more);
        Ok(answered)
    }

    /// Answers the command in the scratch chain and leaves its used element in the scratch.
    fn answer_one<H: Host>(&mut self, now: u64, host: &mut H) -> Result<(), RingFault> {
        let chain = &self.scratch.chain;
        let len = chain.read(&*self.memory, &mut self.scratch.bytes[..COMMAND_LEN_MAX])?;
        let command = &self.scratch.bytes[..len];
        let whole = len == chain.readable_len as usize;
        let agreed = Agreed {
            features: self.registers.driver_features,
            max_pairs: self.config.max_queue_pairs,
        };
        let order = ctrl::parse(command, agreed);
        let name = |at: usize| command.get(at).copied().unwrap_or(0);
        let (class, number) = (name(0), name(1));
        // Longer than any command: its beginning may look right, it is wrong all the same.
        let done = order.is_ok_and(|order| whole && self.carry_out(now, order, host));
        let ack = if done {
            self.counters.control_ok += 1;
            control::OK
        } else {
            self.counters.control_err += 1;
            control::ERR
        };
        host.event(now, Event::ControlCommand { class, command: number, ack });
        self.scratch.chain.write(&*self.memory, std::iter::once(&[ack][..]))?;
        self.scratch.used.push(Used { head: self.scratch.chain.head, len: 1 });
        Ok(())
    }

    /// Carries a command out; `false`, and nothing changed, if the device's state does not allow it.
    fn carry_out<H: Host>(&mut self, now: u64, order: Order, host: &mut H) -> bool {
        match order {
            Order::Pairs(pairs) => {
                self.steering.set_automatic(pairs);
                self.pairs_changed(now, host);
            }
            Order::Rss(config) => {
                self.steering.set_rss(config);
                self.pairs_changed(now, host);
            }
        }
        true
    }

    /// Once a command that sets the pairs is answered no frame may come by a pair no longer in use
    /// (5.1.6.5.6.1), so those held for one are dropped.
    fn pairs_changed<H: Host>(&mut self, now: u64, host: &mut H) {
        for pair in self.steering.active_pairs()..self.config.max_queue_pairs {
            self.flush(now, pair, DropReason::QueueDisabled, host);
        }
        self.run_dma(now, host);
    }
}
