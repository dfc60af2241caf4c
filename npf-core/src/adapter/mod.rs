//! The adapter: every handle that looks at one network interface.
//!
//! Contract: handles are shown each frame in the order they were opened; their numbers rise and are
//! never used again. Looking up a handle is a search over the open ones, done per call and never per
//! frame.

mod control;
mod handle;
mod tap;

use crate::engine::{AnyEngine, Engine, Occupancy};
use crate::pool::Pool;
use crate::{
    AdapterCounters, ControlError, Event, HandleCounters, HandleOptions, Host, Read, ReadError,
    Stats,
};
use handle::Handle;

/// One network interface as the capture driver sees it: what the tap shows goes to each handle.
#[derive(Debug)]
pub struct Adapter {
    handles: Vec<Handle>,
    next_handle: u32,
    removed: bool,
    pool: Pool,
    /// Per handle the bytes it keeps of the frame at hand; here so that a tap allocates nothing.
    keeps: Vec<Option<u32>>,
    counters: AdapterCounters,
}

impl Adapter {
    /// An adapter without handles.
    pub fn new() -> Self {
        Adapter {
            handles: Vec::new(),
            next_handle: 0,
            removed: false,
            pool: Pool::new(),
            keeps: Vec::new(),
            counters: AdapterCounters::default(),
        }
    }

    /// Fills `out`, the user buffer, with records from a handle's buffer, clears the handle's read
    /// event, and hands each packet to the host. Never blocks: what is there is what one gets, also
    /// nothing. A refused read changes nothing.
    ///
    /// # Errors
    ///
    /// No such handle; a kernel buffer of size 0; `out` shorter than a record header (one of exactly
    /// 20 bytes is served, but no record is ever written to it); adapter removed and nothing got.
    pub fn read<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        out: &mut [u8],
        host: &mut H,
    ) -> Result<Read, ReadError> {
        let Some(at) = self.find(handle) else { return Err(ReadError::NoSuchHandle { handle }) };
        let Adapter { handles, pool, .. } = self;
        let open = &mut handles[at];
        let mut last = (0, 0);
        let filled = open.engine.read(out, pool, &mut |packet| {
            last = (packet.tag, packet.caplen);
            host.delivered(now, handle, packet);
        })?;
        let queued = open.engine.queued();
        if filled.packets == 0 && open.detached {
            return Err(ReadError::DeviceRemoved { queued });
        }
        open.event_set = false;
        open.counters.reads += 1;
        open.counters.read_bytes += filled.bytes as u64;
        open.counters.delivered += u64::from(filled.packets);
        if let Some(stored) = filled.truncated_from {
            // A truncated record fills the buffer, so it is also the last.
            let (tag, caplen) = last;
            open.counters.truncated += 1;
            host.event(now, Event::Truncated { tag, handle, stored, caplen });
        }
        let (packets, bytes) = (filled.packets, filled.bytes);
        host.event(now, Event::Read { handle, packets, bytes: bytes as u64, queued });
        Ok(Read {
            bytes,
            packets,
            queued_left: queued,
            truncated: filled.truncated_from.is_some(),
            padding_cut: filled.padding_cut as u32,
        })
    }

    /// The driver's statistics of a handle.
    ///
    /// # Errors
    ///
    /// No such handle.
    pub fn stats(&self, handle: u32) -> Result<Stats, ControlError> {
        self.get(handle).map(Handle::stats)
    }

    /// The account of a handle.
    ///
    /// # Errors
    ///
    /// No such handle.
    pub fn counters(&self, handle: u32) -> Result<&HandleCounters, ControlError> {
        self.get(handle).map(|open| &open.counters)
    }

    /// The adapter's totals.
    pub fn adapter_counters(&self) -> &AdapterCounters {
        &self.counters
    }

    /// Packets in a handle's buffer; 0 if there is no such handle.
    pub fn queued(&self, handle: u32) -> u64 {
        self.get(handle).map_or(0, |open| open.engine.queued())
    }

    /// How full a handle's buffer is; all 0 if there is no such handle.
    pub fn occupancy(&self, handle: u32) -> Occupancy {
        let none = Occupancy { used: 0, capacity: 0, free: 0, peak: 0 };
        self.get(handle).map_or(none, |open| open.engine.occupancy())
    }

    /// Whether a handle's read event is set; false if there is no such handle.
    pub fn event_set(&self, handle: u32) -> bool {
        self.get(handle).is_ok_and(|open| open.event_set)
    }

    /// The open handles, in the order they were opened.
    pub fn handles(&self) -> impl Iterator<Item = u32> {
        self.handles.iter().map(|open| open.id)
    }

    fn find(&self, handle: u32) -> Option<usize> {
        self.handles.binary_search_by_key(&handle, |open| open.id).ok()
    }

    fn get(&self, handle: u32) -> Result<&Handle, ControlError> {
        match self.find(handle) {
            Some(at) => Ok(&self.handles[at]),
            None => Err(ControlError::NoSuchHandle { handle }),
        }
    }

    fn add(&mut self, options: HandleOptions) -> Result<u32, ControlError> {
        let id = self.next_handle;
        self.next_handle = id.checked_add(1).ok_or(ControlError::OutOfHandles)?;
        self.handles.push(Handle::new(id, AnyEngine::new(&options), options));
        self.keeps.push(None);
        Ok(id)
    }
}

impl Default for Adapter {
    fn default() -> Self {
        Adapter::new()
    }
}
