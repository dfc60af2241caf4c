//! The book's part in faults: which effect of a component tells of one, and what it says about who noticed.
//!
//! Contract: asked only in runs whose scenario has faults.

use super::Book;
use crate::account::{Broken, Claim, Reason};
use crate::event::{Event, WorldEvent};
use crate::fault::{By, Kind};
use nic_model::DropReason;

/// The bit by which a driver says that it has given up (2.1).
const FAILED: u8 = nic_model::spec::status::FAILED;

/// What faults have to do with an event of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing.
    Nothing,
    /// It is about a completion that a fault has had lie.
    Lie,
    /// It is about a completion that is no frame, and is dealt with.
    NoFrame,
}

impl Book {
    /// Whether a fault has upset the ring of this queue.
    #[inline]
    pub(super) fn upset(&self, queue: Option<u16>) -> bool {
        self.faulty && queue.is_some_and(|queue| self.faults.is_upset(queue))
    }

    /// A fault acts now.
    pub fn fault_injected(&mut self, now: u64, kind: Kind) {
        self.faults.injected(kind);
        self.world_event(now, WorldEvent::FaultInjected { fault: kind.name() });
    }

    /// A message of `queue` is lost, by a fault.
    pub fn message_lost(&mut self, now: u64, queue: u16, kind: Kind) {
        self.faults.message_lost(queue, kind);
        self.world_event(now, WorldEvent::FaultInjected { fault: kind.name() });
    }

    /// A bit of the frame just offered was changed.
    pub fn flipped(&mut self, now: u64, tag: u64, bit: u32) {
        self.ledger.flip(tag, bit);
        self.fault_injected(now, Kind::PayloadBitFlip);
    }

    /// What an event of the NIC says about faults.
    pub(super) fn fault_in_nic_event(&mut self, event: nic_model::Event) {
        use nic_model::Event as Nic;
        match event {
            Nic::FaultInjected { fault, .. } if fault == Kind::DeviceReset.name() => {
                self.oracle.halted(Some(DropReason::NeedsReset));
            }
            Nic::FaultInjected { fault, .. } if fault == Kind::SurpriseRemoval.name() => {
                self.oracle.halted(Some(DropReason::Removed));
            }
            Nic::DeviceReset { .. } => self.oracle.halted(None),
            Nic::StatusChanged { status } if status & FAILED != 0 => self.oracle.ready(false),
            Nic::FaultActed { fault, queue: Some(queue) } => {
                self.lie = Kind::ALL.into_iter().find(|kind| kind.name() == fault);
                if let Some(kind @ (Kind::CompletionShort | Kind::CompletionWrongId)) = self.lie {
                    self.faults.mark(queue, self.ledger.last_completion(queue), kind);
                }
            }
            Nic::FalseCompletion { queue } => {
                let position = self.ledger.false_completion(queue);
                if let Some(kind) = self.lie.take() {
                    self.faults.mark(queue, position, kind);
                }
            }
            _ => {}
        }
    }

    /// What an event of the driver says about faults.
    pub(super) fn fault_in_driver_event(&mut self, now: u64, event: driver::Event) -> Told {
        use driver::Event as Driver;
        match event {
            Driver::Dropped(record) => {
                let queue = record.queue.unwrap_or_default();
                let lie = self.faults.at(queue, record.tag);
                if let Some(kind) = lie {
                    self.faults.settled(kind, By::Driver);
                }
                let lied = self.faults.is_tainted(queue);
                if self.ledger.take_false(queue, lied, Some(Reason::Driver(record.reason))) {
                    self.faults.recycled(queue);
                    self.record(now, Event::Driver(event), None);
                    return Told::NoFrame;
                }
                if lie.is_some() {
                    return Told::Lie;
                }
            }
            Driver::QueueBroken { queue, .. } => self.faults.queue_stopped(queue),
            Driver::DriverFailed { .. } => self.faults.driver_failed(),
            Driver::WatchdogRecovered { queue } => self.faults.polled(queue, By::Driver),
            Driver::Polled { queue, .. } => self.faults.polled(queue, By::Moot),
            Driver::ControlSent { .. } => self.faults.command(now, self.slot.control_dead),
            Driver::ControlFailed { .. } => self.faults.command_timed_out(),
            Driver::ControlDone { .. } => self.faults.command(now, false),
            Driver::QueueRestarted { queue, .. } => self.queue_begins_anew(now, queue),
            Driver::DriverOk { queue_pairs, .. } => {
                for queue in 0..queue_pairs {
                    self.queue_begins_anew(now, queue);
                }
            }
            _ => {}
        }
        Told::Nothing
    }

    /// The ring of `queue` is empty and nothing of before counts. If it was upset, the driver may have left
    /// completions behind: it believes in no more of them than it had buffers out, and counts no others.
    fn queue_begins_anew(&mut self, now: u64, queue: u16) {
        if self.faults.is_upset(queue) {
            let reason = Reason::Driver(driver::DropReason::DriverReset);
            while let Some(left) = self.ledger.unbelieved(queue) {
                let Some(tag) = left else { continue };
                self.ledger.uncounted_drops[reason.index()] += 1;
                let claim = Claim {
                    tag,
                    queue: Some(queue),
                    handle: None,
                    occupancy: 0,
                    capacity: 0,
                    need: 1,
                    held: None,
                    lied: true,
                };
                self.drop(now, reason, claim, None, 0);
            }
        }
        self.faults.queue_started(queue);
    }

    /// Whether the driver took a completion that is no frame for one. The laboratory knows, and shows it to
    /// nobody.
    pub fn is_false_frame(&mut self, queue: u16, position: u64) -> bool {
        if !self.ledger.take_false(queue, self.faults.is_tainted(queue), None) {
            return false;
        }
        if let Some(kind) = self.faults.at(queue, position) {
            self.faults.settled(kind, By::Laboratory);
        }
        self.faults.taken_for_a_frame(queue);
        true
    }

    /// The driver indicates the completion at `position` as frame `tag`: are these its bytes?
    pub fn inspect(&mut self, queue: u16, position: u64, tag: u64, data: &[u8]) {
        let Some(flight) = self.ledger.flight(tag) else { return };
        let flipped = flight.flip.is_some() && data != flight.bytes;
        let whole = data.len() == flight.bytes.len() && flight.begins_with(data);
        if flipped {
            self.faults.settled(Kind::PayloadBitFlip, By::Laboratory);
        }
        let lie = self.faults.at(queue, position);
        if let Some(kind) = lie {
            self.faults.settled(kind, if whole { By::Moot } else { By::Laboratory });
        }
        if !whole && (lie.is_some() || self.faults.is_tainted(queue)) {
            self.ledger.damage(tag);
        }
    }

    /// Whether a fault is the cause that frame `tag` reached a reader with these bytes.
    pub(super) fn excused(&mut self, tag: u64, data: &[u8], len: u32) -> bool {
        let Some(flight) = self.ledger.flight(tag) else { return false };
        let flipped =
            flight.flip.is_some() && flight.begins_with(data) && flight.bytes.len() == len as usize;
        let excused = flipped || flight.damaged;
        self.faults.frames_corrupted += u64::from(excused);
        excused
    }

    /// The run is over: what no one noticed that somebody had to.
    pub fn end_of_faults(&mut self, now: u64) -> Option<Broken> {
        let Self { faults, ledger, .. } = self;
        faults.finish(now, |queue| ledger.queues[usize::from(queue)].held.ring);
        let unseen: Vec<String> = Kind::ALL
            .into_iter()
            .filter(|kind| faults.unnoticed(*kind) > 0)
            .map(|kind| format!("{} {}", faults.unnoticed(kind), kind.name()))
            .collect();
        (!unseen.is_empty()).then(|| Broken {
            what: format!("nobody noticed {}, which somebody must", unseen.join(" and ")),
        })
    }
}
