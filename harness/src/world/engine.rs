//! From a scenario's words about an engine to npf-core's.

use crate::scenario::{self, BufferMode, CpuClamp, Engine, Handle, SegmentChoice, WordSize};
use npf_core::{
    EngineKind, PacketQueueOptions, RingOptions, SegmentsOptions, StoreHoldOptions, WorkerOptions,
    ZeroCopyOptions,
};

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
            assigned_leak: handle.zero_copy.assigned_leak,
            ..ZeroCopyOptions::default()
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
