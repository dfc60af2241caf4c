//! What a world says to a NIC at the other end of a wire, and what that answers.
//!
//! Contract: one [`Call`], one [`Answer`], in turn. An answer carries the effects of its call in the order in
//! which they happened, and what the NIC says of itself afterwards. As bytes: postcard.

use nic_model::{DeviceCounters, Event, Fault, QueueCounters};
use serde::{Deserialize, Serialize};

use super::model;

/// What is asked of the NIC. Times are virtual, in picoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Nothing: what does it say of itself?
    Look,
    /// The register.
    DeviceFeatures,
    /// The register.
    SetDriverFeatures(u64),
    /// The register.
    Status,
    /// The register.
    SetStatus(u64, u8),
    /// The register.
    ConfigGeneration,
    /// So many bytes of the configuration space from an offset on.
    ReadConfig(u32, u16),
    /// The register of a virtqueue.
    QueueMaxSize(u16),
    /// A virtqueue is to lie there.
    SetupQueue(u16, Setup),
    /// A virtqueue is in use.
    EnableQueue(u16),
    /// A virtqueue is reset.
    ResetQueue(u64, u16),
    /// The register.
    SetConfigVector(Option<u16>),
    /// A vector is masked, or not.
    SetVectorMasked(u64, u16, bool),
    /// A virtqueue is notified.
    Notify(u64, u16),
    /// A frame arrives.
    Receive {
        /// When its last bit has.
        now: u64,
        /// Its check sequence is right.
        fcs_ok: bool,
        /// The caller's name of it.
        tag: u64,
        /// Its bytes.
        frame: Vec<u8>,
    },
    /// Time has come to there.
    Advance(u64),
    /// The cable is in, or not.
    SetLink(u64, bool),
    /// The driver is asked to announce itself.
    AskToAnnounce(u64),
    /// Something goes wrong from now on.
    Inject(u64, #[serde(with = "model::FaultDef")] Fault),
}

/// Where a virtqueue lies; see [`nic_model::QueueSetup`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Entries.
    pub size: u16,
    /// Address.
    pub descriptor_table: u64,
    /// Address.
    pub available_ring: u64,
    /// Address.
    pub used_ring: u64,
    /// MSI-X vector.
    pub vector: Option<u16>,
}

/// What the NIC answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// What was asked for.
    pub value: Value,
    /// What happened, and when.
    pub effects: Vec<(u64, Effect)>,
    /// The NIC afterwards.
    pub state: State,
}

/// What a call gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// Nothing to say.
    None,
    /// A register.
    Number(u64),
    /// Of the configuration space.
    Bytes(Vec<u8>),
    /// It was refused, and why.
    Refused(String),
    /// The NIC can do nothing any more, and why.
    Lost(String),
}

/// What a NIC does to its surroundings; see [`nic_model::Host`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Something happened.
    Event(#[serde(with = "model::EventDef")] Event),
    /// A message of this vector leaves for this CPU.
    Interrupt(u16, u16),
    /// A frame leaves from the transmit queue of this pair.
    Transmit(u16, Vec<u8>),
}

/// What a NIC says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// See [`nic_model::Device::next_deadline`].
    pub next_deadline: Option<u64>,
    /// Frames in the FIFO.
    pub fifo_frames: u64,
    /// Virtqueues, with the features that were chosen.
    pub num_queues: u16,
    /// In total.
    #[serde(with = "model::DeviceCountersDef")]
    pub counters: DeviceCounters,
    /// By pair.
    pub pairs: Vec<Pair>,
}

/// What a NIC says of a queue pair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Frames in the FIFO.
    pub fifo_frames: u64,
    /// See [`nic_model::Device::published`].
    pub published: u64,
    /// What it has counted.
    #[serde(with = "model::QueueCountersDef")]
    pub counters: QueueCounters,
}

impl Call {
    /// As bytes.
    ///
    /// # Errors
    /// None is known.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WireError> {
        Ok(postcard::to_allocvec(self)?)
    }

    /// Of bytes.
    ///
    /// # Errors
    /// They are no call, or more than one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        whole(postcard::take_from_bytes(bytes)?)
    }
}

impl Answer {
    /// As bytes.
    ///
    /// # Errors
    /// None is known.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WireError> {
        Ok(postcard::to_allocvec(self)?)
    }

    /// Of bytes.
    ///
    /// # Errors
    /// They are no answer, or more than one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        whole(postcard::take_from_bytes(bytes)?)
    }
}

/// Bytes that are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// They are cut short, or have values that there are not.
    #[error("malformed bytes: {0}")]
    Malformed(#[from] postcard::Error),
    /// Something follows.
    #[error("{0} bytes too many")]
    Surplus(usize),
}

fn whole<T>((message, rest): (T, &[u8])) -> Result<T, WireError> {
    match rest.len() {
        0 => Ok(message),
        more => Err(WireError::Surplus(more)),
    }
}
