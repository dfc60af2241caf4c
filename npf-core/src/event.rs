//! Everything npf-core tells: small `Copy` events with named fields.
//!
//! Contract: [`Event::name`] and [`Event::fields`] are the one definition that digests, traces and
//! documentation share; the order of fields is fixed. An absent optional field is not visited.

mod fields;

use crate::{DropRecord, Marker};

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
    /// The handle does not look at frames of this direction, or not at its own. Said instead of
    /// anything else about the frame.
    Skipped {
        /// The caller's name of the frame.
        tag: u64,
        /// The handle.
        handle: u32,
    },
    /// Statistics mode counted the packet.
    Counted {
        /// The caller's name of the frame.
        tag: u64,
        /// The handle.
        handle: u32,
        /// Its length on the wire.
        len: u32,
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
    /// A read of a handle in statistics mode gave these counters and zeroed them.
    Statistics {
        /// The handle.
        handle: u32,
        /// Packets counted since the last such read.
        packets: u64,
        /// Their bytes, by the rule of the mode.
        bytes: u64,
    },
    /// The packet is in the dump file.
    Dumped {
        /// The caller's name of the frame.
        tag: u64,
        /// The handle.
        handle: u32,
        /// Bytes of the frame in the file.
        caplen: u32,
    },
    /// The dump event went from clear to set.
    DumpWoken {
        /// The handle.
        handle: u32,
        /// Bytes charged to its buffer.
        occupancy: u64,
    },
    /// The dump file is complete: a limit was reached, or the adapter is gone and everything written.
    /// Packets that were queued were told as dropped before.
    DumpEnded {
        /// The handle.
        handle: u32,
        /// Packets in the file.
        packets: u64,
        /// Its size in bytes.
        bytes: u64,
    },
    /// A marker is in the buffer.
    MarkerStored {
        /// The handle.
        handle: u32,
        /// What it tells.
        marker: Marker,
        /// Bytes charged to the buffer.
        charge: u64,
        /// Bytes charged in all, this marker included.
        occupancy: u64,
    },
    /// The worker put a marker, stored before, into the buffer.
    MarkerMoved {
        /// The handle.
        handle: u32,
        /// What it tells.
        marker: Marker,
        /// Bytes charged to the buffer.
        charge: u64,
        /// Bytes charged in all, this marker included.
        occupancy: u64,
    },
    /// A reader got a marker.
    MarkerDelivered {
        /// The handle.
        handle: u32,
        /// What it tells.
        marker: Marker,
    },
    /// A marker left the buffer unread; its count goes to the next one of its kind.
    MarkerDropped {
        /// The handle.
        handle: u32,
        /// What it would have told.
        marker: Marker,
    },
    /// The frame was sent; the handles have seen it.
    Sent {
        /// The caller's name of the frame.
        tag: u64,
        /// The handle that sent it.
        handle: u32,
        /// Its length.
        len: u32,
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
    /// The mode was changed.
    ModeSet {
        /// The handle.
        handle: u32,
        /// Name of the mode.
        mode: &'static str,
    },
    /// The frames that the handle looks at were changed.
    DirectionSet {
        /// The handle.
        handle: u32,
        /// Name of the direction.
        direction: &'static str,
    },
    /// Whether the handle looks at frames that it sends itself was changed.
    SkipOwnSet {
        /// The handle.
        handle: u32,
        /// Whether it skips them from now on.
        on: bool,
    },
    /// Whether frames that the handle sends come back as received ones was changed.
    FeedbackSet {
        /// The handle.
        handle: u32,
        /// Whether they do from now on.
        on: bool,
    },
    /// How often each written frame is sent was changed.
    WriteRepeatSet {
        /// The handle.
        handle: u32,
        /// Copies of each.
        times: u32,
    },
    /// The filter on what is written was changed.
    WriteFilterSet {
        /// The handle.
        handle: u32,
        /// Length of the program; 0 for no filter.
        instructions: u64,
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
