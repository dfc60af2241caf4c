//! Recovery by policy: what is reset after a queue or the device has broken, and who looks for that.
//!
//! | what has broken | [`Recover::Queue`] | [`Recover::Device`] |
//! |---|---|---|
//! | a receive or a transmit queue | the queue is reset; the device, if that cannot be or fails | the device |
//! | the device asks for a reset | the device | the device |
//!
//! Contract: a recovery is tried at most [`DriverConfig::recover_limit`](crate::DriverConfig) times in a
//! driver's life, so that a device which breaks at once cannot keep it busy for ever.

use crate::bring_up::Progress;
use crate::error::DriverError;
use crate::event::Event;
use crate::policy::Recover;
use crate::spec;
use crate::transport::Transport;
use crate::{Driver, Host, State};

/// What has broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The ring of this receive queue.
    Receive(u16),
    /// The ring of this transmit queue.
    Transmit(u16),
    /// The device, or a queue that could not be reset.
    Device,
}

impl Driver {
    /// Looks whether a device that works is content. If it is not the driver is broken, unless it has asked
    /// for a reset and the policy grants it: then the result is how far that is.
    pub(crate) fn examine<T: Transport, H: Host>(
        &mut self,
        now: u64,
        transport: &mut T,
        host: &mut H,
    ) -> Result<Option<Progress>, DriverError> {
        let Err(error) = self.healthy(now, transport, host) else { return Ok(None) };
        let asked = error == DriverError::NeedsReset;
        let error = self.give_up(now, error, transport, host);
        if asked && self.recover(now, Fault::Device, transport, host) {
            return self.progress().map(Some);
        }
        // A recovery that fails has left its own reason.
        Err(self.error().cloned().unwrap_or(error))
    }

    /// Resets what the policy says, unless that was tried too often. Gives whether it did.
    pub(crate) fn recover<T: Transport, H: Host>(
        &mut self,
        now: u64,
        fault: Fault,
        transport: &mut T,
        host: &mut H,
    ) -> bool {
        let alone =
            self.config.recover == Recover::Queue && self.features & spec::F_RING_RESET != 0;
        let recovered = match fault {
            Fault::Receive(queue) if alone && self.may_recover(now, host) => {
                self.reset_queue(now, queue, None, transport, host).is_ok()
            }
            Fault::Transmit(queue) if alone && self.may_recover(now, host) => {
                self.reset_transmit_queue(now, queue, transport, host).is_ok()
            }
            _ => false,
        };
        recovered || self.may_recover(now, host) && self.reset(now, transport, host).is_ok()
    }

    /// A queue has broken in the poll that ends: see [`Driver::recover`].
    #[inline]
    pub(crate) fn must_recover(&self, queue: u16) -> bool {
        let policy = self.config.recover != Recover::None;
        let rx = self.rx.get(usize::from(queue));
        policy
            && matches!(self.state, State::Running)
            && rx.is_some_and(|rx| rx.broken.is_some() && rx.resetting.is_none())
    }

    /// Counts one more recovery, if the policy has one left.
    fn may_recover<H: Host>(&mut self, now: u64, host: &mut H) -> bool {
        let limit = self.config.recover_limit;
        if self.config.recover == Recover::None || self.counters.recoveries >= limit {
            return false;
        }
        self.counters.recoveries += 1;
        host.event(now, Event::Recovering { attempt: self.counters.recoveries });
        true
    }

    /// How far a driver is that was started.
    fn progress(&self) -> Result<Progress, DriverError> {
        match &self.state {
            State::Stopped => Err(DriverError::NotStarted),
            State::Broken(error) => Err(error.clone()),
            State::Resetting { deadline } => Ok(Progress::Waiting { deadline: *deadline }),
            State::Commanding => {
                let deadline = self.commanding.deadline().unwrap_or_default();
                Ok(Progress::Waiting { deadline })
            }
            State::Running => Ok(Progress::Running),
        }
    }
}
