//! Why npf-core drops a packet, and what was true when it did.
//!
//! Contract: one reason per dropped packet; names are unique across the project. Counters, events,
//! JSON fields and capture comments all come from this enum.

/// Why a packet was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// The handle's byte budget is used up.
    BufferFull,
    /// The segment of the CPU, or the one chosen for the packet, is full, whatever the others hold.
    SegmentFull,
    /// Too full for the whole frame before any filter has seen it (WinPcap 2.3).
    Prefiltered,
    /// The worker found its ring full when it came to the packet.
    WorkerFull,
    /// Every shared buffer that could take it belongs to the reading process.
    UserOwned,
    /// Its shared buffer came back to the kernel and no process had taken it out.
    Unread,
    /// The oldest buffer was given up to make room for newer packets.
    HeadDropped,
    /// The handle's buffer has size 0.
    ZeroBuffer,
    /// The handle may hold no more packet objects.
    NoMemory,
    /// It was queued when a control emptied the buffer.
    Flushed,
    /// It was queued when the handle was closed.
    Closed,
    /// The dump had reached its limit.
    DumpEnded,
    /// No handle was attached to the adapter.
    NoHandle,
}

impl DropReason {
    /// How many reasons there are.
    pub const COUNT: usize = 13;
    /// All of them, by [`DropReason::index`].
    pub const ALL: [DropReason; DropReason::COUNT] = [
        DropReason::BufferFull,
        DropReason::SegmentFull,
        DropReason::Prefiltered,
        DropReason::WorkerFull,
        DropReason::UserOwned,
        DropReason::Unread,
        DropReason::HeadDropped,
        DropReason::ZeroBuffer,
        DropReason::NoMemory,
        DropReason::Flushed,
        DropReason::Closed,
        DropReason::DumpEnded,
        DropReason::NoHandle,
    ];

    /// Place in [`DropReason::ALL`] and in counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name in counters, events and files.
    pub const fn name(self) -> &'static str {
        match self {
            DropReason::BufferFull => "buffer_full",
            DropReason::SegmentFull => "segment_full",
            DropReason::Prefiltered => "prefiltered",
            DropReason::WorkerFull => "worker_full",
            DropReason::UserOwned => "user_owned",
            DropReason::Unread => "unread",
            DropReason::HeadDropped => "head_dropped",
            DropReason::ZeroBuffer => "zero_buffer",
            DropReason::NoMemory => "no_memory",
            DropReason::Flushed => "flushed",
            DropReason::Closed => "closed",
            DropReason::DumpEnded => "dump_ended",
            DropReason::NoHandle => "no_handle",
        }
    }

    /// The rule, in one sentence.
    pub const fn describe(self) -> &'static str {
        match self {
            DropReason::BufferFull => {
                "dropped when the capture buffer has no room for the packet by the rule of its design"
            }
            DropReason::SegmentFull => {
                "dropped when the one segment of the capture buffer that the packet may go to has no \
                 room for it, even if the other segments are empty"
            }
            DropReason::Prefiltered => {
                "dropped when fewer bytes are free than the whole frame and a header would take, \
                 before the filter is asked"
            }
            DropReason::WorkerFull => {
                "dropped when the worker comes to the packet and its ring has no room for it"
            }
            DropReason::UserOwned => {
                "dropped when the store buffer is full, or not the kernel's, and the reading process \
                 has not given the other one back"
            }
            DropReason::Unread => {
                "dropped when the kernel gets a shared buffer back and no process has taken the packet \
                 out of it: given back unread, or never handed over"
            }
            DropReason::HeadDropped => {
                "dropped when newer packets need the buffer and the oldest one is given up for them"
            }
            DropReason::ZeroBuffer => "dropped when the capture buffer has size 0",
            DropReason::NoMemory => {
                "dropped when the handle already holds as many packet objects as it may"
            }
            DropReason::Flushed => {
                "dropped when a change of filter or buffer size empties the capture buffer"
            }
            DropReason::Closed => "dropped when the handle is closed before the packet was read",
            DropReason::DumpEnded => {
                "dropped when the dump file has reached its limit, whether the packet was queued then or \
                 comes later; occupancy and capacity are the size of the file"
            }
            DropReason::NoHandle => "dropped when no handle is attached to the adapter",
        }
    }

    /// Unit of the numbers in its record.
    pub const fn unit(self) -> &'static str {
        match self {
            DropReason::BufferFull
            | DropReason::SegmentFull
            | DropReason::Prefiltered
            | DropReason::WorkerFull
            | DropReason::UserOwned
            | DropReason::Unread
            | DropReason::HeadDropped
            | DropReason::ZeroBuffer
            | DropReason::Flushed
            | DropReason::Closed
            | DropReason::DumpEnded => "bytes",
            DropReason::NoMemory => "packets",
            DropReason::NoHandle => "frames",
        }
    }

    /// What others call it; empty where nobody counts it.
    pub const fn peers(self) -> &'static str {
        match self {
            DropReason::BufferFull => {
                "Npcap Dropped (in bs_drop, pcap ps_drop); BSD bpf bd_dcount; Linux packet tp_drops"
            }
            DropReason::SegmentFull => {
                "Npcap <= 0.9990, WinPcap Dropped (in bs_drop, pcap ps_drop)"
            }
            DropReason::Prefiltered => "WinPcap 2.3 Dropped (in bs_drop, pcap ps_drop)",
            DropReason::WorkerFull => {
                "Npcap 0.9991 Dropped (in bs_drop, pcap ps_drop), uncounted as first shipped"
            }
            DropReason::UserOwned => "FreeBSD bpf bd_dcount (BIOCGSTATS bs_drop)",
            DropReason::HeadDropped => "XNU bpf bd_dcount (BIOCGSTATS bs_drop)",
            DropReason::ZeroBuffer => "Npcap Dropped (in bs_drop, pcap ps_drop)",
            DropReason::NoMemory => "Npcap ResourceDropped (in bs_drop, pcap ps_drop)",
            DropReason::Unread
            | DropReason::Flushed
            | DropReason::Closed
            | DropReason::DumpEnded
            | DropReason::NoHandle => "",
        }
    }
}

/// One drop and what was true then, in [`DropReason::unit`]; the time is the `now` of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropRecord {
    /// The caller's name of the frame.
    pub tag: u64,
    /// Why.
    pub reason: DropReason,
    /// Receive queue on which the frame was tapped.
    pub queue: Option<u16>,
    /// The handle that lost it; none for [`DropReason::NoHandle`].
    pub handle: Option<u32>,
    /// CPU on which it was tapped.
    pub cpu: Option<u16>,
    /// What was used: charged bytes of the buffer, or packets held.
    pub occupancy: u64,
    /// How much there is.
    pub capacity: u64,
    /// What the packet wanted or took: its charge, or 1.
    pub need: u64,
    /// Free bytes of the same handle's buffer that this packet could not have: other segments, the
    /// wasted end of a ring, the other slot. 0 where there is no such thing.
    pub free_elsewhere: u64,
    /// `Some` if the handle held the packet (it was stored before), with what it was charged: 0 if it
    /// still waited for the worker.
    pub held: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_at_its_index_and_names_are_unique() {
        for (at, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), at);
            assert!(reason.describe().starts_with("dropped when "));
            assert!(["bytes", "packets", "frames"].contains(&reason.unit()));
            assert_eq!(
                DropReason::ALL.iter().filter(|other| other.name() == reason.name()).count(),
                1
            );
        }
    }
}
