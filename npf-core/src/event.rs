//! Everything npf-core tells: small `Copy` events with named fields.
//!
//! Contract: [`Event::name`] and [`Event::fields`] are the one definition that digests, traces and
//! documentation share; the order of fields is fixed. An absent optional field is not visited.

use crate::{DropReason, DropRecord};

/// Something worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The handle's filter rejected the frame.
    Filtered {
        /// The caller's name of the frame.
        tag: u64,
        /// The handle.
        handle: u32,
    },
    /// The packet is in the handle's buffer.
    Stored {
        /// The caller's name of the frame.
        tag: u64,
        /// The handle.
        handle: u32,
        /// Bytes kept of the frame.
        caplen: u32,
        /// Bytes charged to the buffer.
        charge: u64,
        /// Bytes charged in all, this packet included.
        occupancy: u64,
    },
    /// The worker put a packet, stored before, into the buffer.
    Moved {
        /// The caller's name of the frame.
        tag: u64,
        /// The handle.
        handle: u32,
        /// Bytes charged to the buffer.
        charge: u64,
        /// Bytes charged in all, this packet included.
        occupancy: u64,
    },
    /// A packet was dropped.
    Dropped(DropRecord),
    /// The read event went from clear to set.
    Woken {
        /// The handle.
        handle: u32,
        /// Bytes charged to its buffer.
        occupancy: u64,
    },
    /// A read was served.
    Read {
        /// The handle.
        handle: u32,
        /// Records written.
        packets: u32,
        /// Bytes written.
        bytes: u64,
        /// Packets still queued.
        queued: u64,
    },
    /// The read cut the first record to the user buffer; the packet counts as delivered.
    Truncated {
        /// The caller's name of the frame.
        tag: u64,
        /// The handle.
        handle: u32,
        /// Bytes stored of the frame.
        stored: u32,
        /// Bytes delivered of it.
        caplen: u32,
    },
    /// A control emptied the buffer; the packets it held were told as dropped before.
    BufferReset {
        /// The handle.
        handle: u32,
        /// Packets flushed.
        flushed: u64,
        /// Bytes of the buffer from now on.
        capacity: u64,
    },
    /// The filter was changed.
    FilterSet {
        /// The handle.
        handle: u32,
        /// Length of the program; 0 for no filter.
        instructions: u64,
    },
    /// The bytes that must be queued before the reader is woken were changed.
    MinToCopySet {
        /// The handle.
        handle: u32,
        /// Those bytes.
        bytes: u64,
    },
    /// Immediate mode was switched.
    ImmediateSet {
        /// The handle.
        handle: u32,
        /// Whether each packet wakes the reader from now on.
        on: bool,
    },
    /// The most bytes kept of a frame were changed.
    SnaplenSet {
        /// The handle.
        handle: u32,
        /// Those bytes.
        bytes: u64,
    },
    /// The adapter was removed under the handle.
    Detached {
        /// The handle.
        handle: u32,
        /// Packets still queued, which stay readable.
        queued: u64,
    },
    /// The handle was closed; the packets it held were told as dropped before.
    Closed {
        /// The handle.
        handle: u32,
        /// Packets lost by that.
        lost: u64,
    },
}

/// Value of an event's field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Num(u64),
    /// A fixed name.
    Name(&'static str),
}

impl Event {
    /// Name in traces.
    #[inline(always)]
    pub fn name(&self) -> &'static str {
        match self {
            Event::Filtered { .. } => "filtered",
            Event::Stored { .. } => "stored",
            Event::Moved { .. } => "moved",
            Event::Dropped(_) => "dropped",
            Event::Woken { .. } => "woken",
            Event::Read { .. } => "read",
            Event::Truncated { .. } => "truncated",
            Event::BufferReset { .. } => "buffer_reset",
            Event::FilterSet { .. } => "filter_set",
            Event::MinToCopySet { .. } => "min_to_copy_set",
            Event::ImmediateSet { .. } => "immediate_set",
            Event::SnaplenSet { .. } => "snaplen_set",
            Event::Detached { .. } => "detached",
            Event::Closed { .. } => "handle_closed",
        }
    }

    /// Shows every field by name, in a fixed order.
    #[inline(always)]
    pub fn fields(&self, visit: &mut impl FnMut(&'static str, Value)) {
        let mut num = |name, value: u64| visit(name, Value::Num(value));
        match *self {
            Event::Filtered { tag, handle } => {
                num("tag", tag);
                num("handle", handle.into());
            }
            Event::Stored { tag, handle, caplen, charge, occupancy } => {
                num("tag", tag);
                num("handle", handle.into());
                num("caplen", caplen.into());
                num("charge", charge);
                num("occupancy", occupancy);
            }
            Event::Moved { tag, handle, charge, occupancy } => {
                num("tag", tag);
                num("handle", handle.into());
                num("charge", charge);
                num("occupancy", occupancy);
            }
            Event::Dropped(record) => drop_fields(&record, visit),
            Event::Woken { handle, occupancy } => {
                num("handle", handle.into());
                num("occupancy", occupancy);
            }
            Event::Read { handle, packets, bytes, queued } => {
                num("handle", handle.into());
                num("packets", packets.into());
                num("bytes", bytes);
                num("queued", queued);
            }
            Event::Truncated { tag, handle, stored, caplen } => {
                num("tag", tag);
                num("handle", handle.into());
                num("stored", stored.into());
                num("caplen", caplen.into());
            }
            Event::BufferReset { handle, flushed, capacity } => {
                num("handle", handle.into());
                num("flushed", flushed);
                num("capacity", capacity);
            }
            Event::FilterSet { handle, instructions } => {
                num("handle", handle.into());
                num("instructions", instructions);
            }
            Event::MinToCopySet { handle, bytes } | Event::SnaplenSet { handle, bytes } => {
                num("handle", handle.into());
                num("bytes", bytes);
            }
            Event::ImmediateSet { handle, on } => {
                num("handle", handle.into());
                num("on", on.into());
            }
            Event::Detached { handle, queued } => {
                num("handle", handle.into());
                num("queued", queued);
            }
            Event::Closed { handle, lost } => {
                num("handle", handle.into());
                num("lost", lost);
            }
        }
    }
}

#[inline]
fn drop_fields(record: &DropRecord, visit: &mut impl FnMut(&'static str, Value)) {
    let DropRecord { tag, reason, queue, handle, cpu, .. } = *record;
    visit("tag", Value::Num(tag));
    visit("reason", Value::Name(DropReason::name(reason)));
    if let Some(queue) = queue {
        visit("queue", Value::Num(queue.into()));
    }
    if let Some(handle) = handle {
        visit("handle", Value::Num(handle.into()));
    }
    if let Some(cpu) = cpu {
        visit("cpu", Value::Num(cpu.into()));
    }
    visit("occupancy", Value::Num(record.occupancy));
    visit("capacity", Value::Num(record.capacity));
    visit("need", Value::Num(record.need));
    visit("free_elsewhere", Value::Num(record.free_elsewhere));
    if let Some(charge) = record.held {
        visit("held", Value::Num(charge));
    }
}
