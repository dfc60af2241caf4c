//! Why npf-core drops a packet, and what was true when it did.
//!
//! Contract: one reason per dropped packet; names are unique across the project. Counters, events,
//! JSON fields and capture comments all come from this enum.

/// Why a packet was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// The handle's byte budget is used up.
    BufferFull,
    /// The handle's buffer has size 0.
    ZeroBuffer,
    /// The handle may hold no more packet objects.
    NoMemory,
    /// It was queued when a control emptied the buffer.
    Flushed,
    /// It was queued when the handle was closed.
    Closed,
    /// No handle was attached to the adapter.
    NoHandle,
}

impl DropReason {
    /// How many reasons there are.
    pub const COUNT: usize = 6;
    /// All of them, by [`DropReason::index`].
    pub const ALL: [DropReason; DropReason::COUNT] = [
        DropReason::BufferFull,
        DropReason::ZeroBuffer,
        DropReason::NoMemory,
        DropReason::Flushed,
        DropReason::Closed,
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
            DropReason::ZeroBuffer => "zero_buffer",
            DropReason::NoMemory => "no_memory",
            DropReason::Flushed => "flushed",
            DropReason::Closed => "closed",
            DropReason::NoHandle => "no_handle",
        }
    }

    /// The rule, in one sentence.
    pub const fn describe(self) -> &'static str {
        match self {
            DropReason::BufferFull => {
                "dropped when the capture buffer has no free byte left (soft limit), or fewer than \
                 the packet's 20 + caplen (hard test)"
            }
            DropReason::ZeroBuffer => "dropped when the capture buffer has size 0",
            DropReason::NoMemory => {
                "dropped when the handle already holds as many packet objects as it may"
            }
            DropReason::Flushed => {
                "dropped when a change of filter or buffer size empties the capture buffer"
            }
            DropReason::Closed => "dropped when the handle is closed before the packet was read",
            DropReason::NoHandle => "dropped when no handle is attached to the adapter",
        }
    }

    /// Unit of the numbers in its record.
    pub const fn unit(self) -> &'static str {
        match self {
            DropReason::BufferFull
            | DropReason::ZeroBuffer
            | DropReason::Flushed
            | DropReason::Closed => "bytes",
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
            DropReason::ZeroBuffer => "Npcap Dropped (in bs_drop, pcap ps_drop)",
            DropReason::NoMemory => "Npcap ResourceDropped (in bs_drop, pcap ps_drop)",
            DropReason::Flushed | DropReason::Closed | DropReason::NoHandle => "",
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
    /// Free bytes in the other handles' buffers (`buffer_full` and `zero_buffer`); otherwise 0.
    pub free_elsewhere: u64,
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
