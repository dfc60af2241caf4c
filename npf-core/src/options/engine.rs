//! The capture buffer designs and what can be chosen within each: one type per design, whose fields
//! are the historical choices and proposals, each with its origin.
//!
//! Contract: every default is the named release as it shipped, or its later state where the defect
//! would stop a capture altogether; each field says which.

use crate::RecordFormat;

/// Which capture buffer design a handle uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Npcap up to 0.9990, WinPcap 3 and 4: one segment of the buffer per CPU.
    Segments(SegmentsOptions),
    /// Npcap 0.9991: an unbounded queue of requests and one worker that fills a ring.
    Worker(WorkerOptions),
    /// Npcap 0.9992 and later: a list of packet objects under a byte budget.
    PacketQueue(PacketQueueOptions),
    /// WinPcap 2.3 and the papers about it: one circular buffer.
    Ring(RingOptions),
    /// BSD: a store and a hold buffer.
    StoreHold(StoreHoldOptions),
    /// FreeBSD: two buffers shared with the reading process.
    ZeroCopy(ZeroCopyOptions),
}

impl EngineKind {
    /// Names of all designs, in the order of [`EngineKind`].
    pub const NAMES: [&'static str; 6] =
        ["segments", "worker", "packet-queue", "ring", "store-hold", "zero-copy"];

    /// The word that selects it.
    pub const fn name(&self) -> &'static str {
        match self {
            EngineKind::Segments(_) => Self::NAMES[0],
            EngineKind::Worker(_) => Self::NAMES[1],
            EngineKind::PacketQueue(_) => Self::NAMES[2],
            EngineKind::Ring(_) => Self::NAMES[3],
            EngineKind::StoreHold(_) => Self::NAMES[4],
            EngineKind::ZeroCopy(_) => Self::NAMES[5],
        }
    }

    /// The one length of user buffer that the design reads into when its kernel buffer has that size;
    /// `None` if any will do.
    pub const fn read_length(&self, kernel_buffer: u64) -> Option<u64> {
        match self {
            EngineKind::StoreHold(_)
            | EngineKind::ZeroCopy(ZeroCopyOptions { buffer_mode: BufferMode::Buffered, .. }) => {
                Some(kernel_buffer / 2)
            }
            _ => None,
        }
    }

    /// How the design writes its records.
    pub const fn record_format(&self) -> RecordFormat {
        match self {
            EngineKind::StoreHold(StoreHoldOptions { word, .. })
            | EngineKind::ZeroCopy(ZeroCopyOptions { word, .. }) => RecordFormat::Bsd(*word),
            _ => RecordFormat::Npf,
        }
    }

    /// Whether the statistic *received* counts only what the filter accepted. All designs but the
    /// packet queue since Npcap 1.76 count every packet shown.
    pub const fn received_after_filter(&self) -> bool {
        matches!(self, EngineKind::PacketQueue(options) if options.received_after_filter)
    }

    /// Whether the snap length also holds without a filter. Only the packet queue before Npcap
    /// 0.9995 is modelled with the other rule.
    pub const fn snaplen_without_filter(&self) -> bool {
        !matches!(self, EngineKind::PacketQueue(options) if !options.snaplen_without_filter)
    }
}

/// How the segments of [`EngineKind::Segments`] are made and chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentsOptions {
    /// How many segments the buffer is divided into; `None`: one per CPU, after the clamp. A number
    /// is the first proposal of nmap/npcap issue 317.
    pub count: Option<u16>,
    /// Which segment takes a packet.
    pub choice: SegmentChoice,
    /// What becomes of CPU numbers beyond what the driver was written for.
    pub clamp: CpuClamp,
    /// A refused packet wakes the reader (Npcap); without it only stored ones do (WinPcap).
    pub wake_on_drop: bool,
    /// Free space is counted up and down and drifts (before Npcap 0.9987, issue 119), rather than
    /// computed from the positions.
    pub free_drift: bool,
}

impl Default for SegmentsOptions {
    fn default() -> Self {
        SegmentsOptions {
            count: None,
            choice: SegmentChoice::Cpu,
            clamp: CpuClamp::At63,
            wake_on_drop: true,
            free_drift: false,
        }
    }
}

/// Which segment takes a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentChoice {
    /// That of the CPU which taps it (as shipped); with fewer segments than CPUs the last one takes
    /// the rest.
    Cpu,
    /// CPU modulo number of segments (second proposal of nmap/npcap issue 317).
    Modulo,
    /// Each packet the next segment, whatever the CPU (third proposal).
    RoundRobin,
}

/// What becomes of CPU numbers beyond what the driver was written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuClamp {
    /// Every number above 63 means 63 (nmap/npcap issue 317).
    At63,
    /// Count and number are clamped to 255 (the last tree of this design): with more than 255 CPUs
    /// there are segments 0 to 254, and number 255 writes to one that no reader scans.
    At255,
    /// None: as many segments as CPUs.
    Off,
}

/// Defects of [`EngineKind::Worker`] as shipped in Npcap 0.9991.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerOptions {
    /// A packet that found the ring full was missing from the statistics (fixed 2020-05-20).
    pub uncounted_full_drop: bool,
    /// Setting the buffer size left the free space at 0 until a filter was set (issues 168, 176).
    pub free_not_initialised: bool,
}

/// Choices that differ between releases of the packet queue. Default: [`PacketQueueOptions::CURRENT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketQueueOptions {
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

impl PacketQueueOptions {
    /// The current release.
    pub const CURRENT: PacketQueueOptions = PacketQueueOptions {
        soft_limit: true,
        received_after_filter: true,
        truncate_first: true,
        snaplen_without_filter: true,
    };
    /// 1.75: like the current one, but *received* counts before the filter.
    pub const NPCAP_1_75: PacketQueueOptions =
        PacketQueueOptions { received_after_filter: false, ..PacketQueueOptions::CURRENT };
    /// 0.9992: the first release of this design.
    pub const NPCAP_0_9992: PacketQueueOptions = PacketQueueOptions {
        soft_limit: false,
        received_after_filter: false,
        truncate_first: false,
        snaplen_without_filter: false,
    };
}

impl Default for PacketQueueOptions {
    fn default() -> Self {
        PacketQueueOptions::CURRENT
    }
}

/// Choices of [`EngineKind::Ring`]. The drivers that were released as WinPcap 3 and 4 have one ring per
/// CPU instead: [`EngineKind::Segments`] with `wake_on_drop` off and `free_drift` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingOptions {
    /// Drop before the filter when the buffer could be too full for the whole frame, to save the
    /// filter's time in critical moments (WinPcap 2.3, as shipped).
    pub prefilter_heuristic: bool,
}

impl Default for RingOptions {
    fn default() -> Self {
        RingOptions { prefilter_heuristic: true }
    }
}

/// Choices of [`EngineKind::StoreHold`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreHoldOptions {
    /// Size of a word, which decides header length and alignment.
    pub word: WordSize,
    /// XNU: when both buffers are full the oldest one is given up for the new packet, instead of the
    /// packet for the buffers.
    pub head_drop: bool,
}

impl Default for StoreHoldOptions {
    fn default() -> Self {
        StoreHoldOptions { word: WordSize::Lp64, head_drop: false }
    }
}

/// Size of a machine word in a BSD kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordSize {
    /// 32 bits: 18 bytes of header, alignment 4.
    Bits32,
    /// 64 bits: 26 bytes of header, alignment 8.
    Lp64,
}

/// Choices of [`EngineKind::ZeroCopy`]. Unless buffered, its kernel buffer is two times 1 to 512 whole
/// pages ([`zbuf_kernel_buffer`](crate::zbuf_kernel_buffer) gives the next such size), fixed when the
/// handle is opened; and packets are taken with a [`ZeroCopyReader`](crate::ZeroCopyReader).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZeroCopyOptions {
    /// Size of a word, which decides header length and alignment.
    pub word: WordSize,
    /// How the reading process maps the buffers.
    pub buffer_mode: BufferMode,
    /// What becomes of pages that a child does not share ([`BufferMode::ZeroCopy`]).
    pub forked_pages: ForkedPages,
    /// A buffer reclaimed while a packet is stored keeps its mark as assigned (FreeBSD before
    /// `bpf_buf_reclaimed`). It is never handed over again: after one round the capture goes deaf,
    /// without a drop in the driver's statistics.
    pub assigned_leak: bool,
}

impl Default for ZeroCopyOptions {
    fn default() -> Self {
        ZeroCopyOptions {
            word: WordSize::Lp64,
            buffer_mode: BufferMode::ZeroCopy,
            forked_pages: ForkedPages::EachWriterCopies,
            assigned_leak: false,
        }
    }
}

/// The buffer modes that FreeBSD problem report 163370 proposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BufferMode {
    /// PCAP_BUFMODE_BUFFER: no shared buffers; `read` copies, as with [`EngineKind::StoreHold`].
    Buffered,
    /// PCAP_BUFMODE_ZBUF: a child of the reading process gets copies of the pages.
    ZeroCopy,
    /// PCAP_BUFMODE_ZBUF_INHERIT: a child shares the pages (minherit(2), INHERIT_SHARE).
    ZeroCopyInherit,
}

/// Who gets a copy of a page that parent and child do not share, and when. The kernel keeps writing to
/// the page that it has held from the beginning. No published test says which of these a FreeBSD
/// kernel does; the default is what shadow objects without a last reference come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForkedPages {
    /// The child, at the fork, as if the pages were pinned: it sees what was there then.
    CopiedAtFork,
    /// Each process at its first write after the fork; the kernel's page may be left to the kernel
    /// alone.
    EachWriterCopies,
    /// The process that writes first, as long as another one still looks at the page; the last one
    /// keeps it.
    WriterCopies,
    /// At the first write of either, all but the oldest process that looks at the page.
    YoungerCopies,
}
