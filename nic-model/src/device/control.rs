//! The control queue: commands in, answers out, effects on steering.
//!
//! One call answers at most as many commands as the queue is long; the rest is due at once.

use super::Device;
use crate::ctrl::{self, COMMAND_LEN_MAX, Order};
use crate::event::Event;
use crate::host::Host;
use crate::ring::{Fetched, Ring, RingFault, Shape, Used};
use crate::spec::control;
use std::ops::Deref;
use vm_memory::GuestMemory;

impl<M> Device<M>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    /// Works off the control queue, which is enabled.
    pub(super) fn serve_control<H: Host>(&mut self, now: u64, virtqueue: u16, host: &mut H) {
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
        let bound = self.queues[index].ring.as_ref().map_or(0, |ring| ring.size());
        self.queues[index].unfinished = false;
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
        self.queues[index].unfinished = self.set_kicks(index, true)?;
        Ok(answered)
    }

    /// Answers the command in the scratch chain and leaves its used element in the scratch.
    fn answer_one<H: Host>(&mut self, now: u64, host: &mut H) -> Result<(), RingFault> {
        let chain = &self.scratch.chain;
        let len = chain.read(&*self.memory, &mut self.scratch.bytes[..COMMAND_LEN_MAX])?;
        let command = &self.scratch.bytes[..len];
        let whole = len == chain.readable_len as usize;
        let features = self.registers.driver_features;
        let order = ctrl::parse(command, features, self.config.max_queue_pairs);
        let name = |at: usize| command.get(at).copied().unwrap_or(0);
        let (class, number) = (name(0), name(1));
        let ack = match order {
            // Longer than any command: its beginning may look right, it is wrong all the same.
            _ if !whole => control::ERR,
            Ok(Order::Pairs(pairs)) => {
                self.steering.set_automatic(pairs);
                control::OK
            }
            Ok(Order::Rss(config)) => {
                self.steering.set_rss(config);
                control::OK
            }
            Err(_) => control::ERR,
        };
        if ack == control::OK {
            self.counters.control_ok += 1;
        } else {
            self.counters.control_err += 1;
        }
        host.event(now, Event::ControlCommand { class, command: number, ack });
        chain.write(&*self.memory, std::iter::once(&[ack][..]))?;
        self.scratch.used.push(Used { head: self.scratch.chain.head, len: 1 });
        Ok(())
    }
}
