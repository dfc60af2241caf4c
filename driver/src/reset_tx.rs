//! The reset of one transmit queue (virtio 1.x, 2.6.1).
//!
//! Contract: what the device had finished with is taken back and counted as completed; what it had not is
//! counted as `reset_in_flight`, as nobody knows whether it was sent. Until the queue is in use again it
//! takes no frame.

use crate::bring_up::Progress;
use crate::event::Event;
use crate::reset::{LOOK_PS, put_to_use};
use crate::reset_error::ResetError;
use crate::ring::RingFeatures;
use crate::spec;
use crate::transmit;
use crate::transport::Transport;
use crate::{Driver, Host};

/// A transmit queue that the device resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TxResetting {
    deadline: u64,
    /// When to look next; `u64::MAX` if the reset has failed.
    pub(crate) look_at: u64,
}

impl Driver {
    /// Resets transmit queue `queue` alone and puts it to use again, also after the device has broken its
    /// ring. If the device takes its time, [`Driver::advance`] goes on with it.
    ///
    /// # Errors
    /// As [`Driver::reset_queue`].
    pub fn reset_transmit_queue<T: Transport, H: Host>(
        &mut self,
        now: u64,
        queue: u16,
        transport: &mut T,
        host: &mut H,
    ) -> Result<Progress, ResetError> {
        let deadline = self.queue_reset_deadline(now)?;
        let tx = self.tx.get_mut(usize::from(queue)).ok_or(ResetError::NoSuchQueue { queue })?;
        if tx.resetting.is_some() {
            return Err(ResetError::UnderWay { queue });
        }
        transport.reset_queue(2 * queue + 1).map_err(ResetError::Transport)?;
        tx.counters.queue_resets += 1;
        tx.resetting = Some(TxResetting { deadline, look_at: now });
        host.event(now, Event::TransmitResetBegun { queue });
        self.go_on_resetting_transmit(now, queue, transport, host)
    }

    /// Goes on with the reset of a transmit queue, if it is in one.
    pub(crate) fn go_on_resetting_transmit<T: Transport, H: Host>(
        &mut self,
        now: u64,
        queue: u16,
        transport: &mut T,
        host: &mut H,
    ) -> Result<Progress, ResetError> {
        let header_bytes = spec::header_bytes(self.features);
        let tx = &mut self.tx[usize::from(queue)];
        let Some(TxResetting { deadline, .. }) = tx.resetting else {
            return Ok(Progress::Running);
        };
        let failed = Some(TxResetting { deadline, look_at: u64::MAX });
        if transport.queue_resetting(2 * queue + 1) {
            if now >= deadline {
                tx.resetting = failed;
                tx.counters.queue_reset_timeouts += 1;
                host.event(now, Event::TransmitResetFailed { queue });
                return Err(ResetError::Timeout { queue });
            }
            let look_at = now.saturating_add(LOOK_PS).min(deadline);
            tx.resetting = Some(TxResetting { deadline, look_at });
            self.timers.set(look_at);
            return Ok(Progress::Waiting { deadline });
        }
        transmit::harvest(now, queue, tx, &self.memory, host);
        tx.reset(&self.memory, RingFeatures::of(self.features), header_bytes);
        let setup = tx.ring.setup(&self.memory, None);
        if let Err(error) = put_to_use(2 * queue + 1, &setup, transport) {
            tx.resetting = failed;
            tx.counters.queue_reset_failures += 1;
            host.event(now, Event::TransmitResetFailed { queue });
            return Err(ResetError::Transport(error));
        }
        host.event(now, Event::TransmitRestarted { queue });
        Ok(Progress::Running)
    }
}
