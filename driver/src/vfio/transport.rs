//! The [`Transport`] of a PCI device.
//!
//! Contract: as the trait says. A vector that the device does not take is an error at once: it is read back
//! (4.1.5.1.2). The doorbell of a virtqueue is found when it is set up, so that ringing costs one store. What
//! masking means here, see [`PciTransport::take_interrupt`].

use vfio_ioctls::VfioDevice;
use vmm_sys_util::eventfd::EventFd;

use super::error::VfioError;
use super::interrupt::Interrupts;
use super::registers::{QueueRegister, Registers};
use crate::transport::{QueueSetup, Transport, TransportError};

/// VIRTIO_MSI_NO_VECTOR (4.1.4.3).
const NO_VECTOR: u16 = 0xffff;

/// See [`super`].
pub struct PciTransport {
    registers: Registers,
    interrupts: Interrupts,
    queues: Vec<Queue>,
    // Behind the mappings of its registers: it cannot be closed before them.
    device: VfioDevice,
}

#[derive(Clone, Copy, Default)]
struct Queue {
    /// Most entries, once they have been read: the register says what was set from then on.
    max_size: Option<u16>,
    doorbell: Option<u32>,
}

impl PciTransport {
    pub(super) fn new(registers: Registers, interrupts: Interrupts, device: VfioDevice) -> Self {
        Self { registers, interrupts, queues: Vec::new(), device }
    }

    /// Whether each vector is a message of its own; without, all share the interrupt line, and
    /// [`PciTransport::line`] has to be served.
    pub fn has_msix(&self) -> bool {
        self.interrupts.line().is_none()
    }

    /// Readable when the device has interrupted by `vector`; `None` if there is no such vector.
    pub fn event(&self, vector: u16) -> Option<&EventFd> {
        self.interrupts.event(vector)
    }

    /// Vectors: that of the configuration and one for each receive queue.
    pub fn vectors(&self) -> u16 {
        self.interrupts.count()
    }

    /// Whether the device has interrupted by `vector` since the last call, and the vector is not masked. The
    /// message of one that is masked is remembered, and its descriptor becomes readable again at unmasking.
    pub fn take_interrupt(&mut self, vector: u16) -> bool {
        self.interrupts.take(vector)
    }

    /// Readable when the interrupt line has fired, if it is used; [`PciTransport::relay_line`] must follow.
    pub fn line(&self) -> Option<&EventFd> {
        self.interrupts.line()
    }

    /// Tells the vectors what the interrupt line was for, and lets it fire again; whether it had fired.
    ///
    /// # Errors
    /// VFIO does not unmask it.
    pub fn relay_line(&mut self) -> Result<bool, VfioError> {
        let Self { registers, interrupts, device, .. } = self;
        interrupts.relay(device, || registers.take_isr())
    }

    /// Keeps the messages of `vector` back, as a masked one's, whatever the driver does; or lets them through again.
    /// For faults on purpose.
    pub fn hold_vector(&mut self, vector: u16, held: bool) {
        self.interrupts.set_held(vector, held);
    }

    /// An interrupt by `vector` that the device has not sent, by way of the kernel: for faults on purpose.
    ///
    /// # Errors
    /// There is no such vector.
    pub fn trigger(&self, vector: u16) -> Result<(), VfioError> {
        self.interrupts.trigger(&self.device, vector)
    }

    /// What is known of a virtqueue. A device may have more of them once features are agreed.
    fn place(&mut self, queue: u16) -> &mut Queue {
        let index = usize::from(queue);
        if self.queues.len() <= index {
            self.queues.resize(index + 1, Queue::default());
        }
        &mut self.queues[index]
    }
}

impl Transport for PciTransport {
    fn device_features(&mut self) -> u64 {
        self.registers.device_features()
    }

    fn set_driver_features(&mut self, features: u64) {
        self.registers.set_driver_features(features);
    }

    fn status(&mut self) -> u8 {
        self.registers.status()
    }

    fn set_status(&mut self, status: u8) {
        self.registers.set_status(status);
        if status == 0 {
            self.queues.clear();
            self.interrupts.reset();
        }
    }

    fn config_generation(&mut self) -> u8 {
        self.registers.config_generation()
    }

    fn read_config(&mut self, offset: u32, out: &mut [u8]) {
        self.registers.read_config(offset, out);
    }

    fn num_queues(&mut self) -> u16 {
        self.registers.num_queues()
    }

    fn queue_max_size(&mut self, queue: u16) -> u16 {
        if let Some(size) = self.place(queue).max_size {
            return size;
        }
        let size = self.registers.queue(queue, &QueueRegister::Size);
        self.place(queue).max_size = Some(size);
        size
    }

    fn setup_queue(&mut self, queue: u16, setup: &QueueSetup) -> Result<(), TransportError> {
        let refused = |why| TransportError::QueueRefused { queue, why };
        if self.queue_max_size(queue) < setup.size {
            return Err(refused("it is shorter"));
        }
        let vectors = self.interrupts.count();
        if let Some(vector) = setup.vector.filter(|vector| *vector >= vectors) {
            return Err(TransportError::VectorRefused { vector, why: "it was not enabled" });
        }
        let offset = self.registers.queue(queue, &QueueRegister::NotifyOffset);
        let doorbell = self.registers.doorbell(offset);
        let doorbell =
            doorbell.ok_or(refused("its doorbell is outside of the notification area"))?;
        self.registers.set_queue(queue, &QueueRegister::Size, setup.size);
        let QueueSetup { descriptor_table, available_ring, used_ring, .. } = *setup;
        self.registers.set_addresses(queue, [descriptor_table, available_ring, used_ring]);
        if self.has_msix() {
            let vector = setup.vector.unwrap_or(NO_VECTOR);
            self.registers.set_queue(queue, &QueueRegister::Vector, vector);
            if self.registers.queue(queue, &QueueRegister::Vector) != vector {
                let why = "it reads back as another";
                return Err(TransportError::VectorRefused { vector, why });
            }
        }
        self.place(queue).doorbell = Some(doorbell);
        Ok(())
    }

    fn enable_queue(&mut self, queue: u16) -> Result<(), TransportError> {
        self.registers.set_queue(queue, &QueueRegister::Enable, 1);
        match self.registers.queue(queue, &QueueRegister::Enable) {
            1 => Ok(()),
            _ => {
                Err(TransportError::QueueRefused { queue, why: "it does not read back as enabled" })
            }
        }
    }

    fn reset_queue(&mut self, queue: u16) -> Result<(), TransportError> {
        if !self.registers.has_queue_reset() {
            let why = "the device's common configuration ends before queue_reset";
            return Err(TransportError::QueueRefused { queue, why });
        }
        *self.place(queue) = Queue::default();
        self.registers.set_queue(queue, &QueueRegister::Reset, 1);
        Ok(())
    }

    fn queue_resetting(&mut self, queue: u16) -> bool {
        self.registers.queue(queue, &QueueRegister::Reset) == 1
    }

    fn set_config_vector(&mut self, vector: Option<u16>) -> Result<(), TransportError> {
        let wanted = vector.unwrap_or(NO_VECTOR);
        if let Some(vector) = vector.filter(|vector| *vector >= self.interrupts.count()) {
            return Err(TransportError::VectorRefused { vector, why: "it was not enabled" });
        }
        if self.has_msix() && self.registers.set_config_vector(wanted) != wanted {
            let why = "it reads back as another";
            return Err(TransportError::VectorRefused { vector: wanted, why });
        }
        Ok(())
    }

    fn set_vector_masked(&mut self, vector: u16, masked: bool) {
        self.interrupts.set_masked(vector, masked);
    }

    #[inline]
    fn notify(&mut self, queue: u16) {
        if let Some(Queue { doorbell: Some(doorbell), .. }) = self.queues.get(usize::from(queue)) {
            self.registers.ring(*doorbell, queue);
        }
    }
}
