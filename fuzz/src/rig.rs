//! A device with its memory, for the targets that play the driver.
//!
//! Contract: [`Rig::check`] holds after every call; the device believes nothing it finds in memory.

use std::sync::Arc;

use nic_model::spec::{self, status};
use nic_model::{Device, DeviceConfig, Event, Host, QueueSetup};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Three regions, the first two side by side and a hole before the third, so that spans can end at an edge or
/// reach over one.
pub const REGIONS: [(GuestAddress, usize); 3] = [
    (GuestAddress(0), 0x4_0000),
    (GuestAddress(0x4_0000), 0x2_0000),
    (GuestAddress(0x8_0000), 0x2_0000),
];

/// Entries of every queue set up by [`Rig::bring_up`].
pub const SIZE: u16 = 16;

/// Whom the device tells: nobody, but the order of time is checked.
#[derive(Default)]
pub struct Ears {
    last: u64,
}

impl Host for Ears {
    fn event(&mut self, now: u64, event: Event) {
        assert!(self.last <= now, "time went back at {event:?}");
        self.last = now;
        event.fields(&mut |_, _| {});
    }

    fn interrupt(&mut self, _now: u64, _vector: u16, _cpu: u16) {}

    fn transmit(&mut self, _now: u64, _queue: u16, frame: &[u8]) {
        assert!(frame.len() <= 0x1_0000 + 64, "a frame of {} bytes leaves", frame.len());
    }
}

/// A device, its memory, and whom it tells.
pub struct Rig {
    pub device: Device<Arc<GuestMemoryMmap>>,
    pub memory: Arc<GuestMemoryMmap>,
    pub ears: Ears,
    pub now: u64,
    tag: u64,
    /// Buffers posted, by queue, since the rings were set up; for packed rings.
    posted: Vec<u16>,
}

impl Rig {
    /// `None` where the configuration is refused.
    pub fn new(config: DeviceConfig) -> Option<Self> {
        let memory = Arc::new(GuestMemoryMmap::from_ranges(&REGIONS).expect("memory for the rig"));
        let device = Device::new(config, Arc::clone(&memory)).ok()?;
        let posted = vec![0; device.num_queues().into()];
        Some(Self { device, memory, ears: Ears::default(), now: 0, tag: 0, posted })
    }

    /// Drives the device as far as DRIVER_OK with these features and all queues.
    pub fn bring_up(&mut self, features: u64) {
        self.status(status::ACKNOWLEDGE | status::DRIVER);
        self.device.set_driver_features(features);
        self.status(status::FEATURES_OK);
        for queue in 0..self.device.num_queues() {
            // Refused for a queue that these features do not have.
            if self.device.setup_queue(queue, &place(queue)).is_ok() {
                let enabled = self.device.enable_queue(queue);
                assert!(enabled.is_ok(), "set up, but {enabled:?}");
            }
        }
        self.status(status::DRIVER_OK);
    }

    pub fn status(&mut self, bits: u8) {
        self.device.set_status(self.now, bits, &mut self.ears);
    }

    pub fn frame(&mut self, bytes: &[u8], fcs_ok: bool) {
        self.tag += 1;
        self.device.receive(self.now, bytes, fcs_ok, self.tag, &mut self.ears);
    }

    pub fn kick(&mut self, queue: u16) {
        self.device.notify(self.now, queue, &mut self.ears);
    }

    pub fn advance(&mut self, by: u64) {
        self.now = self.now.saturating_add(by);
        self.device.advance(self.now, &mut self.ears);
    }

    /// Writes what fits.
    pub fn write(&self, at: u64, bytes: &[u8]) {
        // A write that reaches over an edge is written as far as memory goes.
        let _ = self.memory.write(bytes, GuestAddress(at));
    }

    pub fn u16_at(&self, at: u64) -> u16 {
        self.memory.read_obj(GuestAddress(at)).map_or(0, u16::from_le)
    }

    /// Writes a descriptor of a queue that [`Rig::bring_up`] has set up, in the split format.
    pub fn describe(
        &self,
        queue: u16,
        index: u16,
        (address, len): (u64, u32),
        flags: u16,
        next: u16,
    ) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&address.to_le_bytes());
        bytes[8..12].copy_from_slice(&len.to_le_bytes());
        bytes[12..14].copy_from_slice(&flags.to_le_bytes());
        bytes[14..].copy_from_slice(&next.to_le_bytes());
        self.write(place(queue).descriptor_table + 16 * u64::from(index % SIZE), &bytes);
    }

    /// Makes a chain available, in the split format.
    pub fn offer(&self, queue: u16, head: u16) {
        let ring = place(queue).available_ring;
        let index = self.u16_at(ring + 2);
        self.write(ring + 4 + 2 * u64::from(index % SIZE), &head.to_le_bytes());
        self.write(ring + 2, &index.wrapping_add(1).to_le_bytes());
    }

    /// Posts a whole buffer in the packed format, where the driver's next one belongs.
    pub fn post_packed(&mut self, queue: u16) {
        let Some(posted) = self.posted.get_mut(usize::from(queue)) else { return };
        let (slot, wraps) = (*posted % SIZE, *posted / SIZE % 2);
        *posted = posted.wrapping_add(1);
        // AVAIL is the driver's wrap counter, which starts as 1; USED is the other way round.
        let turn = if wraps == 0 { spec::ring::DESC_F_AVAIL } else { spec::ring::DESC_F_USED };
        let flags = spec::ring::DESC_F_WRITE | turn;
        // In the packed format the last two fields are the buffer's id and the flags.
        self.describe(queue, slot, (buffer(queue, slot), 0x200), slot, flags);
    }

    /// The account, in total and per pair.
    pub fn check(&self) {
        let device = &self.device;
        let (total, held) = (device.counters(), device.fifo_frames());
        assert_eq!(total.offered, total.written + total.dropped_total() + held, "{total:?}");
        let mut sums = [0; 2];
        for pair in 0..device.config().max_queue_pairs {
            let (queue, held) = (device.queue_counters(pair), device.fifo_frames_of(pair));
            assert_eq!(queue.steered, queue.written + queue.dropped_total() + held, "{queue:?}");
            sums[0] += queue.written;
            sums[1] += held;
        }
        assert_eq!(sums, [total.written, held]);
    }
}

/// Where the rings of a queue lie.
pub fn place(queue: u16) -> QueueSetup {
    let base = 0x1000 * u64::from(queue % 32);
    QueueSetup {
        size: SIZE,
        descriptor_table: base,
        available_ring: base + 0x400,
        used_ring: base + 0x800,
        vector: Some(queue % 4),
    }
}

/// Where buffer `index` of a queue lies: 512 bytes each.
pub fn buffer(queue: u16, index: u16) -> u64 {
    0x2_0000 + 0x2000 * u64::from(queue % 16) + 0x200 * u64::from(index % 16)
}
