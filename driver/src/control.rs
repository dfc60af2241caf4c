//! The control queue: one command at a time, answered or given up after a time limit.
//!
//! Contract: [`ControlQueue::send`] when nothing is pending, then [`ControlQueue::answer`] until it has
//! one. A command is three buffers (header, data if there is any, answer and result): virtio leaves the framing open (2.7.4.2),
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
    /// The length was that of an answer, as it should be.
    pub(crate) length_good: bool,
    /// What came behind the answer's byte, as far as the device says that it wrote it.
    pub(crate) result: Vec<u8>,
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
            (self.layout.ack, 1 + command.result, true),
        ];
        let buffers = parts.map(|(window, len, writable)| Buffer {
            address: memory.address_of(window),
            len: len as u32,
            writable,
        });
        // A buffer without bytes is none.
        let [header, data, answer] = buffers;
        if data.len == 0 {
            self.ring.describe(memory, SLOT, &[header, answer]);
        } else {
            self.ring.describe(memory, SLOT, &[header, data, answer]);
        }
        self.ring.publish(memory, &[SLOT]);
        self.ring.kick_wanted(memory)
    }

    /// The device's answer to `command`, if it has come.
    pub(crate) fn answer(
        &mut self,
        memory: &DmaRegion,
        command: &Command,
    ) -> Result<Option<Answer>, RingError> {
        let Some(used) = self.ring.take(&self.ring.used_view(memory))? else {
            return Ok(None);
        };
        self.ring.suppress(memory);
        let mut bytes = vec![UNANSWERED; 1 + command.result];
        memory.view(self.layout.ack).copy_out(0, &mut bytes);
        let ack = bytes.remove(0);
        let written = (used.len as usize).saturating_sub(1);
        let length_good = used.len >= 1 && written <= command.result;
        bytes.truncate(written);
        Ok(Some(Answer { ack, length_good, result: bytes }))
    }
}
