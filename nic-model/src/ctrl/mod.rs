//! Control commands: bytes in, an order or a refusal out (virtio 5.1.6.5).
//!
//! One file per class. A command whose feature was not negotiated is refused like one that does not exist,
//! which is VIRTIO_NET_ERR to the driver. Whether an order can be carried out in the device's present state
//! is the device's affair (`device/control.rs`).

mod mq;
mod notf_coal;
mod offloads;
mod rx;
mod stats;

use crate::config::Coalesce;
use crate::filter::{Mode, Table};
use crate::rss::{HashConfig, RssConfig, RssError};
use crate::spec::{control, feature};
pub(crate) use notf_coal::show as show_limits;
pub(crate) use stats::Asked;

/// Most bytes of a command: the longest MAC tables and two bytes in front. A longer one is refused.
pub(crate) const COMMAND_LEN_MAX: usize = 2 + 2 * 4 + 6 * rx::MAC_ENTRIES_MAX;

/// A command understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// So many pairs, automatic steering.
    Pairs(u16),
    /// Steering by RSS.
    Rss(RssConfig),
    /// These coalescing limits for all queues of one direction.
    CoalesceAll { transmit: bool, limits: Coalesce },
    /// These for one virtqueue.
    Coalesce { virtqueue: u16, limits: Coalesce },
    /// Show those of one virtqueue.
    CoalesceGet { virtqueue: u16 },
    /// What to hash for the report.
    Hash(HashConfig),
    /// A receive mode, on or off.
    ReceiveMode(Mode, bool),
    /// The unicast and the multicast table.
    MacTables(Table, Table),
    /// A VLAN is listed, or no longer.
    Vlan { vlan: u16, listed: bool },
    /// The device's own address.
    Station([u8; 6]),
    /// The driver has announced itself.
    Announced,
    /// These receive offloads are on, the others off.
    Offloads(u64),
    /// Say which statistics there are.
    StatsQuery,
    /// Show these.
    StatsGet(Vec<Asked>),
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
    /// The RSS or hash configuration is invalid.
    Rss(RssError),
    /// A mode is neither on (1) nor off (0).
    NotOnOrOff(u8),
    /// A group address among stations, or the other way round.
    MacTable,
    /// There is no such VLAN.
    Vlan(u16),
    /// A group address cannot be a station's.
    Station,
    /// Some of these offloads were not negotiated.
    NotAgreed(u64),
    /// It is understood, but cannot be carried out as the device is.
    State,
}

impl Refusal {
    /// Name in snake_case, for events.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Unsupported => "unsupported",
            Self::Pairs(_) => "pairs",
            Self::Rss(error) => error.name(),
            Self::NotOnOrOff(_) => "not_on_or_off",
            Self::MacTable => "mac_table",
            Self::Vlan(_) => "vlan",
            Self::Station => "station",
            Self::NotAgreed(_) => "not_agreed",
            Self::State => "state",
        }
    }
}

/// What the meaning of a command depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agreed {
    /// The features the driver chose.
    pub(crate) features: u64,
    /// Queue pairs of the device.
    pub(crate) max_pairs: u16,
}

impl Agreed {
    /// Refuses a command none of whose `features` was negotiated.
    fn needs(self, features: u64) -> Result<(), Refusal> {
        if self.features & features == 0 { Err(Refusal::Unsupported) } else { Ok(()) }
    }
}

/// Understands a command: class, command and data, without the answer's byte.
pub(crate) fn parse(command: &[u8], agreed: Agreed) -> Result<Order, Refusal> {
    let Some((&[class, number], data)) = command.split_first_chunk() else {
        return Err(Refusal::Length);
    };
    match class {
        control::CLASS_RX => rx::mode(number, data, agreed),
        control::CLASS_MAC => rx::mac(number, data, agreed),
        control::CLASS_VLAN => rx::vlan(number, data, agreed),
        control::CLASS_MQ => mq::parse(number, data, agreed),
        control::CLASS_ANNOUNCE => offloads::announce(number, data, agreed),
        control::CLASS_GUEST_OFFLOADS => offloads::offloads(number, data, agreed),
        control::CLASS_STATS => stats::parse(number, data, agreed),
        control::CLASS_NOTF_COAL => notf_coal::parse(number, data, agreed),
        _ => Err(Refusal::Unsupported),
    }
}

/// Bytes of a command's data that the device writes, before the answer's byte. Whoever has not negotiated
/// the command gets an answer alone.
pub(crate) fn data_written(command: &[u8], features: u64) -> usize {
    match command {
        [control::CLASS_NOTF_COAL, control::NOTF_COAL_VQ_GET, ..]
            if features & feature::VQ_NOTF_COAL != 0 =>
        {
            notf_coal::DATA_WRITTEN
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_commands_are_refused() {
        let agreed = Agreed { features: u64::MAX, max_pairs: 4 };
        // How many commands each class has, from 0 on.
        let commands = [6, 2, 2, 1, 3, 1, 4, 0, 2];
        for class in 0..=255 {
            let known = commands.get(usize::from(class)).copied().unwrap_or(0);
            for command in 0..8 {
                let answer = parse(&[class, command, 1, 0], agreed);
                let unknown = answer == Err(Refusal::Unsupported);
                assert_eq!(unknown, command >= known, "{class} {command}");
            }
        }
        assert_eq!(parse(&[4], agreed), Err(Refusal::Length));
        assert_eq!(parse(&[], agreed), Err(Refusal::Length));
    }
}
