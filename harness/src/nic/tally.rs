//! What a lane has counted, and the sum over lanes.

use nic_model::{DeviceCounters, DeviceError, DropReason};
use serde_json::{Value, json};

use super::feed::Standing;

/// A snapshot of one lane, taken between two frames.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// The device's own.
    pub device: DeviceCounters,
    /// Frames in its FIFO.
    pub held: u64,
    /// Buffers that the driver has posted and no frame has taken.
    pub available: u64,
    /// Frames that the guest has sent and that found no way out.
    pub not_sent: u64,
    /// Those that were discarded, as their queue was not enabled.
    pub discarded: u64,
    /// Messages sent, by queue: receive, transmit.
    pub interrupts: [u64; 2],
    /// Times that the lane had nothing to do and slept.
    pub sleeps: u64,
    /// The first ring that broke, and why.
    pub broken: Option<DeviceError>,
    /// How far the traffic has come.
    pub feed: Standing,
}

impl Tally {
    /// Whether every frame offered is delivered, dropped or held.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let Self { device, held, .. } = self;
        device.offered == device.written + device.dropped_total() + held
    }

    /// Of several lanes together.
    #[must_use]
    pub fn sum(tallies: &[Self]) -> Self {
        let mut sum = Self::default();
        for tally in tallies {
            sum.device += &tally.device;
            sum.held += tally.held;
            sum.available += tally.available;
            sum.not_sent += tally.not_sent;
            sum.discarded += tally.discarded;
            sum.interrupts[0] += tally.interrupts[0];
            sum.interrupts[1] += tally.interrupts[1];
            sum.sleeps += tally.sleeps;
            sum.broken = sum.broken.or(tally.broken);
        }
        sum
    }

    /// As a line of text.
    #[must_use]
    pub fn line(&self, name: &str) -> String {
        let Self { device, held, .. } = self;
        let reasons: Vec<String> = DropReason::ALL
            .iter()
            .filter(|reason| device.dropped[reason.index()] > 0)
            .map(|reason| format!("{} {}", reason.name(), device.dropped[reason.index()]))
            .collect();
        let reasons =
            if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        let sum = if self.adds_up() { "" } else { "  DOES NOT ADD UP" };
        format!(
            "{name:>9}: offered {} = delivered {} + dropped {}{reasons} + held {held}; sent by the driver {}{sum}\n",
            device.offered,
            device.written,
            device.dropped_total(),
            device.transmitted
        )
    }

    /// As one object.
    #[must_use]
    pub fn json(&self) -> Value {
        let Self { device, held, available, not_sent, discarded, interrupts, .. } = self;
        let dropped: serde_json::Map<String, Value> = DropReason::ALL
            .iter()
            .filter(|reason| device.dropped[reason.index()] > 0)
            .map(|reason| (reason.name().into(), device.dropped[reason.index()].into()))
            .collect();
        json!({
            "offered": device.offered,
            "offered_bytes": device.offered_bytes,
            "delivered": device.written,
            "dropped": device.dropped_total(),
            "drop_reasons": dropped,
            "held": held,
            "available": available,
            "sent": device.transmitted,
            "sent_bytes": device.transmitted_bytes,
            "not_sent": not_sent,
            "discarded": discarded,
            "rx_interrupts": interrupts[0],
            "tx_interrupts": interrupts[1],
            "kicks": device.kicks,
            "sleeps": self.sleeps,
            "broken": self.broken.map(|error| error.to_string()),
            "adds_up": self.adds_up(),
        })
    }
}
