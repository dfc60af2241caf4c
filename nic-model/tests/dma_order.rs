//! What the device writes into guest memory for a frame, and in which order: payload, used elements, used index,
//! and nothing else.
//!
//! Guest memory notes each write where a dirty bitmap would. What a write is wide is told as well, so that an
//! element in pieces would be seen.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

use nic_model::spec::{feature, status};
use nic_model::{Device, DeviceConfig, Event, Host, QueueSetup, RingKind};
use std::sync::{Arc, Mutex, PoisonError};
use vm_memory::bitmap::{Bitmap, BitmapSlice, NewBitmap, WithBitmapSlice};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Address and length of each.
type Writes = Vec<(u64, usize)>;

/// Every write since it was cleared. Memory starts at 0.
#[derive(Clone, Debug, Default)]
struct Log {
    writes: Arc<Mutex<Writes>>,
    base: usize,
}

impl WithBitmapSlice<'_> for Log {
    type S = Self;
}

impl BitmapSlice for Log {}

impl Bitmap for Log {
    fn mark_dirty(&self, offset: usize, len: usize) {
        let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        writes.push(((self.base + offset) as u64, len));
    }

    fn dirty_at(&self, _offset: usize) -> bool {
        false
    }

    fn slice_at(&self, offset: usize) -> Self {
        Self { writes: Arc::clone(&self.writes), base: self.base + offset }
    }
}

impl NewBitmap for Log {
    fn with_len(_len: usize) -> Self {
        Self::default()
    }
}

type Memory = Arc<GuestMemoryMmap<Log>>;

struct Deaf;

impl Host for Deaf {
    fn event(&mut self, _now: u64, _event: Event) {}
    fn interrupt(&mut self, _now: u64, _vector: u16, _cpu: u16) {}
    fn transmit(&mut self, _now: u64, _queue: u16, _frame: &[u8]) {}
}

const RING: u64 = 0x1000;
const USED: u64 = 0x3000;
const BUFFERS: u64 = 0x8000;
const HEADER: usize = 12;
/// A frame of 100 bytes with its header.
const LEN: usize = HEADER + 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reference,
    Split,
    Packed,
}

const KINDS: [Kind; 3] = [Kind::Reference, Kind::Split, Kind::Packed];

/// What is written for one frame into buffers of these lengths.
fn writes(kind: Kind, buffers: &[u32], dma_frame_ps: u64) -> Writes {
    let memory: Memory =
        Arc::new(GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap());
    let packed = if kind == Kind::Packed { feature::RING_PACKED } else { 0 };
    let merged = if buffers.len() > 1 { feature::MRG_RXBUF } else { 0 };
    let features = feature::VERSION_1 | feature::MAC | packed | merged;
    let ring = if kind == Kind::Reference { RingKind::Reference } else { RingKind::Batched };
    let fifo_bytes = 1000;
    let config = DeviceConfig { features, ring, dma_frame_ps, fifo_bytes, ..Default::default() };
    let mut device = Device::new(config, Arc::clone(&memory)).unwrap();
    let mut bits = status::ACKNOWLEDGE | status::DRIVER;
    device.set_status(0, bits, &mut Deaf);
    device.set_driver_features(features);
    bits |= status::FEATURES_OK;
    device.set_status(0, bits, &mut Deaf);
    let setup = QueueSetup {
        size: 8,
        descriptor_table: RING,
        available_ring: 0x2000,
        used_ring: USED,
        vector: Some(0),
    };
    device.setup_queue(0, &setup).unwrap();
    device.enable_queue(0).unwrap();
    device.set_status(0, bits | status::DRIVER_OK, &mut Deaf);
    for (index, len) in (0..).zip(buffers) {
        post(&memory, kind, index, *len);
    }
    device.notify(0, 0, &mut Deaf);
    log_of(&memory).writes.lock().unwrap().clear();
    device.receive(0, &[7; 100], true, 1, &mut Deaf);
    device.advance(dma_frame_ps, &mut Deaf);
    assert_eq!(device.counters().written, 1);
    log_of(&memory).writes.lock().unwrap().clone()
}

fn log_of(memory: &Memory) -> Log {
    use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};
    memory.find_region(GuestAddress(0)).unwrap().bitmap().slice_at(0)
}

/// Makes buffer `index` available.
fn post(memory: &Memory, kind: Kind, index: u16, len: u32) {
    let rest = match kind {
        // Id, then flags: WRITE and AVAIL, in the first lap.
        Kind::Packed => u64::from(index) << 32 | 0x82 << 48,
        Kind::Reference | Kind::Split => 2 << 32,
    };
    let words = [buffer(index), u64::from(len) | rest];
    let at = GuestAddress(RING + 16 * u64::from(index));
    memory.write_obj(words.map(u64::to_le), at).unwrap();
    memory.write_obj(index.to_le(), GuestAddress(0x2004 + 2 * u64::from(index))).unwrap();
    memory.write_obj((index + 1).to_le(), GuestAddress(0x2002)).unwrap();
}

fn buffer(index: u16) -> u64 {
    BUFFERS + 0x1000 * u64::from(index)
}

/// The writes of the payload, which come first, joined where one goes on behind the other; and the others.
fn split(writes: &[(u64, usize)]) -> [Writes; 2] {
    let payload = writes.iter().take_while(|(at, _)| *at >= BUFFERS).count();
    let mut joined: Writes = Vec::new();
    for (at, len) in &writes[..payload] {
        match joined.last_mut() {
            Some((start, before)) if *start + *before as u64 == *at => *before += len,
            _ => joined.push((*at, *len)),
        }
    }
    [joined, writes[payload..].to_vec()]
}

#[test]
fn payload_then_element_then_index_and_nothing_else() {
    for kind in KINDS {
        for dma_frame_ps in [0, 100] {
            let [payload, rest] = split(&writes(kind, &[2048], dma_frame_ps));
            assert_eq!(payload, [(buffer(0), LEN)], "{kind:?}");
            let element_and_index = [(USED + 4, 8), (USED + 2, 2)];
            match kind {
                Kind::Packed => assert_eq!(rest, [(RING + 8, 8)], "length, id and flags at once"),
                Kind::Reference | Kind::Split => assert_eq!(rest, element_and_index, "{kind:?}"),
            }
        }
    }
}

#[test]
fn a_frame_over_several_buffers_is_published_when_all_of_it_is_there() {
    for dma_frame_ps in [0, 100] {
        let [reference, batched, packed] =
            KINDS.map(|kind| split(&writes(kind, &[40, 40, 200], dma_frame_ps)));
        let payload = [(buffer(0), 40), (buffer(1), 40), (buffer(2), LEN - 80)];
        for [written, _] in [&reference, &batched, &packed] {
            assert_eq!(*written, payload);
        }
        let element = |index: u64| (USED + 4 + 8 * index, 8);
        let index = (USED + 2, 2);
        assert_eq!(batched[1], [element(0), element(1), element(2), index]);
        assert_eq!(reference[1], batched[1]);
        let used = |place: u64| (RING + 16 * place + 8, 8);
        assert_eq!(packed[1], [used(1), used(2), used(0)], "where the driver looks comes last");
    }
}
