//! Interrupts: from "published" to an MSI-X message, through every stage that may stop one. The crate's
//! documentation says why none is lost at any of them.

use super::Device;
use crate::coalesce::Decision;
use crate::event::Event;
use crate::host::Host;
use crate::msix::Message;
use crate::ring::Ring;
use crate::spec::status;
use std::ops::Deref;
use vm_memory::GuestMemory;

impl<M> Device<M>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    /// A frame of this pair was published.
    #[inline]
    pub(super) fn after_publication<H: Host>(&mut self, now: u64, pair: u16, host: &mut H) {
        let queue = &mut self.queues[2 * usize::from(pair)];
        let (Some(ring), Some(vector)) = (&mut queue.ring, queue.vector) else {
            self.suppressed(now, Some(pair), host);
            return;
        };
        let wanted = match ring.wants_interrupt(&*self.memory) {
            Ok(wanted) => wanted,
            Err(fault) => {
                self.break_ring(now, 2 * pair, fault, host);
                return;
            }
        };
        match self.coalescer.published(now, pair, wanted) {
            Decision::None => self.suppressed(now, Some(pair), host),
            Decision::Start { deadline } => {
                self.put_off(pair);
                host.event(now, Event::InterruptCoalesced { queue: pair, deadline });
            }
            Decision::Wait => self.put_off(pair),
            Decision::Send => self.interrupt(now, Some(pair), vector, host),
        }
    }

    /// A coalescing timer is due.
    pub(super) fn fire_timer<H: Host>(&mut self, at: u64, host: &mut H) {
        self.clock = self.clock.max(at);
        if let Some(pair) = self.coalescer.take_due(at)
            && let Some(vector) = self.queues[2 * usize::from(pair)].vector
        {
            self.interrupt(at, Some(pair), vector, host);
        }
    }

    /// The configuration changed, or the device needs a reset. Not before DRIVER_OK (2.1.2).
    pub(super) fn configuration_interrupt<H: Host>(&mut self, now: u64, host: &mut H) {
        if self.registers.has(status::DRIVER_OK)
            && let Some(vector) = self.registers.config_vector
        {
            self.interrupt(now, None, vector, host);
        }
    }

    /// A transmit or control queue has published.
    pub(super) fn interrupt_if_wanted<H: Host>(&mut self, now: u64, virtqueue: u16, host: &mut H) {
        let queue = &mut self.queues[usize::from(virtqueue)];
        let (Some(ring), Some(vector)) = (&mut queue.ring, queue.vector) else {
            self.suppressed(now, None, host);
            return;
        };
        match ring.wants_interrupt(&*self.memory) {
            Ok(true) => self.interrupt(now, None, vector, host),
            Ok(false) => self.suppressed(now, None, host),
            Err(fault) => self.break_ring(now, virtqueue, fault, host),
        }
    }

    /// An MSI-X message leaves.
    pub(super) fn send_message<H: Host>(
        &mut self,
        now: u64,
        queue: Option<u16>,
        vector: u16,
        cpu: u16,
        host: &mut H,
    ) {
        self.counters.interrupts += 1;
        if let Some(pair) = queue {
            self.queue_counters[usize::from(pair)].interrupts += 1;
        }
        host.event(now, Event::InterruptRaised { queue, vector, cpu });
        host.interrupt(now, vector, cpu);
    }

    fn interrupt<H: Host>(&mut self, now: u64, queue: Option<u16>, vector: u16, host: &mut H) {
        match self.msix.signal(vector) {
            Message::Sent { cpu } => self.send_message(now, queue, vector, cpu, host),
            Message::Pended => {
                self.counters.interrupts_pended += 1;
                host.event(now, Event::InterruptPended { queue, vector });
            }
        }
    }

    #[inline]
    fn put_off(&mut self, pair: u16) {
        self.counters.interrupts_coalesced += 1;
        self.queue_counters[usize::from(pair)].interrupts_coalesced += 1;
    }

    fn suppressed<H: Host>(&mut self, now: u64, queue: Option<u16>, host: &mut H) {
        self.counters.interrupts_suppressed += 1;
        if let Some(pair) = queue {
            self.queue_counters[usize::from(pair)].interrupts_suppressed += 1;
        }
        host.event(now, Event::InterruptSuppressed { queue });
    }
}
