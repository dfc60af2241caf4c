//! The designs of a capture buffer, as a scenario names them, and the choices within each.
//!
//! Contract: pure data; what each choice does is said where `npf-core` defines it, under the same
//! name. A table of another engine than the handle's has no effect, so that one scenario can be
//! played through each.

use serde::{Deserialize, Serialize};

use super::units::Duration;

/// The designs of a capture buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Npcap up to 0.9990 and WinPcap 3 and 4: a segment per CPU.
    Segments,
    /// Npcap 0.9991: an unbounded request queue and one worker.
    Worker,
    /// Npcap 0.9992 and later: one queue of separately allocated packets, and a byte limit.
    PacketQueue,
    /// WinPcap 2.3: one circular buffer.
    Ring,
    /// BSD: a store and a hold buffer.
    StoreHold,
    /// FreeBSD: two buffers shared with the reader.
    ZeroCopy,
}

impl Engine {
    /// Every engine there is, in the order of the documents.
    pub const ALL: [Self; 6] = [
        Self::Segments,
        Self::Worker,
        Self::PacketQueue,
        Self::Ring,
        Self::StoreHold,
        Self::ZeroCopy,
    ];

    /// The word that selects it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Segments => "segments",
            Self::Worker => "worker",
            Self::PacketQueue => "packet-queue",
            Self::Ring => "ring",
            Self::StoreHold => "store-hold",
            Self::ZeroCopy => "zero-copy",
        }
    }

    /// The engine of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|engine| engine.name() == name)
    }
}

/// `[handle.segments]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Segments {
    /// How many segments; left out: one per CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u16>,
    /// Which segment takes a packet.
    pub choice: SegmentChoice,
    /// What becomes of high CPU numbers.
    pub clamp: CpuClamp,
    /// A refused packet wakes the reader (Npcap) or does not (WinPcap).
    pub wake_on_drop: bool,
    /// Free space is counted up and down and drifts (before 0.9987).
    pub free_drift: bool,
}

impl Default for Segments {
    fn default() -> Self {
        Self {
            count: None,
            choice: SegmentChoice::Cpu,
            clamp: CpuClamp::At63,
            wake_on_drop: true,
            free_drift: false,
        }
    }
}

/// Which segment takes a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentChoice {
    /// That of its CPU.
    Cpu,
    /// CPU modulo number of segments.
    Modulo,
    /// Each packet the next one.
    RoundRobin,
}

/// What becomes of high CPU numbers. A number in the file is as good as its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ClampForm")]
pub enum CpuClamp {
    /// Above 63 means 63.
    #[serde(rename = "63")]
    At63,
    /// Above 255 means 255, which no reader scans.
    #[serde(rename = "255")]
    At255,
    /// As many segments as CPUs.
    #[serde(rename = "off")]
    Off,
}

/// A clamp as the file may have it.
#[derive(Deserialize)]
#[serde(untagged)]
enum ClampForm {
    Number(u64),
    Text(String),
}

impl TryFrom<ClampForm> for CpuClamp {
    type Error = String;

    fn try_from(form: ClampForm) -> Result<Self, String> {
        let text = match form {
            ClampForm::Number(number) => number.to_string(),
            ClampForm::Text(text) => text,
        };
        match text.as_str() {
            "63" => Ok(Self::At63),
            "255" => Ok(Self::At255),
            "off" => Ok(Self::Off),
            _ => Err(format!("no such clamp: {text}; choose 63, 255 or \"off\"")),
        }
    }
}

/// `[handle.worker]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Worker {
    /// The CPU of the worker thread; left out: the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u16>,
    /// Packets that found the ring full are missing from the driver's statistics.
    pub uncounted_full_drop: bool,
    /// The free space is 0 until a filter is set.
    pub free_not_initialised: bool,
}

/// `[handle.packet_queue]`: each switch on by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PacketQueue {
    /// The last packet may overshoot the buffer: room is asked for before, not with, its size.
    pub soft_limit: bool,
    /// "Received" counts only what the filter accepted.
    pub received_after_filter: bool,
    /// A packet too large for the whole user buffer is cut to it; without this it blocks the reader
    /// for good, as in Npcap before 1.10.
    pub truncate_first: bool,
    /// The snap length holds without a filter too; before Npcap 0.9995 frames were then kept whole.
    pub snaplen_without_filter: bool,
}

impl Default for PacketQueue {
    fn default() -> Self {
        Self {
            soft_limit: true,
            received_after_filter: true,
            truncate_first: true,
            snaplen_without_filter: true,
        }
    }
}

/// `[handle.ring]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ring {
    /// Drops before the filter when the buffer could be too full.
    pub prefilter_heuristic: bool,
}

impl Default for Ring {
    fn default() -> Self {
        Self { prefilter_heuristic: true }
    }
}

/// `[handle.store_hold]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreHold {
    /// The kernel's word.
    pub word: WordSize,
    /// The oldest buffer is given up for newer packets (XNU).
    pub head_drop: bool,
}

/// The kernel's word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WordSize {
    /// 32 bits: headers of 18 bytes.
    #[serde(rename = "32")]
    Bits32,
    /// 64 bits: headers of 26 bytes.
    #[default]
    #[serde(rename = "64")]
    Lp64,
}

/// `[handle.zero_copy]`. The kernel buffer is rounded up to two buffers of whole pages, as libpcap
/// does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ZeroCopy {
    /// The kernel's word.
    pub word: WordSize,
    /// How the reading process maps the buffers.
    pub buffer_mode: BufferMode,
    /// What becomes of pages that a child does not share.
    pub forked_pages: ForkedPages,
    /// A reclaimed buffer keeps its mark as assigned.
    pub assigned_leak: bool,
    /// When the reading process forks, as pflogd does to give privileges up; left out: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fork_at: Option<Duration>,
    /// Which process reads after the fork.
    pub reads: Process,
}

impl Default for ZeroCopy {
    fn default() -> Self {
        Self {
            word: WordSize::Lp64,
            buffer_mode: BufferMode::ZeroCopy,
            forked_pages: ForkedPages::EachWriterCopies,
            assigned_leak: false,
            fork_at: None,
            reads: Process::Child,
        }
    }
}

/// Which process goes on reading after a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Process {
    /// The one that opened the handle.
    Parent,
    /// The one that was forked.
    Child,
}

/// Who gets a copy of a page that parent and child do not share, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForkedPages {
    /// The child, at the fork.
    CopiedAtFork,
    /// Each process at its first write.
    EachWriterCopies,
    /// The process that writes first; the last one keeps the page.
    WriterCopies,
    /// All but the oldest process.
    YoungerCopies,
}

/// The buffer modes of FreeBSD problem report 163370.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BufferMode {
    /// Nothing is shared; reads copy.
    Buffered,
    /// A child gets copies of the pages.
    ZeroCopy,
    /// A child shares the pages.
    ZeroCopyInherit,
}
