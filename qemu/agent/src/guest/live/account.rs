//! The account of what runs, as the host wants it.

use std::collections::BTreeMap;

use harness::guest::account::HandleAccount as Handle;
use protocol::{HandleAccount, LiveAccount, QueueAccount};

use super::core::Core;

impl Core<'_> {
    /// As it is now. Queues come first, so that handles may count more than they do, and never less.
    pub fn account(&self) -> LiveAccount {
        let queues = (0..self.driver.config().queue_pairs).map(|queue| self.queue(queue)).collect();
        let mut driver = BTreeMap::new();
        self.driver.counters().visit(&mut |name, value| keep(&mut driver, name, value));
        let error = self.driver.error().map(ToString::to_string);
        LiveAccount {
            queues,
            handles: self.taps.handles().iter().map(|served| handle(&Handle::of(served))).collect(),
            driver,
            error: error.or_else(|| self.fault.clone()),
            first_frame_us: self.taps.first_frame.map(|at| at / 1_000_000),
            ..LiveAccount::default()
        }
    }

    fn queue(&self, queue: u16) -> QueueAccount {
        let Some(counters) = self.driver.queue_counters(queue) else {
            return QueueAccount::default();
        };
        let (mut by_name, mut dropped) = (BTreeMap::new(), BTreeMap::new());
        counters.receive.visit(&mut |name, value| keep(&mut by_name, name, value));
        for reason in driver::DropReason::ALL {
            keep(&mut dropped, reason.name(), counters.dropped[reason.index()]);
        }
        QueueAccount {
            received: counters.receive.consumed,
            indicated: counters.receive.indicated,
            bytes: counters.receive.bytes,
            dropped,
            messages: self
                .messages
                .get(usize::from(driver::vector_of(queue)))
                .copied()
                .unwrap_or(0),
            counters: by_name,
            digest: self.taps.digest(queue),
            error: self.driver.queue_error(queue).map(|error| error.to_string()),
        }
    }
}

/// A handle's, in the words of the protocol.
pub fn handle(handle: &Handle) -> HandleAccount {
    HandleAccount {
        name: handle.name.clone(),
        shown: handle.counters.shown,
        skipped: handle.counters.skipped,
        filtered: handle.counters.filtered,
        delivered: handle.delivered(),
        dropped: handle.drops().map(|(reason, count)| (reason.name().into(), count)).collect(),
        held: handle.held(),
    }
}

fn keep(to: &mut BTreeMap<String, u64>, name: &str, value: u64) {
    if value > 0 {
        to.insert(name.into(), value);
    }
}
