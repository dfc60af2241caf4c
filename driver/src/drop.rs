//! The reasons for which the driver drops a frame: the only such list of this crate.
//!
//! A frame reaches the driver as a completion: one element of a receive queue's used ring. Every
//! completion taken is either indicated to the [`Host`](crate::Host) or dropped with one of these
//! reasons; all but the last need a device that errs or lies. Ring starvation is no drop here: the device
//! finds no descriptor then, and it is the device who drops.

/// Why a completion was not indicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// The device wrote less than the virtio header and an Ethernet header. The buffer is recycled.
    ShortCompletion,
    /// The device named a descriptor that the ring does not have. The queue stops.
    UnknownId,
    /// The device named a descriptor that it does not own. The queue stops.
    DuplicateId,
    /// The queue had stopped with completions in it, and was reset.
    DriverReset,
    /// The buffers of a merged frame do not add up. If some are missing, the queue stops.
    BadMerge,
    /// The checksum that is still to be completed lies beyond the frame. The buffer is recycled.
    BadChecksumPlace,
    /// The frame's buffer was to be handed over, and no spare was left to take its place.
    NoSpareBuffer,
}

impl DropReason {
    /// All reasons, in the order of [`DropReason::index`].
    pub const ALL: [Self; Self::COUNT] = [
        Self::ShortCompletion,
        Self::UnknownId,
        Self::DuplicateId,
        Self::DriverReset,
        Self::BadMerge,
        Self::BadChecksumPlace,
        Self::NoSpareBuffer,
    ];
    /// How many there are.
    pub const COUNT: usize = 7;

    /// Place in [`DropReason::ALL`] and in arrays of counters.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name used by counters, events, JSON and capture comments.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ShortCompletion => "short_completion",
            Self::UnknownId => "unknown_id",
            Self::DuplicateId => "duplicate_id",
            Self::DriverReset => "driver_reset",
            Self::BadMerge => "bad_merge",
            Self::BadChecksumPlace => "bad_checksum_place",
            Self::NoSpareBuffer => "no_spare_buffer",
        }
    }

    /// The rule in one sentence.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::ShortCompletion => {
                "dropped when the device reports fewer bytes than the virtio header and an \
                 Ethernet header take"
            }
            Self::UnknownId => {
                "dropped when the device returns a descriptor number that the ring does not have; \
                 the queue stops"
            }
            Self::BadMerge => {
                "dropped when num_buffers is 0 or more than the device has returned, a buffer before \
                 the last is not full, or all hold more than the longest frame; if buffers are missing \
                 the queue stops"
            }
            Self::BadChecksumPlace => {
                "dropped when csum_start and csum_offset lie beyond the frame whose checksum is to be \
                 completed"
            }
            Self::NoSpareBuffer => {
                "dropped when the buffer policy hands buffers over, every spare one is out, and the \
                 driver is told not to copy instead"
            }
            Self::DriverReset => {
                "dropped when its queue is reset after the device broke the ring: what lies behind the \
                 break cannot be believed"
            }
            Self::DuplicateId => {
                "dropped when the device returns a descriptor that it does not own, as by returning \
                 it twice; the queue stops"
            }
        }
    }

    /// What the numbers of its [`DropRecord`] count.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::ShortCompletion | Self::BadChecksumPlace => "bytes",
            Self::UnknownId | Self::DuplicateId | Self::DriverReset | Self::BadMerge => {
                "descriptors"
            }
            Self::NoSpareBuffer => "buffers",
        }
    }

    /// What others call it.
    pub const fn peers(self) -> &'static str {
        match self {
            Self::ShortCompletion => {
                "Linux rtnl rx_length_errors, Linux virtio_net drops, NDIS OID_GEN_RCV_ERROR"
            }
            Self::NoSpareBuffer => {
                "Linux qstats rx-alloc-fail, ixgbe alloc_rx_page_failed, \
                 NDIS OID_GEN_RCV_NO_BUFFER"
            }
            Self::DriverReset => "NDIS OID_GEN_RCV_ERROR",
            Self::BadMerge => "Linux rtnl rx_length_errors, NDIS OID_GEN_RCV_ERROR",
            Self::BadChecksumPlace => "Linux rtnl rx_frame_errors, NDIS OID_GEN_RCV_ERROR",
            Self::UnknownId | Self::DuplicateId => {
                "Linux virtio_ring BAD_RING, NDIS OID_GEN_RCV_ERROR"
            }
        }
    }
}

/// One drop, with what was true then. The numbers count [`DropReason::unit`]s.
///
/// | reason | occupancy | capacity | need |
/// |---|---|---|---|
/// | short_completion | bytes the device reports | bytes of the buffer | bytes of the two headers |
/// | unknown_id, duplicate_id | descriptors the device owns | descriptors of the ring | 1 |
/// | bad_merge | buffers taken | descriptors of the ring | num_buffers |
/// | bad_checksum_place | bytes of the frame | the same | bytes it would need |
/// | no_spare_buffer | buffers that are out | spare buffers of the queue | 1 |
/// | driver_reset | completions left in the ring | descriptors of the ring | 1 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropRecord {
    /// Which frame of the queue since start, counting from 0.
    pub tag: u64,
    /// Why.
    pub reason: DropReason,
    /// Receive queue; always known here.
    pub queue: Option<u16>,
    /// Capture handle; never known here.
    pub handle: Option<u32>,
    /// CPU; never known here.
    pub cpu: Option<u16>,
    /// What was used.
    pub occupancy: u64,
    /// What there was.
    pub capacity: u64,
    /// What the frame wanted.
    pub need: u64,
    /// Room of the same kind that existed elsewhere; 0, as none would have helped.
    pub free_elsewhere: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_the_place_in_all() {
        for (place, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place);
            assert!(reason.describe().starts_with("dropped when "));
        }
    }
}
