//! Classes VIRTIO_NET_CTRL_RX, _MAC and _VLAN: what the device takes (5.1.6.5.1 to 5.1.6.5.3).

use super::{Agreed, Order, Refusal};
use crate::filter::{Mode, Table};
use crate::spec::{control, feature};

/// Most addresses in the two tables of one command; more do not fit the device's command buffer.
pub(super) const MAC_ENTRIES_MAX: usize = 1024;

/// VLAN ids end here (IEEE 802.1Q).
const VLAN_MAX: u16 = 4095;

/// A command of class VIRTIO_NET_CTRL_RX: a mode, on or off.
pub(super) fn mode(number: u8, data: &[u8], agreed: Agreed) -> Result<Order, Refusal> {
    let (mode, needs) = match number {
        control::RX_PROMISC => (Mode::Promiscuous, feature::CTRL_RX),
        control::RX_ALLMULTI => (Mode::AllMulticast, feature::CTRL_RX),
        control::RX_ALLUNI => (Mode::AllUnicast, feature::CTRL_RX_EXTRA),
        control::RX_NOMULTI => (Mode::NoMulticast, feature::CTRL_RX_EXTRA),
        control::RX_NOUNI => (Mode::NoUnicast, feature::CTRL_RX_EXTRA),
        control::RX_NOBCAST => (Mode::NoBroadcast, feature::CTRL_RX_EXTRA),
        _ => return Err(Refusal::Unsupported),
    };
    agreed.needs(needs)?;
    match data {
        [0] => Ok(Order::ReceiveMode(mode, false)),
        [1] => Ok(Order::ReceiveMode(mode, true)),
        [value] => Err(Refusal::NotOnOrOff(*value)),
        _ => Err(Refusal::Length),
    }
}

/// A command of class VIRTIO_NET_CTRL_MAC.
pub(super) fn mac(number: u8, data: &[u8], agreed: Agreed) -> Result<Order, Refusal> {
    match number {
        control::MAC_TABLE_SET => {
            agreed.needs(feature::CTRL_RX)?;
            let (unicast, rest) = table(data)?;
            let (multicast, rest) = table(rest)?;
            if !rest.is_empty() {
                return Err(Refusal::Length);
            }
            let is_group = |address: &[u8; 6]| address[0] & 1 != 0;
            if unicast.iter().any(is_group) || !multicast.iter().all(is_group) {
                return Err(Refusal::MacTable);
            }
            Ok(Order::MacTables(Table::new(unicast), Table::new(multicast)))
        }
        control::MAC_ADDR_SET => {
            agreed.needs(feature::CTRL_MAC_ADDR)?;
            let address: [u8; 6] = data.try_into().map_err(|_| Refusal::Length)?;
            if address[0] & 1 != 0 { Err(Refusal::Station) } else { Ok(Order::Station(address)) }
        }
        _ => Err(Refusal::Unsupported),
    }
}

/// A command of class VIRTIO_NET_CTRL_VLAN.
pub(super) fn vlan(number: u8, data: &[u8], agreed: Agreed) -> Result<Order, Refusal> {
    let listed = match number {
        control::VLAN_ADD => true,
        control::VLAN_DEL => false,
        _ => return Err(Refusal::Unsupported),
    };
    agreed.needs(feature::CTRL_VLAN)?;
    let vlan = data.try_into().map(u16::from_le_bytes).map_err(|_| Refusal::Length)?;
    if vlan > VLAN_MAX {
        return Err(Refusal::Vlan(vlan));
    }
    Ok(Order::Vlan { vlan, listed })
}

/// `struct virtio_net_ctrl_mac` and what comes behind it.
fn table(data: &[u8]) -> Result<(&[[u8; 6]], &[u8]), Refusal> {
    let (entries, rest) = data.split_first_chunk::<4>().ok_or(Refusal::Length)?;
    let entries = u32::from_le_bytes(*entries) as usize;
    let bytes = entries.checked_mul(6).ok_or(Refusal::Length)?;
    let (addresses, rest) = rest.split_at_checked(bytes).ok_or(Refusal::Length)?;
    Ok((addresses.as_chunks().0, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Agreed = Agreed { features: u64::MAX, max_pairs: 4 };

    #[test]
    fn modes_are_switched_by_one_byte_and_need_their_feature() {
        assert_eq!(mode(0, &[1], ALL), Ok(Order::ReceiveMode(Mode::Promiscuous, true)));
        assert_eq!(mode(5, &[0], ALL), Ok(Order::ReceiveMode(Mode::NoBroadcast, false)));
        assert_eq!(mode(0, &[2], ALL), Err(Refusal::NotOnOrOff(2)));
        assert_eq!(mode(0, &[], ALL), Err(Refusal::Length));
        assert_eq!(mode(0, &[1, 0], ALL), Err(Refusal::Length));
        assert_eq!(mode(6, &[1], ALL), Err(Refusal::Unsupported));
        let plain = Agreed { features: feature::CTRL_RX, ..ALL };
        assert!(mode(1, &[1], plain).is_ok());
        assert_eq!(mode(2, &[1], plain), Err(Refusal::Unsupported), "CTRL_RX_EXTRA");
    }

    #[test]
    fn mac_tables_are_read_to_the_last_byte() {
        let bytes = [1, 0, 0, 0, 2, 2, 2, 2, 2, 2, 1, 0, 0, 0, 3, 3, 3, 3, 3, 3];
        let order = Order::MacTables(Table::new(&[[2; 6]]), Table::new(&[[3; 6]]));
        assert_eq!(mac(0, &bytes, ALL), Ok(order));
        for cut in 0..bytes.len() {
            assert_eq!(mac(0, &bytes[..cut], ALL), Err(Refusal::Length), "{cut}");
        }
        assert_eq!(mac(0, &[&bytes[..], &[0]].concat(), ALL), Err(Refusal::Length));
        assert_eq!(mac(0, &[0xff; 20], ALL), Err(Refusal::Length), "4 Gi entries");
        let swapped = [&bytes[10..], &bytes[..10]].concat();
        assert_eq!(mac(0, &swapped, ALL), Err(Refusal::MacTable));
        let order = Order::MacTables(Table::default(), Table::default());
        assert_eq!(mac(0, &[0; 8], ALL), Ok(order));
    }

    #[test]
    fn vlans_end_at_4095() {
        assert_eq!(vlan(0, &[0xff, 0xf], ALL), Ok(Order::Vlan { vlan: 4095, listed: true }));
        assert_eq!(vlan(1, &[7, 0], ALL), Ok(Order::Vlan { vlan: 7, listed: false }));
        assert_eq!(vlan(0, &[0, 0x10], ALL), Err(Refusal::Vlan(4096)));
        assert_eq!(vlan(0, &[0], ALL), Err(Refusal::Length));
        assert_eq!(vlan(2, &[0, 0], ALL), Err(Refusal::Unsupported));
        let without = Agreed { features: !feature::CTRL_VLAN, ..ALL };
        assert_eq!(vlan(0, &[0, 0], without), Err(Refusal::Unsupported));
    }
}
