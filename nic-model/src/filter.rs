//! Which frames the device takes: receive modes, MAC tables, VLANs (5.1.6.5.1 to 5.1.6.5.3).
//!
//! After a reset the device is promiscuous, whatever was negotiated, and stays so until the driver ends it:
//! the specification names no initial mode, and this is a device to look at networks with. A promiscuous
//! device takes every frame; a VLAN filter changes nothing then.
//!
//! Otherwise a frame is taken if its VLAN is, and if its destination is
//!
//! - broadcast, unless `nobcast`;
//! - another group address: in the multicast table, or `allmulti`; not if `nomulti`;
//! - a station's: the device's own, in the unicast table, or `alluni`; not if `nouni`.
//!
//! A table of more than [`TABLE_MAX`] addresses takes all of its kind, as 5.1.6.5.2 allows. VLANs are
//! filtered once CTRL_VLAN is negotiated, by the first tag and only if it is an 802.1Q one; the VLAN id 0 is
//! a priority tag that names no VLAN (IEEE 802.1Q), such a frame is not VLAN tagged.

use crate::spec::ethernet;

/// Addresses of a table that are matched one by one.
pub(crate) const TABLE_MAX: usize = 64;

const BROADCAST: [u8; 6] = [0xff; 6];
/// VLAN ids there are.
const VLANS: usize = 4096;

/// A mode that a command of class VIRTIO_NET_CTRL_RX switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Promiscuous,
    AllMulticast,
    AllUnicast,
    NoMulticast,
    NoUnicast,
    NoBroadcast,
}

/// The filter in force.
#[derive(Debug)]
pub(crate) struct Filter {
    /// The device's own address.
    own: [u8; 6],
    promiscuous: bool,
    all_multicast: bool,
    all_unicast: bool,
    no_multicast: bool,
    no_unicast: bool,
    no_broadcast: bool,
    unicast: Table,
    multicast: Table,
    /// A bit per VLAN; `None` while VLANs are not filtered.
    vlans: Option<Box<[u64; VLANS / 64]>>,
}

/// Addresses, or too many of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    /// Sorted; empty if there were too many.
    addresses: Vec<[u8; 6]>,
    all: bool,
}

impl Table {
    pub(crate) fn new(addresses: &[[u8; 6]]) -> Self {
        if addresses.len() > TABLE_MAX {
            return Self { addresses: Vec::new(), all: true };
        }
        let mut addresses = addresses.to_vec();
        addresses.sort_unstable();
        Self { addresses, all: false }
    }

    fn has(&self, address: &[u8; 6]) -> bool {
        self.all || self.addresses.binary_search(address).is_ok()
    }
}

impl Filter {
    /// The filter after a reset; VLANs are filtered only after [`Filter::filter_vlans`].
    pub(crate) fn new(own: [u8; 6]) -> Self {
        Self {
            own,
            promiscuous: true,
            all_multicast: false,
            all_unicast: false,
            no_multicast: false,
            no_unicast: false,
            no_broadcast: false,
            unicast: Table::default(),
            multicast: Table::default(),
            vlans: None,
        }
    }

    /// The device's own address.
    pub(crate) fn own(&self) -> [u8; 6] {
        self.own
    }

    pub(crate) fn set_own(&mut self, own: [u8; 6]) {
        self.own = own;
    }

    pub(crate) fn set_mode(&mut self, mode: Mode, on: bool) {
        *match mode {
            Mode::Promiscuous => &mut self.promiscuous,
            Mode::AllMulticast => &mut self.all_multicast,
            Mode::AllUnicast => &mut self.all_unicast,
            Mode::NoMulticast => &mut self.no_multicast,
            Mode::NoUnicast => &mut self.no_unicast,
            Mode::NoBroadcast => &mut self.no_broadcast,
        } = on;
    }

    pub(crate) fn set_tables(&mut self, unicast: Table, multicast: Table) {
        (self.unicast, self.multicast) = (unicast, multicast);
    }

    /// From now on only listed VLANs; none is listed yet.
    pub(crate) fn filter_vlans(&mut self) {
        self.vlans = Some(Box::new([0; VLANS / 64]));
    }

    /// Lists a VLAN or no longer; one that does not exist is ignored.
    pub(crate) fn set_vlan(&mut self, vlan: u16, listed: bool) {
        let Some(vlans) = &mut self.vlans else { return };
        if let Some(word) = vlans.get_mut(usize::from(vlan / 64)) {
            let bit = 1 << (vlan % 64);
            *word = if listed { *word | bit } else { *word & !bit };
        }
    }

    /// Does the device take this frame? A frame is at least an Ethernet header.
    #[inline]
    pub(crate) fn takes(&self, frame: &[u8]) -> bool {
        self.promiscuous || (self.takes_destination(frame) && self.takes_vlan(frame))
    }

    fn takes_destination(&self, frame: &[u8]) -> bool {
        let Some(destination) = frame.first_chunk::<6>() else { return false };
        if *destination == BROADCAST {
            return !self.no_broadcast;
        }
        if destination[0] & 1 != 0 {
            return !self.no_multicast && (self.all_multicast || self.multicast.has(destination));
        }
        let known = *destination == self.own || self.unicast.has(destination);
        !self.no_unicast && (self.all_unicast || known)
    }

    fn takes_vlan(&self, frame: &[u8]) -> bool {
        let Some(vlans) = &self.vlans else { return true };
        let Some(&[t0, t1, v0, v1]) = frame.get(12..).and_then(|rest| rest.first_chunk()) else {
            return true;
        };
        let vlan = usize::from(u16::from_be_bytes([v0, v1])) % VLANS;
        let tagged = u16::from_be_bytes([t0, t1]) == ethernet::TYPE_8021Q && vlan != 0;
        !tagged || vlans[vlan / 64] & (1 << (vlan % 64)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 2];
    const GROUP: [u8; 6] = [1, 0, 0x5e, 0, 0, 1];

    fn to(destination: [u8; 6]) -> Vec<u8> {
        let mut frame = vec![0; 60];
        frame[..6].copy_from_slice(&destination);
        frame
    }

    fn tagged(ethertype: u16, tag: u16) -> Vec<u8> {
        let mut frame = to(OWN);
        frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
        frame[14..16].copy_from_slice(&tag.to_be_bytes());
        frame
    }

    /// Which of own, other, group and broadcast get through.
    fn takes(filter: &Filter) -> [bool; 4] {
        [OWN, OTHER, GROUP, BROADCAST].map(|destination| filter.takes(&to(destination)))
    }

    fn selective() -> Filter {
        let mut filter = Filter::new(OWN);
        filter.set_mode(Mode::Promiscuous, false);
        filter
    }

    #[test]
    fn each_mode_does_what_it_says() {
        assert_eq!(takes(&Filter::new(OWN)), [true; 4], "promiscuous at first");
        assert_eq!(takes(&selective()), [true, false, false, true]);
        let with = |modes: &[Mode]| {
            let mut filter = selective();
            modes.iter().for_each(|mode| filter.set_mode(*mode, true));
            takes(&filter)
        };
        assert_eq!(with(&[Mode::AllMulticast]), [true, false, true, true]);
        assert_eq!(with(&[Mode::AllUnicast]), [true, true, false, true]);
        assert_eq!(with(&[Mode::AllMulticast, Mode::NoMulticast]), [true, false, false, true]);
        assert_eq!(with(&[Mode::AllUnicast, Mode::NoUnicast]), [false, false, false, true]);
        assert_eq!(with(&[Mode::AllMulticast, Mode::NoBroadcast]), [true, false, true, false]);
        let everything = [Mode::Promiscuous, Mode::NoMulticast, Mode::NoUnicast, Mode::NoBroadcast];
        assert_eq!(with(&everything), [true; 4], "promiscuous wins (5.1.6.5.1)");
    }

    #[test]
    fn tables_add_addresses_and_too_many_mean_all() {
        let mut filter = selective();
        filter.set_tables(Table::new(&[[2, 0, 0, 0, 0, 9], OTHER]), Table::new(&[GROUP]));
        assert_eq!(takes(&filter), [true; 4]);
        filter.set_mode(Mode::NoUnicast, true);
        assert_eq!(takes(&filter), [false, false, true, true], "nouni wins over the table");
        let many = vec![[4; 6]; TABLE_MAX + 1];
        let mut filter = selective();
        filter.set_tables(Table::new(&many), Table::default());
        assert_eq!(takes(&filter), [true, true, false, true]);
        filter.set_tables(Table::new(&many[1..]), Table::default());
        assert_eq!(takes(&filter), [true, false, false, true], "so many are matched");
    }

    #[test]
    fn vlans_are_filtered_by_the_first_8021q_tag() {
        let mut filter = selective();
        assert!(filter.takes(&tagged(0x8100, 7)), "CTRL_VLAN was not negotiated");
        filter.filter_vlans();
        filter.set_vlan(7, true);
        filter.set_vlan(4095, true);
        filter.set_vlan(4096, true);
        assert!(filter.takes(&tagged(0x8100, 0xe007)), "priority is not part of the id");
        assert!(filter.takes(&tagged(0x8100, 4095)));
        assert!(!filter.takes(&tagged(0x8100, 8)));
        assert!(filter.takes(&tagged(0x88a8, 8)), "a service tag");
        assert!(filter.takes(&tagged(0x8100, 0x2000)), "a priority tag");
        assert!(filter.takes(&to(OWN)));
        filter.set_vlan(7, false);
        assert!(!filter.takes(&tagged(0x8100, 7)));
        filter.set_mode(Mode::Promiscuous, true);
        assert!(filter.takes(&tagged(0x8100, 7)));
    }
}
