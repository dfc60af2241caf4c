//! The machine behind the NIC: CPUs, the time their work takes, capture handles and their readers.
//!
//! Contract: pure data. The costs are inputs chosen for teaching, of the order of magnitude of one
//! 3 GHz server core; they are no claim about any machine, and every one can be set.

use serde::{Deserialize, Serialize};

use super::network::Window;
use super::units::{Bytes, Duration};

/// `[cpus]`: the virtual CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cpus {
    /// How many; left out: one per channel and one for the reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u16>,
    /// CPU of each RX queue's interrupt; left out: queue i on CPU i, modulo the count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx: Option<Vec<u16>>,
}

/// `[costs]`: what each piece of work takes on a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Costs {
    /// Taking an interrupt, up to the driver's handler. 500 ns.
    pub interrupt_entry: Duration,
    /// Starting a poll. 100 ns.
    pub poll_entry: Duration,
    /// Driver's work per received frame. 60 ns.
    pub poll_frame: Duration,
    /// Tap's work per frame and handle: lock, header, accounting. 40 ns.
    pub tap_frame: Duration,
    /// One instruction of the filter. 2 ns.
    pub filter_instruction: Duration,
    /// Copying one byte. 60 ps, some 16 GB/s.
    pub copy_byte: Duration,
    /// Posting one receive buffer. 15 ns.
    pub refill_frame: Duration,
    /// Notifying the device (a doorbell write). 300 ns.
    pub kick: Duration,
    /// Entering and leaving the kernel. 300 ns.
    pub system_call: Duration,
    /// From the wake-up of a sleeping reader to its first instruction. 3 us.
    pub wake_up: Duration,
    /// A read's work per record. 30 ns.
    pub read_record: Duration,
    /// The reader's own work per frame. 50 ns.
    pub reader_frame: Duration,
    /// The reader's own work per captured byte. 0 ps.
    pub reader_byte: Duration,
}

impl Default for Costs {
    fn default() -> Self {
        Self {
            interrupt_entry: Duration(500_000),
            poll_entry: Duration(100_000),
            poll_frame: Duration(60_000),
            tap_frame: Duration(40_000),
            filter_instruction: Duration(2_000),
            copy_byte: Duration(60),
            refill_frame: Duration(15_000),
            kick: Duration(300_000),
            system_call: Duration(300_000),
            wake_up: Duration(3_000_000),
            read_record: Duration(30_000),
            reader_frame: Duration(50_000),
            reader_byte: Duration(0),
        }
    }
}

impl Costs {
    /// Every cost by the name that it has in the file.
    pub fn named(&self) -> [(&'static str, Duration); 13] {
        [
            ("interrupt_entry", self.interrupt_entry),
            ("poll_entry", self.poll_entry),
            ("poll_frame", self.poll_frame),
            ("tap_frame", self.tap_frame),
            ("filter_instruction", self.filter_instruction),
            ("copy_byte", self.copy_byte),
            ("refill_frame", self.refill_frame),
            ("kick", self.kick),
            ("system_call", self.system_call),
            ("wake_up", self.wake_up),
            ("read_record", self.read_record),
            ("reader_frame", self.reader_frame),
            ("reader_byte", self.reader_byte),
        ]
    }
}

/// `[[handle]]`: one open capture, as one program holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Handle {
    /// Its name in every output; left out: `handle-0`, `handle-1`, ...
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The design of its capture buffer.
    pub engine: Engine,
    /// Size of the capture buffer in the kernel; libpcap's `pcap_setbuff`.
    pub kernel_buffer: Bytes,
    /// Size of the buffer that one read fills; `pcap_setuserbuffer`.
    pub user_buffer: Bytes,
    /// A waiting reader is woken at so much stored data; `pcap_setmintocopy`.
    pub min_to_copy: Bytes,
    /// Longest wait of one read; `pcap_set_timeout`. 0 s = no limit.
    pub read_timeout: Duration,
    /// Bytes kept of each frame at most; `pcap_set_snaplen`.
    pub snaplen: u32,
    /// A filter expression such as `udp port 53`, or `@FILE`: a program as `tcpdump -ddd` prints
    /// it, relative to the folder of the scenario file. Left out: everything is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Known peculiarities of the original that may be switched off.
    pub quirks: Quirks,
    /// The program that reads.
    pub reader: Reader,
}

impl Default for Handle {
    fn default() -> Self {
        Self {
            name: String::new(),
            engine: Engine::PacketQueue,
            kernel_buffer: Bytes(1_000_000),
            user_buffer: Bytes(256_000),
            min_to_copy: Bytes(16_000),
            read_timeout: Duration(1_000_000_000_000),
            snaplen: 262_144,
            filter: None,
            quirks: Quirks::default(),
            reader: Reader::default(),
        }
    }
}

/// The designs of a capture buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Npcap's: one queue of separately allocated packets per handle, and a byte limit.
    PacketQueue,
}

impl Engine {
    /// Every engine there is.
    pub const ALL: [Self; 1] = [Self::PacketQueue];

    /// The word that selects it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PacketQueue => "packet-queue",
        }
    }

    /// The engine of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|engine| engine.name() == name)
    }
}

/// `[handle.quirks]`: what the original does, each switch on by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
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

impl Default for Quirks {
    fn default() -> Self {
        Self {
            soft_limit: true,
            received_after_filter: true,
            truncate_first: true,
            snaplen_without_filter: true,
        }
    }
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

/// `[run]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunOptions {
    /// How long after the last frame the machine may go on emptying its buffers.
    pub drain: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { drain: Duration(5_000_000_000_000) }
    }
}

/// `[output]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Output {
    /// Which events `events.ndjson` holds.
    pub events: EventsOutput,
    /// Which frames the capture file holds.
    pub capture: CaptureOutput,
}

impl Default for Output {
    fn default() -> Self {
        Self { events: EventsOutput::All, capture: CaptureOutput::Delivered }
    }
}

/// Which events are written down. The digest always covers all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventsOutput {
    /// Every step of every frame: some ten lines a frame.
    All,
    /// Drops only.
    Losses,
    /// No file.
    None,
}

/// Which frames `capture.pcapng` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaptureOutput {
    /// What readers were given.
    Delivered,
    /// Every offered frame, with its fate as a comment.
    All,
    /// No capture file.
    None,
}
