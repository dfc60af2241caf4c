//! A device, its memory, and a small driver that writes rings by hand.
//!
//! Every step checks the account: nothing here goes on if a frame has got lost.

use nic_model::spec::{feature, ring, status};
use nic_model::{Device, DeviceConfig, DropReason, Event, Host, QueueSetup};
use std::sync::Arc;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

pub type Memory = Arc<GuestMemoryMmap>;

/// Everything the device told.
#[derive(Default)]
pub struct Log {
    pub events: Vec<(u64, Event)>,
    /// (time, vector, cpu)
    pub interrupts: Vec<(u64, u16, u16)>,
    /// (queue, frame)
    pub sent: Vec<(u16, Vec<u8>)>,
}

impl Host for Log {
    fn event(&mut self, now: u64, event: Event) {
        if let Some((last, _)) = self.events.last() {
            assert!(*last <= now, "time went back at {event:?}");
        }
        self.events.push((now, event));
    }

    fn interrupt(&mut self, now: u64, vector: u16, cpu: u16) {
        self.interrupts.push((now, vector, cpu));
    }

    fn transmit(&mut self, _now: u64, queue: u16, frame: &[u8]) {
        self.sent.push((queue, frame.to_vec()));
    }
}

pub struct Rig {
    pub device: Device<Memory>,
    pub memory: Memory,
    pub host: Log,
    pub now: u64,
    /// Entries of each receive and transmit queue.
    pub size: u16,
    next_tag: u64,
}

pub const BUFFER: u64 = 2048;
const CONTROL_SIZE: u16 = 64;
pub const MEMORY_LEN: usize = 16 << 20;

/// What each test starts from: 4 pairs of 8 entries, a vector for each queue and one for the configuration,
/// and plain frames.
pub fn config() -> DeviceConfig {
    let (max_queue_pairs, queue_size_max, vectors) = (4, 8, 10);
    let features = PLAIN;
    DeviceConfig { max_queue_pairs, queue_size_max, vectors, features, ..DeviceConfig::default() }
}

/// The same with more features on offer.
pub fn config_with(features: u64) -> DeviceConfig {
    DeviceConfig { features: PLAIN | features, ..config() }
}

/// The same with queues of this size.
pub fn sized(queue_size_max: u16) -> DeviceConfig {
    DeviceConfig { queue_size_max, ..config() }
}

/// A queue's place in memory. Its vector is its index + 1.
pub fn setup(virtqueue: u16, size: u16) -> QueueSetup {
    let base = 0x1_0000 * (u64::from(virtqueue) + 1);
    QueueSetup {
        size,
        descriptor_table: base,
        available_ring: base + 0x4000,
        used_ring: base + 0x8000,
        vector: Some(virtqueue + 1),
    }
}

/// Where buffer `index` of a queue lies.
pub fn buffer(virtqueue: u16, index: u16) -> u64 {
    0x40_0000 + u64::from(virtqueue) * 0x8_0000 + u64::from(index) * BUFFER
}

impl Rig {
    /// A device nobody has touched.
    pub fn untouched(config: DeviceConfig) -> Self {
        let range = [(GuestAddress(0), MEMORY_LEN)];
        let memory = Arc::new(GuestMemoryMmap::from_ranges(&range).unwrap());
        let size = config.queue_size_max;
        let device = Device::new(config, Arc::clone(&memory)).unwrap();
        Self { device, memory, host: Log::default(), now: 0, size, next_tag: 1 }
    }

    /// A device driven as far as DRIVER_OK, with everything offered, all queues enabled and empty.
    pub fn new(config: DeviceConfig) -> Self {
        let features = config.offered_features();
        Self::with_features(config, features)
    }

    /// The same with these features.
    pub fn with_features(config: DeviceConfig, features: u64) -> Self {
        let mut rig = Self::untouched(config);
        rig.bring_up(features);
        rig
    }

    pub fn bring_up(&mut self, features: u64) {
        let mut bits = status::ACKNOWLEDGE | status::DRIVER;
        self.set_status(bits);
        self.device.set_driver_features(features);
        bits |= status::FEATURES_OK;
        self.set_status(bits);
        assert_eq!(self.device.status(), bits, "features refused");
        self.device.set_config_vector(Some(0)).unwrap();
        for queue in 0..self.device.num_queues() {
            match self.device.queue_max_size(queue) {
                0 => continue,
                CONTROL_SIZE if self.control() == queue => self.enable(queue, CONTROL_SIZE),
                _ => self.enable(queue, self.size),
            }
        }
        self.set_status(bits | status::DRIVER_OK);
    }

    fn enable(&mut self, queue: u16, size: u16) {
        let place = setup(queue, size);
        let rings = vec![0; 0xc000];
        self.memory.write_slice(&rings, GuestAddress(place.descriptor_table)).unwrap();
        self.device.setup_queue(queue, &place).unwrap();
        self.device.enable_queue(queue).unwrap();
    }

    pub fn control(&self) -> u16 {
        self.device.num_queues() - 1
    }

    pub fn set_status(&mut self, bits: u8) {
        self.device.set_status(self.now, bits, &mut self.host);
        self.check();
    }

    /// A frame arrives; its tag.
    pub fn frame(&mut self, bytes: &[u8]) -> u64 {
        let tag = self.next_tag;
        self.next_tag += 1;
        self.device.receive(self.now, bytes, true, tag, &mut self.host);
        self.check();
        tag
    }

    /// Frames arrive in one burst.
    pub fn burst(&mut self, frames: &[Vec<u8>]) {
        let (now, first) = (self.now, self.next_tag);
        self.next_tag += frames.len() as u64;
        self.device.burst(&mut self.host, |device, host| {
            for (tag, bytes) in (first..).zip(frames) {
                device.receive(now, bytes, true, tag, host);
            }
        });
        self.check();
    }

    pub fn advance(&mut self, now: u64) {
        self.now = now;
        self.device.advance(now, &mut self.host);
        self.check();
    }

    pub fn kick(&mut self, virtqueue: u16) {
        self.device.notify(self.now, virtqueue, &mut self.host);
        self.check();
    }

    /// Makes `count` whole buffers available on a pair's receive queue, and kicks.
    pub fn post(&mut self, pair: u16, count: u16) {
        self.post_quietly(pair, count);
        self.kick(2 * pair);
    }

    /// The same without the kick.
    pub fn post_quietly(&mut self, pair: u16, count: u16) {
        let queue = 2 * pair;
        for _ in 0..count {
            let index = self.available_index(queue) % self.size;
            self.descriptor(
                queue,
                index,
                buffer(queue, index),
                BUFFER as u32,
                ring::DESC_F_WRITE,
                0,
            );
            self.make_available(queue, self.size, index);
        }
    }

    pub fn descriptor(&self, queue: u16, index: u16, at: u64, len: u32, flags: u16, next: u16) {
        let mut bytes = at.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        let table = setup(queue, 1).descriptor_table;
        self.memory.write_slice(&bytes, GuestAddress(table + 16 * u64::from(index))).unwrap();
    }

    pub fn make_available(&self, queue: u16, size: u16, head: u16) {
        let place = setup(queue, size).available_ring;
        let index = self.available_index(queue);
        self.put(place + 4 + 2 * u64::from(index % size), head);
        self.put(place + 2, index.wrapping_add(1));
    }

    pub fn available_index(&self, queue: u16) -> u16 {
        self.get(setup(queue, 1).available_ring + 2)
    }

    pub fn set_available_index(&self, queue: u16, index: u16) {
        self.put(setup(queue, 1).available_ring + 2, index);
    }

    pub fn set_no_interrupt(&self, queue: u16, flag: bool) {
        self.put(setup(queue, 1).available_ring, flag.into());
    }

    pub fn set_used_event(&self, queue: u16, index: u16) {
        self.put(setup(queue, 1).available_ring + 4 + 2 * u64::from(self.size), index);
    }

    pub fn used_flags(&self, queue: u16) -> u16 {
        self.get(setup(queue, 1).used_ring)
    }

    pub fn available_event(&self, queue: u16) -> u16 {
        self.get(setup(queue, 1).used_ring + 4 + 8 * u64::from(self.size))
    }

    pub fn used_index(&self, queue: u16) -> u16 {
        self.get(setup(queue, 1).used_ring + 2)
    }

    /// (id, length) of a used element, by its place in the ring.
    pub fn used(&self, queue: u16, at: u16) -> (u32, u32) {
        let at = setup(queue, 1).used_ring + 4 + 8 * u64::from(at);
        let [id, len] = [at, at + 4].map(|at| self.memory.read_obj(GuestAddress(at)).unwrap());
        (u32::from_le(id), u32::from_le(len))
    }

    pub fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(at)).unwrap();
        bytes
    }

    pub fn put(&self, at: u64, value: u16) {
        self.memory.write_obj(value.to_le(), GuestAddress(at)).unwrap();
    }

    pub fn get(&self, at: u64) -> u16 {
        u16::from_le(self.memory.read_obj(GuestAddress(at)).unwrap())
    }

    /// Sends a control command with room for so many bytes of answer and result; what was written.
    pub fn command_with_result(&mut self, bytes: &[u8], room: u32) -> Vec<u8> {
        let queue = self.control();
        let (data, result) = (buffer(queue, 0), buffer(queue, 1));
        self.memory.write_slice(bytes, GuestAddress(data)).unwrap();
        self.descriptor(queue, 0, data, bytes.len() as u32, ring::DESC_F_NEXT, 1);
        self.descriptor(queue, 1, result, room, ring::DESC_F_WRITE, 0);
        let place = self.used_index(queue) % CONTROL_SIZE;
        self.make_available(queue, CONTROL_SIZE, 0);
        self.kick(queue);
        self.bytes(result, self.used(queue, place).1 as usize)
    }

    /// Sends a control command in one readable and one writable descriptor; the answer.
    pub fn command(&mut self, bytes: &[u8]) -> u8 {
        let queue = self.control();
        let (data, ack) = (buffer(queue, 0), buffer(queue, 1));
        self.memory.write_slice(bytes, GuestAddress(data)).unwrap();
        self.memory.write_slice(&[0xee], GuestAddress(ack)).unwrap();
        self.descriptor(queue, 0, data, bytes.len() as u32, ring::DESC_F_NEXT, 1);
        self.descriptor(queue, 1, ack, 1, ring::DESC_F_WRITE, 0);
        self.make_available(queue, CONTROL_SIZE, 0);
        self.kick(queue);
        self.bytes(ack, 1)[0]
    }

    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.device.counters().dropped[reason.index()]
    }

    /// Tags in the order they were written to a pair's used ring.
    pub fn written(&self, pair: u16) -> Vec<u64> {
        let mut tags = Vec::new();
        for (_, event) in &self.host.events {
            if let Event::Written { tag, queue, .. } = event
                && *queue == pair
            {
                tags.push(*tag);
            }
        }
        tags
    }

    /// Tags in the order the DMA engine started on them, for a pair.
    pub fn started(&self, pair: u16) -> Vec<u64> {
        let mut tags = Vec::new();
        for (_, event) in &self.host.events {
            if let Event::DmaStart { tag, queue, .. } = event
                && *queue == pair
            {
                tags.push(*tag);
            }
        }
        tags
    }

    /// Names of the events since `from`.
    pub fn names(&self, from: usize) -> Vec<&'static str> {
        self.host.events[from..].iter().map(|(_, event)| event.name()).collect()
    }

    /// The account, in total and per pair.
    pub fn check(&self) {
        let device = &self.device;
        let total = device.counters();
        let held = device.fifo_frames();
        assert_eq!(total.offered, total.written + total.dropped_total() + held, "{total:?}");
        let mut sums = [0; 2];
        for pair in 0..device.config().max_queue_pairs {
            let queue = device.queue_counters(pair);
            let held = device.fifo_frames_of(pair);
            assert_eq!(queue.steered, queue.written + queue.dropped_total() + held, "{queue:?}");
            sums[0] += queue.written;
            sums[1] += held;
        }
        assert_eq!(sums, [total.written, held]);
    }
}

/// Ethernet, IPv4, UDP, `len` bytes, from 10.0.0.1:`port`; filled with `fill`.
pub fn udp(port: u16, len: usize, fill: u8) -> Vec<u8> {
    let mut frame = vec![fill; len];
    frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
    frame[20..24].copy_from_slice(&[0, 0, 64, 17]);
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    frame[34..36].copy_from_slice(&port.to_be_bytes());
    frame
}

/// An RSS command: all types, this table, the published key.
pub fn rss_command(table: &[u16], unclassified: u16, pairs: u16) -> Vec<u8> {
    let key = "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa";
    let mut bytes = vec![4, 1, 0xff, 1, 0, 0];
    bytes.extend((table.len() as u16 - 1).to_le_bytes());
    bytes.extend(unclassified.to_le_bytes());
    bytes.extend(table.iter().flat_map(|queue| queue.to_le_bytes()));
    bytes.extend(pairs.to_le_bytes());
    bytes.push(40);
    bytes.extend((0..40).map(|i| u8::from_str_radix(&key[2 * i..2 * i + 2], 16).unwrap()));
    bytes
}

/// Everything but what changes frames, their headers, or which of them are taken.
pub const PLAIN: u64 = nic_model::DEFAULT_FEATURES
    & !(feature::MRG_RXBUF
        | feature::HASH_REPORT
        | feature::GUEST_CSUM
        | feature::CTRL_RX
        | feature::CTRL_RX_EXTRA
        | feature::CTRL_VLAN);

/// The same without VIRTIO_F_EVENT_IDX.
pub const FLAGS_ONLY: u64 = PLAIN & !feature::EVENT_IDX;
