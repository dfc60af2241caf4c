//! Class VIRTIO_NET_CTRL_STATS: device statistics (virtio 1.4, 5.1.6.5.10).

use super::{Agreed, Order, Refusal};
use crate::spec::{control, feature};

/// Bytes of one `stats` of `struct virtio_net_ctrl_queue_stats`.
const ASKED_LEN: usize = 16;

/// What is asked of one virtqueue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) virtqueue: u16,
    /// One bit for each type.
    pub(crate) types: u64,
}

pub(super) fn parse(number: u8, data: &[u8], agreed: Agreed) -> Result<Order, Refusal> {
    agreed.needs(feature::DEVICE_STATS)?;
    match number {
        control::STATS_QUERY if data.is_empty() => Ok(Order::StatsQuery),
        control::STATS_QUERY => Err(Refusal::Length),
        control::STATS_GET => match data.as_chunks::<ASKED_LEN>() {
            (asked, []) => Ok(Order::StatsGet(asked.iter().map(ask).collect())),
            _ => Err(Refusal::Length),
        },
        _ => Err(Refusal::Unsupported),
    }
}

/// Index le16, six reserved bytes, types le64.
fn ask(bytes: &[u8; ASKED_LEN]) -> Asked {
    let [v0, v1, _, _, _, _, _, _, types @ ..] = *bytes;
    Asked { virtqueue: u16::from_le_bytes([v0, v1]), types: u64::from_le_bytes(types) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(features: u64) -> Agreed {
        Agreed { features, max_pairs: 4 }
    }

    #[test]
    fn a_list_of_queues_and_types_is_understood() {
        let agreed = with(feature::DEVICE_STATS);
        let one = [2, 1, 9, 9, 9, 9, 9, 9, 1, 0, 0, 0, 1, 0, 0, 0];
        let asked = Asked { virtqueue: 0x102, types: 1 << 32 | 1 };
        assert_eq!(parse(1, &one, agreed), Ok(Order::StatsGet(vec![asked])));
        let two = [one, one].concat();
        assert_eq!(parse(1, &two, agreed), Ok(Order::StatsGet(vec![asked, asked])));
        assert_eq!(parse(1, &[], agreed), Ok(Order::StatsGet(vec![])));
        assert_eq!(parse(1, &two[1..], agreed), Err(Refusal::Length));
        assert_eq!(parse(0, &[], agreed), Ok(Order::StatsQuery));
        assert_eq!(parse(0, &[0], agreed), Err(Refusal::Length));
        assert_eq!(parse(2, &[], agreed), Err(Refusal::Unsupported));
        assert_eq!(parse(0, &[], with(!feature::DEVICE_STATS)), Err(Refusal::Unsupported));
    }
}
