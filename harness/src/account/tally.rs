//! Counts of fates.

use super::Reason;

/// How many frames met which fate: in total, of one queue, or as one handle saw them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Frames that came in.
    pub offered: u64,
    /// Frames that reached their reader.
    pub delivered: u64,
    /// Frames that no filter wanted.
    pub filtered: u64,
    /// Frames dropped, over all reasons.
    pub dropped: u64,
    /// Frames dropped for each reason, by [`Reason::index`].
    pub reasons: [u64; Reason::COUNT],
}

impl Default for Tally {
    fn default() -> Self {
        Self { offered: 0, delivered: 0, filtered: 0, dropped: 0, reasons: [0; Reason::COUNT] }
    }
}

impl Tally {
    /// Counts one drop.
    #[inline]
    pub fn drop_for(&mut self, reason: Reason) {
        self.dropped += 1;
        self.reasons[reason.index()] += 1;
    }

    /// Frames that have met their fate.
    #[inline]
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.delivered + self.filtered + self.dropped
    }

    /// Whether the reasons add up to the drops.
    #[must_use]
    pub fn reasons_add_up(&self) -> bool {
        self.reasons.iter().sum::<u64>() == self.dropped
    }

    /// The reasons that occurred, with their counts.
    pub fn occurred(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::all().map(|reason| (reason, self.reasons[reason.index()])).filter(|(_, n)| *n > 0)
    }
}
