//! The driver's side: what virtio-pci's common configuration and the MSI-X table offer (4.1.4.3).
//!
//! A driver sets status bits and never clears them except by writing 0, the reset (2.1.1); a write that
//! would clear one leaves it set. DEVICE_NEEDS_RESET is the device's own. FEATURES_OK does not stick if the
//! features are not acceptable, nor DRIVER_OK without it.

use super::{Device, Queue, Role};
use crate::config::DeviceConfig;
use crate::config_space::{self, Changing};
use crate::drop::DropReason;
use crate::event::Event;
use crate::features::broken_rule;
use crate::filter::Filter;
use crate::header::Format;
use crate::host::Host;
use crate::ring::{QueueError, QueueSetup, Ring, RingFeatures, Virtqueue};
use crate::spec::{self, feature, status};
use std::ops::Deref;
use vm_memory::GuestMemory;

/// Entries of the control queue.
const CONTROL_QUEUE_SIZE: u16 = 64;

/// What a reset resets, and the link, which it does not.
#[derive(Debug)]
pub(super) struct Registers {
    pub(super) status: u8,
    pub(super) driver_features: u64,
    pub(super) config_vector: Option<u16>,
    pub(super) generation: u8,
    pub(super) link_up: bool,
    /// The driver was asked to announce itself.
    pub(super) announce: bool,
    /// A fault has stopped the device.
    pub(super) halted: bool,
}

impl Registers {
    pub(super) fn new() -> Self {
        Self {
            status: 0,
            driver_features: 0,
            config_vector: None,
            generation: 0,
            link_up: true,
            announce: false,
            halted: false,
        }
    }

    pub(super) fn has(&self, bits: u8) -> bool {
        self.status & bits == bits
    }

    /// The driver runs, and has not given up.
    pub(super) fn live(&self) -> bool {
        let running = self.status & (status::DRIVER_OK | status::FAILED) == status::DRIVER_OK;
        running && !self.halted
    }

    pub(super) fn negotiated(&self, bits: u64) -> bool {
        self.driver_features & bits != 0
    }

    /// Pairs with virtqueues, by the features the driver chose (5.1.2).
    pub(super) fn pairs(&self, config: &DeviceConfig) -> u16 {
        if self.negotiated(feature::MQ | feature::RSS) { config.max_queue_pairs } else { 1 }
    }

    /// Index of the control queue, by the features the driver chose (5.1.2).
    pub(super) fn control_queue(&self, config: &DeviceConfig) -> Option<u16> {
        self.negotiated(feature::CTRL_VQ).then(|| 2 * self.pairs(config))
    }

    fn acceptable(&self, config: &DeviceConfig) -> bool {
        let features = self.driver_features;
        features & !config.offered_features() == 0
            && features & feature::VERSION_1 != 0
            && broken_rule(features).is_none()
    }
}

impl<M> Device<M>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    /// Offered features.
    #[must_use]
    pub fn device_features(&self) -> u64 {
        self.config.offered_features()
    }

    /// The driver's choice. Without effect once FEATURES_OK is set.
    pub fn set_driver_features(&mut self, features: u64) {
        if !self.registers.has(status::FEATURES_OK) {
            self.registers.driver_features = features;
        }
    }

    /// Device status.
    #[must_use]
    pub fn status(&self) -> u8 {
        self.registers.status
    }

    /// Writes the device status. 0 resets the device: frames held are dropped with reason `reset`, and the
    /// reset is complete on return. FAILED stops it: frames held are dropped with reason `not_ready`.
    pub fn set_status<H: Host>(&mut self, now: u64, status: u8, host: &mut H) {
        let now = self.catch_up(now, host);
        if status == 0 {
            self.reset(now, host);
            return;
        }
        let old = self.registers.status;
        let mut new = old | (status & !status::DEVICE_NEEDS_RESET);
        let comes = |new: u8, bit: u8| new & !old & bit != 0;
        if comes(new, status::FEATURES_OK) && !self.registers.acceptable(&self.config) {
            new &= !status::FEATURES_OK;
            self.counters.features_refused += 1;
            let features = self.registers.driver_features;
            host.event(now, Event::FeaturesRefused { features });
        }
        if comes(new, status::FEATURES_OK) {
            self.features_agreed();
        }
        if comes(new, status::DRIVER_OK) && new & status::FEATURES_OK == 0 {
            new &= !status::DRIVER_OK;
        }
        self.registers.status = new;
        host.event(now, Event::StatusChanged { status: new });
        if comes(new, status::FAILED) {
            for pair in 0..self.config.max_queue_pairs {
                self.flush(now, pair, DropReason::NotReady, host);
            }
        }
    }

    /// Changes whenever the configuration space does.
    #[must_use]
    pub fn config_generation(&self) -> u8 {
        self.registers.generation
    }

    /// Reads the configuration space from `offset`; beyond its end reads 0.
    pub fn read_config(&self, offset: u32, out: &mut [u8]) {
        let Registers { link_up, announce, .. } = self.registers;
        let changing = Changing { mac: self.filter.own(), link_up, announce };
        config_space::read(&self.config, changing, offset, out);
    }

    /// Virtqueues the device has, with everything it offers negotiated.
    #[must_use]
    pub fn num_queues(&self) -> u16 {
        let offered = self.config.offered_features();
        let pairs = match offered & (feature::MQ | feature::RSS) {
            0 => 1,
            _ => self.config.max_queue_pairs,
        };
        2 * pairs + u16::from(offered & feature::CTRL_VQ != 0)
    }

    /// Largest size of a virtqueue; 0 for one that does not exist with the features the driver chose.
    #[must_use]
    pub fn queue_max_size(&self, queue: u16) -> u16 {
        match self.role(queue) {
            Some(Role::Receive(_) | Role::Transmit(_)) => self.config.queue_size_max,
            Some(Role::Control) => CONTROL_QUEUE_SIZE,
            None => 0,
        }
    }

    /// Sets a virtqueue up. It stays unused until [`Device::enable_queue`].
    ///
    /// # Errors
    /// See [`QueueError`]; a refused setup changes nothing.
    pub fn setup_queue(&mut self, queue: u16, setup: &QueueSetup) -> Result<(), QueueError> {
        let max = self.queue_max_size(queue);
        let agreed = RingFeatures::of(self.registers.driver_features);
        self.check_configurable(queue)?;
        setup.validate(&*self.memory, max, agreed.packed)?;
        if let Some(vector) = setup.vector.filter(|vector| !self.msix.exists(*vector)) {
            return Err(QueueError::NoSuchVector(vector));
        }
        let mut ring = Virtqueue::new(self.config.ring, setup, agreed)
            .ok_or(QueueError::Size { size: setup.size, max })?;
        if self.config.polled {
            // Nothing is wrong with a wish that cannot be written: the kicks are ignored then.
            let _ = ring.set_kicks(&*self.memory, false);
        }
        let state = &mut self.queues[usize::from(queue)];
        let in_reset = state.in_reset;
        let (vector, setup) = (setup.vector, Some(*setup));
        *state = Queue { ring: Some(ring), vector, setup, in_reset, ..Queue::default() };
        Ok(())
    }

    /// Puts a virtqueue to use.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub fn enable_queue(&mut self, queue: u16) -> Result<(), QueueError> {
        self.check_configurable(queue)?;
        let state = &mut self.queues[usize::from(queue)];
        if state.ring.is_none() {
            return Err(QueueError::NotSetUp(queue));
        }
        (state.enabled, state.in_reset) = (true, false);
        Ok(())
    }

    /// Vector of the configuration interrupt; `None` is VIRTIO_MSI_NO_VECTOR.
    ///
    /// # Errors
    /// [`QueueError::NoSuchVector`], and the old one stays.
    pub fn set_config_vector(&mut self, vector: Option<u16>) -> Result<(), QueueError> {
        if let Some(vector) = vector.filter(|vector| !self.msix.exists(*vector)) {
            return Err(QueueError::NoSuchVector(vector));
        }
        self.registers.config_vector = vector;
        Ok(())
    }

    /// Masks or unmasks an MSI-X vector; unmasking sends a pending message, once. An unknown vector is
    /// ignored, as a write beyond the table would be.
    pub fn set_vector_masked<H: Host>(
        &mut self,
        now: u64,
        vector: u16,
        masked: bool,
        host: &mut H,
    ) {
        let now = self.catch_up(now, host);
        if let Some(cpu) = self.msix.set_masked(vector, masked) {
            self.send_message(now, None, vector, cpu, host);
        }
    }

    /// Aims an MSI-X vector at a CPU; 0 at first. An unknown vector is ignored.
    pub fn set_vector_cpu(&mut self, vector: u16, cpu: u16) {
        self.msix.set_cpu(vector, cpu);
    }

    /// The available buffer notification, or kick. One that nobody can mean (queue not enabled or broken,
    /// driver not ready) is counted and ignored.
    pub fn notify<H: Host>(&mut self, now: u64, queue: u16, host: &mut H) {
        let now = self.catch_up(now, host);
        self.counters.kicks += 1;
        match self.role(queue) {
            Some(Role::Receive(pair)) => {
                self.queue_counters[usize::from(pair)].kicks += 1;
                host.event(now, Event::Kicked { queue: pair });
            }
            Some(Role::Transmit(pair)) => {
                self.queue_counters[usize::from(pair)].transmit_kicks += 1;
                host.event(now, Event::TransmitKicked { queue: pair });
            }
            Some(Role::Control) => host.event(now, Event::ControlKicked),
            None => return,
        }
        self.serve(now, queue, host);
    }

    /// Sets the link state: the STATUS field, a new configuration generation, and a configuration interrupt
    /// if the driver negotiated VIRTIO_NET_F_STATUS. Frames in the FIFO have arrived and are not affected.
    pub fn set_link<H: Host>(&mut self, now: u64, up: bool, host: &mut H) {
        let now = self.catch_up(now, host);
        if self.registers.link_up == up {
            return;
        }
        self.registers.link_up = up;
        self.counters.link_changes += 1;
        host.event(now, Event::LinkChanged { up });
        if self.config.offered_features() & feature::STATUS != 0 {
            self.configuration_changed();
        }
        if self.registers.negotiated(feature::STATUS) {
            self.configuration_interrupt(now, host);
        }
    }

    /// Asks the driver to announce itself to its network (5.1.6.5.4): VIRTIO_NET_S_ANNOUNCE in the
    /// configuration until the driver acknowledges, a new generation, and a configuration interrupt. `false`,
    /// and nothing happens, without VIRTIO_NET_F_GUEST_ANNOUNCE and VIRTIO_NET_F_STATUS negotiated.
    pub fn ask_to_announce<H: Host>(&mut self, now: u64, host: &mut H) -> bool {
        let now = self.catch_up(now, host);
        let asks = self.registers.live()
            && self.registers.negotiated(feature::GUEST_ANNOUNCE)
            && self.registers.negotiated(feature::STATUS);
        if asks {
            self.registers.announce = true;
            self.counters.announcements_asked += 1;
            self.configuration_changed();
            host.event(now, Event::AnnouncementAsked);
            self.configuration_interrupt(now, host);
        }
        asks
    }

    /// The configuration space shows something else.
    pub(super) fn configuration_changed(&mut self) {
        self.registers.generation = self.registers.generation.wrapping_add(1);
    }

    /// Works off what a virtqueue offers.
    pub(super) fn serve<H: Host>(&mut self, now: u64, virtqueue: u16, host: &mut H) {
        let queue = &mut self.queues[usize::from(virtqueue)];
        queue.unfinished = false;
        if !self.registers.live() || !queue.enabled || queue.broken {
            return;
        }
        match self.role(virtqueue) {
            Some(Role::Receive(pair)) => self.refilled(now, pair, host),
            Some(Role::Transmit(pair)) => self.serve_transmit(now, pair, host),
            Some(Role::Control) => self.serve_control(now, virtqueue, host),
            None => {}
        }
    }

    /// FEATURES_OK has come: what follows from the features, until the reset.
    fn features_agreed(&mut self) {
        self.format = Format::new(self.registers.driver_features);
        self.fifo.set_header_len(self.format.header_len);
        if self.registers.negotiated(feature::CTRL_VLAN) {
            self.filter.filter_vlans();
        }
    }

    fn whole_config(&self) -> [u8; spec::config::LEN] {
        let mut space = [0; spec::config::LEN];
        self.read_config(0, &mut space);
        space
    }

    fn check_configurable(&self, queue: u16) -> Result<(), QueueError> {
        if !self.registers.has(status::FEATURES_OK) {
            return Err(QueueError::FeaturesNotNegotiated);
        }
        if self.role(queue).is_none() {
            return Err(QueueError::NoSuchQueue(queue));
        }
        if self.queues[usize::from(queue)].enabled {
            return Err(QueueError::AlreadyEnabled(queue));
        }
        Ok(())
    }

    fn reset<H: Host>(&mut self, now: u64, host: &mut H) {
        let frames = self.fifo.frames();
        let shown = self.whole_config();
        for pair in 0..self.config.max_queue_pairs {
            self.flush(now, pair, DropReason::Reset, host);
        }
        self.queues.fill_with(Queue::default);
        self.published.fill(0);
        self.format = Format::new(0);
        self.filter = Filter::new(self.config.mac);
        self.steering.reset();
        self.dma.reset();
        self.rx_coalescer.reset();
        self.tx_coalescer.reset();
        self.msix.forget_pending();
        self.broken = None;
        self.counters.resets += 1;
        let Registers { generation, link_up, .. } = self.registers;
        let halted = self.reset_ends_halt();
        self.registers = Registers { generation, link_up, halted, ..Registers::new() };
        if self.whole_config() != shown {
            self.configuration_changed();
        }
        host.event(now, Event::DeviceReset { frames });
    }
}
