//! A transmit queue: the ring, a buffer behind each descriptor, and the stack of free ones.
//!
//! Contract: frame and virtio header are copied into one buffer, so that a frame is one descriptor. The
//! device is asked never to interrupt; what it has finished with is taken back at the next frame.

use crate::counters::TransmitCounters;
use crate::dma::DmaRegion;
use crate::layout::QueueLayout;
use crate::ring::{Descriptor, Ring, RingError};
use crate::spec;

/// No offload, no merging: all fields 0, and `num_buffers` must be 0 here (5.1.6.2.1).
const HEADER: [u8; spec::HEADER_BYTES] = [0; spec::HEADER_BYTES];

#[derive(Debug)]
pub(crate) struct TxQueue {
    pub(crate) ring: Ring,
    layout: QueueLayout,
    free: Vec<u16>,
    pub(crate) broken: Option<RingError>,
    pub(crate) counters: TransmitCounters,
}

impl TxQueue {
    pub(crate) fn new(layout: QueueLayout) -> Self {
        Self {
            ring: Ring::new(layout.ring),
            layout,
            free: Vec::with_capacity(layout.ring.size.into()),
            broken: None,
            counters: TransmitCounters::default(),
        }
    }

    /// Forgets the device. It must be in reset.
    pub(crate) fn reset(&mut self, memory: &DmaRegion, event_index: bool) {
        self.ring.reset(memory, event_index);
        self.ring.suppress(memory);
        self.free.clear();
        self.free.extend((0..self.ring.size()).rev());
        self.broken = None;
    }

    /// Takes back every buffer the device has finished with.
    pub(crate) fn reap(&mut self, memory: &DmaRegion) -> Result<(), RingError> {
        let waiting = self.ring.waiting(memory)?;
        let used = self.ring.used_view(memory);
        for _ in 0..waiting {
            // The length is of no interest: the device writes nothing into a buffer it sends.
            self.free.push(self.ring.take(&used)?.id);
            self.counters.completed += 1;
        }
        if waiting > 0 {
            // The wish not to be interrupted is relative to the position, see `Ring::suppress`.
            self.ring.suppress(memory);
        }
        Ok(())
    }

    /// Copies `frame`, which fits a buffer, and gives it to the device. `false` if no buffer is free.
    pub(crate) fn send(&mut self, memory: &DmaRegion, frame: &[u8]) -> bool {
        let Some(id) = self.free.pop() else {
            return false;
        };
        let at = usize::from(id) * self.layout.stride;
        let buffers = memory.view(self.layout.buffers);
        buffers.copy_in(at, &HEADER);
        buffers.copy_in(at + HEADER.len(), frame);
        let descriptor = Descriptor {
            address: memory.address_of(self.layout.buffers) + at as u64,
            len: (HEADER.len() + frame.len()) as u32,
            flags: 0,
            next: 0,
        };
        self.ring.describe(memory, id, &descriptor);
        self.ring.publish(memory, &[id]);
        true
    }
}
