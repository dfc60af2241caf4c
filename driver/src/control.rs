//! The control queue: one command at a time, answered or given up after a time limit.
//!
//! Contract: [`ControlQueue::send`] when nothing is pending, then [`ControlQueue::answer`] until it has
//! one. A command is three buffers (header, data if there is any, answer and result): virtio leaves the
//! framing open (2.7.4.2), but some devices insist on this one. With IN_ORDER a driver must use descriptors
//! in ring order (2.7.5): slots are used in turn, and a split ring without indirect tables has two buffers to
//! a command, as three would leave gaps. The answer byte is preset to 0xff, so that a device which
//! completes without writing is seen.

use crate::command::{CHAIN, Command, HEADER_BYTES};
use crate::dma::DmaRegion;
use crate::layout::{ControlLayout, RingLayout};
use crate::ring::{Buffer, Ring, RingError, RingFeatures};

/// What the answer byte holds until the device writes it.
const UNANSWERED: u8 = 0xff;

#[derive(Debug)]
pub(crate) struct ControlQueue {
    pub(crate) ring: Ring,
    layout: ControlLayout,
    /// The slot of the next command: as only one is pending, always the same, but with IN_ORDER.
    slot: u16,
    in_order: bool,
    /// Header and data are one buffer.
    joined: bool,
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
        let ring = Ring::new(layout.ring);
        Self { ring, layout, slot: 0, in_order: false, joined: false }
    }

    /// Forgets the device. It must be in reset.
    pub(crate) fn reset(&mut self, memory: &DmaRegion, agreed: RingFeatures) {
        self.joined = agreed.in_order && !agreed.packed && !agreed.indirect;
        let chain = if self.joined { 2 } else { CHAIN };
        self.ring = Ring::new(RingLayout { chain, ..self.layout.ring });
        self.ring.reset(memory, agreed);
        (self.slot, self.in_order) = (0, agreed.in_order);
        self.ring.suppress(memory);
    }

    /// Gives `command` to the device. Returns whether it wants a kick.
    pub(crate) fn send(&mut self, memory: &DmaRegion, command: &Command) -> bool {
        let request = memory.view(self.layout.request);
        request.copy_in(ControlLayout::HEADER, &[command.class, command.command]);
        request.copy_in(ControlLayout::DATA, &command.data);
        memory.view(self.layout.ack).copy_in(0, &[UNANSWERED]);
        let request = memory.address_of(self.layout.request);
        let buffer = |address, len, writable| Buffer { address, len: len as u32, writable };
        let part = |at, len| buffer(request + at as u64, len, false);
        let (header, data) = (HEADER_BYTES, command.data.len());
        let answer = buffer(memory.address_of(self.layout.ack), 1 + command.result, true);
        let slot = self.slot;
        // A buffer without bytes is none.
        if self.joined || data == 0 {
            let whole = part(ControlLayout::HEADER, header + data);
            self.ring.describe(memory, slot, &[whole, answer]);
        } else {
            let (header, data) =
                (part(ControlLayout::HEADER, header), part(ControlLayout::DATA, data));
            self.ring.describe(memory, slot, &[header, data, answer]);
        }
        if self.in_order {
            self.slot = (slot + 1) % self.ring.slots();
        }
        self.ring.publish(memory, &[slot]);
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
