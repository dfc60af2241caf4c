//! The oracle's own idea of what the NIC is to take: the words of virtio 5.1.6.5.1 to 5.1.6.5.3 once more,
//! written without a look at the device.

use crate::scenario::RxFilter;

/// Addresses in a table beyond which the device may take all of their kind.
const TABLE_MAX: usize = 64;

/// May a device that was told `filter` refuse this frame? `own` is its address.
pub fn may_refuse(filter: &RxFilter, own: [u8; 6], frame: &[u8]) -> bool {
    let Some((destination, rest)) = frame.split_first_chunk::<6>() else { return true };
    if filter.promiscuous {
        return false;
    }
    let group = destination[0] & 1 == 1;
    let destination_taken = if *destination == [0xff; 6] {
        !filter.nobroadcast
    } else if group {
        let listed = filter.multicast.iter().any(|group| group.0 == *destination);
        let full = filter.multicast.len() > TABLE_MAX;
        !filter.nomulticast && (filter.allmulticast || listed || full)
    } else {
        let listed = filter.unicast.iter().any(|mac| mac.0 == *destination);
        let full = filter.unicast.len() > TABLE_MAX;
        !filter.nounicast && (filter.allunicast || *destination == own || listed || full)
    };
    let vlan = match rest.get(6..10) {
        // A VLAN id of 0 is a priority tag and no VLAN.
        Some(&[0x81, 0x00, high, low]) => u16::from_be_bytes([high & 0xf, low]),
        _ => 0,
    };
    let vlan_taken = match &filter.vlan {
        Some(listed) => vlan == 0 || listed.contains(&vlan),
        None => true,
    };
    !destination_taken || !vlan_taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Group, Mac};

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn frame(destination: [u8; 6], vlan: Option<u16>) -> Vec<u8> {
        let mut frame = destination.to_vec();
        frame.extend([0; 6]);
        if let Some(vlan) = vlan {
            frame.extend([0x81, 0]);
            frame.extend(vlan.to_be_bytes());
        }
        frame.extend([0; 46]);
        frame
    }

    #[test]
    fn a_promiscuous_device_refuses_nothing_and_another_one_strangers() {
        let mut filter = RxFilter { nobroadcast: true, ..RxFilter::default() };
        assert!(!may_refuse(&filter, OWN, &frame([0xff; 6], None)));
        filter.promiscuous = false;
        assert!(may_refuse(&filter, OWN, &frame([0xff; 6], None)));
        assert!(may_refuse(&filter, OWN, &frame([4; 6], None)));
        assert!(may_refuse(&filter, OWN, &frame([1; 6], None)));
        assert!(!may_refuse(&filter, OWN, &frame(OWN, None)));
        filter.unicast = vec![Mac([4; 6])];
        filter.multicast = vec![Group([1; 6])];
        assert!(!may_refuse(&filter, OWN, &frame([4; 6], None)));
        assert!(!may_refuse(&filter, OWN, &frame([1; 6], None)));
        filter.vlan = Some(vec![7]);
        assert!(!may_refuse(&filter, OWN, &frame(OWN, Some(0xe007))));
        assert!(!may_refuse(&filter, OWN, &frame(OWN, Some(0))));
        assert!(may_refuse(&filter, OWN, &frame(OWN, Some(8))));
    }
}
