//! Classes VIRTIO_NET_CTRL_ANNOUNCE and VIRTIO_NET_CTRL_GUEST_OFFLOADS (5.1.6.5.4, 5.1.6.5.8).

use super::{Agreed, Order, Refusal};
use crate::spec::{control, feature};

/// What can be switched. Only what was agreed can be on; nothing else is a bit of this command.
const SWITCHABLE: u64 = feature::GUEST_CSUM
    | feature::GUEST_TSO4
    | feature::GUEST_TSO6
    | feature::GUEST_ECN
    | feature::GUEST_UFO
    | feature::GUEST_USO4
    | feature::GUEST_USO6;

pub(super) fn announce(number: u8, data: &[u8], agreed: Agreed) -> Result<Order, Refusal> {
    agreed.needs(feature::GUEST_ANNOUNCE)?;
    match (number, data) {
        (control::ANNOUNCE_ACK, []) => Ok(Order::Announced),
        (control::ANNOUNCE_ACK, _) => Err(Refusal::Length),
        _ => Err(Refusal::Unsupported),
    }
}

pub(super) fn offloads(number: u8, data: &[u8], agreed: Agreed) -> Result<Order, Refusal> {
    agreed.needs(feature::CTRL_GUEST_OFFLOADS)?;
    if number != control::GUEST_OFFLOADS_SET {
        return Err(Refusal::Unsupported);
    }
    let on = data.try_into().map(u64::from_le_bytes).map_err(|_| Refusal::Length)?;
    if on & !(agreed.features & SWITCHABLE) != 0 {
        return Err(Refusal::NotAgreed(on));
    }
    Ok(Order::Offloads(on))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(features: u64) -> Agreed {
        Agreed { features, max_pairs: 4 }
    }

    #[test]
    fn only_what_was_agreed_is_switched_on() {
        let agreed = with(feature::CTRL_GUEST_OFFLOADS | feature::GUEST_CSUM | feature::CSUM);
        let set = |bits: u64, agreed| offloads(0, &bits.to_le_bytes(), agreed);
        for on in [0, feature::GUEST_CSUM] {
            assert_eq!(set(on, agreed), Ok(Order::Offloads(on)));
        }
        for on in [feature::GUEST_TSO4, feature::CSUM, u64::MAX, 3] {
            assert_eq!(set(on, agreed), Err(Refusal::NotAgreed(on)));
        }
        assert_eq!(offloads(0, &[0; 7], agreed), Err(Refusal::Length));
        assert_eq!(offloads(1, &[0; 8], agreed), Err(Refusal::Unsupported));
        assert_eq!(set(0, with(feature::GUEST_CSUM)), Err(Refusal::Unsupported));
    }

    #[test]
    fn an_announcement_is_acknowledged_without_data() {
        let agreed = with(feature::GUEST_ANNOUNCE);
        assert_eq!(announce(0, &[], agreed), Ok(Order::Announced));
        assert_eq!(announce(0, &[0], agreed), Err(Refusal::Length));
        assert_eq!(announce(1, &[], agreed), Err(Refusal::Unsupported));
        assert_eq!(announce(0, &[], with(0)), Err(Refusal::Unsupported));
    }
}
