//! What the components say they hold: the other side of the law.

use super::port::Device;
use crate::account::law::Holdings;
use driver::Driver;
use npf_core::Adapter;

/// What the components say they hold.
pub struct Held<'a> {
    /// FIFO and used rings, from the device's side.
    pub device: &'a Device,
    /// Used rings, from the driver's side.
    pub driver: &'a Driver,
    /// Capture buffers.
    pub adapter: &'a Adapter,
}

impl Holdings for Held<'_> {
    fn fifo(&self) -> u64 {
        self.device.fifo_frames()
    }

    fn fifo_of(&self, queue: u16) -> u64 {
        self.device.fifo_frames_of(queue)
    }

    fn ring_of(&self, queue: u16) -> u64 {
        self.device.published(queue) - self.driver.consumed(queue)
    }

    fn queued(&self, handle: u32) -> u64 {
        self.adapter.queued(handle)
    }

    fn offered(&self) -> u64 {
        self.device.counters().offered
    }
}
