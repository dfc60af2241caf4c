//! Everything the device tells: one enum, and one definition of each event's fields that traces, digests
//! and documentation share.
//!
//! `queue` is always the index of a queue *pair*, never a virtqueue index. The order of
//! [`Event::Written`] per queue is the order of that queue's used ring.

use crate::drop::DropRecord;
use crate::rss::HashType;

/// One thing that happened. The time is the `now` of the host call that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A whole frame has arrived from the wire.
    Offered {
        /// The caller's name of the frame.
        tag: u64,
        /// Bytes, without FCS.
        len: u32,
    },
    /// The frame has got its receive queue.
    Steered {
        /// The caller's name of the frame.
        tag: u64,
        /// Queue pair.
        queue: u16,
        /// Toeplitz hash and its type; `None` for a frame of no enabled type, and with one active pair
        /// and no RSS, where nothing is computed.
        hash: Option<(HashType, u32)>,
    },
    /// The frame must wait and has entered the FIFO. A frame that goes straight to the DMA engine is not held.
    Held {
        /// The caller's name of the frame.
        tag: u64,
        /// Queue pair.
        queue: u16,
        /// Bytes of the frame.
        len: u32,
        /// Bytes in the FIFO, this frame included.
        fifo_bytes: u64,
    },
    /// The frame just held found its ring empty (igb's RNBC). No drop.
    NoDescriptorHeld {
        /// The caller's name of the frame.
        tag: u64,
        /// Queue pair.
        queue: u16,
    },
    /// A descriptor chain was fetched for the frame: the ring offers one less.
    DmaStart {
        /// The caller's name of the frame.
        tag: u64,
        /// Queue pair.
        queue: u16,
        /// Head of the chain, of the first one if there are several.
        descriptor: u16,
        /// Chains fetched; 1 without mergeable buffers.
        buffers: u16,
    },
    /// Payload, used element and used index are written.
    Written {
        /// The caller's name of the frame.
        tag: u64,
        /// Queue pair.
        queue: u16,
        /// Head of the chain.
        descriptor: u16,
        /// Bytes written: header and frame.
        len: u32,
    },
    /// The frame is lost.
    Dropped(DropRecord),
    /// An MSI-X message left the device.
    InterruptRaised {
        /// Receive queue that caused it; `None` for transmit, control, configuration, and for a pending
        /// one delivered by unmasking.
        queue: Option<u16>,
        /// MSI-X vector.
        vector: u16,
        /// Where the vector is sent.
        cpu: u16,
    },
    /// The driver did not want an interrupt for what was just published, or the queue has no vector.
    InterruptSuppressed {
        /// Receive queue; `None` for transmit and control.
        queue: Option<u16>,
    },
    /// The driver wants an interrupt; it is put off until enough frames or enough time: the timer starts.
    /// What is published before that ends is counted as coalesced but not told again.
    InterruptCoalesced {
        /// Receive queue; `None` for a transmit queue.
        queue: Option<u16>,
        /// When the timer fires at the latest, in ps.
        deadline: u64,
    },
    /// The vector is masked: its pending bit is set instead.
    InterruptPended {
        /// Receive queue that caused it, as in `InterruptRaised`.
        queue: Option<u16>,
        /// MSI-X vector.
        vector: u16,
    },
    /// The driver notified a receive queue.
    Kicked {
        /// Queue pair.
        queue: u16,
    },
    /// The driver notified a transmit queue.
    TransmitKicked {
        /// Queue pair.
        queue: u16,
    },
    /// The driver notified the control queue.
    ControlKicked,
    /// The link changed.
    LinkChanged {
        /// Its new state.
        up: bool,
    },
    /// The driver is asked to announce itself to its network.
    AnnouncementAsked,
    /// A control command was answered.
    ControlCommand {
        /// `class` of the command.
        class: u8,
        /// `command` of the command.
        command: u8,
        /// VIRTIO_NET_OK (0) or VIRTIO_NET_ERR (1).
        ack: u8,
        /// Why it was refused, in snake_case.
        refused: Option<&'static str>,
    },
    /// A frame left towards the wire.
    Transmitted {
        /// Queue pair.
        queue: u16,
        /// Bytes of the frame.
        len: u32,
    },
    /// A frame to transmit met a link that is down.
    TransmitLinkDown {
        /// Queue pair.
        queue: u16,
        /// Bytes of the frame.
        len: u32,
    },
    /// The driver set FEATURES_OK with a set the device refuses; the bit stays clear.
    FeaturesRefused {
        /// What the driver had asked for.
        features: u64,
    },
    /// The driver wrote the device status; this is what the device made of it.
    StatusChanged {
        /// The status after the write.
        status: u8,
    },
    /// The driver reset the device.
    DeviceReset {
        /// Frames held at that moment, each dropped with reason `reset`.
        frames: u64,
    },
    /// The driver reset a virtqueue.
    QueueReset {
        /// Virtqueue index.
        virtqueue: u16,
        /// Frames held for it, each dropped next with reason `queue_reset`.
        frames: u64,
    },
    /// A ring is malformed and stopped; DEVICE_NEEDS_RESET is set.
    NeedsReset {
        /// Virtqueue index of the ring.
        virtqueue: u16,
        /// [`RingFault::name`](crate::RingFault::name).
        fault: &'static str,
    },
    /// A fault was armed on request.
    FaultInjected {
        /// [`Fault::name`](crate::Fault::name).
        fault: &'static str,
        /// Queue pair, if it is aimed at one.
        queue: Option<u16>,
    },
    /// A fault that was to lie in a completion has done so, in the one just written.
    FaultActed {
        /// [`Fault::name`](crate::Fault::name).
        fault: &'static str,
        /// Queue pair.
        queue: Option<u16>,
    },
    /// A fault was ended on request.
    FaultEnded {
        /// [`Fault::name`](crate::Fault::name).
        fault: &'static str,
        /// Queue pair, if it was aimed at one.
        queue: Option<u16>,
    },
    /// A completion was published that belongs to no frame, by a fault.
    FalseCompletion {
        /// Queue pair.
        queue: u16,
    },
}

/// The value of an event's field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Num(u64),
    /// A name out of a fixed list.
    Name(&'static str),
}

impl Event {
    /// Name in snake_case.
    #[inline(always)]
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Offered { .. } => "offered",
            Self::Steered { .. } => "steered",
            Self::Held { .. } => "held",
            Self::NoDescriptorHeld { .. } => "no_descriptor_held",
            Self::DmaStart { .. } => "dma_start",
            Self::Written { .. } => "written",
            Self::Dropped(_) => "dropped",
            Self::InterruptRaised { .. } => "interrupt_raised",
            Self::InterruptSuppressed { .. } => "interrupt_suppressed",
            Self::InterruptCoalesced { .. } => "interrupt_coalesced",
            Self::InterruptPended { .. } => "interrupt_pended",
            Self::Kicked { .. } => "kicked",
            Self::TransmitKicked { .. } => "transmit_kicked",
            Self::ControlKicked => "control_kicked",
            Self::LinkChanged { .. } => "link_changed",
            Self::AnnouncementAsked => "announcement_asked",
            Self::ControlCommand { .. } => "control_command",
            Self::Transmitted { .. } => "transmitted",
            Self::TransmitLinkDown { .. } => "transmit_link_down",
            Self::FeaturesRefused { .. } => "features_refused",
            Self::StatusChanged { .. } => "status_changed",
            Self::DeviceReset { .. } => "device_reset",
            Self::QueueReset { .. } => "queue_was_reset",
            Self::NeedsReset { .. } => "needs_reset",
            Self::FaultInjected { .. } => "fault_injected",
            Self::FaultActed { .. } => "fault_acted",
            Self::FaultEnded { .. } => "fault_ended",
            Self::FalseCompletion { .. } => "false_completion",
        }
    }

    /// Visits the fields in fixed order; an optional field that is absent is not visited.
    #[inline(always)]
    pub fn fields(&self, visit: &mut impl FnMut(&'static str, Value)) {
        use Value::{Name, Num};
        match *self {
            Self::Offered { tag, len } => {
                visit("tag", Num(tag));
                visit("len", Num(len.into()));
            }
            Self::Steered { tag, queue, hash } => {
                visit("tag", Num(tag));
                visit("queue", Num(queue.into()));
                if let Some((hash_type, hash)) = hash {
                    visit("hash", Num(hash.into()));
                    visit("hash_type", Name(hash_type.name()));
                }
            }
            Self::Held { tag, queue, len, fifo_bytes } => {
                visit("tag", Num(tag));
                visit("queue", Num(queue.into()));
                visit("len", Num(len.into()));
                visit("fifo_bytes", Num(fifo_bytes));
            }
            Self::NoDescriptorHeld { tag, queue } => {
                visit("tag", Num(tag));
                visit("queue", Num(queue.into()));
            }
            Self::DmaStart { tag, queue, descriptor, buffers } => {
                visit("tag", Num(tag));
                visit("queue", Num(queue.into()));
                visit("descriptor", Num(descriptor.into()));
                if buffers != 1 {
                    visit("buffers", Num(buffers.into()));
                }
            }
            Self::Written { tag, queue, descriptor, len } => {
                visit("tag", Num(tag));
                visit("queue", Num(queue.into()));
                visit("descriptor", Num(descriptor.into()));
                visit("len", Num(len.into()));
            }
            Self::Dropped(record) => record.fields(visit),
            Self::InterruptRaised { queue, vector, cpu } => {
                visit_queue(queue, visit);
                visit("vector", Num(vector.into()));
                visit("cpu", Num(cpu.into()));
            }
            Self::InterruptSuppressed { queue } => visit_queue(queue, visit),
            Self::InterruptCoalesced { queue, deadline } => {
                visit_queue(queue, visit);
                visit("deadline", Num(deadline));
            }
            Self::InterruptPended { queue, vector } => {
                visit_queue(queue, visit);
                visit("vector", Num(vector.into()));
            }
            Self::Kicked { queue } | Self::TransmitKicked { queue } => {
                visit("queue", Num(queue.into()));
            }
            Self::ControlKicked | Self::AnnouncementAsked => {}
            Self::LinkChanged { up } => visit("up", Num(up.into())),
            Self::ControlCommand { class, command, ack, refused } => {
                visit("class", Num(class.into()));
                visit("command", Num(command.into()));
                visit("ack", Num(ack.into()));
                if let Some(refused) = refused {
                    visit("refused", Name(refused));
                }
            }
            Self::Transmitted { queue, len } | Self::TransmitLinkDown { queue, len } => {
                visit("queue", Num(queue.into()));
                visit("len", Num(len.into()));
            }
            Self::FeaturesRefused { features } => visit("features", Num(features)),
            Self::StatusChanged { status } => visit("status", Num(status.into())),
            Self::DeviceReset { frames } => visit("frames", Num(frames)),
            Self::QueueReset { virtqueue, frames } => {
                visit("virtqueue", Num(virtqueue.into()));
                visit("frames", Num(frames));
            }
            Self::NeedsReset { virtqueue, fault } => {
                visit("virtqueue", Num(virtqueue.into()));
                visit("fault", Name(fault));
            }
            Self::FaultInjected { fault, queue }
            | Self::FaultActed { fault, queue }
            | Self::FaultEnded { fault, queue } => {
                visit("fault", Name(fault));
                visit_queue(queue, visit);
            }
            Self::FalseCompletion { queue } => visit("queue", Num(queue.into())),
        }
    }
}

impl DropRecord {
    /// Visits the fields in fixed order, as [`Event::fields`] does.
    pub fn fields(&self, visit: &mut impl FnMut(&'static str, Value)) {
        use Value::{Name, Num};
        visit("tag", Num(self.tag));
        visit("reason", Name(self.reason.name()));
        visit_queue(self.queue, visit);
        if let Some(handle) = self.handle {
            visit("handle", Num(handle.into()));
        }
        if let Some(cpu) = self.cpu {
            visit("cpu", Num(cpu.into()));
        }
        visit("occupancy", Num(self.occupancy));
        visit("capacity", Num(self.capacity));
        visit("need", Num(self.need));
        visit("free_elsewhere", Num(self.free_elsewhere));
    }
}

#[inline]
fn visit_queue(queue: Option<u16>, visit: &mut impl FnMut(&'static str, Value)) {
    if let Some(queue) = queue {
        visit("queue", Value::Num(queue.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drop::DropReason;

    #[test]
    fn absent_fields_are_not_visited() {
        let record = DropRecord {
            tag: 7,
            reason: DropReason::NoDescriptor,
            queue: Some(3),
            handle: None,
            cpu: None,
            occupancy: 4,
            capacity: 5,
            need: 1,
            free_elsewhere: 6,
        };
        let mut seen = Vec::new();
        Event::Dropped(record).fields(&mut |name, value| seen.push((name, value)));
        assert_eq!(
            seen,
            [
                ("tag", Value::Num(7)),
                ("reason", Value::Name("no_descriptor")),
                ("queue", Value::Num(3)),
                ("occupancy", Value::Num(4)),
                ("capacity", Value::Num(5)),
                ("need", Value::Num(1)),
                ("free_elsewhere", Value::Num(6)),
            ]
        );
    }
}
