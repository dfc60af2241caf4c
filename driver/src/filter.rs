//! What the device is to take: receive modes, MAC tables, VLANs, and the commands for them
//! (virtio 1.x, 5.1.6.5.1 to 5.1.6.5.3).
//!
//! Contract: the default asks for nothing, agrees to none of these features and sends no command: a device
//! that was not told otherwise takes everything it can. Whatever differs from it is asked for, and bring-up
//! fails on a device that cannot do it.

use crate::command::Command;
use crate::config_error::{ConfigError, in_range};
use crate::spec;

/// Highest VLAN id (IEEE 802.1Q).
const VLAN_MAX: u16 = 4095;

/// Most addresses in each table; more fit no sensible device.
pub const MAX_ADDRESSES: usize = 512;

/// Which frames the device is to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveFilter {
    /// Everything, whatever the rest says. Else broadcasts, and frames to the device's own address, to
    /// those listed, and of the kinds below.
    pub promiscuous: bool,
    /// Every multicast frame.
    pub all_multicast: bool,
    /// Every unicast frame; needs CTRL_RX_EXTRA.
    pub all_unicast: bool,
    /// No multicast frame at all; needs CTRL_RX_EXTRA.
    pub no_multicast: bool,
    /// No unicast frame at all; needs CTRL_RX_EXTRA.
    pub no_unicast: bool,
    /// No broadcast; needs CTRL_RX_EXTRA.
    pub no_broadcast: bool,
    /// More stations than the device itself.
    pub unicast: Vec<[u8; 6]>,
    /// Multicast groups.
    pub multicast: Vec<[u8; 6]>,
    /// Of VLAN tagged frames only these VLANs; `None` for all.
    pub vlans: Option<Vec<u16>>,
}

impl Default for ReceiveFilter {
    fn default() -> Self {
        Self {
            promiscuous: true,
            all_multicast: false,
            all_unicast: false,
            no_multicast: false,
            no_unicast: false,
            no_broadcast: false,
            unicast: Vec::new(),
            multicast: Vec::new(),
            vlans: None,
        }
    }
}

impl ReceiveFilter {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let tables =
            [("filter.unicast", &self.unicast, 0), ("filter.multicast", &self.multicast, 1)];
        for (field, table, group_bit) in tables {
            in_range(field, table.len() as u64, 0, MAX_ADDRESSES as u64)?;
            if let Some(address) = table.iter().find(|address| address[0] & 1 != group_bit) {
                return Err(ConfigError::WrongKindOfAddress { field, address: *address });
            }
        }
        let mut vlans = self.vlans.iter().flatten();
        vlans.try_for_each(|vlan| in_range("filter.vlans", (*vlan).into(), 0, VLAN_MAX.into()))
    }

    /// The features this needs.
    pub(crate) fn features(&self) -> u64 {
        let modes = !self.promiscuous || self.all_multicast || self.has_tables();
        let mut features = 0;
        if modes || self.extra().iter().any(|(_, on)| *on) {
            features |= spec::NET_F_CTRL_RX;
        }
        if self.extra().iter().any(|(_, on)| *on) {
            features |= spec::NET_F_CTRL_RX_EXTRA;
        }
        if self.vlans.is_some() {
            features |= spec::NET_F_CTRL_VLAN;
        }
        features
    }

    /// The commands that set it, of a device just reset. Promiscuous mode is ended last, so that nothing
    /// which is to be taken is missed in between.
    pub(crate) fn commands(&self) -> Vec<Command> {
        let mode = |command: u8, on: bool| Command::set(spec::CTRL_RX, command, vec![on.into()]);
        let mut commands = Vec::new();
        for vlan in self.vlans.iter().flatten() {
            let data = vlan.to_le_bytes().to_vec();
            commands.push(Command::set(spec::CTRL_VLAN, spec::CTRL_VLAN_ADD, data));
        }
        if self.has_tables() {
            let mut data = Vec::new();
            for table in [&self.unicast, &self.multicast] {
                // Validated to be few.
                data.extend((table.len() as u32).to_le_bytes());
                data.extend(table.iter().flatten());
            }
            commands.push(Command::set(spec::CTRL_MAC, spec::CTRL_MAC_TABLE_SET, data));
        }
        if self.all_multicast {
            commands.push(mode(spec::CTRL_RX_ALLMULTI, true));
        }
        let extra = self.extra().into_iter().filter(|(_, on)| *on);
        commands.extend(extra.map(|(command, on)| mode(command, on)));
        if self.features() & spec::NET_F_CTRL_RX != 0 {
            commands.push(mode(spec::CTRL_RX_PROMISC, self.promiscuous));
        }
        commands
    }

    fn has_tables(&self) -> bool {
        !self.unicast.is_empty() || !self.multicast.is_empty()
    }

    fn extra(&self) -> [(u8, bool); 4] {
        [
            (spec::CTRL_RX_ALLUNI, self.all_unicast),
            (spec::CTRL_RX_NOMULTI, self.no_multicast),
            (spec::CTRL_RX_NOUNI, self.no_unicast),
            (spec::CTRL_RX_NOBCAST, self.no_broadcast),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(filter: &ReceiveFilter) -> Vec<(u8, u8, Vec<u8>)> {
        filter.commands().into_iter().map(|c| (c.class, c.command, c.data)).collect()
    }

    #[test]
    fn the_default_asks_for_nothing() {
        let filter = ReceiveFilter::default();
        assert_eq!((filter.features(), sent(&filter)), (0, vec![]));
    }

    #[test]
    fn each_wish_is_a_command_and_promiscuous_mode_ends_last() {
        let filter = ReceiveFilter {
            promiscuous: false,
            all_multicast: true,
            no_broadcast: true,
            unicast: vec![[2; 6]],
            vlans: Some(vec![0x123]),
            ..ReceiveFilter::default()
        };
        let tables = [&[1, 0, 0, 0][..], &[2; 6], &[0; 4]].concat();
        let expected = [
            (2, 0, vec![0x23, 1]),
            (1, 0, tables),
            (0, 1, vec![1]),
            (0, 5, vec![1]),
            (0, 0, vec![0]),
        ];
        assert_eq!(sent(&filter), expected);
        let needs = spec::NET_F_CTRL_RX | spec::NET_F_CTRL_RX_EXTRA | spec::NET_F_CTRL_VLAN;
        assert_eq!(filter.features(), needs);
    }

    #[test]
    fn addresses_and_vlans_are_checked() {
        let bad = [
            ReceiveFilter { unicast: vec![[1; 6]], ..Default::default() },
            ReceiveFilter { multicast: vec![[2; 6]], ..Default::default() },
            ReceiveFilter { unicast: vec![[2; 6]; 513], ..Default::default() },
            ReceiveFilter { vlans: Some(vec![4096]), ..Default::default() },
        ];
        for filter in bad {
            assert!(filter.validate().is_err(), "{filter:?}");
        }
        let good = ReceiveFilter { vlans: Some(vec![0, 4095]), ..Default::default() };
        assert_eq!(good.validate(), Ok(()));
    }
}
