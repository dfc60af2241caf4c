//! The driver's timers: polls that moderation has put off, and the watchdog for lost interrupts.
//!
//! # The watchdog
//!
//! At each period it looks at every queue that waits for an interrupt. Completions that were there at the
//! last look, of which none has been taken since, have waited a whole period: their interrupt is
//! lost, and the queue is scheduled as if it had come. It also tells the device of buffers that were given
//! without a kick although the device asks for one. So a queue is found after two periods at most. And it
//! looks at the device itself, as an interrupt of the configuration does: at its health, its link, its wishes.
//!
//! Contract: [`Driver::advance`] at or after [`Driver::next_deadline`]; whom it names must be polled.

use crate::dma::DmaRegion;
use crate::event::Event;
use crate::interrupt;
use crate::recover::Fault;
use crate::ring::rx::RxQueue;
use crate::transport::Transport;
use crate::{Driver, Host, State};

/// No timer is set.
const NEVER: u64 = u64::MAX;

/// When what is due.
#[derive(Debug)]
pub(crate) struct Timers {
    /// The earliest of the queues' timers and the watchdog, or earlier; exact after each `advance`.
    next: u64,
    /// The watchdog's next look.
    watchdog: u64,
}

/// What one receive queue's timers know.
#[derive(Debug)]
pub(crate) struct QueueTimer {
    /// When moderation wants the next poll.
    poll_at: u64,
    /// Completions waited when the watchdog last looked, and so many had been taken before.
    stale_at: Option<u64>,
}

impl Default for Timers {
    fn default() -> Self {
        Self { next: NEVER, watchdog: NEVER }
    }
}

impl Default for QueueTimer {
    fn default() -> Self {
        Self { poll_at: NEVER, stale_at: None }
    }
}

impl QueueTimer {
    /// Moderation wants a poll at `at`; tell [`Timers::set`] as well.
    #[inline]
    pub(crate) fn poll_at(&mut self, at: u64) {
        self.poll_at = at;
    }
}

impl Timers {
    /// A queue's timer is set to `at`.
    #[inline]
    pub(crate) fn set(&mut self, at: u64) {
        self.next = self.next.min(at);
    }

    /// The device is up: the watchdog begins, if there is one.
    pub(crate) fn start(&mut self, now: u64, watchdog_ps: u64) {
        *self = Self::default();
        if watchdog_ps > 0 {
            self.watchdog = now.saturating_add(watchdog_ps);
            self.next = self.watchdog;
        }
    }

    /// The driver is down.
    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }
}

/// Receive queues to poll, as a set: bit i is queue i.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// The set.
    pub queues: u64,
}

impl Due {
    /// The queues, lowest first.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        (0..64u16).filter(move |queue| self.queues >> queue & 1 == 1)
    }
}

impl Driver {
    /// When [`Driver::advance`] has something to do next, if ever. In picoseconds.
    #[inline]
    pub fn next_deadline(&self) -> Option<u64> {
        (self.timers.next != NEVER).then_some(self.timers.next)
    }

    /// Does what is due at or before `now`. The queues it gives are scheduled and masked; poll each, as
    /// after an interrupt.
    pub fn advance<T: Transport, H: Host>(
        &mut self,
        now: u64,
        transport: &mut T,
        host: &mut H,
    ) -> Due {
        let mut due = Due::default();
        let starts = self.counters.starts;
        match self.state {
            State::Running | State::Commanding => {}
            State::Resetting { .. } => {
                if self.timers.next <= now {
                    self.timers.stop();
                    // If it does not end in time the driver breaks, and says so itself.
                    let _ = self.step(now, transport, host);
                }
                return due;
            }
            State::Stopped | State::Broken(_) => {
                self.timers.stop();
                return due;
            }
        }
        let watching = self.timers.watchdog <= now;
        if watching {
            self.timers.watchdog = now.saturating_add(self.config.watchdog_ps);
        }
        self.timers.next = self.timers.watchdog;
        if watching {
            self.look_at_device(now, transport, host);
        }
        match self.state {
            State::Running => self.command_while_running(now, transport, host),
            State::Commanding => {
                // Without an answer the driver breaks, and says so itself.
                let _ = self.step(now, transport, host);
            }
            _ => {}
        }
        if !self.is_live() || self.counters.starts != starts {
            return due;
        }
        let mut resetting = 0u64;
        for (queue, rx) in (0..).zip(&mut self.rx) {
            if rx.resetting.is_some() {
                resetting |= u64::from(rx.timer.poll_at <= now) << queue;
                self.timers.next = self.timers.next.min(rx.timer.poll_at.max(now));
                continue;
            }
            if rx.broken.is_some() {
                continue;
            }
            if rx.timer.poll_at <= now {
                rx.timer.poll_at = NEVER;
                rx.counters.receive.timer_polls += 1;
                due.queues |= 1 << queue;
            } else if watching && watch(now, queue, rx, &self.memory, transport, host) {
                interrupt::mask(now, queue, rx, &self.memory, self.config.mask, transport, host);
                due.queues |= 1 << queue;
            }
            self.timers.next = self.timers.next.min(rx.timer.poll_at);
        }
        self.go_on_resetting_all(now, resetting, transport, host);
        if self.is_live() && self.counters.starts == starts { due } else { Due::default() }
    }

    /// Goes on with the resets of these receive queues, and of the transmit queues whose time has come. One
    /// that fails, when nobody waits for its outcome, is a fault that the policy may mend.
    fn go_on_resetting_all<T: Transport, H: Host>(
        &mut self,
        now: u64,
        receive: u64,
        transport: &mut T,
        host: &mut H,
    ) {
        let mut failed = false;
        for queue in (Due { queues: receive }).iter() {
            self.rx[usize::from(queue)].timer.poll_at(NEVER);
            failed |= self.go_on_resetting(now, queue, transport, host).is_err();
        }
        for queue in 0..self.tx.len() as u16 {
            match self.tx[usize::from(queue)].resetting {
                Some(resetting) if resetting.look_at <= now => {
                    failed |= self.go_on_resetting_transmit(now, queue, transport, host).is_err();
                }
                Some(resetting) => self.timers.set(resetting.look_at),
                None => {}
            }
        }
        if failed {
            self.recover(now, Fault::Device, transport, host);
        }
    }

    /// A queue that is polled for ever is so from the start: it is masked, and its first poll is due.
    pub(crate) fn start_polling<T: Transport, H: Host>(
        &mut self,
        now: u64,
        queue: u16,
        transport: &mut T,
        host: &mut H,
    ) {
        let masking = self.config.mask;
        if let Some(rx) = self.rx.get_mut(usize::from(queue)) {
            interrupt::mask(now, queue, rx, &self.memory, masking, transport, host);
            rx.timer.poll_at(now);
            self.timers.set(now);
        }
    }
}

/// The watchdog looks at one queue; `true` if its interrupt is lost.
fn watch<T: Transport, H: Host>(
    now: u64,
    queue: u16,
    rx: &mut RxQueue,
    memory: &DmaRegion,
    transport: &mut T,
    host: &mut H,
) -> bool {
    // Nothing is owed after a refill that has asked already; then this is one look at the ring.
    if rx.ring.kick_wanted(memory) {
        rx.counters.receive.watchdog_kicks += 1;
        rx.counters.receive.kicks += 1;
        host.event(now, Event::WatchdogKicked { queue });
        transport.notify(2 * queue);
    }
    let before = rx.timer.stale_at.take();
    // A used index that is out of bounds counts as work: the poll finds out and stops the queue.
    if rx.scheduled || rx.ring.is_waiting(memory) == Ok(false) {
        return false;
    }
    if before != Some(rx.consumed) {
        rx.timer.stale_at = Some(rx.consumed);
        return false;
    }
    rx.counters.receive.watchdog_recovered += 1;
    host.event(now, Event::WatchdogRecovered { queue });
    true
}
