//! What the NIC takes, in the words of `ip link` (promisc, allmulticast, address) and `ethtool -K`
//! (rx-vlan-filter).
//!
//! Contract: pure data; the default takes everything. What needs a feature that the scenario forbids is
//! refused in `validate`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::network::Mac;
use super::rxfh::{parse_hex, write_hex};
use super::units::text_form;

/// `[rx_filter]`: what the driver tells the NIC to take (virtio 5.1.6.5.1 to 5.1.6.5.3). A frame that is not
/// taken is dropped as `rx_filtered`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RxFilter {
    /// Every frame. What else would keep some out is refused beside it.
    pub promiscuous: bool,
    /// Every multicast frame.
    pub allmulticast: bool,
    /// Every unicast frame.
    pub allunicast: bool,
    /// No multicast frame.
    pub nomulticast: bool,
    /// No unicast frame.
    pub nounicast: bool,
    /// No broadcast.
    pub nobroadcast: bool,
    /// Stations to take besides `nic.mac`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unicast: Vec<Mac>,
    /// Multicast groups to take.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub multicast: Vec<Group>,
    /// VLANs to take, 0 to 4095; left out: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Vec<u16>>,
}

impl Default for RxFilter {
    fn default() -> Self {
        Self {
            promiscuous: true,
            allmulticast: false,
            allunicast: false,
            nomulticast: false,
            nounicast: false,
            nobroadcast: false,
            unicast: Vec::new(),
            multicast: Vec::new(),
            vlan: None,
        }
    }
}

impl RxFilter {
    /// Any of the modes that only VIRTIO_NET_F_CTRL_RX_EXTRA has.
    pub fn extra(&self) -> bool {
        self.allunicast || self.nomulticast || self.nounicast || self.nobroadcast
    }

    /// Anything that needs VIRTIO_NET_F_CTRL_RX.
    pub fn modes(&self) -> bool {
        let tables = !self.unicast.is_empty() || !self.multicast.is_empty();
        !self.promiscuous || self.allmulticast || tables || self.extra()
    }
}

/// The address of a multicast group; written `"01:00:5e:00:00:01"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group(pub [u8; 6]);

impl FromStr for Group {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes: Option<[u8; 6]> = parse_hex(text).ok().and_then(|bytes| bytes.try_into().ok());
        match bytes {
            Some(group) if group[0] & 1 == 1 && group != [0xff; 6] => Ok(Self(group)),
            _ => Err(format!(
                "`{text}` is not the address of a group: write six bytes, the first odd, like \
                 \"01:00:5e:00:00:01\"; broadcast is no group"
            )),
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

text_form!(Group, "a group address, like \"01:00:5e:00:00:01\"");
