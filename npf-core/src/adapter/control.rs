//! Opening, closing and changing handles; removal of the adapter.
//!
//! Contract: what a control throws away is told as a dropped record, packet by packet, before the
//! event of the control itself. A refused control changes nothing. No control sets or clears the
//! read event (nmap/npcap `Packet.c`, `Openclos.c`), but in BSD, where there is no event, what woke a
//! reader and is gone wakes it no longer.

use super::Adapter;
use super::mode::check_mode;
use crate::engine::Engine;
use crate::filter::Filter;
use crate::{
    ControlError, DropReason, EngineKind, Event, FilterReset, HandleCounters, HandleOptions, Host,
    MAX_KERNEL_BUFFER, MarkerKind, SegmentsOptions,
};

impl Adapter {
    /// Opens a handle; it sees every frame tapped from now on. Gives its number.
    ///
    /// # Errors
    ///
    /// Kernel buffer above 1 GiB, or of a size that the design cannot have; snap length 0, no CPU, no
    /// segment, a dump limit below the header of the file, adapter removed, handle numbers used up.
    pub fn open(&mut self, options: HandleOptions) -> Result<u32, ControlError> {
        check(&options)?;
        if self.removed {
            return Err(ControlError::DeviceRemoved);
        }
        self.add(options)
    }

    /// Closes a handle. What it holds is dropped with reason `closed`. Gives its final account, in
    /// which nothing is queued any more.
    ///
    /// # Errors
    ///
    /// No such handle.
    pub fn close<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        host: &mut H,
    ) -> Result<HandleCounters, ControlError> {
        let at = self.find(handle).ok_or(ControlError::NoSuchHandle { handle })?;
        let mut open = self.handles.remove(at);
        self.keeps.pop();
        let lost = open.flush(now, DropReason::Closed, &mut self.pool, host);
        host.event(now, Event::Closed { handle, lost });
        Ok(open.account.counters)
    }

    /// Sets the size of the kernel buffer (BIOCSETBUFFERSIZE). The same size changes nothing; any
    /// other flushes the buffer and zeroes the statistics received, accepted and buffer-full drops.
    /// With 0 every packet is dropped and no read is served.
    ///
    /// # Errors
    ///
    /// No such handle, size above 1 GiB, adapter removed.
    pub fn set_buffer_size<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        bytes: u64,
        host: &mut H,
    ) -> Result<(), ControlError> {
        let (open, pool) = self.get_mut(handle)?;
        check_buffer(bytes)?;
        if open.detached {
            return Err(ControlError::DeviceRemoved);
        }
        open.engine.can_resize(bytes)?;
        if open.engine.occupancy().capacity != bytes {
            open.reset(now, bytes, pool, host);
        }
        Ok(())
    }

    /// Sets or removes the filter. [`FilterReset::Yes`] (BIOCSETF) flushes the buffer and zeroes the
    /// statistics received, accepted and buffer-full drops, but not those for lack of memory;
    /// [`FilterReset::No`] (BIOCSETFNR) does neither: what the old filter accepted stays readable.
    ///
    /// # Errors
    ///
    /// No such handle.
    pub fn set_filter<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        filter: Option<Filter>,
        reset: FilterReset,
        host: &mut H,
    ) -> Result<(), ControlError> {
        let (open, pool) = self.get_mut(handle)?;
        let instructions = filter.as_ref().map_or(0, |filter| filter.program().len() as u64);
        open.filter = filter;
        if reset == FilterReset::Yes {
            open.reset(now, open.engine.occupancy().capacity, pool, host);
        }
        open.account.markers.add(MarkerKind::FilterChanged, 1);
        host.event(now, Event::FilterSet { handle, instructions });
        Ok(())
    }

    /// Sets how many bytes must be queued before the reader is woken (BIOCSMINTOCOPY); 0 wakes it
    /// for each packet. Holds from the next packet on, in dump mode for whoever writes the file.
    ///
    /// # Errors
    ///
    /// No such handle.
    pub fn set_min_to_copy<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        bytes: u64,
        host: &mut H,
    ) -> Result<(), ControlError> {
        let (open, _) = self.get_mut(handle)?;
        open.min_to_copy = bytes;
        open.engine.set_min_to_copy(bytes);
        host.event(now, Event::MinToCopySet { handle, bytes });
        Ok(())
    }

    /// Sets whether each packet wakes the reader (immediate mode). Holds from the next packet on.
    ///
    /// # Errors
    ///
    /// No such handle.
    pub fn set_immediate<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        immediate: bool,
        host: &mut H,
    ) -> Result<(), ControlError> {
        let (open, _) = self.get_mut(handle)?;
        open.engine.set_immediate(immediate);
        open.settle_event();
        host.event(now, Event::ImmediateSet { handle, on: immediate });
        Ok(())
    }

    /// Sets the most bytes kept of each later frame.
    ///
    /// # Errors
    ///
    /// No such handle, or a snap length of 0.
    pub fn set_snaplen<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        snaplen: u32,
        host: &mut H,
    ) -> Result<(), ControlError> {
        let (open, _) = self.get_mut(handle)?;
        check_snaplen(snaplen)?;
        open.snaplen = snaplen;
        host.event(now, Event::SnaplenSet { handle, bytes: snaplen.into() });
        Ok(())
    }

    /// Removes the adapter: handles are shown nothing more, what they hold stays readable, and then
    /// reads are refused. The read event is not set, so that a waiting reader learns of it at its
    /// time-out. A frame tapped later has reason `no_handle`.
    pub fn remove<H: Host>(&mut self, now: u64, host: &mut H) {
        self.removed = true;
        for open in self.handles.iter_mut().filter(|open| !open.detached) {
            open.detached = true;
            let queued = open.queued();
            host.event(now, Event::Detached { handle: open.id, queued });
        }
    }
}

/// Refuses options that no handle can be opened with.
pub(crate) fn check(options: &HandleOptions) -> Result<(), ControlError> {
    check_buffer(options.kernel_buffer)?;
    check_snaplen(options.snaplen)?;
    check_mode(options.mode)?;
    if options.cpus == 0 {
        return Err(ControlError::NoCpu);
    }
    if let EngineKind::Segments(SegmentsOptions { count: Some(0), .. }) = options.engine {
        return Err(ControlError::NoSegment);
    }
    Ok(())
}

pub(crate) fn check_buffer(asked: u64) -> Result<(), ControlError> {
    let limit = MAX_KERNEL_BUFFER;
    if asked > limit { Err(ControlError::BufferTooLarge { asked, limit }) } else { Ok(()) }
}

pub(crate) fn check_snaplen(snaplen: u32) -> Result<(), ControlError> {
    if snaplen == 0 { Err(ControlError::ZeroSnaplen) } else { Ok(()) }
}
