//! One open handle: its filter, its buffer, its account.

use super::account::Account;
use crate::engine::{AnyEngine, Engine};
use crate::filter::Program;
use crate::pool::Pool;
use crate::{ControlError, DropReason, Event, Frame, HandleOptions, Host};

/// One open handle.
#[derive(Debug)]
pub(super) struct Handle {
    pub id: u32,
    pub engine: AnyEngine,
    pub filter: Option<Program>,
    pub snaplen: u32,
    pub object_limit: u64,
    /// The statistic *received* counts only what the filter accepted.
    pub received_after_filter: bool,
    /// The snap length holds without a filter too.
    pub snaplen_without_filter: bool,
    /// The read event.
    pub event_set: bool,
    /// The adapter was removed; nothing is shown any more.
    pub detached: bool,
    /// The read that was begun and not ended.
    pub reading: Option<Reading>,
    pub account: Account,
}

/// A read in progress.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reading {
    /// Length of the user buffer; every step must bring the same.
    pub len: usize,
    /// Bytes and packets that its steps have written.
    pub bytes: usize,
    pub packets: u32,
}

impl Handle {
    pub(super) fn new(id: u32, options: HandleOptions) -> Result<Self, ControlError> {
        Ok(Handle {
            id,
            engine: AnyEngine::new(&options)?,
            filter: options.filter,
            snaplen: options.snaplen,
            object_limit: options.object_limit.unwrap_or(u64::MAX),
            received_after_filter: options.engine.received_after_filter(),
            snaplen_without_filter: options.engine.snaplen_without_filter(),
            event_set: false,
            detached: false,
            reading: None,
            account: Account { handle: id, ..Account::default() },
        })
    }

    /// Runs the filter over a frame: bytes to keep, none if it is rejected, and the instructions
    /// that took.
    #[inline]
    pub(super) fn judge(&self, frame: &Frame<'_>) -> (Option<u32>, u32) {
        // A record cannot say more than 32 bits; no frame comes near.
        let whole = u32::try_from(frame.data.len()).unwrap_or(u32::MAX);
        match &self.filter {
            None if self.snaplen_without_filter => (Some(whole.min(self.snaplen)), 0),
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
        self.account.counters.wakes += 1;
        let occupancy = self.engine.occupancy().used;
        host.event(now, Event::Woken { handle: self.id, occupancy });
        host.wake(now, self.id);
    }

    /// Drops everything queued for `reason`, ends a read in progress, and says how many packets were
    /// lost. What belongs to the reading process is lost only when the handle is closed.
    pub(super) fn flush<H: Host>(
        &mut self,
        now: u64,
        reason: DropReason,
        pool: &mut Pool,
        host: &mut H,
    ) -> u64 {
        let flushed = self.engine.queued();
        self.reading = None;
        let mut sink = self.account.sink(now, reason, host);
        if reason == DropReason::Closed {
            self.engine.close(pool, &mut sink);
        } else {
            self.engine.flush(pool, &mut sink);
        }
        flushed - self.engine.queued()
    }

    /// After a control: where a wake-up is no event that stays set, none remains of it that a reader
    /// would not be served for.
    pub(super) fn settle_event(&mut self) {
        self.event_set = self.event_set && self.engine.ready(true);
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
        self.settle_event();
        self.account.reset_statistics();
        self.account.counters.resets += 1;
        host.event(now, Event::BufferReset { handle: self.id, flushed, capacity });
    }
}
