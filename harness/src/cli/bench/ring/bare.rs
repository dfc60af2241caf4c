//! The anchor: `virtio-queue` as it is, without validation, a chain at a time.

use std::time::{Duration, Instant};

use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::Side;
use super::place::{ENTRIES, Place};

pub(super) struct Bare {
    place: Place,
    queue: Queue,
}

impl Bare {
    pub(super) fn new() -> Result<Self, String> {
        let place = Place::new(false)?;
        let mut queue = Queue::new(ENTRIES).map_err(|error| error.to_string())?;
        let low = |address: u64| Some(address as u32);
        queue.set_desc_table_address(low(place.setup.descriptor_table), None);
        queue.set_avail_ring_address(low(place.setup.available_ring), None);
        queue.set_used_ring_address(low(place.setup.used_ring), None);
        queue.set_ready(true);
        if !queue.is_valid(&place.memory) {
            return Err("virtio-queue refuses the ring".to_owned());
        }
        Ok(Self { place, queue })
    }
}

impl Side for Bare {
    fn name(&self) -> &'static str {
        "device: virtio-queue, bare"
    }

    fn lap(&mut self, frame: &[u8]) -> Result<Duration, String> {
        self.place.refill()?;
        let started = Instant::now();
        let frames = serve(&mut self.queue, &self.place.memory, frame);
        let time = started.elapsed();
        match frames {
            Some(ENTRIES) => Ok(time),
            other => Err(format!("virtio-queue took {other:?} of {ENTRIES} frames")),
        }
    }

    fn check(&self, frame: &[u8]) -> Result<(), String> {
        self.place.check(frame)
    }
}

#[inline(never)]
fn serve(queue: &mut Queue, memory: &GuestMemoryMmap, frame: &[u8]) -> Option<u16> {
    let mut frames = 0;
    while let Some(mut chain) = queue.pop_descriptor_chain(memory) {
        let buffer: GuestAddress = chain.next()?.addr();
        memory.write_slice(frame, buffer).ok()?;
        queue.add_used(memory, chain.head_index(), frame.len() as u32).ok()?;
        frames += 1;
    }
    Some(frames)
}
