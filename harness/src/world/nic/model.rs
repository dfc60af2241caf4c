//! The NIC model's types on the wire.
//!
//! The model knows nothing of wires: its types are told here once more, and the compiler holds the two
//! together (serde's "remote" derive). Names out of fixed lists travel as text, and become again what they were:
//! one copy of each for the life of the process.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use nic_model::rss::HashType;
use nic_model::{
    DeviceCounters, DropReason, DropRecord, Event, Fault, Lie, OffloadCounters, QueueCounters,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Under a name of its own serde does not take it for text that lies in the message.
type Name = &'static str;

#[derive(Serialize, Deserialize)]
#[serde(remote = "Event")]
pub enum EventDef {
    Offered {
        tag: u64,
        len: u32,
    },
    Steered {
        tag: u64,
        queue: u16,
        #[serde(with = "hash")]
        hash: Option<(HashType, u32)>,
    },
    Held {
        tag: u64,
        queue: u16,
        len: u32,
        fifo_bytes: u64,
    },
    NoDescriptorHeld {
        tag: u64,
        queue: u16,
    },
    DmaStart {
        tag: u64,
        queue: u16,
        descriptor: u16,
        buffers: u16,
    },
    Written {
        tag: u64,
        queue: u16,
        descriptor: u16,
        len: u32,
    },
    Dropped(#[serde(with = "DropRecordDef")] DropRecord),
    InterruptRaised {
        queue: Option<u16>,
        vector: u16,
        cpu: u16,
    },
    InterruptSuppressed {
        queue: Option<u16>,
    },
    InterruptCoalesced {
        queue: Option<u16>,
        deadline: u64,
    },
    InterruptPended {
        queue: Option<u16>,
        vector: u16,
    },
    Kicked {
        queue: u16,
    },
    TransmitKicked {
        queue: u16,
    },
    ControlKicked,
    LinkChanged {
        up: bool,
    },
    AnnouncementAsked,
    ControlCommand {
        class: u8,
        command: u8,
        ack: u8,
        #[serde(with = "maybe_name")]
        refused: Option<Name>,
    },
    Transmitted {
        queue: u16,
        len: u32,
    },
    TransmitLinkDown {
        queue: u16,
        len: u32,
    },
    FeaturesRefused {
        features: u64,
    },
    StatusChanged {
        status: u8,
    },
    DeviceReset {
        frames: u64,
    },
    QueueReset {
        virtqueue: u16,
        frames: u64,
    },
    NeedsReset {
        virtqueue: u16,
        #[serde(with = "name")]
        fault: Name,
    },
    FaultInjected {
        #[serde(with = "name")]
        fault: Name,
        queue: Option<u16>,
    },
    FaultActed {
        #[serde(with = "name")]
        fault: Name,
        queue: Option<u16>,
    },
    FaultEnded {
        #[serde(with = "name")]
        fault: Name,
        queue: Option<u16>,
    },
    FalseCompletion {
        queue: u16,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DropRecord")]
pub struct DropRecordDef {
    tag: u64,
    #[serde(with = "reason")]
    reason: DropReason,
    queue: Option<u16>,
    handle: Option<u32>,
    cpu: Option<u16>,
    occupancy: u64,
    capacity: u64,
    need: u64,
    free_elsewhere: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Fault")]
pub enum FaultDef {
    FifoShrink {
        bytes: Option<u64>,
    },
    DmaSlow {
        times: u32,
    },
    DmaStall {
        lasting_ps: u64,
    },
    DmaReorder {
        on: bool,
    },
    UsedIndexDelayed {
        pair: u16,
        on: bool,
    },
    Completion {
        pair: Option<u16>,
        #[serde(with = "LieDef")]
        lie: Lie,
    },
    QueueStuck {
        pair: u16,
        on: bool,
    },
    ControlQueueDead {
        on: bool,
    },
    ConfigChanged,
    DeviceReset,
    SurpriseRemoval,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Lie")]
pub enum LieDef {
    Duplicated,
    Stale,
    Short { len: u32 },
    WrongId,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DeviceCounters")]
pub struct DeviceCountersDef {
    offered: u64,
    offered_bytes: u64,
    written: u64,
    written_bytes: u64,
    dropped: [u64; DropReason::COUNT],
    no_descriptor_held: u64,
    interrupts: u64,
    interrupts_suppressed: u64,
    interrupts_coalesced: u64,
    interrupts_pended: u64,
    kicks: u64,
    control_ok: u64,
    control_err: u64,
    transmitted: u64,
    transmitted_bytes: u64,
    transmit_link_down: u64,
    link_changes: u64,
    announcements_asked: u64,
    features_refused: u64,
    resets: u64,
    queue_resets: u64,
    rings_broken: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "QueueCounters")]
pub struct QueueCountersDef {
    steered: u64,
    written: u64,
    written_bytes: u64,
    dropped: [u64; DropReason::COUNT],
    no_descriptor_held: u64,
    rx_csum_valid: u64,
    rx_csum_bad: u64,
    rx_csum_none: u64,
    interrupts: u64,
    interrupts_suppressed: u64,
    interrupts_coalesced: u64,
    kicks: u64,
    transmitted: u64,
    transmitted_bytes: u64,
    transmit_link_down: u64,
    transmit_interrupts: u64,
    transmit_kicks: u64,
    #[serde(with = "OffloadCountersDef")]
    offloads: OffloadCounters,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OffloadCounters")]
pub struct OffloadCountersDef {
    csum_none: u64,
    needs_csum: u64,
    gso_packets: u64,
    gso_bytes: u64,
    gso_segments: u64,
    gso_segments_bytes: u64,
    gso_packets_noseg: u64,
    gso_bytes_noseg: u64,
}

/// Longest name there is a place for, and most names: whoever sends others sends no names.
const NAME_MAX: usize = 64;
const NAMES_MAX: usize = 256;

/// The name, for as long as the process lives.
pub fn known(name: &str) -> Option<&'static str> {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return Some(known);
    }
    if name.len() > NAME_MAX || names.len() >= NAMES_MAX {
        return None;
    }
    let kept: &'static str = Box::leak(name.into());
    names.insert(kept);
    Some(kept)
}

mod name {
    use super::*;

    pub fn serialize<S: Serializer>(name: &str, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(name)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<&'static str, D::Error> {
        let name = String::deserialize(from)?;
        known(&name).ok_or_else(|| D::Error::custom("not a name"))
    }
}

mod maybe_name {
    use super::*;

    pub fn serialize<S: Serializer>(name: &Option<&'static str>, to: S) -> Result<S::Ok, S::Error> {
        name.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<&'static str>, D::Error> {
        let name = Option::<String>::deserialize(from)?;
        name.map(|name| known(&name).ok_or_else(|| D::Error::custom("not a name"))).transpose()
    }
}

mod reason {
    use super::*;

    pub fn serialize<S: Serializer>(reason: &DropReason, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(reason.index() as u64)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DropReason, D::Error> {
        let index = usize::try_from(u64::deserialize(from)?).unwrap_or(usize::MAX);
        DropReason::ALL.get(index).copied().ok_or_else(|| D::Error::custom("no such reason"))
    }
}

mod hash {
    use super::*;

    pub fn serialize<S: Serializer>(
        hash: &Option<(HashType, u32)>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        hash.map(|(kind, hash)| (kind.report(), hash)).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<(HashType, u32)>, D::Error> {
        let Some((report, hash)) = Option::<(u8, u32)>::deserialize(from)? else { return Ok(None) };
        let kind = HashType::ALL.into_iter().find(|kind| kind.report() == report);
        kind.map(|kind| Some((kind, hash))).ok_or_else(|| D::Error::custom("no such hash type"))
    }
}
