//! From a scenario's words about a handle's engine and modes to npf-core's.

use crate::scenario::{
    self, BufferMode, CpuClamp, Direction, Engine, FilterDialect, ForkedPages, Handle, Mode,
    SegmentChoice, WordSize,
};
use npf_core::filter::Dialect;
use npf_core::{
    DumpLimits, EngineKind, PacketQueueOptions, RingOptions, SegmentsOptions, StoreHoldOptions,
    WorkerOptions, ZeroCopyOptions, zbuf_kernel_buffer,
};

/// Whose rules the filter of a handle is read by.
#[must_use]
pub fn dialect(handle: &Handle) -> Dialect {
    match handle.filter_dialect {
        FilterDialect::Libpcap => Dialect::Libpcap,
        FilterDialect::Bsd => Dialect::Bsd,
        FilterDialect::Npcap => Dialect::Npcap,
        FilterDialect::Winpcap => Dialect::WinPcap,
        FilterDialect::Linux => Dialect::Linux,
    }
}

/// A mode with the limits that the handle's dump has.
#[must_use]
pub fn mode(mode: Mode, handle: &Handle) -> npf_core::Mode {
    match mode {
        Mode::Capture => npf_core::Mode::Capture,
        Mode::Statistics => npf_core::Mode::Statistics,
        Mode::Dump => npf_core::Mode::Dump(dump_limits(handle)),
    }
}

/// When a handle's dump ends.
#[must_use]
pub fn dump_limits(handle: &Handle) -> DumpLimits {
    DumpLimits {
        max_bytes: handle.dump.max_bytes.map(|bytes| bytes.0),
        max_packets: handle.dump.max_packets,
        one_too_many: handle.dump.one_too_many,
    }
}

/// Which frames a handle looks at.
#[must_use]
pub fn direction(direction: Direction) -> npf_core::Direction {
    match direction {
        Direction::Inout => npf_core::Direction::InOut,
        Direction::In => npf_core::Direction::In,
        Direction::Out => npf_core::Direction::Out,
    }
}

/// The kernel buffer that a program asks for: the scenario's, and whole pages where libpcap rounds up
/// to them.
#[must_use]
pub fn kernel_buffer(handle: &Handle) -> u64 {
    let asked = handle.kernel_buffer.0;
    if shares_buffers(handle) { zbuf_kernel_buffer(asked) } else { asked }
}

/// Whether the reader of a handle takes packets from shared buffers, and never calls read.
#[must_use]
pub fn shares_buffers(handle: &Handle) -> bool {
    handle.engine == Engine::ZeroCopy && handle.zero_copy.buffer_mode != BufferMode::Buffered
}

/// The engine of a handle with its choices.
#[must_use]
pub fn engine_kind(handle: &Handle) -> EngineKind {
    match handle.engine {
        Engine::Segments => EngineKind::Segments(segments(handle.segments)),
        Engine::Worker => EngineKind::Worker(WorkerOptions {
            uncounted_full_drop: handle.worker.uncounted_full_drop,
            free_not_initialised: handle.worker.free_not_initialised,
        }),
        Engine::PacketQueue => EngineKind::PacketQueue(PacketQueueOptions {
            soft_limit: handle.packet_queue.soft_limit,
            received_after_filter: handle.packet_queue.received_after_filter,
            truncate_first: handle.packet_queue.truncate_first,
            snaplen_without_filter: handle.packet_queue.snaplen_without_filter,
        }),
        Engine::Ring => {
            EngineKind::Ring(RingOptions { prefilter_heuristic: handle.ring.prefilter_heuristic })
        }
        Engine::StoreHold => EngineKind::StoreHold(StoreHoldOptions {
            word: word(handle.store_hold.word),
            head_drop: handle.store_hold.head_drop,
        }),
        Engine::ZeroCopy => EngineKind::ZeroCopy(ZeroCopyOptions {
            word: word(handle.zero_copy.word),
            buffer_mode: match handle.zero_copy.buffer_mode {
                BufferMode::Buffered => npf_core::BufferMode::Buffered,
                BufferMode::ZeroCopy => npf_core::BufferMode::ZeroCopy,
                BufferMode::ZeroCopyInherit => npf_core::BufferMode::ZeroCopyInherit,
            },
            forked_pages: match handle.zero_copy.forked_pages {
                ForkedPages::CopiedAtFork => npf_core::ForkedPages::CopiedAtFork,
                ForkedPages::EachWriterCopies => npf_core::ForkedPages::EachWriterCopies,
                ForkedPages::WriterCopies => npf_core::ForkedPages::WriterCopies,
                ForkedPages::YoungerCopies => npf_core::ForkedPages::YoungerCopies,
            },
            assigned_leak: handle.zero_copy.assigned_leak,
        }),
    }
}

fn segments(segments: scenario::Segments) -> SegmentsOptions {
    SegmentsOptions {
        count: segments.count,
        choice: match segments.choice {
            SegmentChoice::Cpu => npf_core::SegmentChoice::Cpu,
            SegmentChoice::Modulo => npf_core::SegmentChoice::Modulo,
            SegmentChoice::RoundRobin => npf_core::SegmentChoice::RoundRobin,
        },
        clamp: match segments.clamp {
            CpuClamp::At63 => npf_core::CpuClamp::At63,
            CpuClamp::At255 => npf_core::CpuClamp::At255,
            CpuClamp::Off => npf_core::CpuClamp::Off,
        },
        wake_on_drop: segments.wake_on_drop,
        free_drift: segments.free_drift,
    }
}

fn word(word: WordSize) -> npf_core::WordSize {
    match word {
        WordSize::Bits32 => npf_core::WordSize::Bits32,
        WordSize::Lp64 => npf_core::WordSize::Lp64,
    }
}
