//! The control queue: one command at a time, answered or given up after a time limit.
//!
//! Contract: [`ControlQueue::send`] when nothing is pending, then [`ControlQueue::answer`] until it has
//! one. A command is three descriptors (header, data, answer): virtio leaves the framing open (2.7.4.2),
//! but some devices insist on this one. The answer byte is preset to 0xff, so that a device which
//! completes without writing is seen.

use crate::command::{Command, HEADER_BYTES};
use crate::dma::DmaRegion;
use crate::layout::ControlLayout;
use crate::ring::{Descriptor, Ring, RingError};
use crate::spec;

/// What the answer byte holds until the device writes it.
const UNANSWERED: u8 = 0xff;

/// The chain's head; as only one command is pending, it is always the same.
const HEAD: u16 = 0;

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
    pub(crate) fn reset(&mut self, memory: &DmaRegion, event_index: bool) {
        self.ring.reset(memory, event_index);
        self.ring.suppress(memory);
    }

    /// Gives `command` to the device. Returns whether it wants a kick.
    pub(crate) fn send(&mut self, memory: &DmaRegion, command: &Command) -> bool {
        memory.view(self.layout.header).copy_in(0, &[command.class, command.command]);
        memory.view(self.layout.data).copy_in(0, &command.data);
        memory.view(self.layout.ack).copy_in(0, &[UNANSWERED]);
        let parts = [
            (self.layout.header, HEADER_BYTES, spec::DESC_F_NEXT),
            (self.layout.data, command.data.len(), spec::DESC_F_NEXT),
            (self.layout.ack, 1, spec::DESC_F_WRITE),
        ];
        for (id, (window, len, flags)) in (HEAD..).zip(parts) {
            let next = if flags & spec::DESC_F_NEXT == 0 { 0 } else { id + 1 };
            let address = memory.address_of(window);
            let descriptor = Descriptor { address, len: len as u32, flags, next };
            self.ring.describe(memory, id, &descriptor);
        }
        self.ring.publish(memory, &[HEAD]);
        self.ring.kick_wanted(memory)
    }

    /// The device's answer, if it has come.
    pub(crate) fn answer(&mut self, memory: &DmaRegion) -> Result<Option<Answer>, RingError> {
        if self.ring.waiting(memory)? == 0 {
            return Ok(None);
        }
        let used = self.ring.take(&self.ring.used_view(memory))?;
        self.ring.suppress(memory);
        let mut ack = [UNANSWERED];
        memory.view(self.layout.ack).copy_out(0, &mut ack);
        Ok(Some(Answer { ack: ack[0], length_good: used.len == 1 }))
    }
}
