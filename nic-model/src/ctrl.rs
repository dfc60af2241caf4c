//! Control commands: bytes in, an order or a refusal out (virtio 5.1.6.5).
//!
//! Everything this device does not do (receive modes, MAC and VLAN filters, announcements, offloads,
//! hash reports, coalescing) is refused, which is VIRTIO_NET_ERR to the driver.

use crate::rss::{RssConfig, RssError};
use crate::spec::{control, feature};

/// Most bytes of a command: the longest RSS configuration and two bytes in front.
pub(crate) const COMMAND_LEN_MAX: usize = 2 + 4 + 2 + 2 + 2 * 128 + 2 + 1 + 40;

/// A command understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// So many pairs, automatic steering.
    Pairs(u16),
    /// Steering by RSS.
    Rss(RssConfig),
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Fewer or more bytes than the command has.
    Length,
    /// Unknown, or its feature was not negotiated.
    Unsupported,
    /// So many pairs there are not.
    Pairs(u16),
    /// The RSS configuration is invalid.
    Rss(RssError),
}

/// Understands a command: class, command and data, without the answer's byte.
pub(crate) fn parse(command: &[u8], features: u64, max_pairs: u16) -> Result<Order, Refusal> {
    let Some((&[class, number], data)) = command.split_first_chunk() else {
        return Err(Refusal::Length);
    };
    match (class, number) {
        (control::CLASS_MQ, control::MQ_VQ_PAIRS_SET) if features & feature::MQ != 0 => {
            let pairs = data.try_into().map(u16::from_le_bytes).map_err(|_| Refusal::Length)?;
            if pairs == 0 || pairs > max_pairs {
                return Err(Refusal::Pairs(pairs));
            }
            Ok(Order::Pairs(pairs))
        }
        (control::CLASS_MQ, control::MQ_RSS_CONFIG) if features & feature::RSS != 0 => {
            RssConfig::parse(data, max_pairs).map(Order::Rss).map_err(Refusal::Rss)
        }
        _ => Err(Refusal::Unsupported),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_bounded_and_need_mq() {
        let with_mq = |bytes: &[u8]| parse(bytes, feature::MQ, 4);
        assert_eq!(with_mq(&[4, 0, 4, 0]), Ok(Order::Pairs(4)));
        assert_eq!(with_mq(&[4, 0, 5, 0]), Err(Refusal::Pairs(5)));
        assert_eq!(with_mq(&[4, 0, 0, 0]), Err(Refusal::Pairs(0)));
        assert_eq!(with_mq(&[4, 0, 1]), Err(Refusal::Length));
        assert_eq!(with_mq(&[4, 0, 1, 0, 0]), Err(Refusal::Length));
        assert_eq!(with_mq(&[4]), Err(Refusal::Length));
        assert_eq!(parse(&[4, 0, 1, 0], feature::RSS, 4), Err(Refusal::Unsupported));
    }

    #[test]
    fn everything_else_is_refused() {
        for class in 0..=255 {
            for command in 0..8 {
                if class != 4 || command > 1 {
                    let answer = parse(&[class, command, 1, 0], u64::MAX, 4);
                    assert_eq!(answer, Err(Refusal::Unsupported));
                }
            }
        }
        assert_eq!(parse(&[4, 1], feature::RSS, 4), Err(Refusal::Rss(RssError::Length(0))));
        assert_eq!(parse(&[4, 1], feature::MQ, 4), Err(Refusal::Unsupported));
    }
}
