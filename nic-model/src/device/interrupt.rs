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

/// What an interrupt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The receive queue of a pair.
    Receive(u16),
    /// The transmit queue of a pair.
    Transmit(u16),
    /// The control queue, or the configuration.
    Other,
}

impl Source {
    /// What events say: only receive queues are named.
    fn receive_queue(self) -> Option<u16> {
        match self {
            Self::Receive(pair) => Some(pair),
            Self::Transmit(_) | Self::Other => None,
        }
    }
}

impl<M> Device<M>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    /// So many frames of this pair were published.
    #[inline]
    pub(super) fn after_publication<H: Host>(
        &mut self,
        now: u64,
        pair: u16,
        frames: u32,
        host: &mut H,
    ) {
        let queue = &mut self.queues[2 * usize::from(pair)];
        let (Some(ring), Some(vector)) = (&mut queue.ring, queue.vector) else {
            self.suppressed(now, Source::Receive(pair), host);
            return;
        };
        let wanted = match ring.wants_interrupt(&*self.memory) {
            Ok(wanted) => wanted,
            Err(fault) => {
                self.break_ring(now, 2 * pair, fault, host);
                return;
            }
        };
        let decision = self.rx_coalescer.published(now, pair, frames, wanted);
        if decision.settles() {
            ring.settle();
        }
        match decision {
            Decision::None => self.suppressed(now, Source::Receive(pair), host),
            Decision::Start { deadline } => {
                self.put_off(pair);
                host.event(now, Event::InterruptCoalesced { queue: Some(pair), deadline });
            }
            Decision::Wait => self.put_off(pair),
            Decision::Send => self.interrupt(now, Source::Receive(pair), vector, host),
        }
    }

    /// A coalescing timer is due.
    pub(super) fn fire_timer<H: Host>(&mut self, at: u64, host: &mut H) {
        self.clock = self.clock.max(at);
        if let Some(pair) = self.rx_coalescer.take_due(at) {
            self.interrupt_due(at, Source::Receive(pair), 2 * pair, host);
        } else if let Some(pair) = self.tx_coalescer.take_due(at) {
            self.interrupt_due(at, Source::Transmit(pair), 2 * pair + 1, host);
        }
    }

    /// An interrupt that was put off is due, and sent if the driver wants it still (5.1.6.5.9).
    fn interrupt_due<H: Host>(&mut self, at: u64, source: Source, virtqueue: u16, host: &mut H) {
        let queue = &self.queues[usize::from(virtqueue)];
        if let (true, Some(vector)) = (queue.broken, queue.vector) {
            // Not to be read any more; what was published before it broke is announced.
            self.interrupt(at, source, vector, host);
            return;
        }
        match self.asks_for_interrupt(at, source, virtqueue, host) {
            Some((true, vector)) => self.interrupt(at, source, vector, host),
            Some((false, _)) => self.suppressed(at, source, host),
            None => {}
        }
        self.settle(virtqueue);
    }

    /// The configuration changed, or the device needs a reset. Not before DRIVER_OK (2.1.2).
    pub(super) fn configuration_interrupt<H: Host>(&mut self, now: u64, host: &mut H) {
        if self.registers.has(status::DRIVER_OK)
            && let Some(vector) = self.registers.config_vector
        {
            self.interrupt(now, Source::Other, vector, host);
        }
    }

    /// A pair's transmit queue has published so many chains.
    pub(super) fn after_transmission<H: Host>(
        &mut self,
        now: u64,
        pair: u16,
        chains: u32,
        host: &mut H,
    ) {
        let (source, virtqueue) = (Source::Transmit(pair), 2 * pair + 1);
        let Some((wanted, vector)) = self.asks_for_interrupt(now, source, virtqueue, host) else {
            return;
        };
        let decision = self.tx_coalescer.published(now, pair, chains, wanted);
        if decision.settles() {
            self.settle(virtqueue);
        }
        match decision {
            Decision::None => self.suppressed(now, source, host),
            Decision::Start { deadline } => {
                self.counters.interrupts_coalesced += 1;
                host.event(now, Event::InterruptCoalesced { queue: None, deadline });
            }
            Decision::Wait => self.counters.interrupts_coalesced += 1,
            Decision::Send => self.interrupt(now, source, vector, host),
        }
    }

    /// The control queue has published.
    pub(super) fn after_answers<H: Host>(&mut self, now: u64, virtqueue: u16, host: &mut H) {
        match self.asks_for_interrupt(now, Source::Other, virtqueue, host) {
            Some((true, vector)) => self.interrupt(now, Source::Other, vector, host),
            Some((false, _)) => self.suppressed(now, Source::Other, host),
            None => {}
        }
        self.settle(virtqueue);
    }

    /// Does the driver want an interrupt of a queue that has published, and by which vector? `None`: the
    /// queue has no vector, or its ring broke; that is told.
    fn asks_for_interrupt<H: Host>(
        &mut self,
        now: u64,
        source: Source,
        virtqueue: u16,
        host: &mut H,
    ) -> Option<(bool, u16)> {
        let queue = &self.queues[usize::from(virtqueue)];
        let (Some(ring), Some(vector)) = (&queue.ring, queue.vector) else {
            self.suppressed(now, source, host);
            return None;
        };
        match ring.wants_interrupt(&*self.memory) {
            Ok(wanted) => Some((wanted, vector)),
            Err(fault) => {
                self.break_ring(now, virtqueue, fault, host);
                None
            }
        }
    }

    /// The driver has had its interrupt for all that was published, or wants none.
    fn settle(&mut self, virtqueue: u16) {
        if let Some(ring) = &mut self.queues[usize::from(virtqueue)].ring {
            ring.settle();
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

    fn interrupt<H: Host>(&mut self, now: u64, source: Source, vector: u16, host: &mut H) {
        if self.is_removed() {
            return;
        }
        let queue = source.receive_queue();
        match self.msix.signal(vector) {
            Message::Sent { cpu } => {
                if let Source::Transmit(pair) = source {
                    self.queue_counters[usize::from(pair)].transmit_interrupts += 1;
                }
                self.send_message(now, queue, vector, cpu, host);
            }
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

    fn suppressed<H: Host>(&mut self, now: u64, source: Source, host: &mut H) {
        self.counters.interrupts_suppressed += 1;
        let queue = source.receive_queue();
        if let Some(pair) = queue {
            self.queue_counters[usize::from(pair)].interrupts_suppressed += 1;
        }
        host.event(now, Event::InterruptSuppressed { queue });
    }
}
