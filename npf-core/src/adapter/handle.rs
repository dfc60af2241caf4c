//! One open handle: its filter, its buffer, its account.

use super::account::Account;
use super::dump::Dumping;
use super::judge::{Judged, judge};
use super::statistics::Counted;
use super::tap::Source;
use crate::engine::{AnyEngine, Engine};
use crate::filter::{Filter, Program};
use crate::pool::Pool;
use crate::{
    ControlError, Direction, DropReason, Event, Frame, HandleOptions, Host, Mode, TapWork,
};

/// One open handle.
#[derive(Debug)]
pub(super) struct Handle {
    pub id: u32,
    pub engine: AnyEngine,
    pub filter: Option<Filter>,
    pub snaplen: u32,
    pub object_limit: u64,
    pub mode: Mode,
    pub direction: Direction,
    /// Frames that this handle sends are not shown to it.
    pub skip_own: bool,
    /// Frames that this handle sends come back as received ones.
    pub feedback: bool,
    /// Copies sent of each written frame.
    pub write_repeat: u32,
    /// Decides which frames may be written.
    pub write_filter: Option<Program>,
    /// As asked for; in dump mode the engine has another one.
    pub min_to_copy: u64,
    pub epoch_seconds: u32,
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
    pub counted: Counted,
    pub dumping: Dumping,
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
        let mode = options.mode;
        let mut open = Handle {
            id,
            engine: AnyEngine::new(&options)?,
            filter: options.filter,
            snaplen: options.snaplen,
            object_limit: options.object_limit.unwrap_or(u64::MAX),
            mode: Mode::Capture,
            direction: options.direction,
            skip_own: options.skip_own,
            feedback: false,
            write_repeat: 1,
            write_filter: None,
            min_to_copy: options.min_to_copy,
            epoch_seconds: options.epoch_seconds,
            received_after_filter: options.engine.received_after_filter(),
            snaplen_without_filter: options.engine.snaplen_without_filter(),
            event_set: false,
            detached: false,
            reading: None,
            counted: Counted::default(),
            dumping: Dumping::default(),
            account: Account::of(id),
        };
        open.account.markers.on = options.markers;
        open.enter(mode);
        Ok(open)
    }

    /// What of a frame is to be kept, none if the filter rejects it; unless it was `judged` before, the
    /// filter is run.
    #[inline]
    pub(super) fn judge(
        &mut self,
        source: Source,
        frame: &Frame<'_>,
        judged: Option<&Judged>,
        work: &mut TapWork,
    ) -> Option<u32> {
        let now = || {
            let filter = self.filter.as_ref();
            judge(filter, self.snaplen, self.snaplen_without_filter, source, frame)
        };
        let judged = judged.copied().unwrap_or_else(now);
        judged.charge(work);
        self.account.counters.instructions += u64::from(judged.instructions);
        judged.keep
    }

    /// The engine says that enough is stored to wake somebody: the reader, or in dump mode whoever
    /// writes the file. In statistics mode the reader sleeps until its time-out.
    #[inline]
    pub(super) fn wake<H: Host>(&mut self, now: u64, host: &mut H) {
        match self.mode {
            Mode::Capture => self.wake_reader(now, host),
            Mode::Statistics => {}
            Mode::Dump(_) => self.wake_dump(now, host),
        }
    }

    /// Sets the read event; tells the host if it was clear.
    #[inline]
    pub(super) fn wake_reader<H: Host>(&mut self, now: u64, host: &mut H) {
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
        let flushed = self.queued();
        self.reading = None;
        let mut sink = self.account.sink(now, reason, host);
        if reason == DropReason::Closed {
            self.engine.close(pool, &mut sink);
        } else {
            self.engine.flush(pool, &mut sink);
        }
        flushed - self.queued()
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
