//! A ring in memory of three regions, and a driver that writes it by hand.

use nic_model::QueueSetup;
use nic_model::ring::{Chain, Fetched, Ring, RingFeatures, Shape, Used, Virtqueue};
use nic_model::spec::ring::{available_ring_len, descriptor_table_len, used_ring_len};
use nic_model::{ChainFault, RingFault, RingKind};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Both implementations.
pub const KINDS: [RingKind; 2] = [RingKind::Reference, RingKind::Batched];

/// Two regions side by side, and one after a gap.
pub const REGIONS: [(u64, usize); 3] = [(0, 0x1_0000), (0x1_0000, 0x1_0000), (0x3_0000, 0x4000)];

/// The first address after the second region: in the gap.
pub const GAP: u64 = 0x2_0000;

/// Where indirect tables and buffers are.
pub const TABLES: u64 = 0x9000;
pub const BUFFERS: u64 = 0x1_8000;

/// Which part of the ring lies across the border of two regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Across {
    None,
    Table,
    Available,
    Used,
}

/// A descriptor: address, length, flags, next.
pub type Descriptor = (u64, u32, u16, u16);

pub struct Lab {
    pub memory: GuestMemoryMmap,
    pub ring: Virtqueue,
    pub setup: QueueSetup,
    pub chain: Chain,
    /// What the driver has made available, as the index it stores.
    pub published: u16,
}

pub fn setup(size: u16, across: Across) -> QueueSetup {
    let border = 0x1_0000;
    // In the middle of an entry, where there is one.
    let middle = |len: u64, align: u64| border - (len / 2).next_multiple_of(align).max(align);
    let table = descriptor_table_len(size);
    let [table_at, available_at, used_at] = [0x1000, 0x4000, 0x6000];
    QueueSetup {
        size,
        descriptor_table: if across == Across::Table { middle(table, 16) } else { table_at },
        available_ring: match across {
            Across::Available => middle(available_ring_len(size), 2),
            _ => available_at,
        },
        used_ring: if across == Across::Used { middle(used_ring_len(size), 4) } else { used_at },
        vector: None,
    }
}

pub fn memory() -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&REGIONS.map(|(at, len)| (GuestAddress(at), len))).unwrap()
}

pub const AGREED: RingFeatures =
    RingFeatures { packed: false, event_idx: true, indirect: true, in_order: false };

impl Lab {
    pub fn new(kind: RingKind, size: u16, across: Across, agreed: RingFeatures) -> Self {
        let setup = setup(size, across);
        let ring = Virtqueue::new(kind, &setup, agreed).unwrap();
        Self { memory: memory(), ring, setup, chain: Chain::default(), published: 0 }
    }

    /// A plain one of 8.
    pub fn of(kind: RingKind) -> Self {
        Self::new(kind, 8, Across::None, AGREED)
    }

    pub fn descriptor(&self, index: u16, descriptor: Descriptor) {
        self.descriptor_at(self.setup.descriptor_table + 16 * u64::from(index), descriptor);
    }

    pub fn descriptor_at(&self, at: u64, (address, len, flags, next): Descriptor) {
        let mut bytes = address.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        self.memory.write_slice(&bytes, GuestAddress(at)).unwrap();
    }

    /// Makes a head available.
    pub fn publish(&mut self, head: u16) {
        let entry = u64::from(self.published % self.setup.size);
        self.put(self.setup.available_ring + 4 + 2 * entry, head);
        self.publish_index(self.published.wrapping_add(1));
    }

    pub fn publish_index(&mut self, index: u16) {
        self.published = index;
        self.put(self.setup.available_ring + 2, index);
    }

    pub fn set_used_event(&self, index: u16) {
        self.put(self.setup.available_ring + available_ring_len(self.setup.size) - 2, index);
    }

    pub fn set_flags(&self, flags: u16) {
        self.put(self.setup.available_ring, flags);
    }

    pub fn fetch(&mut self, shape: Shape, need: u32) -> Result<Fetched, RingFault> {
        self.ring.fetch(&self.memory, shape, need, &mut self.chain)
    }

    pub fn put_used(&mut self, used: &[Used]) {
        self.ring.put_used(&self.memory, used).unwrap();
    }

    /// All bytes of the used ring.
    pub fn used_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; used_ring_len(self.setup.size) as usize];
        self.memory.read_slice(&mut bytes, GuestAddress(self.setup.used_ring)).unwrap();
        bytes
    }

    pub fn put(&self, at: u64, value: u16) {
        self.memory.write_obj(value.to_le(), GuestAddress(at)).unwrap();
    }

    /// Segments of the chain fetched last.
    pub fn segments(&self) -> Vec<(u64, u32)> {
        let all = self.chain.readable().chain(self.chain.writable());
        all.map(|segment| (segment.address, segment.len)).collect()
    }
}

/// What is wrong with the chain at descriptor 0 of these, by both implementations, which must agree.
pub fn fault_of(descriptors: &[Descriptor], shape: Shape) -> ChainFault {
    let [reference, batched] = KINDS.map(|kind| {
        let mut lab = Lab::of(kind);
        for (index, descriptor) in descriptors.iter().enumerate() {
            lab.descriptor(index as u16, *descriptor);
        }
        lab.publish(0);
        match lab.fetch(shape, 0) {
            Err(RingFault::Chain { head: 0, fault }) => fault,
            other => panic!("{kind:?}: {other:?}"),
        }
    });
    assert_eq!(reference, batched);
    batched
}
