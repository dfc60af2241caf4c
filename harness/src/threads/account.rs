//! The account of the threads world: every frame offered is dropped by the NIC or the driver, shown to the
//! handles, or held; and each handle says what became of what it was shown.

use nic_model::DropReason;

use crate::guest::account::HandleAccount;
use crate::nic::tally::Tally;

/// One queue pair.
#[derive(Clone, Debug, Default)]
pub struct QueueAccount {
    /// Of its device.
    pub nic: Tally,
    /// Frames that its driver indicated to the tap.
    pub indicated: u64,
    /// Completions that its driver dropped.
    pub driver_dropped: u64,
    /// Its driver ended before it was told to: what it had not taken stays in the ring.
    pub gave_up: bool,
}

impl QueueAccount {
    /// Frames dropped on the way to the tap.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.nic.device.dropped_total() + self.driver_dropped
    }

    /// Frames in the FIFO, and frames in the ring that the driver has not taken.
    #[must_use]
    pub fn held(&self) -> (u64, u64) {
        let taken = self.indicated + self.driver_dropped;
        (self.nic.held, self.nic.device.written.saturating_sub(taken))
    }
}

/// See the module's contract.
#[derive(Clone, Debug)]
pub struct Account {
    /// By queue pair.
    pub queues: Vec<QueueAccount>,
    /// By handle.
    pub handles: Vec<HandleAccount>,
    /// All lanes played the same traffic, each its share, and are at rest: the shares make the whole.
    pub shares_traffic: bool,
}

impl Account {
    /// Frames offered, over all queues.
    #[must_use]
    pub fn offered(&self) -> u64 {
        self.queues.iter().map(|queue| queue.nic.device.offered).sum()
    }

    /// Frames shown to the handles, over all queues.
    #[must_use]
    pub fn indicated(&self) -> u64 {
        self.queues.iter().map(|queue| queue.indicated).sum()
    }

    /// Frames dropped on the way to the tap, over all queues.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queues.iter().map(QueueAccount::dropped).sum()
    }

    /// Frames on the way to the tap, over all queues.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.queues.iter().map(QueueAccount::held).map(|(fifo, ring)| fifo + ring).sum()
    }

    /// The NIC's drops by reason, those that occurred, over all queues.
    #[must_use]
    pub fn nic_drops(&self) -> Vec<(DropReason, u64)> {
        let of = |reason: &DropReason| -> u64 {
            self.queues.iter().map(|queue| queue.nic.device.dropped[reason.index()]).sum()
        };
        let each = DropReason::ALL.iter().map(|reason| (*reason, of(reason)));
        each.filter(|(_, count)| *count > 0).collect()
    }

    /// Whether no more frames come.
    #[must_use]
    pub fn is_fed(&self) -> bool {
        self.queues.iter().all(|queue| queue.nic.feed.is_over)
    }

    /// Whether no frame is on its way to a handle.
    #[must_use]
    pub fn rests(&self) -> bool {
        let all_shown = |handle: &HandleAccount| {
            handle.counters.shown + handle.counters.skipped == self.indicated()
        };
        self.held() == 0 && self.handles.iter().all(all_shown)
    }

    /// Whether the account adds up, of a run that is at rest.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), String> {
        for (number, queue) in self.queues.iter().enumerate() {
            let QueueAccount { nic, indicated, driver_dropped, gave_up } = queue;
            if !nic.adds_up() {
                return Err(format!(
                    "rxq{number}: the NIC was offered {} frames; {} written, {} dropped and {} held make {}",
                    nic.device.offered,
                    nic.device.written,
                    nic.device.dropped_total(),
                    nic.held,
                    nic.device.written + nic.device.dropped_total() + nic.held
                ));
            }
            let taken = indicated + driver_dropped;
            let written = nic.device.written;
            if written < taken || written > taken && !gave_up {
                return Err(format!(
                    "rxq{number}: the NIC wrote {written} frames; the driver indicated {indicated} and dropped \
                     {driver_dropped}",
                ));
            }
        }
        for handle in &self.handles {
            if !handle.adds_up(self.indicated()) {
                let line = handle.line(self.indicated());
                return Err(format!(
                    "of {} frames indicated, {}",
                    self.indicated(),
                    line.trim_end()
                ));
            }
        }
        let positions = self.queues.iter().map(|queue| queue.nic.feed.position);
        match positions.max() {
            Some(played) if self.shares_traffic && played != self.offered() => Err(format!(
                "the traffic had {played} frames, and the queues were offered {} of them together",
                self.offered()
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nic_model::DeviceCounters;
    use npf_core::HandleCounters;

    /// Puts something wrong into an account.
    type Spoil = fn(&mut Account);

    fn account() -> Account {
        let device = DeviceCounters { offered: 10, written: 10, ..DeviceCounters::default() };
        let mut nic = Tally { device, ..Tally::default() };
        nic.feed.position = 10;
        let counters = HandleCounters { shown: 9, delivered: 9, ..HandleCounters::default() };
        Account {
            queues: vec![QueueAccount { nic, indicated: 9, driver_dropped: 1, gave_up: false }],
            handles: vec![HandleAccount { name: "h".into(), counters, queued: 0 }],
            shares_traffic: true,
        }
    }

    #[test]
    fn whatever_is_missing_is_named() {
        assert_eq!(account().check(), Ok(()));
        let spoilt: [(Spoil, &str); 5] = [
            (|account| account.queues[0].nic.device.offered += 1, "the NIC was offered 11"),
            (|account| account.queues[0].driver_dropped = 0, "the driver indicated 9"),
            (|account| account.handles[0].counters.delivered = 8, "DOES NOT ADD UP"),
            (|account| account.handles[0].counters.shown = 8, "DOES NOT ADD UP"),
            (|account| account.queues[0].nic.feed.position = 11, "the traffic had 11 frames"),
        ];
        for (spoil, says) in spoilt {
            let mut account = account();
            spoil(&mut account);
            let said = account.check().unwrap_err();
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn a_snapshot_rests_when_nothing_is_under_way() {
        let mut account = account();
        assert!(account.rests());
        account.queues[0].indicated = 8;
        assert!(!account.rests() && account.held() == 1);
    }
}
