//! What the driver asks of the device's interrupt coalescing (virtio 1.x, 5.1.6.5.9).

use crate::config_error::ConfigError;
use crate::spec;

/// When an interrupt is sent at the latest, whichever comes first; either 0: for each frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coalesce {
    /// With this many frames.
    pub max_packets: u32,
    /// This many microseconds after the first one.
    pub max_usecs: u32,
}

/// What is asked for at each start. VIRTIO_NET_F_NOTF_COAL is asked for exactly when `rx` or `tx` is given, and
/// VIRTIO_NET_F_VQ_NOTF_COAL when `queues` is not empty; both are required then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoalesceSettings {
    /// Of all receive queues.
    pub rx: Option<Coalesce>,
    /// Of all transmit queues. They have no vector, so that it makes no difference to this driver.
    pub tx: Option<Coalesce>,
    /// Of single receive queues, set after those for all.
    pub queues: Vec<(u16, Coalesce)>,
}

impl CoalesceSettings {
    pub(crate) fn features(&self) -> u64 {
        let all = self.rx.is_some() || self.tx.is_some();
        let one = !self.queues.is_empty();
        (if all { spec::NET_F_NOTF_COAL } else { 0 })
            | (if one { spec::NET_F_VQ_NOTF_COAL } else { 0 })
    }

    pub(crate) fn validate(&self, queue_pairs: u16) -> Result<(), ConfigError> {
        match self.queues.iter().find(|(queue, _)| *queue >= queue_pairs) {
            Some((queue, _)) => Err(ConfigError::OutOfRange {
                field: "coalesce.queues",
                value: (*queue).into(),
                min: 0,
                max: u64::from(queue_pairs) - 1,
            }),
            None => Ok(()),
        }
    }
}
