//! The embedded transport: the driver's register accesses reach the device in the same instant.
//!
//! Contract: one method is one access of virtio-pci's common configuration, notification area or
//! MSI-X table; the device's effects go to the book at the time of the access.

use super::book::Book;
use super::nic::Device;
use driver::{QueueSetup, Transport, TransportError};
use std::cell::RefCell;

/// The driver's view of the device for the time of one call.
pub struct Port<'a> {
    /// Time of the accesses.
    pub now: u64,
    /// The device behind the registers.
    pub device: &'a mut Device,
    /// Where the device's effects go.
    pub book: &'a RefCell<Book>,
}

impl Port<'_> {
    /// The slot is empty: reads give all ones, writes go nowhere.
    #[inline]
    fn is_gone(&self) -> bool {
        self.book.borrow().slot.removed
    }
}

impl Transport for Port<'_> {
    fn device_features(&mut self) -> u64 {
        if self.is_gone() {
            return u64::MAX;
        }
        self.device.device_features()
    }

    fn set_driver_features(&mut self, features: u64) {
        if self.is_gone() {
            return;
        }
        self.device.set_driver_features(features);
    }

    fn status(&mut self) -> u8 {
        if self.is_gone() {
            return u8::MAX;
        }
        self.device.status()
    }

    fn set_status(&mut self, status: u8) {
        if self.is_gone() {
            return;
        }
        let book = &mut *self.book.borrow_mut();
        // The oracle hears of a reset from the register, not from the device that drops frames for it.
        book.oracle.resetting(status == 0);
        self.device.set_status(self.now, status, book);
        book.oracle.resetting(false);
    }

    fn config_generation(&mut self) -> u8 {
        let slot = &self.book.borrow().slot;
        match slot.removed {
            true => u8::MAX,
            false => self.device.config_generation().wrapping_add(slot.generations),
        }
    }

    fn read_config(&mut self, offset: u32, out: &mut [u8]) {
        if self.is_gone() {
            return out.fill(u8::MAX);
        }
        self.book.borrow_mut().slot.config_read();
        self.device.read_config(offset, out);
    }

    fn num_queues(&mut self) -> u16 {
        if self.is_gone() {
            return u16::MAX;
        }
        self.device.num_queues()
    }

    fn queue_max_size(&mut self, queue: u16) -> u16 {
        if self.is_gone() {
            return u16::MAX;
        }
        self.device.queue_max_size(queue)
    }

    fn setup_queue(&mut self, queue: u16, setup: &QueueSetup) -> Result<(), TransportError> {
        if self.is_gone() {
            return Ok(());
        }
        let setup = nic_model::QueueSetup {
            size: setup.size,
            descriptor_table: setup.descriptor_table,
            available_ring: setup.available_ring,
            used_ring: setup.used_ring,
            vector: setup.vector,
        };
        let refused = |why| TransportError::QueueRefused { queue, why };
        self.device.setup_queue(queue, &setup).map_err(refused)
    }

    fn enable_queue(&mut self, queue: u16) -> Result<(), TransportError> {
        if self.is_gone() {
            return Ok(());
        }
        let refused = |why| TransportError::QueueRefused { queue, why };
        self.device.enable_queue(queue).map_err(refused)
    }

    fn reset_queue(&mut self, queue: u16) -> Result<(), TransportError> {
        if self.is_gone() {
            return Ok(());
        }
        let refused = |why| TransportError::QueueRefused { queue, why };
        self.device.reset_queue(self.now, queue, &mut self.book.borrow_mut()).map_err(refused)
    }

    fn queue_resetting(&mut self, _queue: u16) -> bool {
        // This device has finished when the call returns; one that is gone never says so.
        self.is_gone()
    }

    fn set_config_vector(&mut self, vector: Option<u16>) -> Result<(), TransportError> {
        let number = vector.unwrap_or_default();
        if self.is_gone() {
            // The vector reads back as VIRTIO_MSI_NO_VECTOR (4.1.5.1.2.2).
            let why = "the device is gone";
            return Err(TransportError::VectorRefused { vector: number, why });
        }
        let refused = |why| TransportError::VectorRefused { vector: number, why };
        self.device.set_config_vector(vector).map_err(refused)
    }

    fn set_vector_masked(&mut self, vector: u16, masked: bool) {
        let book = &mut *self.book.borrow_mut();
        let masked = book.slot.wish_masked(vector, masked);
        if !book.slot.removed {
            self.device.set_vector_masked(self.now, vector, masked, book);
        }
    }

    fn notify(&mut self, queue: u16) {
        if self.is_gone() {
            return;
        }
        self.device.notify(self.now, queue, &mut self.book.borrow_mut());
    }
}
