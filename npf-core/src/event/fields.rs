//! Names of events and of their fields.
//!
//! Contract: as the parent says; a name, once given, stays.

use super::{Event, Value};
use crate::{DropReason, DropRecord};

impl Event {
    /// Name in traces.
    #[inline(always)]
    pub fn name(&self) -> &'static str {
        match self {
            Event::Filtered { .. } => "filtered",
            Event::Skipped { .. } => "skipped",
            Event::Counted { .. } => "counted",
            Event::Stored { .. } => "stored",
            Event::Moved { .. } => "moved",
            Event::Dropped(_) => "dropped",
            Event::Woken { .. } => "woken",
            Event::Read { .. } => "read",
            Event::Truncated { .. } => "truncated",
            Event::Statistics { .. } => "statistics",
            Event::Dumped { .. } => "dumped",
            Event::DumpWoken { .. } => "dump_woken",
            Event::DumpEnded { .. } => "dump_ended",
            Event::MarkerStored { .. } => "marker_stored",
            Event::MarkerMoved { .. } => "marker_moved",
            Event::MarkerDelivered { .. } => "marker_delivered",
            Event::MarkerDropped { .. } => "marker_dropped",
            Event::Sent { .. } => "sent",
            Event::BufferReset { .. } => "buffer_reset",
            Event::FilterSet { .. } => "filter_set",
            Event::MinToCopySet { .. } => "min_to_copy_set",
            Event::ImmediateSet { .. } => "immediate_set",
            Event::ModeSet { .. } => "mode_set",
            Event::DirectionSet { .. } => "direction_set",
            Event::SkipOwnSet { .. } => "skip_own_set",
            Event::FeedbackSet { .. } => "feedback_set",
            Event::WriteRepeatSet { .. } => "write_repeat_set",
            Event::WriteFilterSet { .. } => "write_filter_set",
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
            Event::Filtered { tag, handle } | Event::Skipped { tag, handle } => {
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
            Event::Counted { tag, handle, len } | Event::Sent { tag, handle, len } => {
                num("tag", tag);
                num("handle", handle.into());
                num("len", len.into());
            }
            Event::Dumped { tag, handle, caplen } => {
                num("tag", tag);
                num("handle", handle.into());
                num("caplen", caplen.into());
            }
            Event::Statistics { handle, packets, bytes }
            | Event::DumpEnded { handle, packets, bytes } => {
                num("handle", handle.into());
                num("packets", packets);
                num("bytes", bytes);
            }
            Event::MarkerStored { handle, marker, charge, occupancy }
            | Event::MarkerMoved { handle, marker, charge, occupancy } => {
                num("handle", handle.into());
                num("count", marker.count);
                num("charge", charge);
                num("occupancy", occupancy);
                visit("kind", Value::Name(marker.kind.name()));
            }
            Event::MarkerDelivered { handle, marker } | Event::MarkerDropped { handle, marker } => {
                num("handle", handle.into());
                num("count", marker.count);
                visit("kind", Value::Name(marker.kind.name()));
            }
            Event::ModeSet { handle, mode: name }
            | Event::DirectionSet { handle, direction: name } => {
                num("handle", handle.into());
                visit("to", Value::Name(name));
            }
            Event::WriteRepeatSet { handle, times } => {
                num("handle", handle.into());
                num("times", times.into());
            }
            Event::Dropped(record) => drop_fields(&record, visit),
            Event::Woken { handle, occupancy } | Event::DumpWoken { handle, occupancy } => {
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
            Event::FilterSet { handle, instructions }
            | Event::WriteFilterSet { handle, instructions } => {
                num("handle", handle.into());
                num("instructions", instructions);
            }
            Event::MinToCopySet { handle, bytes } | Event::SnaplenSet { handle, bytes } => {
                num("handle", handle.into());
                num("bytes", bytes);
            }
            Event::ImmediateSet { handle, on }
            | Event::SkipOwnSet { handle, on }
            | Event::FeedbackSet { handle, on } => {
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
