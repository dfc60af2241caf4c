//! Which frames a handle looks at and what becomes of them: mode, direction, its own frames.
//!
//! Contract: as in `control.rs`; each method says what it flushes and what it zeroes, and where that
//! is published.

use super::Adapter;
use super::dump::Dumping;
use super::handle::Handle;
use super::statistics::Counted;
use crate::engine::Engine;
use crate::{ControlError, DUMP_FILE_HEADER, Direction, Event, Host, Mode};

/// With a buffer smaller than this, half of it wakes whoever writes the dump file; otherwise
/// [`DUMP_MIN_TO_COPY`].
const DUMP_LARGE_BUFFER: u64 = 2_000_000;
const DUMP_MIN_TO_COPY: u64 = 1_000_000;

impl Adapter {
    /// Sets what becomes of the frames that the filter accepts from now on (BIOCSMODE). The published
    /// rule is that the buffer is left alone, and so are the driver's statistics: what was stored in
    /// capture mode stays queued, is read when the handle is back in capture mode, and is written to
    /// the file in dump mode. A read in progress goes on. Statistics mode zeroes its two counters,
    /// dump mode begins a new file, each also when it was set before. In dump mode half the buffer,
    /// at most 1 000 000 bytes, counts as the bytes that wake (wireshark/winpcap
    /// `packetNtx/driver/Packet.c`, 2002-10-24; there it stays so, here the former number holds again
    /// in other modes).
    ///
    /// # Errors
    ///
    /// No such handle; adapter removed; a limit that has no room for the header of the file.
    pub fn set_mode<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        mode: Mode,
        host: &mut H,
    ) -> Result<(), ControlError> {
        let (open, _) = self.get_mut(handle)?;
        check_mode(mode)?;
        if open.detached {
            return Err(ControlError::DeviceRemoved);
        }
        open.enter(mode);
        host.event(now, Event::ModeSet { handle, mode: mode.name() });
        Ok(())
    }

    /// Sets which frames the handle looks at from now on: received ones, sent ones, or all
    /// (BIOCSDIRECTION, FreeBSD bpf(4)). Flushes nothing.
    ///
    /// # Errors
    ///
    /// No such handle.
    pub fn set_direction<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        direction: Direction,
        host: &mut H,
    ) -> Result<(), ControlError> {
        let (open, _) = self.get_mut(handle)?;
        open.direction = direction;
        host.event(now, Event::DirectionSet { handle, direction: direction.name() });
        Ok(())
    }

    /// Sets whether the handle looks away from frames that it sends itself (BIOCISETLOBBEH of Npcap).
    /// Switching that on flushes the buffer and zeroes the statistics as a new buffer size does
    /// (nmap/npcap `Packet.c`); switching it off, or on again, does not.
    ///
    /// # Errors
    ///
    /// No such handle.
    pub fn set_skip_own<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        skip: bool,
        host: &mut H,
    ) -> Result<(), ControlError> {
        let (open, pool) = self.get_mut(handle)?;
        if skip && !open.skip_own {
            open.reset(now, open.engine.occupancy().capacity, pool, host);
        }
        open.skip_own = skip;
        host.event(now, Event::SkipOwnSet { handle, on: skip });
        Ok(())
    }
}

impl Handle {
    /// The mode holds from now on.
    pub(super) fn enter(&mut self, mode: Mode) {
        self.mode = mode;
        let mut min_to_copy = self.min_to_copy;
        match mode {
            Mode::Capture => {}
            Mode::Statistics => self.counted = Counted::default(),
            Mode::Dump(_) => {
                self.dumping = Dumping::default();
                self.account.file_bytes = 0;
                let capacity = self.engine.occupancy().capacity;
                let large = capacity >= DUMP_LARGE_BUFFER;
                min_to_copy = if large { DUMP_MIN_TO_COPY } else { capacity / 2 };
            }
        }
        self.engine.set_min_to_copy(min_to_copy);
    }
}

/// Whether a mode can be had.
pub(super) fn check_mode(mode: Mode) -> Result<(), ControlError> {
    let least = DUMP_FILE_HEADER as u64;
    match mode {
        Mode::Dump(limits) if limits.bytes() < least => {
            Err(ControlError::DumpTooSmall { asked: limits.bytes(), least })
        }
        _ => Ok(()),
    }
}
