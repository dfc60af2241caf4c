//! Reads: whole ones, and ones that are done step by step while the tap goes on; and the worker of
//! the design that has one.
//!
//! Contract: a read gives what is there, also nothing, and never blocks. A design that frees its
//! buffer while it copies ([`EngineKind::Ring`](crate::EngineKind::Ring)) or keeps it occupied until
//! the copy is done takes several steps; between them anything else may happen to the adapter, and a
//! control that empties the buffer ends the read with what it had. In statistics mode a read gives the
//! counters, in dump mode nothing; one that was begun in capture mode goes on.

use super::Adapter;
use super::handle::{Handle, Reading};
use crate::engine::{Engine, Filled};
use crate::{ControlError, DropReason, Host, Mode, Read, ReadError, ReadStep, Work};

impl Adapter {
    /// Fills `out`, the user buffer, with records from a handle's buffer, clears the handle's read
    /// event unless the design leaves it, and hands each packet to the host. Never blocks: what is
    /// there is what one gets, also nothing. A refused read changes nothing.
    ///
    /// # Errors
    ///
    /// No such handle; a kernel buffer of size 0; `out` of a length that the design refuses (Npcap:
    /// shorter than a record header), or in statistics mode shorter than the record of the counters;
    /// another read in progress; adapter removed and nothing got.
    pub fn read<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        out: &mut [u8],
        host: &mut H,
    ) -> Result<Read, ReadError> {
        if self.get(handle).is_ok_and(|open| open.reading.is_some()) {
            return Err(ReadError::Busy { handle });
        }
        loop {
            if let ReadStep::Done(read) = self.read_step(now, handle, out, host)? {
                return Ok(read);
            }
        }
    }

    /// Begins a read, which clears the read event unless the design leaves it, or goes on with the
    /// one begun. [`ReadStep::Copying`]: so many bytes are copied now; call again with the same buffer
    /// when that has taken its time.
    ///
    /// # Errors
    ///
    /// As [`Adapter::read`]; and a buffer of another length than the read began with.
    pub fn read_step<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        out: &mut [u8],
        host: &mut H,
    ) -> Result<ReadStep, ReadError> {
        let Some(at) = self.find(handle) else { return Err(ReadError::NoSuchHandle { handle }) };
        let Adapter { handles, pool, counters, .. } = self;
        let open = &mut handles[at];
        if open.reading.is_none() {
            match open.mode {
                Mode::Capture => {}
                Mode::Statistics => {
                    return open.read_statistics(now, out, host).map(ReadStep::Done);
                }
                Mode::Dump(_) => return open.read_nothing(now, host).map(ReadStep::Done),
            }
        }
        let begun = open.reading.unwrap_or(Reading { len: out.len(), ..Reading::default() });
        if begun.len != out.len() {
            return Err(ReadError::OtherBuffer { len: out.len(), begun: begun.len });
        }
        let mut sink = open.account.sink(now, DropReason::Flushed, host);
        let filled = open.engine.read(out, begun.bytes, pool, &mut sink)?;
        let (last, markers) = (sink.last, sink.markers);
        counters.read_copied += sink.copied;
        let clears_event = open.reading.is_none() && !filled.leaves_event;
        let total = Reading {
            len: begun.len,
            bytes: begun.bytes + filled.bytes,
            packets: begun.packets + filled.packets - markers,
        };
        if filled.more {
            open.event_set &= !clears_event;
            open.reading = Some(total);
            return Ok(ReadStep::Copying { bytes: filled.bytes });
        }
        open.reading = None;
        open.engine.end_read();
        let read = finish(open, now, total, filled, last, host)?;
        open.event_set &= !clears_event;
        Ok(ReadStep::Done(read))
    }

    /// Whether a reader of the handle that comes now is served without waiting: by the rule of its
    /// design; in statistics mode never, as only time counts; in dump mode if the file is complete.
    /// False if there is no such handle.
    pub fn ready(&self, handle: u32) -> bool {
        self.get(handle).is_ok_and(|open| match open.mode {
            Mode::Capture => open.engine.ready(open.event_set),
            Mode::Statistics => false,
            Mode::Dump(_) => open.event_set,
        })
    }

    /// Packets of a handle that wait for its worker; 0 if there is no such handle.
    pub fn pending(&self, handle: u32) -> u64 {
        self.get(handle).map_or(0, |open| open.engine.pending())
    }

    /// The worker of a handle takes up to `max` requests off its queue.
    ///
    /// # Errors
    ///
    /// No such handle.
    pub fn work<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        max: u32,
        host: &mut H,
    ) -> Result<Work, ControlError> {
        let (open, pool) = self.get_mut(handle)?;
        let mut sink = open.account.sink(now, DropReason::Flushed, host);
        let worked = open.engine.work(max, pool, &mut sink);
        if worked.wake {
            open.wake(now, host);
        }
        let left = open.engine.pending();
        self.counters.worker_copied += worked.bytes_copied;
        Ok(Work { requests: worked.requests, bytes_copied: worked.bytes_copied, left })
    }
}

/// The last step of a read: what the whole read comes to.
fn finish<H: Host>(
    open: &mut Handle,
    now: u64,
    total: Reading,
    filled: Filled,
    last: Option<(u64, u32)>,
    host: &mut H,
) -> Result<Read, ReadError> {
    let queued = open.queued();
    if total.packets == 0 && open.detached {
        return Err(ReadError::DeviceRemoved { queued });
    }
    let read = (total.bytes, total.packets);
    Ok(open.account.read(now, read, &filled, last, queued, host))
}

impl Handle {
    /// A read that wrote so much is over.
    pub(super) fn read_done<H: Host>(
        &mut self,
        now: u64,
        packets: u32,
        bytes: usize,
        host: &mut H,
    ) -> Read {
        let queued = self.queued();
        self.account.read(now, (bytes, packets), &Filled::default(), None, queued, host)
    }

    /// A read in dump mode gives nothing.
    fn read_nothing<H: Host>(&mut self, now: u64, host: &mut H) -> Result<Read, ReadError> {
        if self.detached {
            return Err(ReadError::DeviceRemoved { queued: self.queued() });
        }
        self.event_set = false;
        Ok(self.read_done(now, 0, 0, host))
    }
}
