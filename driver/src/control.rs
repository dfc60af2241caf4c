//! The control queue: one command at a time, answered or given up after a time limit.
//!
//! Contract: [`ControlQueue::send`] when nothing is pending, then [`ControlQueue::answer`] until it has
//! one. A command is three buffers (header, data, answer): virtio leaves the framing open (2.7.4.2),
//! but some devices insist on this one. The answer byte is preset to 0xff, so that a device which
//! completes without writing is seen.

use crate::command::{CHAIN, Command, HEADER_BYTES};
use crate::dma::DmaRegion;
use crate::layout::ControlLayout;
use crate::ring::{Buffer, Ring, RingError, RingFeatures};

/// What the answer byte holds until the device writes it.
const UNANSWERED: u8 = 0xff;

/// The chain's slot; as only one command is pending, it is always the same.
const SLOT: u16 = 0;

#[derive(Debug)]
pub(crate) struct ControlQueue {
    pub(crate) ring: Ring,
    layout: ControlLayout,
}

/// What the device has said to a command.
pub(crate) struct Answer {
    pub(crate) ack: u8,
    /// The length was that of the answer, as it should be.
    pub(crate) length_good: bool,
}

impl ControlQueue {
    pub(crate) fn new(layout: ControlLayout) -> Self {
        Self { ring: Ring::new(layout.ring), layout }
    }

    /// Forgets the device. It must be in reset.
    pub(crate) fn reset(&mut self, memory: &DmaRegion, agreed: RingFeatures) {
        self.ring.reset(memory, agreed);
        self.ring.suppress(memory);
    }

    /// Gives `command` to the device. Returns whether it wants a kick.
    pub(crate) fn send(&mut self, memory: &DmaRegion, command: &Command) -> bool {
        memory.view(self.layout.header).copy_in(0, &[command.class, command.command]);
        memory.view(self.layout.data).copy_in(0, &command.data);
        memory.view(self.layout.ack).copy_in(0, &[UNANSWERED]);
        let parts: [_; CHAIN as usize] = [
            (self.layout.header, HEADER_BYTES, false),
            (self.layout.data, command.data.len(), false),
            (self.layout.ack, 1, true),
        ];
        let buffers = parts.map(|(window, len, writable)| Buffer {
            address: memory.address_of(window),
            len: len as u32,
            writable,
        });
        self.ring.describe(memory, SLOT, &buffers);
        self.ring.publish(memory, &[SLOT]);
        self.ring.kick_wanted(memory)
    }

    /// The device's answer, if it has come.
    pub(crate) fn answer(&mut self, memory: &DmaRegion) -> Result<Option<Answer>, RingError> {
        let Some(used) = self.ring.take(&self.ring.used_view(memory))? else {
            return Ok(None);
        };
        self.ring.suppress(memory);
        let mut ack = [UNANSWERED];
        memory.view(self.layout.ack).copy_out(0, &mut ack);
        Ok(Some(Answer { ack: ack[0], length_good: used.len == 1 }))
    }
}
