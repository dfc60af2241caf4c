//! A device and a driver on one piece of memory, joined register by register, and all that both tell.

use driver::{Driver, DriverConfig, DriverError, Interrupt, Progress, RxFrame, TransportError};
use nic_model::{Device, DeviceConfig};
use std::collections::VecDeque;
use std::sync::Arc;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap, GuestRegionMmap};

type Memory = Arc<GuestMemoryMmap>;

/// What either side tells.
#[derive(Default)]
pub struct Log {
    pub device: Vec<nic_model::Event>,
    pub driver: Vec<driver::Event>,
    /// Per queue: frames handed on.
    pub received: Vec<Vec<Vec<u8>>>,
    pub sent: Vec<Vec<u8>>,
    pub messages: VecDeque<u16>,
}

impl nic_model::Host for Log {
    fn event(&mut self, _now: u64, event: nic_model::Event) {
        self.device.push(event);
    }

    fn interrupt(&mut self, _now: u64, vector: u16, _cpu: u16) {
        self.messages.push_back(vector);
    }

    fn transmit(&mut self, _now: u64, _queue: u16, frame: &[u8]) {
        self.sent.push(frame.to_vec());
    }
}

/// The driver's ear: it borrows the log while the port has the device's.
#[derive(Default)]
struct Ear {
    events: Vec<driver::Event>,
    received: Vec<(u16, Vec<u8>)>,
}

impl driver::Host for Ear {
    fn event(&mut self, _now: u64, event: driver::Event) {
        self.events.push(event);
    }

    fn indicate(&mut self, _now: u64, queue: u16, frames: &[RxFrame<'_>]) {
        self.received.extend(frames.iter().map(|frame| (queue, frame.data.to_vec())));
    }
}

struct Port<'a> {
    now: u64,
    device: &'a mut Device<Memory>,
    log: &'a mut Log,
    setups: &'a mut Vec<(u16, driver::QueueSetup)>,
}

impl driver::Transport for Port<'_> {
    fn device_features(&mut self) -> u64 {
        self.device.device_features()
    }

    fn set_driver_features(&mut self, features: u64) {
        self.device.set_driver_features(features);
    }

    fn status(&mut self) -> u8 {
        self.device.status()
    }

    fn set_status(&mut self, status: u8) {
        self.device.set_status(self.now, status, self.log);
    }

    fn config_generation(&mut self) -> u8 {
        self.device.config_generation()
    }

    fn read_config(&mut self, offset: u32, out: &mut [u8]) {
        self.device.read_config(offset, out);
    }

    fn num_queues(&mut self) -> u16 {
        self.device.num_queues()
    }

    fn queue_max_size(&mut self, queue: u16) -> u16 {
        self.device.queue_max_size(queue)
    }

    fn setup_queue(
        &mut self,
        queue: u16,
        setup: &driver::QueueSetup,
    ) -> Result<(), TransportError> {
        self.setups.push((queue, *setup));
        let setup = nic_model::QueueSetup {
            size: setup.size,
            descriptor_table: setup.descriptor_table,
            available_ring: setup.available_ring,
            used_ring: setup.used_ring,
            vector: setup.vector,
        };
        let refused = |_| TransportError::QueueRefused { queue, why: "refused" };
        self.device.setup_queue(queue, &setup).map_err(refused)
    }

    fn enable_queue(&mut self, queue: u16) -> Result<(), TransportError> {
        let refused = |_| TransportError::QueueRefused { queue, why: "refused" };
        self.device.enable_queue(queue).map_err(refused)
    }

    fn reset_queue(&mut self, queue: u16) -> Result<(), TransportError> {
        let refused = |_| TransportError::QueueRefused { queue, why: "refused" };
        self.device.reset_queue(self.now, queue, self.log).map_err(refused)
    }

    fn queue_resetting(&mut self, _queue: u16) -> bool {
        false
    }

    fn set_config_vector(&mut self, vector: Option<u16>) -> Result<(), TransportError> {
        let refused = |_| TransportError::VectorRefused { vector: 0, why: "refused" };
        self.device.set_config_vector(vector).map_err(refused)
    }

    fn set_vector_masked(&mut self, vector: u16, masked: bool) {
        self.device.set_vector_masked(self.now, vector, masked, self.log);
    }

    fn notify(&mut self, queue: u16) {
        self.device.notify(self.now, queue, self.log);
    }
}

/// Both sides, brought up as far as they came.
pub struct Pair {
    pub device: Device<Memory>,
    pub driver: Driver,
    pub log: Log,
    pub started: Result<Progress, DriverError>,
    /// Every virtqueue that the driver set up.
    pub setups: Vec<(u16, driver::QueueSetup)>,
    memory: Memory,
    now: u64,
}

impl Pair {
    /// `None` where the one or the other configuration breaks a rule by itself.
    pub fn start(device: DeviceConfig, driver: DriverConfig) -> Option<Self> {
        let size = driver.memory_needed().ok()?;
        let region = GuestRegionMmap::from_range(GuestAddress(0x1000), size as usize, None);
        let region = Arc::new(region.unwrap());
        let memory = GuestMemoryMmap::from_arc_regions(vec![Arc::clone(&region)]).unwrap();
        let memory = Arc::new(memory);
        let device = Device::new(device, Arc::clone(&memory)).ok()?;
        let queues = usize::from(driver.queue_pairs);
        let driver = Driver::new(driver, driver::DmaRegion::new(region)).unwrap();
        let log = Log { received: vec![Vec::new(); queues], ..Log::default() };
        let started = Err(DriverError::NotStarted);
        let mut pair = Self { device, driver, log, started, setups: Vec::new(), memory, now: 0 };
        pair.started = pair.by(|driver, now, port, ear| driver.start(now, port, ear));
        for _ in 0..64 {
            if let Ok(Progress::Waiting { .. }) = pair.started {
                pair.started = pair.by(|driver, now, port, ear| driver.step(now, port, ear));
            }
        }
        Some(pair)
    }

    fn by<R>(&mut self, call: impl FnOnce(&mut Driver, u64, &mut Port<'_>, &mut Ear) -> R) -> R {
        let mut ear = Ear::default();
        let mut port = Port {
            now: self.now,
            device: &mut self.device,
            log: &mut self.log,
            setups: &mut self.setups,
        };
        let result = call(&mut self.driver, self.now, &mut port, &mut ear);
        self.log.driver.extend(ear.events);
        for (queue, frame) in ear.received {
            self.log.received[usize::from(queue)].push(frame);
        }
        result
    }

    pub fn receive(&mut self, tag: u64, frame: &[u8]) {
        self.device.receive(self.now, frame, true, tag, &mut self.log);
    }

    pub fn transmit(&mut self, queue: u16, frame: &[u8]) {
        self.by(|driver, now, port, ear| driver.transmit(now, queue, frame, port, ear)).unwrap();
    }

    pub fn set_link(&mut self, up: bool) {
        self.device.set_link(self.now, up, &mut self.log);
        self.settle();
    }

    /// Lets time pass and serves every interrupt until nothing more happens.
    pub fn settle(&mut self) {
        self.now += 1_000_000_000;
        self.device.advance(self.now, &mut self.log);
        while let Some(vector) = self.log.messages.pop_front() {
            let what = self.by(|driver, now, port, ear| driver.interrupt(now, vector, port, ear));
            let Interrupt::Poll(queue) = what else { continue };
            loop {
                self.by(|driver, now, port, ear| driver.poll(now, queue, 8, port, ear));
                let finished =
                    self.by(|driver, now, port, ear| driver.finish_poll(now, queue, port, ear));
                if !finished.again {
                    break;
                }
            }
            self.now += 1_000_000_000;
            self.device.advance(self.now, &mut self.log);
        }
    }

    pub fn get(&self, at: u64) -> u16 {
        u16::from_le(self.memory.read_obj(GuestAddress(at)).unwrap())
    }
}
