//! The control queue: commands in, answers out, effects on the device.
//!
//! One call answers at most as many commands as the queue is long; the rest is due at once.

use super::{Device, Role, Scratch};
use crate::coalesce::Coalescer;
use crate::ctrl::{self, Agreed, COMMAND_LEN_MAX, Order, Refusal};
use crate::drop::DropReason;
use crate::event::Event;
use crate::host::Host;
use crate::ring::{Fetched, Ring, RingFault, Shape, Used, Virtqueue};
use crate::spec::{control, feature};
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
            Ok(true) => self.after_answers(now, virtqueue, host),
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
        let bound = self.queues[index].ring.as_ref().map_or(0, Virtqueue::size);
        self.set_kicks(index, false)?;
        let mut answered = false;
        for _ in 0..bound {
            let Some(ring) = &mut self.queues[index].ring else { break };
            let chain = &mut self.scratch.chain;
            if ring.fetch(&*self.memory, Shape::Control, 1, chain)? == Fetched::Chain {
                self.answer_one(now, host)?;
                answered |= self.publish(index)? > 0;
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
        let before = ctrl::data_written(command, agreed.features);
        self.scratch.reply.clear();
        let name = |at: usize| command.get(at).copied().unwrap_or(0);
        let (class, number) = (name(0), name(1));
        // Longer than any command: its beginning may look right, it is wrong all the same.
        let order = if whole { order } else { Err(Refusal::Length) };
        let done = order.and_then(|order| match self.carry_out(now, order, host) {
            true => Ok(()),
            false => Err(Refusal::State),
        });
        let ack = if done.is_ok() {
            self.counters.control_ok += 1;
            control::OK
        } else {
            self.counters.control_err += 1;
            control::ERR
        };
        let refused = done.err().map(Refusal::name);
        host.event(now, Event::ControlCommand { class, command: number, ack, refused });
        self.write_answer(before, ack)
    }

    /// Writes `before` bytes of data, the answer's byte, and the result, as far as the chain has room;
    /// without room for the answer behind the data, the answer is the last byte.
    fn write_answer(&mut self, before: usize, ack: u8) -> Result<(), RingFault> {
        let Scratch { chain, reply, used, .. } = &mut self.scratch;
        // A chain has room for one byte at least.
        let before = before.min(chain.writable_len as usize - 1);
        if ack != control::OK {
            reply.clear();
        }
        reply.resize(reply.len().max(before), 0);
        let (data, result) = reply.split_at(before);
        chain.write(&*self.memory, [data, &[ack], result].into_iter())?;
        // No result is longer than 64 KiB.
        let len = (reply.len() as u32 + 1).min(chain.writable_len);
        used.push(Used { head: chain.head, len });
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
            Order::CoalesceAll { transmit, limits } => {
                let queues = if transmit { &mut self.tx_coalescer } else { &mut self.rx_coalescer };
                queues.set_all(now, limits);
                self.do_due(now, host);
            }
            Order::Coalesce { virtqueue, limits } => {
                let Some((queues, pair)) = self.coalescer_of(virtqueue) else { return false };
                queues.set(now, pair, limits);
                self.do_due(now, host);
            }
            Order::CoalesceGet { virtqueue } => {
                let Some((queues, pair)) = self.coalescer_of(virtqueue) else { return false };
                let limits = queues.limits(pair);
                self.scratch.reply.extend(ctrl::show_limits(limits));
            }
            Order::Hash(config) => self.steering.set_hash(&config),
            Order::ReceiveMode(mode, on) => self.filter.set_mode(mode, on),
            Order::MacTables(unicast, multicast) => self.filter.set_tables(unicast, multicast),
            Order::Vlan { vlan, listed } => self.filter.set_vlan(vlan, listed),
            Order::Station(address) => {
                self.filter.set_own(address);
                self.configuration_changed();
            }
            Order::Announced => {
                self.registers.announce = false;
                self.configuration_changed();
            }
            Order::Offloads(on) => self.format.checksum = on & feature::GUEST_CSUM != 0,
            Order::StatsQuery => {
                let supported = self.stats_supported();
                self.scratch.reply.extend(supported.to_le_bytes());
            }
            Order::StatsGet(asked) => return self.stats_reply(&asked),
        }
        true
    }

    /// What coalesces the interrupts of a virtqueue, and its pair; `None` for all but an enabled receive or
    /// transmit queue (5.1.6.5.9.2).
    fn coalescer_of(&mut self, virtqueue: u16) -> Option<(&mut Coalescer, u16)> {
        let role = self.role(virtqueue)?;
        if !self.queues[usize::from(virtqueue)].enabled {
            return None;
        }
        match role {
            Role::Receive(pair) => Some((&mut self.rx_coalescer, pair)),
            Role::Transmit(pair) => Some((&mut self.tx_coalescer, pair)),
            Role::Control => None,
        }
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
