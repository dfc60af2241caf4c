//! What processes do with the buffers that a zero-copy handle shares with them: look, write, fork, ask
//! for a rotation.
//!
//! Contract: a process is a number per handle; the one that opened it is 0, each fork adds the next.
//! A process may write anything anywhere in its view; the kernel side stays sound, whatever it is
//! ([`EngineKind::ZeroCopy`](crate::EngineKind::ZeroCopy)).

use super::Adapter;
use super::handle::Handle;
use crate::engine::ZeroCopy;
use crate::{DropReason, Host, Rotated, Taken, ViewError};

impl Adapter {
    /// BIOCROTZBUF: hands over what the store buffer holds, unless it holds nothing or the other buffer
    /// is not free. Wakes nobody: who asks looks next.
    ///
    /// # Errors
    ///
    /// No such handle; one that shares no buffers.
    pub fn rotate(&mut self, handle: u32) -> Result<Option<Rotated>, ViewError> {
        let engine = self.zero_copy(handle)?;
        Ok(engine.rotate())
    }

    /// `parent` forks; gives the number of the child, which sees what the buffer mode lets it see.
    ///
    /// # Errors
    ///
    /// No such handle; one that shares no buffers; no such process.
    pub fn fork(&mut self, handle: u32, parent: u32) -> Result<u32, ViewError> {
        let engine = self.zero_copy(handle)?;
        let parent = process_of(engine, parent)?;
        engine.fork(parent);
        Ok(engine.processes() as u32 - 1)
    }

    /// Fills `out` with what `process` sees at `offset` of a buffer, header included.
    ///
    /// # Errors
    ///
    /// No such handle; one that shares no buffers; no such process or buffer; bytes outside it.
    pub fn user_read(
        &mut self,
        handle: u32,
        process: u32,
        buffer: usize,
        offset: usize,
        out: &mut [u8],
    ) -> Result<(), ViewError> {
        let engine = self.zero_copy(handle)?;
        let process = process_of(engine, process)?;
        check_range(engine, buffer, offset, out.len())?;
        engine.user_read(process, buffer, offset, out);
        Ok(())
    }

    /// Writes `bytes` where `process` sees `offset` of a buffer, header included.
    ///
    /// # Errors
    ///
    /// No such handle; one that shares no buffers; no such process or buffer; bytes outside it.
    pub fn user_write(
        &mut self,
        handle: u32,
        process: u32,
        buffer: usize,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), ViewError> {
        let engine = self.zero_copy(handle)?;
        let process = process_of(engine, process)?;
        check_range(engine, buffer, offset, bytes.len())?;
        engine.user_write(process, buffer, offset, bytes);
        Ok(())
    }

    /// Bytes of each shared buffer, header included.
    ///
    /// # Errors
    ///
    /// No such handle; one that shares no buffers.
    pub fn zbuf_size(&mut self, handle: u32) -> Result<usize, ViewError> {
        let engine = self.zero_copy(handle)?;
        Ok(engine.size())
    }

    /// A reader comes: its read event is cleared, as by a read.
    pub(crate) fn reader_comes(&mut self, handle: u32) -> Result<(), ViewError> {
        let at = self.find(handle).ok_or(ViewError::NoSuchHandle { handle })?;
        self.handles[at].event_set = false;
        Ok(())
    }

    /// A reader has gone through `seen`, the records of `buffer` in its view, whose `kernel_gen` is
    /// `generation` there. The account is kept by looking over its shoulder.
    pub(crate) fn reader_saw<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        buffer: usize,
        generation: u32,
        seen: &[u8],
        host: &mut H,
    ) -> Result<Taken, ViewError> {
        let at = self.find(handle).ok_or(ViewError::NoSuchHandle { handle })?;
        let Handle { engine, account, .. } = &mut self.handles[at];
        let engine = engine.zero_copy().ok_or(ViewError::NotShared { handle })?;
        let mut sink = account.sink(now, DropReason::Flushed, host);
        let mut taken = engine.seen(buffer, generation, seen, &mut sink);
        taken.packets -= sink.markers;
        self.handles[at].read_done(now, taken.packets, taken.bytes, host);
        Ok(taken)
    }

    /// A reader has come to its time-out with nothing to read.
    pub(crate) fn reader_timed_out<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        host: &mut H,
    ) -> Result<(), ViewError> {
        let at = self.find(handle).ok_or(ViewError::NoSuchHandle { handle })?;
        let open = &mut self.handles[at];
        if open.detached {
            return Err(ViewError::DeviceRemoved { queued: open.queued() });
        }
        open.read_done(now, 0, 0, host);
        Ok(())
    }

    fn zero_copy(&mut self, handle: u32) -> Result<&mut ZeroCopy, ViewError> {
        let at = self.find(handle).ok_or(ViewError::NoSuchHandle { handle })?;
        let engine = self.handles[at].engine.zero_copy();
        engine.ok_or(ViewError::NotShared { handle })
    }
}

fn process_of(engine: &ZeroCopy, process: u32) -> Result<usize, ViewError> {
    let processes = engine.processes();
    let number = process as usize;
    let unknown = ViewError::NoSuchProcess { process, processes: processes as u32 };
    if number < processes { Ok(number) } else { Err(unknown) }
}

fn check_range(
    engine: &ZeroCopy,
    buffer: usize,
    offset: usize,
    len: usize,
) -> Result<(), ViewError> {
    let size = engine.size();
    if buffer > 1 {
        return Err(ViewError::NoSuchBuffer { buffer });
    }
    let inside = offset.checked_add(len).is_some_and(|end| end <= size);
    if inside { Ok(()) } else { Err(ViewError::OutOfRange { offset, len, size }) }
}
