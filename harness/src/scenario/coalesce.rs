//! `[coalesce]`: interrupt coalescing, in the words of `ethtool -C`, and which of it goes by command.
//!
//! Contract: pure data, and the checks of it. Without `nic.notf_coal` the device starts with the RX values
//! and keeps them; with it the device starts with none, as virtio 5.1.6.5.9.2 wants it, and the driver
//! sets them by control commands.

use serde::{Deserialize, Serialize};

use super::units::Duration;
use super::validate::{SECOND, within, wrong};
use super::{Impossible, Scenario};

/// Commands carry whole microseconds.
const PS_PER_USEC: u64 = 1_000_000;

/// Interrupt coalescing (`ethtool -c`); either value of a pair 0 notifies for each frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Coalesce {
    /// Longest delay of an RX interrupt, e.g. `"50us"`.
    pub rx_usecs: Duration,
    /// Frames after which it is sent without waiting longer.
    pub rx_frames: u32,
    /// Longest delay of a TX interrupt; needs `nic.notf_coal`. This driver takes no TX interrupts, so the
    /// command is all there is to see.
    #[serde(skip_serializing_if = "is_zero")]
    pub tx_usecs: Duration,
    /// Frames after which it is sent without waiting longer.
    #[serde(skip_serializing_if = "is_none")]
    pub tx_frames: u32,
    /// Single RX queues with values of their own; needs `nic.vq_notf_coal`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queue: Vec<QueueCoalesce>,
}

/// `[[coalesce.queue]]`: one RX queue (`ethtool --per-queue`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueCoalesce {
    /// Which one.
    pub queue: u16,
    /// As `coalesce.rx_usecs`.
    pub rx_usecs: Duration,
    /// As `coalesce.rx_frames`.
    pub rx_frames: u32,
}

fn is_zero(duration: &Duration) -> bool {
    duration.0 == 0
}

fn is_none(frames: &u32) -> bool {
    *frames == 0
}

impl Coalesce {
    /// What the driver is to ask for by command.
    pub(crate) fn settings(&self, nic: &super::Nic) -> driver::CoalesceSettings {
        let rx = (nic.notf_coal && self.rx_frames > 0)
            .then(|| by_command(self.rx_usecs, self.rx_frames));
        let tx = (self.tx_frames > 0).then(|| by_command(self.tx_usecs, self.tx_frames));
        let queues = self.queue.iter().map(|of| (of.queue, by_command(of.rx_usecs, of.rx_frames)));
        driver::CoalesceSettings { rx, tx, queues: queues.collect() }
    }

    /// What the device starts with.
    pub(crate) fn start(&self, nic: &super::Nic) -> nic_model::Coalesce {
        if nic.notf_coal {
            return nic_model::Coalesce::default();
        }
        nic_model::Coalesce { max_ps: self.rx_usecs.0, max_frames: self.rx_frames }
    }
}

fn by_command(usecs: Duration, frames: u32) -> driver::Coalesce {
    // Ten seconds at most.
    driver::Coalesce { max_packets: frames, max_usecs: (usecs.0 / PS_PER_USEC) as u32 }
}

/// Checks every value, and that its command is there.
pub(super) fn check(scenario: &Scenario) -> Result<(), Impossible> {
    let Coalesce { rx_usecs, rx_frames, tx_usecs, tx_frames, queue } = &scenario.coalesce;
    let nic = &scenario.nic;
    pair("coalesce.rx_usecs", *rx_usecs, "coalesce.rx_frames", *rx_frames, nic.notf_coal)?;
    pair("coalesce.tx_usecs", *tx_usecs, "coalesce.tx_frames", *tx_frames, true)?;
    if *tx_frames > 0 && !nic.notf_coal {
        let what = "TX interrupts are coalesced by command only";
        let allowed = "set nic.notf_coal = true: VIRTIO_NET_F_NOTF_COAL (virtio 5.1.6.5.9)";
        return wrong(&["coalesce.tx_frames", "nic.notf_coal"], what, allowed);
    }
    for (index, of) in queue.iter().enumerate() {
        let key = |name: &str| format!("coalesce.queue.{index}.{name}");
        let [number, usecs, frames] = ["queue", "rx_usecs", "rx_frames"].map(key);
        if !nic.vq_notf_coal {
            let what = "a single queue is set by command only";
            let allowed =
                "set nic.vq_notf_coal = true: VIRTIO_NET_F_VQ_NOTF_COAL (virtio 5.1.6.5.9)";
            return wrong(&[&number, "nic.vq_notf_coal"], what, allowed);
        }
        within(&number, of.queue, 0, scenario.channels.combined - 1)?;
        if queue[..index].iter().any(|before| before.queue == of.queue) {
            let what = format!("queue {} is set twice", of.queue);
            return wrong(&[&number], what, "one [[coalesce.queue]] for each queue");
        }
        pair(&usecs, of.rx_usecs, &frames, of.rx_frames, true)?;
    }
    Ok(())
}

fn pair(
    usecs_key: &str,
    usecs: Duration,
    frames_key: &str,
    frames: u32,
    by_command: bool,
) -> Result<(), Impossible> {
    within(usecs_key, usecs, Duration(0), Duration(10 * SECOND))?;
    if (usecs.0 == 0) != (frames == 0) {
        let (keys, missing) = if frames == 0 {
            ([usecs_key, frames_key], frames_key)
        } else {
            ([frames_key, usecs_key], usecs_key)
        };
        let missing = missing.rsplit('.').next().unwrap_or(missing);
        let what = format!("nothing is coalesced while {missing} is 0");
        return wrong(&keys, what, format!("set {missing} too, or neither"));
    }
    if by_command && !usecs.0.is_multiple_of(PS_PER_USEC) {
        let what = format!("a command cannot carry {usecs}");
        return wrong(&[usecs_key], what, "allowed: whole microseconds, like \"50us\"");
    }
    Ok(())
}
