//! How long frames took from the wire to one handle's reader.
//!
//! Contract: integers only, so that the same run gives the same numbers everywhere. Sum and maximum
//! are exact; quantiles come from a histogram of nanoseconds and are known to one part in a thousand.

use hdrhistogram::Histogram;

const PS_PER_NS: u64 = 1000;
/// Quantiles are known to so many significant digits.
const DIGITS: u8 = 3;

/// The latencies of one handle's delivered packets.
#[derive(Clone, Debug)]
pub struct Latency {
    /// Sum over all delivered packets, in picoseconds.
    pub sum: u128,
    /// The longest, in picoseconds.
    pub max: u64,
    nanoseconds: Option<Histogram<u64>>,
}

impl Latency {
    /// No packet yet.
    #[must_use]
    pub fn new() -> Self {
        Self { sum: 0, max: 0, nanoseconds: Histogram::new(DIGITS).ok() }
    }

    /// One more packet.
    #[inline]
    pub fn record(&mut self, ps: u64) {
        self.sum += u128::from(ps);
        self.max = self.max.max(ps);
        if let Some(histogram) = &mut self.nanoseconds {
            // The histogram grows by itself; what it could not take would still be in sum and max.
            let _ = histogram.record(ps / PS_PER_NS);
        }
    }

    /// The latency that `per_mille` thousandths of the packets do not exceed, in picoseconds, to the
    /// nanosecond; 0 without packets.
    #[must_use]
    pub fn quantile(&self, per_mille: u32) -> u64 {
        let quantile = f64::from(per_mille) / 1000.0;
        let ns = self.nanoseconds.as_ref().map_or(0, |of| of.value_at_quantile(quantile));
        ns.saturating_mul(PS_PER_NS).min(self.max)
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_was_recorded() {
        let mut latency = Latency::new();
        assert_eq!((latency.quantile(500), latency.max), (0, 0));
        for ns in 1..=1000u64 {
            latency.record(ns * PS_PER_NS);
        }
        assert_eq!(latency.quantile(500), 500_000);
        assert_eq!(latency.quantile(990), 990_000);
        assert_eq!((latency.quantile(1000), latency.max), (1_000_000, 1_000_000));
        assert_eq!(latency.sum, 500_500_000);
    }
}
