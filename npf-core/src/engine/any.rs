//! The engine of one handle, chosen when it is opened.
//!
//! Contract: forwards, and decides nothing. An enum rather than a `dyn` because the tap asks it for
//! every packet.

use super::packet_queue::PacketQueue;
use super::ring::Ring;
use super::segments::Segments;
use super::store_hold::StoreHold;
use super::worker::Worker;
use super::zero_copy::ZeroCopy;
use super::{Engine, Filled, Occupancy, Packet, Refusal, Sink, Stored, Worked};
use crate::pool::Pool;
use crate::{
    BufferMode, ControlError, DropReason, EngineKind, HandleOptions, ReadError, StoreHoldOptions,
};

/// One of the designs.
#[derive(Debug)]
pub(crate) enum AnyEngine {
    Segments(Segments),
    Worker(Worker),
    PacketQueue(PacketQueue),
    Ring(Ring),
    StoreHold(StoreHold),
    ZeroCopy(ZeroCopy),
}

impl AnyEngine {
    /// Refuses a size that the design cannot have.
    pub(crate) fn new(options: &HandleOptions) -> Result<Self, ControlError> {
        Ok(match options.engine {
            EngineKind::Segments(choices) => AnyEngine::Segments(Segments::new(options, choices)),
            EngineKind::Worker(quirks) => AnyEngine::Worker(Worker::new(options, quirks)),
            EngineKind::PacketQueue(choices) => {
                AnyEngine::PacketQueue(PacketQueue::new(options, choices))
            }
            EngineKind::Ring(choices) => AnyEngine::Ring(Ring::new(options, choices)),
            EngineKind::StoreHold(choices) => {
                AnyEngine::StoreHold(StoreHold::new(options, choices))
            }
            EngineKind::ZeroCopy(choices) if choices.buffer_mode == BufferMode::Buffered => {
                let choices = StoreHoldOptions { word: choices.word, head_drop: false };
                AnyEngine::StoreHold(StoreHold::new(options, choices))
            }
            EngineKind::ZeroCopy(choices) => AnyEngine::ZeroCopy(ZeroCopy::new(options, choices)?),
        })
    }

    /// The design whose buffers processes share, if it is that.
    pub(crate) fn zero_copy(&mut self) -> Option<&mut ZeroCopy> {
        match self {
            AnyEngine::ZeroCopy(engine) => Some(engine),
            _ => None,
        }
    }
}

/// The same call for whichever engine it is.
macro_rules! each {
    ($self:expr, $engine:ident => $call:expr) => {
        match $self {
            AnyEngine::Segments($engine) => $call,
            AnyEngine::Worker($engine) => $call,
            AnyEngine::PacketQueue($engine) => $call,
            AnyEngine::Ring($engine) => $call,
            AnyEngine::StoreHold($engine) => $call,
            AnyEngine::ZeroCopy($engine) => $call,
        }
    };
}

impl Engine for AnyEngine {
    #[inline]
    fn shares(&self) -> bool {
        each!(self, engine => engine.shares())
    }

    #[inline]
    fn refuse_unfiltered(&self, cpu: u16, len: u32) -> Option<Refusal> {
        each!(self, engine => engine.refuse_unfiltered(cpu, len))
    }

    #[inline]
    fn counts(&self, reason: DropReason) -> bool {
        each!(self, engine => engine.counts(reason))
    }

    #[inline]
    fn longest(&self) -> u32 {
        each!(self, engine => engine.longest())
    }

    #[inline]
    fn store(
        &mut self,
        packet: Packet,
        data: &[u8],
        pool: &mut Pool,
        sink: &mut impl Sink,
    ) -> Stored {
        each!(self, engine => engine.store(packet, data, pool, sink))
    }

    fn ready(&self, event_set: bool) -> bool {
        each!(self, engine => engine.ready(event_set))
    }

    #[inline]
    fn read(
        &mut self,
        out: &mut [u8],
        at: usize,
        pool: &mut Pool,
        sink: &mut impl Sink,
    ) -> Result<Filled, ReadError> {
        each!(self, engine => engine.read(out, at, pool, sink))
    }

    fn end_read(&mut self) {
        each!(self, engine => engine.end_read());
    }

    fn take(&mut self, pool: &mut Pool, visit: &mut impl FnMut(&Packet, u64, [&[u8]; 2])) -> bool {
        each!(self, engine => engine.take(pool, visit))
    }

    fn pending(&self) -> u64 {
        each!(self, engine => engine.pending())
    }

    fn work(&mut self, max: u32, pool: &mut Pool, sink: &mut impl Sink) -> Worked {
        each!(self, engine => engine.work(max, pool, sink))
    }

    fn flush(&mut self, pool: &mut Pool, sink: &mut impl Sink) {
        each!(self, engine => engine.flush(pool, sink));
    }

    fn close(&mut self, pool: &mut Pool, sink: &mut impl Sink) {
        each!(self, engine => engine.close(pool, sink));
    }

    fn can_resize(&self, capacity: u64) -> Result<(), ControlError> {
        each!(self, engine => engine.can_resize(capacity))
    }

    fn resize(&mut self, capacity: u64) {
        each!(self, engine => engine.resize(capacity));
    }

    fn set_min_to_copy(&mut self, bytes: u64) {
        each!(self, engine => engine.set_min_to_copy(bytes));
    }

    fn set_immediate(&mut self, immediate: bool) {
        each!(self, engine => engine.set_immediate(immediate));
    }

    #[inline]
    fn occupancy(&self) -> Occupancy {
        each!(self, engine => engine.occupancy())
    }

    #[inline]
    fn queued(&self) -> u64 {
        each!(self, engine => engine.queued())
    }
}
