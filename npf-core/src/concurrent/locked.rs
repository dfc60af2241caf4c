//! Any design behind one lock: the state machine itself, with the filter outside.
//!
//! Contract: decides, counts and tells as an [`Adapter`] with one handle does, because it is one. A
//! batch is filtered before the lock is taken, and is then stored under it as a whole; a read lets
//! go of it after each step, so that a tap may come in between as it may there. Wake-ups and the
//! worker's call are passed on when the lock is free again.

use super::core::BATCH;
use super::rules::Rules;
use super::sync::{Mutex, RwLock, lock, own, share, try_lock};
use crate::adapter::judge::Judged;
use crate::adapter::tap::Source;
use crate::filter::Filter;
use crate::{
    Adapter, ControlError, Delivered, Event, FilterReset, Frame, HandleCounters, HandleOptions,
    Host, Read, ReadError, ReadStep, TapWork,
};

/// One handle.
#[derive(Debug)]
pub(super) struct Locked {
    pub id: u32,
    rules: RwLock<Rules>,
    adapter: Mutex<Adapter>,
    /// One read at a time, of however many steps.
    reading: Mutex<()>,
}

impl Locked {
    pub(super) fn new(id: u32, options: HandleOptions) -> Result<Self, ControlError> {
        let rules = Rules::new(&options);
        let mut adapter = Adapter::numbering_from(id);
        adapter.open(options)?;
        Ok(Locked {
            id,
            rules: RwLock::new(rules),
            adapter: Mutex::new(adapter),
            reading: Mutex::new(()),
        })
    }

    /// Does something with the adapter, which has this one handle, and passes on what it calls for.
    pub(super) fn with<H: Host, R>(
        &self,
        now: u64,
        host: &mut H,
        work: impl FnOnce(&mut Adapter, &mut Later<'_, H>) -> R,
    ) -> R {
        let mut later = Later { host, wake: false, wake_dump: false, work: false };
        let result = work(&mut lock(&self.adapter), &mut later);
        let Later { host, wake, wake_dump, work } = later;
        if wake {
            host.wake(now, self.id);
        }
        if wake_dump {
            host.wake_dump(now, self.id);
        }
        if work {
            host.work(now, self.id);
        }
        result
    }

    /// Looks at the adapter, which has this one handle.
    pub(super) fn look<R>(&self, look: impl FnOnce(&mut Adapter) -> R) -> R {
        look(&mut lock(&self.adapter))
    }

    /// See [`SharedHandle::tap`](super::SharedHandle::tap).
    pub(super) fn tap<H: Host>(
        &self,
        source: Source,
        frames: &[Frame<'_>],
        host: &mut H,
    ) -> TapWork {
        let Source { now, cpu, queue, .. } = source;
        let mut work = TapWork::default();
        for frames in frames.chunks(BATCH) {
            let rules = share(&self.rules);
            let mut judged = [Judged::default(); BATCH];
            for (judged, frame) in judged.iter_mut().zip(frames) {
                *judged = rules.judge(source, frame);
            }
            let done = self.with(now, host, |adapter, host| {
                adapter.tap_judged(now, cpu, queue, frames, &judged, host)
            });
            work.frames += done.frames;
            work.accepted += done.accepted;
            work.instructions += done.instructions;
            work.compiled += done.compiled;
            work.bytes_copied += done.bytes_copied;
        }
        work
    }

    /// See [`SharedHandle::read`](super::SharedHandle::read).
    pub(super) fn read<H: Host>(
        &self,
        now: u64,
        out: &mut [u8],
        host: &mut H,
    ) -> Result<Read, ReadError> {
        let handle = self.id;
        // A control waits until the read is over.
        let _rules = share(&self.rules);
        let Some(_reading) = try_lock(&self.reading) else {
            return Err(ReadError::Busy { handle });
        };
        loop {
            let step =
                self.with(now, host, |adapter, host| adapter.read_step(now, handle, out, host))?;
            if let ReadStep::Done(read) = step {
                return Ok(read);
            }
        }
    }

    pub(super) fn close<H: Host>(&self, now: u64, host: &mut H) -> HandleCounters {
        let closed = self.with(now, host, |adapter, host| adapter.close(now, self.id, host));
        // It was open: who closes owns the handle.
        closed.unwrap_or_default()
    }

    pub(super) fn set_filter<H: Host>(
        &self,
        now: u64,
        filter: Option<Filter>,
        reset: FilterReset,
        host: &mut H,
    ) -> Result<(), ControlError> {
        let mut rules = own(&self.rules);
        rules.filter.clone_from(&filter);
        self.with(now, host, |adapter, host| adapter.set_filter(now, self.id, filter, reset, host))
    }

    pub(super) fn set_snaplen<H: Host>(
        &self,
        now: u64,
        bytes: u32,
        host: &mut H,
    ) -> Result<(), ControlError> {
        let mut rules = own(&self.rules);
        self.with(now, host, |adapter, host| adapter.set_snaplen(now, self.id, bytes, host))?;
        rules.snaplen = bytes;
        Ok(())
    }

    /// Any other control, with no read under way.
    pub(super) fn control<H: Host, R>(
        &self,
        now: u64,
        host: &mut H,
        control: impl FnOnce(&mut Adapter, &mut Later<'_, H>) -> R,
    ) -> R {
        let _rules = own(&self.rules);
        self.with(now, host, control)
    }
}

/// A host that is called back when the lock is free.
pub(super) struct Later<'a, H> {
    host: &'a mut H,
    wake: bool,
    wake_dump: bool,
    work: bool,
}

impl<H: Host> Host for Later<'_, H> {
    fn event(&mut self, now: u64, event: Event) {
        self.host.event(now, event);
    }

    fn delivered(&mut self, now: u64, handle: u32, packet: Delivered<'_>) {
        self.host.delivered(now, handle, packet);
    }

    fn wake(&mut self, _now: u64, _handle: u32) {
        self.wake = true;
    }

    fn wake_dump(&mut self, _now: u64, _handle: u32) {
        self.wake_dump = true;
    }

    fn work(&mut self, _now: u64, _handle: u32) {
        self.work = true;
    }

    fn dump(&mut self, now: u64, handle: u32, bytes: &[u8]) {
        self.host.dump(now, handle, bytes);
    }
}
