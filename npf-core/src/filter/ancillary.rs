//! What a system knows of a frame besides its bytes, for the extension loads of Linux and Npcap.
//!
//! Contract: plain values that whoever indicates the frame fills in; nothing here looks at a clock
//! or draws a random number, so the same frame with the same values has the same verdict. Source:
//! Linux `include/uapi/linux/filter.h` (SKF_AD_*), Npcap `win_bpf.h` (NPCAP_AD_*).

/// What is known of a frame besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ancillary {
    /// EtherType, as Linux has it in `skb->protocol` (1 for a bare 802.3 frame, 4 with LLC).
    pub protocol: u16,
    /// To whom the frame went.
    pub packet_type: PacketType,
    /// Index of the interface.
    pub interface_index: u32,
    /// Receive queue.
    pub queue: u16,
    /// Hash of the flow, as RSS computed it.
    pub hash: u32,
    /// Kind of the interface (ARPHRD_*): 1 is Ethernet.
    pub hardware_type: u16,
    /// CPU that runs the filter.
    pub cpu: u32,
    /// Mark that the system set (`skb->mark`).
    pub mark: u32,
    /// Tag that the adapter took out of the frame: priority, drop eligible and VLAN, as on the wire.
    pub vlan_tci: Option<u16>,
    /// EtherType of that tag, 0 without one.
    pub vlan_tpid: u16,
    /// Where the payload of the innermost known header starts, 0 if unknown.
    pub payload_offset: u32,
    /// Where the network header starts: loads at SKF_NET_OFF count from here.
    pub network_offset: u32,
    /// What every load of a random number gives; one value per frame.
    pub random: u32,
}

/// To whom a frame went (Linux `PACKET_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum PacketType {
    /// To this station.
    #[default]
    Host = 0,
    /// To all.
    Broadcast = 1,
    /// To a group.
    Multicast = 2,
    /// To another station: seen in promiscuous mode.
    OtherHost = 3,
    /// Sent by this station.
    Outgoing = 4,
}

impl Ancillary {
    /// An Ethernet interface of which nothing else is known.
    pub const NONE: Self = Self {
        protocol: 0,
        packet_type: PacketType::Host,
        interface_index: 0,
        queue: 0,
        hash: 0,
        hardware_type: 1,
        cpu: 0,
        mark: 0,
        vlan_tci: None,
        vlan_tpid: 0,
        payload_offset: 0,
        network_offset: 14,
        random: 0,
    };

    /// What the header of an Ethernet frame tells: protocol and packet type (a frame to one station
    /// is taken to be for this one). The rest is [`Ancillary::NONE`]. A frame that is shorter than the
    /// header tells nothing.
    pub fn of_ethernet(frame: &[u8]) -> Self {
        let Some((header, rest)) = frame.split_first_chunk::<14>() else { return Self::NONE };
        let length_or_type = u16::from_be_bytes([header[12], header[13]]);
        let protocol = match (length_or_type, rest) {
            (0x0600.., _) => length_or_type,
            (_, [0xff, 0xff, ..]) => 1,
            _ => 4,
        };
        let packet_type = match header {
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ..] => PacketType::Broadcast,
            [first, ..] if first & 1 == 1 => PacketType::Multicast,
            _ => PacketType::Host,
        };
        Self { protocol, packet_type, ..Self::NONE }
    }

    /// The value that a load of `field` gives.
    #[inline]
    pub(super) fn value(&self, field: Field) -> u32 {
        match field {
            Field::Protocol => self.protocol.into(),
            Field::PacketType => self.packet_type as u32,
            Field::InterfaceIndex => self.interface_index,
            Field::Mark => self.mark,
            Field::Queue => self.queue.into(),
            Field::HardwareType => self.hardware_type.into(),
            Field::Hash => self.hash,
            Field::Cpu => self.cpu,
            Field::VlanTci => self.vlan_tci.unwrap_or(0).into(),
            Field::VlanPresent => self.vlan_tci.is_some().into(),
            Field::VlanNotZero => self.vlan_tci.is_some_and(|tci| tci != 0).into(),
            Field::VlanTpid => self.vlan_tpid.into(),
            Field::PayloadOffset => self.payload_offset,
            Field::Random => self.random,
        }
    }
}

impl Default for Ancillary {
    fn default() -> Self {
        Self::NONE
    }
}

/// What an extension load loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Protocol,
    PacketType,
    InterfaceIndex,
    Mark,
    Queue,
    HardwareType,
    Hash,
    Cpu,
    VlanTci,
    VlanPresent,
    /// Npcap's "present": it knows a tag only by its not being 0.
    VlanNotZero,
    VlanTpid,
    PayloadOffset,
    Random,
}

impl Field {
    /// How many there are: one more than the last.
    #[cfg(feature = "jit")]
    pub(super) const COUNT: usize = Self::Random as usize + 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ethernet_header_tells_protocol_and_packet_type() {
        let mut frame = [2; 60];
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        let known = |frame: &[u8]| {
            let it = Ancillary::of_ethernet(frame);
            (it.protocol, it.packet_type)
        };
        assert_eq!(known(&frame), (0x86dd, PacketType::Host));
        frame[0] = 1;
        assert_eq!(known(&frame), (0x86dd, PacketType::Multicast));
        frame[..6].fill(0xff);
        frame[12..14].copy_from_slice(&[0, 46]);
        assert_eq!(known(&frame), (4, PacketType::Broadcast));
        frame[14..16].fill(0xff);
        assert_eq!(known(&frame), (1, PacketType::Broadcast));
        assert_eq!(Ancillary::of_ethernet(&frame[..13]), Ancillary::default());
        assert_eq!(known(&frame[..14]), (4, PacketType::Broadcast));
    }
}
