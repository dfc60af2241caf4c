//! The account of one handle, of a session under way or at its end.

use npf_core::{DropReason, HandleCounters};
use serde_json::{Map, Value, json};

use super::reader::Served;

/// What has become of the frames that a handle was shown.
#[derive(Clone, Debug)]
pub struct HandleAccount {
    /// Its name in the scenario.
    pub name: String,
    /// The core's counters.
    pub counters: HandleCounters,
    /// Packets in its buffer.
    pub queued: u64,
}

impl HandleAccount {
    /// As it is now.
    #[must_use]
    pub fn of(served: &Served) -> Self {
        let counters = served.handle.counters();
        Self { name: served.name.clone(), counters, queued: served.handle.queued() }
    }

    /// Frames that reached the program: read, counted, or written to a dump file.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.counters.delivered + self.counters.counted + self.counters.dumped
    }

    /// Frames without a fate: in the buffer, or on their way into it.
    #[must_use]
    pub fn held(&self) -> u64 {
        let fates = self.delivered() + self.counters.filtered + self.counters.dropped_total();
        self.counters.shown.saturating_sub(fates)
    }

    /// Whether, at rest, it was shown every frame that its direction lets it see of `indicated`, and each of
    /// them has one fate.
    #[must_use]
    pub fn adds_up(&self, indicated: u64) -> bool {
        let HandleCounters { shown, skipped, filtered, .. } = self.counters;
        let fates = self.delivered() + filtered + self.counters.dropped_total() + self.queued;
        shown + skipped == indicated && shown == fates
    }

    /// Drops by reason, those that occurred.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        let dropped = &self.counters.dropped;
        let each = DropReason::ALL.iter().map(|reason| (*reason, dropped[reason.index()]));
        each.filter(|(_, count)| *count > 0)
    }

    /// As one object.
    #[must_use]
    pub fn json(&self) -> Value {
        let Self { name, counters, .. } = self;
        let reasons: Map<String, Value> =
            self.drops().map(|(reason, count)| (reason.name().into(), count.into())).collect();
        json!({
            "name": name,
            "shown": counters.shown,
            "filtered": counters.filtered,
            "delivered": counters.delivered,
            "counted": counters.counted,
            "dumped": counters.dumped,
            "dropped": counters.dropped_total(),
            "drop_reasons": reasons,
            "held": self.held(),
        })
    }

    /// As a line of text, with what is wrong with it at rest.
    #[must_use]
    pub fn line(&self, indicated: u64) -> String {
        format!(
            "handle {}: shown {} = delivered {} + filtered {} + dropped {} + held {}{}\n",
            self.name,
            self.counters.shown,
            self.delivered(),
            self.counters.filtered,
            self.counters.dropped_total(),
            self.held(),
            if self.adds_up(indicated) { "" } else { "  DOES NOT ADD UP" }
        )
    }
}
