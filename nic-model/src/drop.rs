//! Why the device drops a frame: one enum, one reason per drop, and the record that goes with it.
//!
//! Counter, event, JSON field and capture comment all take their name from here.
//! Not in this list because it is no loss: a frame that found no descriptor but was held in the FIFO
//! ([`Event::NoDescriptorHeld`](crate::Event::NoDescriptorHeld)).

/// The reason of a drop. The order is that of a frame's way through the device; it is part of the
/// counters' layout, so new reasons go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum DropReason {
    /// The link is down.
    LinkDown,
    /// The frame check sequence is wrong.
    BadFcs,
    /// The frame is too short.
    Runt,
    /// The frame is too long.
    Giant,
    /// The driver is not ready.
    NotReady,
    /// The queue of the frame is not enabled.
    QueueDisabled,
    /// The ring is empty, or has too few mergeable buffers, and the FIFO has no room.
    NoDescriptor,
    /// The ring has descriptors, the FIFO has no room.
    FifoOverflow,
    /// The descriptor chain, or with mergeable buffers the whole ring, cannot hold header and frame.
    BufferTooSmall,
    /// The driver reset the device while it held the frame.
    Reset,
    /// The ring of the queue is malformed and stopped.
    RingBroken,
    /// The driver's transmit chain is no frame.
    TxMalformed,
    /// The device has stopped by itself and waits for a reset.
    NeedsReset,
    /// The device is gone.
    Removed,
    /// The driver reset the queue of the frame.
    QueueReset,
    /// The receive filter does not take the frame.
    RxFiltered,
}

/// What was true when a frame was dropped. The time is the `now` of the host call that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropRecord {
    /// The caller's name of the frame; 0 for `tx_malformed`, where the frame came from the driver.
    pub tag: u64,
    /// Why.
    pub reason: DropReason,
    /// Queue pair, where the frame had got one.
    pub queue: Option<u16>,
    /// Always `None` here.
    pub handle: Option<u32>,
    /// Always `None` here.
    pub cpu: Option<u16>,
    /// What was in use, in [`DropReason::unit`].
    pub occupancy: u64,
    /// How much there is, in the same unit.
    pub capacity: u64,
    /// What the frame wanted, in the same unit.
    pub need: u64,
    /// Room of the same kind that existed but not for this frame: descriptors in the rings of the other
    /// receive queues; 0 where there is no such thing.
    pub free_elsewhere: u64,
}

impl DropReason {
    /// Every reason, by index.
    pub const ALL: [Self; Self::COUNT] = [
        Self::LinkDown,
        Self::BadFcs,
        Self::Runt,
        Self::Giant,
        Self::NotReady,
        Self::QueueDisabled,
        Self::NoDescriptor,
        Self::FifoOverflow,
        Self::BufferTooSmall,
        Self::Reset,
        Self::RingBroken,
        Self::TxMalformed,
        Self::NeedsReset,
        Self::Removed,
        Self::QueueReset,
        Self::RxFiltered,
    ];

    /// How many there are.
    pub const COUNT: usize = 16;

    /// Position in [`DropReason::ALL`] and in the counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name in snake_case, unique across the project.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkDown => "link_down",
            Self::BadFcs => "bad_fcs",
            Self::Runt => "runt",
            Self::Giant => "giant",
            Self::NotReady => "not_ready",
            Self::QueueDisabled => "queue_disabled",
            Self::NoDescriptor => "no_descriptor",
            Self::FifoOverflow => "fifo_overflow",
            Self::BufferTooSmall => "buffer_too_small",
            Self::Reset => "reset",
            Self::RingBroken => "ring_broken",
            Self::TxMalformed => "tx_malformed",
            Self::NeedsReset => "needs_reset",
            Self::Removed => "removed",
            Self::QueueReset => "queue_reset",
            Self::RxFiltered => "rx_filtered",
        }
    }

    /// The rule, in one sentence.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::LinkDown => "dropped when the frame arrives while the link is down",
            Self::BadFcs => "dropped when the frame check sequence is wrong",
            Self::Runt => "dropped when the frame is shorter than the least length of the MAC",
            Self::Giant => {
                "dropped when the frame is longer than MTU + 14, plus 4 for each of at most two VLAN tags"
            }
            Self::NotReady => {
                "dropped when the driver has not set DRIVER_OK, or sets FAILED while the frame is held"
            }
            Self::QueueDisabled => {
                "dropped when its receive queue is not enabled, or taken out of use by a command while it holds the frame"
            }
            Self::NoDescriptor => {
                "dropped when the queue's ring is empty, or has too few mergeable buffers for the frame, and the FIFO has no room to hold it"
            }
            Self::FifoOverflow => {
                "dropped when the queue's ring has descriptors but the FIFO, filled by the backlog, has no room"
            }
            Self::BufferTooSmall => {
                "dropped when the next descriptor chain, or with mergeable buffers the whole ring, cannot hold header and frame; the chain stays available"
            }
            Self::Reset => "dropped when the driver resets the device while it holds the frame",
            Self::RingBroken => {
                "dropped when the queue's ring is malformed and therefore stopped until the queue or the device is reset"
            }
            Self::TxMalformed => {
                "dropped when a transmit chain is too short or too long, or asks for an offload that is not negotiated or does not fit the frame"
            }
            Self::NeedsReset => {
                "dropped when the device has stopped by itself and the driver has not reset it yet"
            }
            Self::Removed => "dropped when the device is gone from its slot",
            Self::QueueReset => {
                "dropped when its receive queue is reset while the device holds the frame, or is still in reset when RSS sends the frame there"
            }
            Self::RxFiltered => {
                "dropped when the device is not promiscuous and its MAC tables, receive modes or VLAN table do not take the frame"
            }
        }
    }

    /// Unit of the numbers in the record.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Runt
            | Self::Giant
            | Self::FifoOverflow
            | Self::BufferTooSmall
            | Self::TxMalformed => "bytes",
            Self::NoDescriptor => "descriptors",
            Self::LinkDown
            | Self::BadFcs
            | Self::NotReady
            | Self::QueueDisabled
            | Self::Reset
            | Self::RingBroken
            | Self::NeedsReset
            | Self::Removed
            | Self::QueueReset
            | Self::RxFiltered => "frames",
        }
    }

    /// What others call it: virtio 1.4 device statistics, Linux rtnl and ethtool, NDIS.
    #[must_use]
    pub const fn peers(self) -> &'static str {
        match self {
            Self::LinkDown => "Linux rtnl rx_dropped (per driver)",
            Self::BadFcs => {
                "Linux rtnl rx_crc_errors; NDIS ifInErrors, OID_GEN_RCV_ERROR; igb CRCERRS"
            }
            Self::Runt | Self::Giant => {
                "Linux rtnl rx_length_errors; NDIS ifInErrors, OID_GEN_RCV_ERROR; igb RUC/ROC"
            }
            Self::NotReady => "virtio 1.4 rx_drops; Linux per driver",
            Self::QueueDisabled => "virtio 1.4 rx_drops; mlx5 rx_steer_missed_packets",
            Self::NoDescriptor => {
                "virtio 1.4 rx_drop_overruns; Linux rtnl rx_missed_errors; igb MPC; mlx5 rx_out_of_buffer; NDIS ifInDiscards, OID_GEN_RCV_NO_BUFFER"
            }
            Self::FifoOverflow => {
                "virtio 1.4 rx_drops; Linux rtnl rx_fifo_errors; mlx5 rx_discards_phy; NDIS ifInDiscards"
            }
            Self::BufferTooSmall => "virtio 1.4 rx_drops; Linux rtnl rx_length_errors",
            Self::Reset | Self::QueueReset | Self::RingBroken | Self::NeedsReset => {
                "virtio 1.4 rx_drops; Linux per driver"
            }
            Self::Removed => "",
            Self::RxFiltered => {
                "no error counter anywhere: mlx5 rx_steer_missed_packets; Linux rtnl rx_otherhost_dropped is the host's own, later check"
            }
            Self::TxMalformed => "virtio 1.4 tx_drop_malformed; NDIS ifOutErrors",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_at_its_own_index_and_has_its_own_name() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index);
            assert!(reason.describe().starts_with("dropped when "));
            assert!(["bytes", "descriptors", "frames", "packets"].contains(&reason.unit()));
            let same = DropReason::ALL.iter().filter(|other| other.name() == reason.name());
            assert_eq!(same.count(), 1, "{}", reason.name());
        }
    }
}
