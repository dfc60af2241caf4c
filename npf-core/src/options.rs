//! How a handle is opened: buffer sizes, engine, filter.
//!
//! Contract: every default is what libpcap sets on a current Npcap (libpcap `pcap-npf.c`). Sizes are
//! in bytes. Values out of range are refused when the handle is opened, not here.

use crate::filter::Program;

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
    /// Kernel buffer, 0..=[`MAX_KERNEL_BUFFER`] bytes; 0 drops everything.
    pub kernel_buffer: u64,
    /// Bytes that must be queued before the reader is woken.
    pub min_to_copy: u64,
    /// Most bytes kept of a frame; at least 1.
    pub snaplen: u32,
    /// Filter; none accepts every frame whole.
    pub filter: Option<Program>,
    /// Packets the handle may hold at once, `None` for no limit. Stands for the memory the driver
    /// gets for its packet objects: at the limit a packet is dropped with reason `no_memory`.
    pub object_limit: Option<u64>,
    /// Seconds since 1970 at which the caller's clock was 0; added to the seconds of each record
    /// (modulo 2^32, as the header's field is).
    pub epoch_seconds: u32,
}

impl Default for HandleOptions {
    fn default() -> Self {
        HandleOptions {
            engine: EngineKind::PacketQueue(Quirks::CURRENT),
            kernel_buffer: DEFAULT_KERNEL_BUFFER,
            min_to_copy: DEFAULT_MIN_TO_COPY,
            snaplen: DEFAULT_SNAPLEN,
            filter: None,
            object_limit: None,
            epoch_seconds: 0,
        }
    }
}

/// Which capture buffer design a handle uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Npcap 0.9992 and later: a list of packet objects under a byte budget.
    PacketQueue(Quirks),
}

/// Choices that differ between releases of the packet queue. Default: [`Quirks::CURRENT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// `true` (0.9997 and later): a packet is kept while any space is free, even if it does not fit,
    /// so that the buffer overshoots by up to one packet. `false` (0.9992): kept only if it fits.
    pub soft_limit: bool,
    /// `true` (1.76 and later, commit 9607c0b5): the statistic *received* counts packets that passed
    /// the filter. `false` (until 1.75): every packet shown to the handle.
    pub received_after_filter: bool,
    /// `true` (1.10 and later): a record that alone exceeds the user buffer is truncated to it.
    /// `false`: the read returns nothing, for ever (nmap/npcap issue 119).
    pub truncate_first: bool,
    /// `true` (0.9995 and later): the snap length also holds without a filter. `false`: without a
    /// filter frames are kept whole.
    pub snaplen_without_filter: bool,
}

impl Quirks {
    /// The current release.
    pub const CURRENT: Quirks = Quirks {
        soft_limit: true,
        received_after_filter: true,
        truncate_first: true,
        snaplen_without_filter: true,
    };
    /// 1.75: like the current one, but *received* counts before the filter.
    pub const NPCAP_1_75: Quirks = Quirks { received_after_filter: false, ..Quirks::CURRENT };
    /// 0.9992: the first release of this design.
    pub const NPCAP_0_9992: Quirks = Quirks {
        soft_limit: false,
        received_after_filter: false,
        truncate_first: false,
        snaplen_without_filter: false,
    };
}

impl Default for Quirks {
    fn default() -> Self {
        Quirks::CURRENT
    }
}
