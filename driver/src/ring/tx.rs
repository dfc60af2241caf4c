//! A transmit queue: the ring, a buffer behind each descriptor, and the free ones.
//!
//! Contract: virtio header and frame are copied into one buffer, the one behind the other, and are one
//! descriptor or two ([`TxHeader`]). The device is asked never to interrupt; what it has finished with is taken back at the next frame.

use std::collections::VecDeque;

use crate::config::TxHeader;
use crate::counters::TransmitCounters;
use crate::dma::DmaRegion;
use crate::layout::QueueLayout;
use crate::reset_tx::TxResetting;
use crate::ring::{Buffer, Ring, RingError, RingFeatures};
use crate::spec;

/// No offload, no merging, the longest form: all fields 0, and `num_buffers` must be 0 here (5.1.6.2.1).
const HEADER: [u8; spec::HEADER_BYTES + 8] = [0; spec::HEADER_BYTES + 8];

#[derive(Debug)]
pub(crate) struct TxQueue {
    pub(crate) ring: Ring,
    layout: QueueLayout,
    header: TxHeader,
    /// Bytes of the virtio header.
    header_bytes: usize,
    /// The one used last is taken next, as it may still be in the cache; but with IN_ORDER the one that is
    /// free for the longest time, so that buffers come in order as well.
    free: VecDeque<u16>,
    in_order: bool,
    /// The device has the ring: frames may be in it.
    pub(crate) up: bool,
    /// The device is asked to reset the queue and has not said that it has, or could not.
    pub(crate) resetting: Option<TxResetting>,
    pub(crate) broken: Option<RingError>,
    pub(crate) counters: TransmitCounters,
}

impl TxQueue {
    pub(crate) fn new(layout: QueueLayout, header: TxHeader) -> Self {
        Self {
            ring: Ring::new(layout.ring),
            layout,
            header,
            header_bytes: spec::HEADER_BYTES,
            free: VecDeque::with_capacity(layout.ring.size.into()),
            in_order: false,
            up: false,
            resetting: None,
            broken: None,
            counters: TransmitCounters::default(),
        }
    }

    /// Forgets the device. It must be in reset.
    pub(crate) fn reset(&mut self, memory: &DmaRegion, agreed: RingFeatures, header_bytes: usize) {
        self.ring.reset(memory, agreed);
        self.header_bytes = header_bytes;
        self.ring.suppress(memory);
        self.free.clear();
        self.free.extend(0..self.ring.slots());
        if !agreed.in_order {
            self.free.make_contiguous().reverse();
        }
        self.in_order = agreed.in_order;
        (self.broken, self.resetting, self.up) = (None, None, true);
    }

    /// Takes back every buffer the device has finished with.
    pub(crate) fn reap(&mut self, memory: &DmaRegion) -> Result<(), RingError> {
        let used = self.ring.used_view(memory);
        let before = self.counters.completed;
        // The length is of no interest: the device writes nothing into a buffer it sends.
        while let Some(completion) = self.ring.take(&used)? {
            self.free.push_back(completion.id);
            self.counters.completed += 1;
        }
        if self.counters.completed > before {
            // The wish not to be interrupted is relative to the position, see `Ring::suppress`.
            self.ring.suppress(memory);
        }
        Ok(())
    }

    /// Copies `frame`, which fits a buffer, and gives it to the device. `false` if no buffer is free.
    pub(crate) fn send(&mut self, memory: &DmaRegion, frame: &[u8]) -> bool {
        let free = if self.in_order { self.free.pop_front() } else { self.free.pop_back() };
        let Some(id) = free else {
            return false;
        };
        let at = usize::from(id) * self.layout.stride;
        let buffers = memory.view(self.layout.buffers);
        let header = &HEADER[..self.header_bytes];
        buffers.copy_in(at, header);
        buffers.copy_in(at + header.len(), frame);
        let address = memory.address_of(self.layout.buffers) + at as u64;
        let (header, len) = (header.len() as u32, frame.len() as u32);
        let whole = Buffer { address, len: header + len, writable: false };
        match self.header {
            TxHeader::WithFrame => self.ring.describe(memory, id, &[whole]),
            TxHeader::Apart => {
                let first = Buffer { len: header, ..whole };
                let second = Buffer { address: address + u64::from(header), len, ..whole };
                self.ring.describe(memory, id, &[first, second]);
            }
        }
        self.ring.publish(memory, &[id]);
        true
    }
}
