//! Class VIRTIO_NET_CTRL_NOTF_COAL: interrupt coalescing (5.1.6.5.9).
//!
//! `struct virtio_net_ctrl_coal` is two le32: packets, then microseconds. VQ_GET is the one command of all
//! whose data has a part that the device writes, in front of the answer's byte; [`DATA_WRITTEN`] is its size.

use super::{Agreed, Order, Refusal};
use crate::config::Coalesce;
use crate::spec::{control, feature};

const PS_PER_USEC: u64 = 1_000_000;

/// Bytes that the device writes before the answer's byte.
pub(super) const DATA_WRITTEN: usize = 8;

pub(super) fn parse(number: u8, data: &[u8], agreed: Agreed) -> Result<Order, Refusal> {
    match number {
        control::NOTF_COAL_TX_SET | control::NOTF_COAL_RX_SET => {
            agreed.needs(feature::NOTF_COAL)?;
            let limits = limits(data.try_into().map_err(|_| Refusal::Length)?);
            let transmit = number == control::NOTF_COAL_TX_SET;
            Ok(Order::CoalesceAll { transmit, limits })
        }
        control::NOTF_COAL_VQ_SET => {
            agreed.needs(feature::VQ_NOTF_COAL)?;
            let (virtqueue, rest) = virtqueue(data)?;
            let limits = limits(rest.try_into().map_err(|_| Refusal::Length)?);
            Ok(Order::Coalesce { virtqueue, limits })
        }
        control::NOTF_COAL_VQ_GET => {
            agreed.needs(feature::VQ_NOTF_COAL)?;
            match virtqueue(data)? {
                (virtqueue, []) => Ok(Order::CoalesceGet { virtqueue }),
                _ => Err(Refusal::Length),
            }
        }
        _ => Err(Refusal::Unsupported),
    }
}

/// The limits as VQ_GET shows them. Part of a microsecond counts as one: it is not "none".
pub(crate) fn show(limits: Coalesce) -> [u8; DATA_WRITTEN] {
    let usecs = limits.max_ps.div_ceil(PS_PER_USEC).min(u32::MAX.into());
    // Bounded in the line above.
    (u64::from(limits.max_frames) | usecs << 32).to_le_bytes()
}

/// The index, and what follows it and two reserved bytes, which are ignored.
fn virtqueue(data: &[u8]) -> Result<(u16, &[u8]), Refusal> {
    let (head, rest) = data.split_first_chunk::<4>().ok_or(Refusal::Length)?;
    Ok((u16::from_le_bytes([head[0], head[1]]), rest))
}

fn limits(bytes: [u8; 8]) -> Coalesce {
    let [p0, p1, p2, p3, u0, u1, u2, u3] = bytes;
    Coalesce {
        max_frames: u32::from_le_bytes([p0, p1, p2, p3]),
        max_ps: u64::from(u32::from_le_bytes([u0, u1, u2, u3])) * PS_PER_USEC,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(features: u64) -> Agreed {
        Agreed { features, max_pairs: 4 }
    }

    const LIMITS: Coalesce = Coalesce { max_ps: 10_000_000, max_frames: 15 };

    #[test]
    fn all_queues_of_a_direction_are_set_with_packets_first() {
        let data = [15, 0, 0, 0, 10, 0, 0, 0];
        for (number, transmit) in [(0, true), (1, false)] {
            let order = Order::CoalesceAll { transmit, limits: LIMITS };
            assert_eq!(parse(number, &data, with(feature::NOTF_COAL)), Ok(order));
            let refused = parse(number, &data, with(feature::VQ_NOTF_COAL));
            assert_eq!(refused, Err(Refusal::Unsupported));
        }
        assert_eq!(parse(0, &data[1..], with(feature::NOTF_COAL)), Err(Refusal::Length));
    }

    #[test]
    fn one_queue_is_set_and_shown_and_reserved_bytes_are_ignored() {
        let agreed = with(feature::VQ_NOTF_COAL);
        let data = [2, 1, 0xaa, 0xbb, 15, 0, 0, 0, 10, 0, 0, 0];
        let order = Order::Coalesce { virtqueue: 0x102, limits: LIMITS };
        assert_eq!(parse(2, &data, agreed), Ok(order));
        assert_eq!(parse(3, &data[..4], agreed), Ok(Order::CoalesceGet { virtqueue: 0x102 }));
        assert_eq!(parse(2, &data[..11], agreed), Err(Refusal::Length));
        assert_eq!(parse(3, &data[..5], agreed), Err(Refusal::Length));
        assert_eq!(parse(3, &data[..3], agreed), Err(Refusal::Length));
        assert_eq!(parse(4, &data, agreed), Err(Refusal::Unsupported));
        assert_eq!(parse(2, &data, with(feature::NOTF_COAL)), Err(Refusal::Unsupported));
        assert_eq!(show(LIMITS), [15, 0, 0, 0, 10, 0, 0, 0]);
        let odd = Coalesce { max_ps: 1, max_frames: u32::MAX };
        assert_eq!(show(odd), [0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0]);
    }

    #[test]
    fn the_largest_limits_do_not_overflow() {
        let order = parse(1, &[0xff; 8], with(feature::NOTF_COAL)).unwrap();
        let Order::CoalesceAll { limits, .. } = order else { panic!("{order:?}") };
        assert_eq!(show(limits), [0xff; 8]);
    }
}
