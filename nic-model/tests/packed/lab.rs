//! A device of one pair with its driver, and everything that either side has seen.

use crate::rings::{Buffer, Memory, Ring};
use nic_model::spec::{feature, status};
use nic_model::{Device, DeviceConfig, Event, Host, QueueSetup, RingKind};
use std::sync::Arc;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

pub const WRITE: u16 = 2;
/// Bytes from one buffer to the next.
const ROOM: u64 = 0x1000;

#[derive(Default)]
pub struct Log {
    pub events: Vec<(u64, Event)>,
    pub interrupts: Vec<(u64, u16)>,
    pub sent: Vec<Vec<u8>>,
}

impl Host for Log {
    fn event(&mut self, now: u64, event: Event) {
        self.events.push((now, event));
    }

    fn interrupt(&mut self, now: u64, vector: u16, _cpu: u16) {
        self.interrupts.push((now, vector));
    }

    fn transmit(&mut self, _now: u64, _queue: u16, frame: &[u8]) {
        self.sent.push(frame.to_vec());
    }
}

pub struct Lab {
    pub device: Device<Memory>,
    pub memory: Memory,
    pub log: Log,
    pub now: u64,
    /// Receive, transmit.
    pub rings: [Ring; 2],
    tag: u64,
}

/// Where the queues lie: room for 16 entries of either format.
pub fn setup(queue: u16, size: u16) -> QueueSetup {
    let base = 0x1000 * (u64::from(queue) + 1);
    let (available_ring, used_ring) = (base + 0x400, base + 0x800);
    QueueSetup { size, descriptor_table: base, available_ring, used_ring, vector: Some(queue + 1) }
}

/// Where buffer `place` of a slot lies.
pub fn room(queue: usize, slot: u16, place: usize) -> u64 {
    0x10_0000 + ROOM * (16 * queue as u64 + 4 * u64::from(slot) + place as u64)
}

pub const BASIC: u64 = feature::VERSION_1 | feature::MAC | feature::STATUS | feature::CTRL_VQ;

impl Lab {
    pub fn new(size: u16, ring_features: u64) -> Self {
        Self::of_kind(size, ring_features, RingKind::default())
    }

    pub fn of_kind(size: u16, ring_features: u64, ring: RingKind) -> Self {
        let memory = Arc::new(GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 4 << 20)]).unwrap());
        let features = BASIC | ring_features;
        let config = DeviceConfig {
            features,
            ring,
            queue_size_max: 16,
            vectors: 4,
            fifo_bytes: 4000,
            dma_frame_ps: 500,
            ..DeviceConfig::default()
        };
        let device = Device::new(config, Arc::clone(&memory)).unwrap();
        let has = |bit| features & bit != 0;
        let ring = |queue| {
            Ring::new(
                &memory,
                setup(queue, size),
                has(feature::RING_PACKED),
                has(feature::EVENT_IDX),
            )
        };
        let rings = [ring(0), ring(1)];
        let mut lab = Self { device, memory, log: Log::default(), now: 0, rings, tag: 0 };
        lab.bring_up(|device, queue| device.setup_queue(queue, &setup(queue, size)).unwrap());
        lab
    }

    /// Negotiates, and has both queues set up.
    pub fn bring_up(&mut self, set_up: impl Fn(&mut Device<Memory>, u16)) {
        let (device, log, now) = (&mut self.device, &mut self.log, self.now);
        let bits = status::ACKNOWLEDGE | status::DRIVER;
        device.set_status(now, bits, log);
        device.set_driver_features(device.config().features);
        device.set_status(now, bits | status::FEATURES_OK, log);
        for queue in [0, 1] {
            set_up(device, queue);
            device.enable_queue(queue).unwrap();
        }
        let bits = bits | status::FEATURES_OK | status::DRIVER_OK;
        device.set_status(now, bits, log);
        assert_eq!(device.status(), bits);
    }

    pub fn frame(&mut self, len: usize) {
        self.tag += 1;
        let mut bytes = vec![self.tag as u8; len];
        bytes[12..14].copy_from_slice(&[0x12, 0x34]);
        self.device.receive(self.now, &bytes, true, self.tag, &mut self.log);
        self.check();
    }

    pub fn pass(&mut self, time: u64) {
        self.now += time;
        self.device.advance(self.now, &mut self.log);
        self.check();
    }

    pub fn kick(&mut self, queue: u16) {
        self.device.notify(self.now, queue, &mut self.log);
        self.check();
    }

    /// Buffers of these lengths, to write or to read.
    pub fn buffers(queue: usize, slot: u16, lens: &[u32]) -> Vec<Buffer> {
        let flags = if queue == 0 { WRITE } else { 0 };
        lens.iter().enumerate().map(|(i, len)| (room(queue, slot, i), *len, flags)).collect()
    }

    pub fn bytes(&self, at: u64, len: u32) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        self.memory.read_slice(&mut bytes, GuestAddress(at)).unwrap();
        bytes
    }

    pub fn fault(&self) -> Option<&'static str> {
        self.device.broken().map(|error| error.fault.name())
    }

    fn check(&self) {
        let (total, held) = (self.device.counters(), self.device.fifo_frames());
        assert_eq!(total.offered, total.written + total.dropped_total() + held);
    }
}
