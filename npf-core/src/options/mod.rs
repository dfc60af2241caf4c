//! How a handle is opened: buffer sizes, engine, filter.
//!
//! Contract: every default is what libpcap sets on a current Npcap (libpcap `pcap-npf.c`). Sizes are
//! in bytes. Values out of range are refused when the handle is opened, not here.

mod engine;
mod mode;

pub use engine::{
    BufferMode, CpuClamp, EngineKind, ForkedPages, PacketQueueOptions, RingOptions, SegmentChoice,
    SegmentsOptions, StoreHoldOptions, WordSize, WorkerOptions, ZeroCopyOptions,
};
pub use mode::{Direction, DumpLimits, Mode};

use crate::filter::Filter;

/// Kernel buffer that libpcap asks for (`pcap-npf.c`).
pub const DEFAULT_KERNEL_BUFFER: u64 = 1_000_000;
/// User buffer that libpcap reads into (`pcap-npf.c`).
pub const DEFAULT_USER_BUFFER: usize = 256_000;
/// Bytes that must be queued before the reader is woken (`pcap-npf.c`); 0 in immediate mode.
pub const DEFAULT_MIN_TO_COPY: u64 = 16_000;
/// Read time-out of the NPF manual: 1 s, in picoseconds.
pub const DEFAULT_READ_TIMEOUT_PS: u64 = 1_000_000_000_000;
/// libpcap's MAXIMUM_SNAPLEN.
pub const DEFAULT_SNAPLEN: u32 = 262_144;
/// Largest kernel buffer the driver grants: 1 GiB (NPF_MAX_BUFFER_SIZE, nmap/npcap PR 11).
pub const MAX_KERNEL_BUFFER: u64 = 0x4000_0000;

/// How a handle is opened.
#[derive(Debug, Clone)]
pub struct HandleOptions {
    /// Capture buffer design.
    pub engine: EngineKind,
    /// Kernel buffer, 0..=[`MAX_KERNEL_BUFFER`] bytes; 0 drops everything. With the BSD designs it is
    /// shared out among the two slots, so that every design compares at the same memory.
    pub kernel_buffer: u64,
    /// Bytes that must be queued before the reader is woken; the BSD designs have no such setting
    /// and wake by their rotation rules.
    pub min_to_copy: u64,
    /// Wake the reader for each packet: `min_to_copy` counts as 0, BIOCIMMEDIATE with the BSD designs.
    pub immediate: bool,
    /// Most bytes kept of a frame; at least 1.
    pub snaplen: u32,
    /// Filter and what runs it; none accepts every frame whole.
    pub filter: Option<Filter>,
    /// Packets the handle may hold at once, `None` for no limit. Stands for the memory the driver
    /// gets for its packet objects: at the limit a packet is dropped with reason `no_memory`.
    pub object_limit: Option<u64>,
    /// Logical CPUs of the system on which frames may be tapped, at least 1; the per-CPU designs
    /// divide their buffer by it.
    pub cpus: u16,
    /// Seconds since 1970 at which the caller's clock was 0; added to the seconds of each record
    /// (modulo 2^32, as the header's field is).
    pub epoch_seconds: u32,
    /// What becomes of accepted frames.
    pub mode: Mode,
    /// Which frames the handle looks at.
    pub direction: Direction,
    /// Do not look at frames that this handle sends (Npcap SkipSentPackets).
    pub skip_own: bool,
    /// Tell the reader among the packets how many frames were lost, and that the filter was changed:
    /// see [`MarkerKind`](crate::MarkerKind). No capture system does.
    pub markers: bool,
}

impl Default for HandleOptions {
    fn default() -> Self {
        HandleOptions {
            engine: EngineKind::PacketQueue(PacketQueueOptions::CURRENT),
            kernel_buffer: DEFAULT_KERNEL_BUFFER,
            min_to_copy: DEFAULT_MIN_TO_COPY,
            immediate: false,
            snaplen: DEFAULT_SNAPLEN,
            filter: None,
            object_limit: None,
            cpus: 1,
            epoch_seconds: 0,
            mode: Mode::Capture,
            direction: Direction::InOut,
            skip_own: false,
            markers: false,
        }
    }
}

/// What a change of the filter does to the packets that the old one accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterReset {
    /// They are flushed, and statistics start anew (BIOCSETF).
    Yes,
    /// They stay (BIOCSETFNR of BSD).
    No,
}
