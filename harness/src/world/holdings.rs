//! What the components say they hold: the other side of the law.

use super::control::Closed;
use super::nic::Device;
use crate::account::Reason;
use crate::account::law::Holdings;
use driver::Driver;
use npf_core::{Adapter, DropReason as Npf, HandleCounters};

/// What the components say they hold.
pub struct Holding<'a> {
    /// FIFO and used rings, from the device's side.
    pub device: &'a Device,
    /// Used rings, from the driver's side.
    pub driver: &'a Driver,
    /// Capture buffers.
    pub adapter: &'a Adapter,
    /// What is left of handles that were closed.
    pub closed: &'a [Option<Closed>],
}

impl Holding<'_> {
    /// The account of a handle, open or closed.
    fn counters(&self, handle: u32) -> Option<&HandleCounters> {
        let closed = self.closed.get(handle as usize)?.as_ref().map(|closed| &closed.counters);
        closed.or_else(|| self.adapter.counters(handle).ok())
    }
}

impl Holdings for Holding<'_> {
    fn fifo(&self) -> u64 {
        self.device.fifo_frames()
    }

    fn fifo_of(&self, queue: u16) -> u64 {
        self.device.fifo_frames_of(queue)
    }

    fn published(&self, queue: u16) -> u64 {
        self.device.published(queue)
    }

    fn consumed(&self, queue: u16) -> u64 {
        self.driver.consumed(queue)
    }

    fn queued(&self, handle: u32) -> u64 {
        self.adapter.queued(handle)
    }

    fn offered(&self) -> u64 {
        self.device.counters().offered
    }

    fn dropped(&self, reason: Reason) -> u64 {
        match reason {
            Reason::Nic(reason) => self.device.counters().dropped[reason.index()],
            Reason::Driver(reason) => (0..self.driver.config().queue_pairs)
                .filter_map(|queue| self.driver.queue_counters(queue))
                .map(|counters| counters.dropped[reason.index()])
                .sum(),
            Reason::Npf(Npf::NoHandle) => self.adapter.adapter_counters().no_handle,
            Reason::Npf(reason) => {
                let handles = (0..self.closed.len() as u32).filter_map(|h| self.counters(h));
                handles.map(|counters| counters.dropped[reason.index()]).sum()
            }
        }
    }

    fn delivered(&self, handle: u32) -> u64 {
        self.counters(handle)
            .map_or(0, |counters| counters.delivered + counters.counted + counters.dumped)
    }

    fn filtered(&self, handle: u32) -> u64 {
        self.counters(handle).map_or(0, |counters| counters.filtered)
    }
}
