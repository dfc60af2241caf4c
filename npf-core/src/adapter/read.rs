//! Reads: whole ones, and ones that are done step by step while the tap goes on; and the worker of
//! the design that has one.
//!
//! Contract: a read gives what is there, also nothing, and never blocks. A design that frees its
//! buffer while it copies ([`EngineKind::Ring`](crate::EngineKind::Ring)) or keeps it occupied until
//! the copy is done takes several steps; between them anything else may happen to the adapter, and a
//! control that empties the buffer ends the read with what it had.

use super::Adapter;
use super::handle::{Handle, Reading};
use crate::engine::{Engine, Filled};
use crate::{ControlError, DropReason, Event, Host, Read, ReadError, ReadStep, Work};

impl Adapter {
    /// Fills `out`, the user buffer, with records from a handle's buffer, clears the handle's read
    /// event unless the design leaves it, and hands each packet to the host. Never blocks: what is
    /// there is what one gets, also nothing. A refused read changes nothing.
    ///
    /// # Errors
    ///
    /// No such handle; a kernel buffer of size 0; `out` of a length that the design refuses (Npcap:
    /// shorter than a record header); another read in progress; adapter removed and nothing got.
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
        let Adapter { handles, pool, .. } = self;
        let open = &mut handles[at];
        let begun = open.reading.unwrap_or(Reading { len: out.len(), ..Reading::default() });
        if begun.len != out.len() {
            return Err(ReadError::OtherBuffer { len: out.len(), begun: begun.len });
        }
        let mut sink = open.account.sink(now, DropReason::Flushed, host);
        let filled = open.engine.read(out, begun.bytes, pool, &mut sink)?;
        let last = sink.last;
        let clears_event = open.reading.is_none() && !filled.leaves_event;
        let total = Reading {
            len: begun.len,
            bytes: begun.bytes + filled.bytes,
            packets: begun.packets + filled.packets,
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

    /// Whether a reader of the handle that comes now is served without waiting, by the rule of its
    /// design; false if there is no such handle.
    pub fn ready(&self, handle: u32) -> bool {
        self.get(handle).is_ok_and(|open| open.engine.ready(open.event_set))
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
        Ok(Work { requests: worked.requests, bytes_copied: worked.bytes_copied, left })
    }
}

/// The last step of a read: what the whole read comes to.
fn finish<H: Host>(
    open: &mut Handle,
    now: u64,
    total: Reading,
    filled: Filled,
    last: (u64, u32),
    host: &mut H,
) -> Result<Read, ReadError> {
    let (handle, queued) = (open.id, open.engine.queued());
    if total.packets == 0 && open.detached {
        return Err(ReadError::DeviceRemoved { queued });
    }
    let counters = &mut open.account.counters;
    counters.reads += 1;
    counters.read_bytes += total.bytes as u64;
    if let Some(stored) = filled.truncated_from {
        // A truncated record fills the buffer, so it is also the last.
        let (tag, caplen) = last;
        counters.truncated += 1;
        host.event(now, Event::Truncated { tag, handle, stored, caplen });
    }
    let (packets, bytes) = (total.packets, total.bytes);
    host.event(now, Event::Read { handle, packets, bytes: bytes as u64, queued });
    Ok(Read {
        bytes,
        packets,
        queued_left: queued,
        truncated: filled.truncated_from.is_some(),
        padding_cut: filled.padding_cut as u32,
    })
}
