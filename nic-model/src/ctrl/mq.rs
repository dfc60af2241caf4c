//! Class VIRTIO_NET_CTRL_MQ: how many pairs, and RSS (5.1.6.5.6, 5.1.6.5.7).

use super::{Agreed, Order, Refusal};
use crate::rss::{HashConfig, RssConfig};
use crate::spec::{control, feature};

pub(super) fn parse(number: u8, data: &[u8], agreed: Agreed) -> Result<Order, Refusal> {
    match number {
        control::MQ_VQ_PAIRS_SET => {
            agreed.needs(feature::MQ)?;
            let pairs = data.try_into().map(u16::from_le_bytes).map_err(|_| Refusal::Length)?;
            if pairs == 0 || pairs > agreed.max_pairs {
                return Err(Refusal::Pairs(pairs));
            }
            Ok(Order::Pairs(pairs))
        }
        control::MQ_RSS_CONFIG => {
            agreed.needs(feature::RSS)?;
            RssConfig::parse(data, agreed.max_pairs).map(Order::Rss).map_err(Refusal::Rss)
        }
        control::MQ_HASH_CONFIG => {
            agreed.needs(feature::HASH_REPORT)?;
            HashConfig::parse(data).map(Order::Hash).map_err(Refusal::Rss)
        }
        _ => Err(Refusal::Unsupported),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rss::RssError;

    fn with(features: u64) -> Agreed {
        Agreed { features, max_pairs: 4 }
    }

    #[test]
    fn pairs_are_bounded_and_need_mq() {
        let set = |data: &[u8]| parse(0, data, with(feature::MQ));
        assert_eq!(set(&[4, 0]), Ok(Order::Pairs(4)));
        assert_eq!(set(&[5, 0]), Err(Refusal::Pairs(5)));
        assert_eq!(set(&[0, 0]), Err(Refusal::Pairs(0)));
        assert_eq!(set(&[1]), Err(Refusal::Length));
        assert_eq!(set(&[1, 0, 0]), Err(Refusal::Length));
        assert_eq!(parse(0, &[1, 0], with(feature::RSS)), Err(Refusal::Unsupported));
    }

    #[test]
    fn hash_parameters_need_the_report() {
        let none = HashConfig { hash_types: 0, key: vec![] };
        assert_eq!(parse(2, &[0; 13], with(feature::HASH_REPORT)), Ok(Order::Hash(none)));
        assert_eq!(parse(2, &[0; 13], with(feature::RSS)), Err(Refusal::Unsupported));
    }

    #[test]
    fn rss_needs_its_feature() {
        assert_eq!(parse(1, &[], with(feature::RSS)), Err(Refusal::Rss(RssError::Length(0))));
        assert_eq!(parse(1, &[], with(feature::MQ)), Err(Refusal::Unsupported));
    }
}
