//! Open captures: their buffers, their engines, and the programs that read them.
//!
//! Contract: pure data; every default is what libpcap sets on a current Npcap.

use serde::{Deserialize, Serialize};

use super::engine::{Engine, PacketQueue, Ring, Segments, StoreHold, Worker, ZeroCopy};
use super::network::Window;
use super::units::{Bytes, Duration};

/// `[[handle]]`: one open capture, as one program holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Handle {
    /// Its name in every output; left out: `handle-0`, `handle-1`, ...
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The design of its capture buffer.
    pub engine: Engine,
    /// Size of the capture buffer in the kernel; libpcap's `pcap_setbuff`. With the BSD designs each
    /// of the two buffers is half of it.
    pub kernel_buffer: Bytes,
    /// Size of the buffer that one read fills; `pcap_setuserbuffer`. A design that reads exactly one
    /// length uses that instead.
    pub user_buffer: Bytes,
    /// A waiting reader is woken at so much stored data; `pcap_setmintocopy`.
    pub min_to_copy: Bytes,
    /// Each packet wakes the reader; `pcap_set_immediate_mode`.
    pub immediate: bool,
    /// Longest wait of one read; `pcap_set_timeout`. 0 s = no limit.
    pub read_timeout: Duration,
    /// Bytes kept of each frame at most; `pcap_set_snaplen`.
    pub snaplen: u32,
    /// A filter expression such as `udp port 53`, or `@FILE`: a program as `tcpdump -d`, `-dd` or
    /// `-ddd` prints it or as a cBPF savefile, relative to the folder of the scenario file. Left out:
    /// everything is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What runs the filter.
    pub filter_engine: FilterEngine,
    /// Whose rules the filter is read by.
    pub filter_dialect: FilterDialect,
    /// What becomes of accepted frames; `pcap_setmode`.
    pub mode: Mode,
    /// When a dump ends.
    pub dump: Dump,
    /// Which frames it looks at; `pcap_setdirection`.
    pub direction: Direction,
    /// It does not look at frames that it sends itself.
    pub skip_own: bool,
    /// Losses and filter changes are told in the stream of records itself.
    pub markers: bool,
    /// Packets the handle may hold at once: the memory the driver gets for packet objects. Left out:
    /// no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_limit: Option<u64>,
    /// Choices of the engine `segments`.
    pub segments: Segments,
    /// Choices of the engine `worker`.
    pub worker: Worker,
    /// Choices of the engine `packet-queue`.
    pub packet_queue: PacketQueue,
    /// Choices of the engine `ring`.
    pub ring: Ring,
    /// Choices of the engine `store-hold`.
    pub store_hold: StoreHold,
    /// Choices of the engine `zero-copy`.
    pub zero_copy: ZeroCopy,
    /// The program that reads.
    pub reader: Reader,
    /// What it sends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub send: Vec<Send>,
    /// What it changes while it runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub control: Vec<Control>,
}

impl Default for Handle {
    fn default() -> Self {
        Self {
            name: String::new(),
            engine: Engine::PacketQueue,
            kernel_buffer: Bytes(1_000_000),
            user_buffer: Bytes(256_000),
            min_to_copy: Bytes(16_000),
            immediate: false,
            read_timeout: Duration(1_000_000_000_000),
            snaplen: 262_144,
            filter: None,
            filter_engine: FilterEngine::default(),
            filter_dialect: FilterDialect::default(),
            mode: Mode::default(),
            dump: Dump::default(),
            direction: Direction::default(),
            skip_own: false,
            markers: false,
            object_limit: None,
            segments: Segments::default(),
            worker: Worker::default(),
            packet_queue: PacketQueue::default(),
            ring: Ring::default(),
            store_hold: StoreHold::default(),
            zero_copy: ZeroCopy::default(),
            reader: Reader::default(),
            send: Vec::new(),
            control: Vec::new(),
        }
    }
}

impl Handle {
    /// Whether it is in dump mode from the beginning or at some time.
    #[must_use]
    pub fn ever_dumps(&self) -> bool {
        let dump = Some(Mode::Dump);
        Some(self.mode) == dump || self.control.iter().any(|control| control.mode == dump)
    }
}

/// What runs a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilterEngine {
    /// The reference interpreter: time by the instruction.
    #[default]
    Interpreter,
    /// Machine code: one time for all programs.
    Jit,
}

/// Whose rules a filter is read by; see `npf_core::filter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FilterDialect {
    /// libpcap's own interpreter.
    #[default]
    Libpcap,
    /// The BSD kernels.
    Bsd,
    /// Npcap's driver.
    Npcap,
    /// WinPcap's driver.
    Winpcap,
    /// Linux socket filters.
    Linux,
}

/// What becomes of accepted frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// They are stored for the reader.
    #[default]
    Capture,
    /// They are counted; each read gives the counters. Its period is the read timeout.
    Statistics,
    /// The driver writes them to a capture file.
    Dump,
}

/// Which frames a handle looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// All.
    #[default]
    Inout,
    /// Received ones.
    In,
    /// Sent ones.
    Out,
}

/// `[handle.dump]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dump {
    /// Largest size of the file, headers included; left out: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Bytes>,
    /// Most packets in the file; left out: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_packets: Option<u64>,
    /// The file gets one packet more than that, as in WinPcap 2.3.
    pub one_too_many: bool,
}

/// `[handle.reader]`: the rhythm of the reading program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reader {
    /// Its CPU; left out: the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u16>,
    /// Its work per frame; left out: `costs.reader_frame`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<Duration>,
    /// It writes what it reads to a capture file, through the standard library's buffer.
    pub write: bool,
    /// Reads start at least this far apart; left out: it reads again at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<Duration>,
    /// When it does something else: no read starts in these windows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stall: Vec<Window>,
    /// When it stops reading for good; left out: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_at: Option<Duration>,
}

/// `[[handle.send]]`: one send queue (`pcap_sendqueue_transmit`), or one frame written once and sent
/// many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Send {
    /// When.
    pub at: Duration,
    /// Frames in the queue.
    pub frames: u32,
    /// Size of each on the wire, FCS included.
    pub size: Bytes,
    /// Time from one to the next, in whole microseconds.
    pub gap: Duration,
    /// Which times of the queue are kept.
    pub pacing: Pacing,
    /// Copies sent of a single frame with one write (BIOCSWRITEREP); goes with `frames = 1`.
    pub repeat: u32,
}

impl Default for Send {
    fn default() -> Self {
        Self {
            at: Duration(0),
            frames: 1,
            size: Bytes(64),
            gap: Duration(0),
            pacing: Pacing::None,
            repeat: 1,
        }
    }
}

/// Whether the times in a send queue are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pacing {
    /// All frames at once.
    None,
    /// As Npcap since 1.70.
    Npcap,
    /// As WinPcap, spinning.
    Winpcap,
}

/// `[[handle.control]]`: what the program changes at one moment. Keys have the names and meanings
/// that they have in `[[handle]]`; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    /// When.
    pub at: Duration,
    /// A new kernel buffer: empties the buffer (BIOCSETBUFFERSIZE).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_buffer: Option<Bytes>,
    /// A new user buffer, from the next read on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_buffer: Option<Bytes>,
    /// From the next packet on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_to_copy: Option<Bytes>,
    /// From the next packet on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immediate: Option<bool>,
    /// From the next wait on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_timeout: Option<Duration>,
    /// From the next frame on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snaplen: Option<u32>,
    /// Another filter; the empty text removes it. Empties the buffer unless `keep` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Another mode; what the buffer holds stays there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// From the next frame on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// From the next frame on; switching it on empties the buffer, as in Npcap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_own: Option<bool>,
    /// The new filter leaves in the buffer what the old one accepted (BIOCSETFNR).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
    /// The handle is closed; what it holds is lost.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub close: bool,
}
