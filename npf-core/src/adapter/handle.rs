//! One open handle: its filter, its buffer, its account.

use crate::engine::{AnyEngine, Engine, Packet};
use crate::filter::Program;
use crate::pool::Pool;
use crate::{
    DropReason, DropRecord, EngineKind, Event, Frame, HandleCounters, HandleOptions, Host, Quirks,
    Stats,
};

/// One open handle.
#[derive(Debug)]
pub(super) struct Handle {
    pub id: u32,
    pub engine: AnyEngine,
    pub filter: Option<Program>,
    pub snaplen: u32,
    pub object_limit: u64,
    pub quirks: Quirks,
    /// The read event.
    pub event_set: bool,
    /// The adapter was removed; nothing is shown any more.
    pub detached: bool,
    pub counters: HandleCounters,
    /// The driver's own counters; a reset zeroes the first three.
    pub received: u64,
    pub accepted: u64,
    pub full_dropped: u64,
    pub resource_dropped: u64,
}

impl Handle {
    pub(super) fn new(id: u32, engine: AnyEngine, options: HandleOptions) -> Self {
        let EngineKind::PacketQueue(quirks) = options.engine;
        Handle {
            id,
            engine,
            filter: options.filter,
            snaplen: options.snaplen,
            object_limit: options.object_limit.unwrap_or(u64::MAX),
            quirks,
            event_set: false,
            detached: false,
            counters: HandleCounters::default(),
            received: 0,
            accepted: 0,
            full_dropped: 0,
            resource_dropped: 0,
        }
    }

    /// Runs the filter over a frame: bytes to keep, none if it is rejected, and the instructions
    /// that took.
    #[inline]
    pub(super) fn judge(&self, frame: &Frame<'_>) -> (Option<u32>, u32) {
        // A record cannot say more than 32 bits; no frame comes near.
        let whole = u32::try_from(frame.data.len()).unwrap_or(u32::MAX);
        match &self.filter {
            None if self.quirks.snaplen_without_filter => (Some(whole.min(self.snaplen)), 0),
            None => (Some(whole), 0),
            Some(program) => {
                let verdict = program.run(frame.data, frame.wire_len);
                let keep =
                    (verdict.accept > 0).then_some(whole.min(verdict.accept).min(self.snaplen));
                (keep, verdict.executed)
            }
        }
    }

    /// Sets the read event; tells the host if it was clear.
    #[inline]
    pub(super) fn wake<H: Host>(&mut self, now: u64, host: &mut H) {
        if self.event_set {
            return;
        }
        self.event_set = true;
        self.counters.wakes += 1;
        let occupancy = self.engine.occupancy().used;
        host.event(now, Event::Woken { handle: self.id, occupancy });
        host.wake(now, self.id);
    }

    /// Drops everything queued for `reason` and says how many packets that were.
    pub(super) fn flush<H: Host>(
        &mut self,
        now: u64,
        reason: DropReason,
        pool: &mut Pool,
        host: &mut H,
    ) -> u64 {
        let (id, flushed) = (self.id, self.engine.queued());
        let capacity = self.engine.occupancy().capacity;
        self.engine.flush(pool, &mut |packet: &Packet, need, occupancy| {
            host.event(
                now,
                Event::Dropped(DropRecord {
                    tag: packet.tag,
                    reason,
                    queue: Some(packet.queue),
                    handle: Some(id),
                    cpu: Some(packet.cpu),
                    occupancy,
                    capacity,
                    need,
                    free_elsewhere: 0,
                }),
            );
        });
        self.counters.dropped[reason.index()] += flushed;
        flushed
    }

    /// Empties the buffer, sets its size and zeroes the statistics a reset zeroes; lack of memory is
    /// not among them.
    pub(super) fn reset<H: Host>(
        &mut self,
        now: u64,
        capacity: u64,
        pool: &mut Pool,
        host: &mut H,
    ) {
        let flushed = self.flush(now, DropReason::Flushed, pool, host);
        self.engine.resize(capacity);
        self.received = 0;
        self.accepted = 0;
        self.full_dropped = 0;
        self.counters.resets += 1;
        host.event(now, Event::BufferReset { handle: self.id, flushed, capacity });
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            received: self.received,
            accepted: self.accepted,
            dropped: self.full_dropped + self.resource_dropped,
            resource_dropped: self.resource_dropped,
        }
    }
}
