//! Faults at work: what each does when it begins and ends.
//!
//! Whatever lasts is recomputed from all that is active of its kind, so that two of a kind that overlap end
//! one after the other. What the NIC does wrong it does itself, on request.

use super::Embedded;
use crate::fault::{By, Kind, Planned};
use crate::source::{self, Arrival as Offer};
use crate::world::cpu::Work;
use crate::world::schedule::Action;
use nic_model::{Fault as Nic, Lie};

/// Behind the Ethernet header: a flip there leaves a frame an Ethernet frame of the same kind.
const PAYLOAD: usize = 14;
const CONFIG_VECTOR: u16 = 0;

impl Embedded {
    /// Faults that come with the frame which is about to be offered.
    pub(super) fn faults_with_frame(&mut self) {
        let number = self.wire_frames;
        self.wire_frames += 1;
        for at in 0..self.faults.with_frames.len() {
            let index = self.faults.with_frames[at];
            if self.faults.planned[index].due_with_frame(number) {
                self.begin_fault(index);
            }
        }
    }

    /// What the wire does to the frame that the source has just given.
    pub(super) fn damage_on_the_wire(&mut self, offer: &mut Offer) {
        let number = self.fetched;
        self.fetched += 1;
        for index in &self.faults.damaging {
            let planned = &mut self.faults.planned[*index];
            let kind = planned.fault.kind;
            if !hits_frame(planned, number) {
                continue;
            }
            match kind {
                Kind::BadFcs => offer.fcs_ok = false,
                Kind::Runt => {
                    let shortest = self.min_frame as usize;
                    source::faults::cut(&mut self.frame, shortest, |n| planned.detail(n));
                }
                Kind::Giant => {
                    let longest = self.longest_frame;
                    source::faults::stretch(&mut self.frame, longest, |n| planned.detail(n));
                }
                Kind::PayloadBitFlip => {
                    let bits = self.frame.len().saturating_sub(PAYLOAD) as u64 * 8;
                    if bits == 0 {
                        continue;
                    }
                    self.flip = Some((8 * PAYLOAD as u64 + planned.detail(bits)) as u32);
                    continue;
                }
                _ => continue,
            }
            self.book.get_mut().fault_injected(self.now, kind);
        }
    }

    /// The fault is due at this moment.
    pub(super) fn begin_fault(&mut self, index: usize) {
        let planned = &mut self.faults.planned[index];
        let fault = planned.fault;
        let kind = fault.kind;
        if kind.damages_frames() || kind.hits_messages() {
            planned.left += planned.hits();
            return;
        }
        if planned.active {
            return;
        }
        if let Some(lasting) = fault.lasting_ps() {
            planned.active = true;
            self.schedule.add(self.now.saturating_add(lasting), Action::FaultEnds { index });
        } else if matches!(kind, Kind::QueueStuck | Kind::ControlQueueDead) {
            planned.active = true;
        }
        let hits = planned.hits();
        let queue = fault.queue.unwrap_or_default();
        match kind {
            Kind::DmaStall => {
                let lasting_ps = fault.lasting_ps().unwrap_or_default();
                self.inject(Nic::DmaStall { lasting_ps });
            }
            Kind::CompletionDuplicated
            | Kind::CompletionStale
            | Kind::CompletionShort
            | Kind::CompletionWrongId => {
                let lie = match kind {
                    Kind::CompletionDuplicated => Lie::Duplicated,
                    Kind::CompletionStale => Lie::Stale,
                    Kind::CompletionShort => Lie::Short { len: fault.amount() as u32 },
                    _ => Lie::WrongId,
                };
                for _ in 0..hits {
                    self.inject(Nic::Completion { pair: fault.queue, lie });
                }
                // Counted when the lie is told.
                return;
            }
            Kind::InterruptSpurious => {
                let queues = self.queue_cpu.len() as u64;
                for _ in 0..hits {
                    let planned = &mut self.faults.planned[index];
                    let drawn = planned.detail(queues) as u16;
                    let queue = fault.queue.unwrap_or(drawn);
                    self.book.get_mut().fault_injected(self.now, kind);
                    self.deliver(driver::vector_of(queue), self.queue_cpu[usize::from(queue)]);
                }
                return;
            }
            Kind::ConfigChanged => {
                self.book.get_mut().slot.unsteady += hits;
                self.inject(Nic::ConfigChanged);
            }
            Kind::CpuStolen => {
                let ps = fault.lasting_ps().unwrap_or_default();
                self.submit(fault.cpu.unwrap_or_default(), Work::Stolen { ps });
            }
            Kind::DeviceReset | Kind::SurpriseRemoval => self.stop_device(kind),
            _ => self.apply(kind, queue),
        }
        self.book.get_mut().fault_injected(self.now, kind);
        let failed = self.driver.error().is_some();
        if failed && matches!(kind, Kind::DeviceReset | Kind::SurpriseRemoval) {
            // A driver that has given up before looks at nothing any more.
            self.book.get_mut().faults.settled(kind, By::Moot);
        }
    }

    /// The time of the fault is over.
    pub(super) fn end_fault(&mut self, index: usize) {
        let planned = &mut self.faults.planned[index];
        planned.active = false;
        let (kind, queue) = (planned.fault.kind, planned.fault.queue.unwrap_or_default());
        self.apply(kind, queue);
        if kind == Kind::DescriptorsWithheld {
            // As a driver that tries again when it has memory: nothing else would.
            self.submit(self.queue_cpu[usize::from(queue)], Work::Poll { queue });
        }
    }

    /// Brings what lasts up to date with all that is active of its kind.
    fn apply(&mut self, kind: Kind, queue: u16) {
        let active = || self.faults.active(kind);
        let of_queue = active().any(|fault| fault.queue == Some(queue));
        let any = active().next().is_some();
        match kind {
            Kind::LinkFlap => self.set_link(),
            Kind::FifoShrink => {
                let bytes = active().map(crate::scenario::Fault::amount).min();
                self.book.get_mut().oracle.fifo_shrinks(bytes);
                self.inject(Nic::FifoShrink { bytes });
            }
            Kind::DmaSlow => {
                let times = active().map(|fault| fault.amount() as u32).max().unwrap_or(1);
                self.inject(Nic::DmaSlow { times });
            }
            Kind::DmaReorder => self.inject(Nic::DmaReorder { on: any }),
            Kind::UsedIndexDelayed => {
                self.inject(Nic::UsedIndexDelayed { pair: queue, on: of_queue });
            }
            Kind::QueueStuck => self.inject(Nic::QueueStuck { pair: queue, on: of_queue }),
            Kind::ControlQueueDead => {
                self.book.get_mut().slot.control_dead = any;
                self.inject(Nic::ControlQueueDead { on: any });
            }
            Kind::VectorMasked => self.mask_vector(driver::vector_of(queue), of_queue),
            Kind::DescriptorsWithheld => self.driver.withhold_refill(queue, of_queue),
            _ => {}
        }
    }

    /// The link is up if nothing holds it down.
    pub(super) fn set_link(&mut self) {
        let flapping = self.faults.active(Kind::LinkFlap).next().is_some();
        let up = self.cable_up && !flapping;
        self.device.set_link(self.now, up, self.book.get_mut());
    }

    fn stop_device(&mut self, kind: Kind) {
        let book = self.book.get_mut();
        if kind == Kind::DeviceReset {
            return self.inject(Nic::DeviceReset);
        }
        book.slot.removed = true;
        self.inject(Nic::SurpriseRemoval);
        // The slot says that it is empty, and the system has the driver look.
        self.deliver(CONFIG_VECTOR, 0);
    }

    /// The system's mask lies over the driver's.
    fn mask_vector(&mut self, vector: u16, masked: bool) {
        let slot = &mut self.book.get_mut().slot;
        let wanted = slot.hold_masked(vector, masked);
        self.device.set_vector_masked(self.now, vector, wanted, self.book.get_mut());
    }

    fn inject(&mut self, fault: Nic) {
        self.device.inject(self.now, fault, self.book.get_mut());
    }

    /// A message has left the NIC: it arrives as it should, or as the faults have it.
    pub(super) fn message(&mut self, vector: u16, cpu: u16) {
        let Some(queue) = vector.checked_sub(1).filter(|_| !self.faults.of_messages.is_empty())
        else {
            return self.deliver(vector, cpu);
        };
        let mut lost = false;
        let mut arrives = (0, vector, cpu);
        for at in 0..self.faults.of_messages.len() {
            let index = self.faults.of_messages[at];
            // A message that is lost can be hit by nothing else, but every fault takes its draw.
            let planned = &mut self.faults.planned[index];
            let fault = planned.fault;
            if !planned.hits_message(queue) || lost {
                continue;
            }
            let later = fault.lasting_ps().unwrap_or_default();
            let book = self.book.get_mut();
            match fault.kind {
                Kind::InterruptLost => {
                    book.message_lost(self.now, queue, fault.kind);
                    lost = true;
                }
                Kind::InterruptDelayed => {
                    book.fault_injected(self.now, fault.kind);
                    arrives.0 += later;
                }
                Kind::InterruptDuplicated => {
                    book.fault_injected(self.now, fault.kind);
                    let at = self.now.saturating_add(later);
                    self.schedule.add(at, Action::Message { vector, cpu });
                }
                _ => {
                    book.message_lost(self.now, queue, fault.kind);
                    let queues = self.queue_cpu.len() as u16;
                    match (queue + 1) % queues {
                        same if same == queue => lost = true,
                        next => {
                            arrives.1 = driver::vector_of(next);
                            arrives.2 = self.queue_cpu[usize::from(next)];
                        }
                    }
                }
            }
        }
        match (lost, arrives) {
            (true, _) => {}
            (false, (0, vector, cpu)) => self.deliver(vector, cpu),
            (false, (later, vector, cpu)) => {
                let at = self.now.saturating_add(later);
                self.schedule.add(at, Action::Message { vector, cpu });
            }
        }
    }

    /// A message arrives at its CPU.
    #[inline]
    pub(super) fn deliver(&mut self, vector: u16, cpu: u16) {
        // As an interrupt controller: a vector that is already pending stays pending once.
        if !std::mem::replace(&mut self.pending[usize::from(vector)], true) {
            self.submit(cpu, Work::Interrupt { vector });
        }
    }
}

/// Whether the fault changes frame `number` of the source.
fn hits_frame(planned: &mut Planned, number: u64) -> bool {
    let due = planned.due_with_frame(number);
    planned.left += if due { planned.hits() } else { 0 };
    let hits = planned.left > 0;
    planned.left -= u64::from(hits);
    hits
}
