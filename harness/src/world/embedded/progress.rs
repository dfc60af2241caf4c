//! Whether a run that ends was able to go on: frames in the NIC or in a ring must be on their way, or held by a
//! fault.
//!
//! Contract: asked when the drain time is over, or nothing is due. What only readers and dump threads wait
//! for is no progress. A fault excuses the queue that it holds, and no other.

use super::Embedded;
use crate::fault::Planned;
use crate::world::cpu::Cpu;
use crate::world::outcome::End;
use crate::world::schedule::Action;

impl Embedded {
    /// Whether anything is under way between the NIC and the driver, or will be: readers and dump threads
    /// wake for ever, and move nothing there.
    pub(super) fn comes_to_the_driver(&self) -> bool {
        let of_handles = |action: &Action| {
            matches!(
                action,
                // The end of a job is that of its CPU, which is asked.
                Action::JobEnds { .. }
                    | Action::ReadTimeout { .. }
                    | Action::ReaderResumes { .. }
                    | Action::DumpPeriod { .. }
                    | Action::Control { .. }
                    | Action::Fork { .. }
                    | Action::Detach
            )
        };
        self.arrival.is_some()
            || self.device.next_deadline().is_some()
            || self.driver.next_deadline().is_some()
            || self.cpus.iter().any(Cpu::serves_the_driver)
            || self.schedule.any(|action| !of_handles(action))
    }

    /// Nothing comes to the driver any more: fine if only stopped readers and faults hold frames.
    pub(super) fn stuck(&mut self) -> End {
        let queues = 0..self.queue_cpu.len() as u16;
        let queues: Vec<u16> = queues.filter(|queue| !self.is_held_by_a_fault(*queue)).collect();
        let book = self.book.get_mut();
        let (mut fifo, mut ring, mut named) = (0, 0, Vec::new());
        for queue in queues {
            let held = book.ledger.queues[usize::from(queue)].held;
            fifo += held.fifo;
            ring += held.ring;
            if held.fifo + held.ring > 0 {
                named.push(format!("rxq{queue}"));
            }
        }
        if named.is_empty() {
            return End::Complete;
        }
        End::Stuck(format!(
            "{fifo} frames in the FIFO, {ring} in the used rings of {}, and no interrupt, kick or timer is \
             due",
            named.join(", ")
        ))
    }

    /// Whether frames of `queue` may stay for good because of a fault: they are held then, and that is no
    /// lack of progress.
    fn is_held_by_a_fault(&self, queue: u16) -> bool {
        let lasts = |planned: &Planned| planned.active && planned.fault.queue == Some(queue);
        self.driver.error().is_some()
            || self.driver.queue_error(queue).is_some()
            || self.book.borrow().faults.keeps(queue)
            || self.faults.planned.iter().any(lasts)
    }
}
