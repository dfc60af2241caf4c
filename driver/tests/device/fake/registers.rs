//! The fake device's registers, and what it insists on when they are written.

use driver::{QueueSetup, Transport, TransportError, spec};
use vm_memory::GuestMemoryRegion;

use super::{BASE, Fake, Queue};

impl Transport for Fake {
    fn device_features(&mut self) -> u64 {
        self.offered
    }

    fn set_driver_features(&mut self, features: u64) {
        assert_eq!(self.status, spec::STATUS_ACKNOWLEDGE | spec::STATUS_DRIVER);
        assert_eq!(features & !self.offered, 0, "accepted what is not offered");
        self.accepted = features;
    }

    fn status(&mut self) -> u8 {
        if self.resetting > 0 {
            self.resetting -= 1;
            if self.resetting == 0 {
                self.status = 0;
            }
        }
        self.status
    }

    fn set_status(&mut self, status: u8) {
        if status == 0 {
            for queue in &mut self.queues {
                *queue = Queue::default();
            }
            self.config_vector = None;
            self.masked.fill(true);
            self.pending.fill(false);
            self.accepted = 0;
            self.resetting = self.reset_readings;
            if self.resetting == 0 {
                self.status = 0;
            }
            return;
        }
        assert_eq!(status & self.status, self.status, "status bits are only ever added");
        let added = status & !self.status;
        self.status = status;
        if added & spec::STATUS_FEATURES_OK != 0 && self.refuse_features {
            self.status &= !spec::STATUS_FEATURES_OK;
        }
        if added & spec::STATUS_DRIVER_OK != 0 {
            assert_ne!(status & spec::STATUS_FEATURES_OK, 0);
            if self.refuse_driver_ok {
                self.status &= !spec::STATUS_DRIVER_OK;
            }
        }
    }

    fn config_generation(&mut self) -> u8 {
        if self.generation_runs {
            self.generation = self.generation.wrapping_add(1);
        }
        self.generation
    }

    fn read_config(&mut self, offset: u32, out: &mut [u8]) {
        for (byte, at) in out.iter_mut().zip(offset as usize..) {
            if at == self.config.len() / 2
                && let Some(config) = self.change_midway.take()
            {
                self.config = config;
                self.generation = self.generation.wrapping_add(1);
            }
            *byte = self.config.get(at).copied().unwrap_or(0);
        }
    }

    fn num_queues(&mut self) -> u16 {
        self.queues.len() as u16
    }

    fn queue_max_size(&mut self, queue: u16) -> u16 {
        assert!(usize::from(queue) < self.queues.len());
        self.max_size
    }

    fn setup_queue(&mut self, queue: u16, setup: &QueueSetup) -> Result<(), TransportError> {
        assert_ne!(self.status & spec::STATUS_FEATURES_OK, 0);
        if self.status & spec::STATUS_DRIVER_OK != 0 {
            assert_ne!(self.accepted & spec::F_RING_RESET, 0, "set up in mid-work");
        }
        assert!(!self.queues[usize::from(queue)].enabled, "set up while in use");
        if self.refuse_queue == Some(queue) {
            return Err(TransportError::QueueRefused { queue, why: "test" });
        }
        if let Some(vector) = setup.vector.filter(|v| usize::from(*v) >= self.masked.len()) {
            return Err(TransportError::VectorRefused { vector, why: "beyond the table" });
        }
        assert!(setup.size.is_power_of_two() && setup.size <= self.max_size);
        let size = u64::from(setup.size);
        let parts = [
            (setup.descriptor_table, 16, 16 * size),
            (setup.available_ring, 2, 6 + 2 * size),
            (setup.used_ring, 4, 6 + 8 * size),
        ];
        for (address, align, len) in parts {
            assert_eq!(address % align, 0);
            assert!(address >= BASE && address + len <= BASE + self.memory.len());
        }
        self.queues[usize::from(queue)].setup = Some(*setup);
        Ok(())
    }

    fn enable_queue(&mut self, queue: u16) -> Result<(), TransportError> {
        if self.refuse_enable == Some(queue) {
            if self.enable_again {
                self.refuse_enable = None;
            }
            return Err(TransportError::QueueRefused { queue, why: "test" });
        }
        assert!(self.queues[usize::from(queue)].setup.is_some());
        self.queues[usize::from(queue)].enabled = true;
        Ok(())
    }

    fn reset_queue(&mut self, queue: u16) -> Result<(), TransportError> {
        assert_ne!(self.accepted & spec::F_RING_RESET, 0, "not agreed");
        if self.refuse_reset == Some(queue) {
            return Err(TransportError::QueueRefused { queue, why: "test" });
        }
        assert!(self.queues[usize::from(queue)].enabled, "only a queue in use is reset");
        let kicks = self.queues[usize::from(queue)].kicks;
        self.queues[usize::from(queue)] = Queue { kicks, ..Queue::default() };
        self.queue_reset_left = self.queue_reset_readings;
        Ok(())
    }

    fn queue_resetting(&mut self, _queue: u16) -> bool {
        let left = self.queue_reset_left;
        self.queue_reset_left = left.saturating_sub(1);
        left > 0
    }

    fn set_config_vector(&mut self, vector: Option<u16>) -> Result<(), TransportError> {
        if self.refuse_config_vector {
            return Err(TransportError::VectorRefused { vector: 0, why: "test" });
        }
        self.config_vector = vector;
        Ok(())
    }

    fn set_vector_masked(&mut self, vector: u16, masked: bool) {
        let at = usize::from(vector);
        if !masked && self.masked[at] {
            for frame in std::mem::take(&mut self.at_unmask) {
                assert!(self.receive(0, &frame));
            }
        }
        self.masked[at] = masked;
        if !masked && std::mem::take(&mut self.pending[at]) {
            self.messages.push_back(vector);
        }
    }

    fn notify(&mut self, queue: u16) {
        assert_ne!(self.status & spec::STATUS_DRIVER_OK, 0, "kick before DRIVER_OK");
        let index = usize::from(queue);
        self.queues[index].kicks += 1;
        self.fetch(index);
        if index == self.queues.len() - 1 {
            self.run_control(index);
        } else if index % 2 == 1 {
            self.run_transmit(index);
        } else {
            for frame in std::mem::take(&mut self.at_kick) {
                assert!(self.receive(0, &frame));
            }
        }
    }
}
