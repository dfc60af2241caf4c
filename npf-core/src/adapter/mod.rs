//! The adapter: every handle that looks at one network interface.
//!
//! Contract: handles are shown each frame in the order they were opened; their numbers rise and are
//! never used again. Looking up a handle is a search over the open ones, done per call and never per
//! frame.

pub(crate) mod account;
pub(crate) mod control;
mod dump;
mod handle;
mod inject;
pub(crate) mod judge;
mod markers;
mod mode;
mod offer;
mod read;
mod share;
mod statistics;
pub(crate) mod tap;
mod transmit;

use crate::engine::{Engine, Occupancy};
use crate::pool::Pool;
use crate::{AdapterCounters, ControlError, HandleCounters, HandleOptions, Stats};
pub use dump::DUMP_PERIOD_PS;
use handle::Handle;
pub use inject::{DEFAULT_MAX_FRAME, MAX_WRITE_REPEAT};
pub use statistics::STATISTICS_RECORD;
pub use transmit::Transmission;

/// One network interface as the capture driver sees it: what the tap shows goes to each handle.
#[derive(Debug)]
pub struct Adapter {
    handles: Vec<Handle>,
    next_handle: u32,
    removed: bool,
    /// Longest frame that it sends.
    max_frame: u32,
    pool: Pool,
    /// Per handle the bytes it keeps of the frame at hand; here so that a tap allocates nothing.
    keeps: Vec<Option<u32>>,
    counters: AdapterCounters,
}

impl Adapter {
    /// An adapter without handles.
    pub fn new() -> Self {
        Adapter::numbering_from(0)
    }

    /// An adapter whose first handle will have that number.
    pub(crate) fn numbering_from(next_handle: u32) -> Self {
        Adapter {
            handles: Vec::new(),
            next_handle,
            removed: false,
            max_frame: DEFAULT_MAX_FRAME,
            pool: Pool::new(),
            keeps: Vec::new(),
            counters: AdapterCounters::default(),
        }
    }

    /// The driver's statistics of a handle.
    ///
    /// # Errors
    ///
    /// No such handle.
    pub fn stats(&self, handle: u32) -> Result<Stats, ControlError> {
        self.get(handle).map(|open| open.account.stats())
    }

    /// The account of a handle.
    ///
    /// # Errors
    ///
    /// No such handle.
    pub fn counters(&self, handle: u32) -> Result<&HandleCounters, ControlError> {
        self.get(handle).map(|open| &open.account.counters)
    }

    /// The adapter's totals.
    pub fn adapter_counters(&self) -> &AdapterCounters {
        &self.counters
    }

    /// Packets in a handle's buffer, markers not counted; 0 if there is no such handle.
    pub fn queued(&self, handle: u32) -> u64 {
        self.get(handle).map_or(0, Handle::queued)
    }

    /// How full a handle's buffer is; all 0 if there is no such handle.
    pub fn occupancy(&self, handle: u32) -> Occupancy {
        self.get(handle).map_or_else(|_| Occupancy::default(), |open| open.engine.occupancy())
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

    fn get_mut(&mut self, handle: u32) -> Result<(&mut Handle, &mut Pool), ControlError> {
        let at = self.find(handle).ok_or(ControlError::NoSuchHandle { handle })?;
        Ok((&mut self.handles[at], &mut self.pool))
    }

    fn add(&mut self, options: HandleOptions) -> Result<u32, ControlError> {
        let id = self.next_handle;
        let next = id.checked_add(1).ok_or(ControlError::OutOfHandles)?;
        self.handles.push(Handle::new(id, options)?);
        self.next_handle = next;
        self.keeps.push(None);
        Ok(id)
    }
}

impl Default for Adapter {
    fn default() -> Self {
        Adapter::new()
    }
}
