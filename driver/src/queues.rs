//! The queues' part of bring-up: which virtqueues there are, their sizes, rings, vectors and buffers.
//!
//! Contract: called after FEATURES_OK and before DRIVER_OK, while the device touches no memory. Afterwards
//! every receive ring is full of buffers and every queue enabled; nothing has been kicked.

use crate::error::DriverError;
use crate::header::RxFormat;
use crate::ring::RingFeatures;
use crate::spec;
use crate::transport::{Transport, TransportError};
use crate::{CONFIG_VECTOR, Driver, vector_of};

impl Driver {
    pub(crate) fn set_up_queues<T: Transport>(
        &mut self,
        transport: &mut T,
    ) -> Result<(), DriverError> {
        let agreed = RingFeatures::of(self.features);
        let format = RxFormat::of(self.features);
        self.staging.reset(format);
        let vector = Some(CONFIG_VECTOR);
        transport.set_config_vector(vector).map_err(while_("setting the configuration vector"))?;
        let least = self.device.least_buffers(&self.config, self.features);
        for (pair, rx) in (0..).zip(&mut self.rx) {
            check_size(transport, 2 * pair, rx.ring.size())?;
            rx.least = least;
            rx.reset(&self.memory, agreed);
            rx.refill(&self.memory);
            let setup = rx.ring.setup(&self.memory, Some(vector_of(pair)));
            transport
                .setup_queue(2 * pair, &setup)
                .map_err(while_("setting up a receive queue"))?;
        }
        for (pair, tx) in (0..).zip(&mut self.tx) {
            check_size(transport, 2 * pair + 1, tx.ring.size())?;
            tx.reset(&self.memory, agreed, format.header_bytes);
            let setup = tx.ring.setup(&self.memory, None);
            let done = transport.setup_queue(2 * pair + 1, &setup);
            done.map_err(while_("setting up a transmit queue"))?;
        }
        if let Some(queue) = self.control_index() {
            check_size(transport, queue, self.control.ring.size())?;
            self.control.reset(&self.memory, agreed);
            let setup = self.control.ring.setup(&self.memory, None);
            transport.setup_queue(queue, &setup).map_err(while_("setting up the control queue"))?;
        }
        let data_queues = 0..2 * self.config.queue_pairs;
        for queue in data_queues.chain(self.control_index()) {
            transport.enable_queue(queue).map_err(while_("enabling a queue"))?;
        }
        Ok(())
    }

    /// The control queue comes after all the pairs the device has, used or not (5.1.2).
    pub(crate) fn control_index(&self) -> Option<u16> {
        if self.features & spec::NET_F_CTRL_VQ == 0 {
            return None;
        }
        let multi = self.features & (spec::NET_F_MQ | spec::NET_F_RSS) != 0;
        Some(if multi { 2 * self.device.max_queue_pairs } else { 2 })
    }
}

fn check_size<T: Transport>(transport: &mut T, queue: u16, wanted: u16) -> Result<(), DriverError> {
    let max = if queue < transport.num_queues() { transport.queue_max_size(queue) } else { 0 };
    if max == 0 {
        return Err(DriverError::QueueMissing { queue });
    }
    if wanted > max {
        return Err(DriverError::RingTooLong { queue, wanted, max });
    }
    Ok(())
}

fn while_(step: &'static str) -> impl Fn(TransportError) -> DriverError {
    move |error| DriverError::Transport { step, error }
}
