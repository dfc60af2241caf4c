//! What the device counts, in total and per queue pair.
//!
//! The account, true after every call into the device:
//!
//! - in total: `offered = written + sum(dropped without tx_malformed) + fifo_frames()`
//! - per pair: `steered = written + sum(dropped without tx_malformed) + fifo_frames_of(pair)`
//!
//! Counters live as long as the device: a reset by the driver does not clear them.

use crate::drop::DropReason;

/// Counters of the whole device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceCounters {
    /// Frames the wire offered.
    pub offered: u64,
    /// Bytes of them, without FCS.
    pub offered_bytes: u64,
    /// Frames published in a used ring.
    pub written: u64,
    /// Bytes of them, without the virtio header.
    pub written_bytes: u64,
    /// Lost frames by [`DropReason::index`].
    pub dropped: [u64; DropReason::COUNT],
    /// Frames that found no descriptor but room in the FIFO: no loss.
    pub no_descriptor_held: u64,
    /// MSI-X messages sent.
    pub interrupts: u64,
    /// Publications for which the driver wanted no interrupt.
    pub interrupts_suppressed: u64,
    /// Publications whose interrupt was put off by coalescing.
    pub interrupts_coalesced: u64,
    /// Interrupts that met a masked vector, merged ones included.
    pub interrupts_pended: u64,
    /// Notifications by the driver, of all queues; those for a queue not in use included.
    pub kicks: u64,
    /// Control commands answered VIRTIO_NET_OK.
    pub control_ok: u64,
    /// Control commands answered VIRTIO_NET_ERR.
    pub control_err: u64,
    /// Frames given to the wire.
    pub transmitted: u64,
    /// Bytes of them.
    pub transmitted_bytes: u64,
    /// Frames to transmit that met a link that is down.
    pub transmit_link_down: u64,
    /// Changes of the link.
    pub link_changes: u64,
    /// Times the driver was asked to announce itself.
    pub announcements_asked: u64,
    /// Feature sets refused.
    pub features_refused: u64,
    /// Resets by the driver.
    pub resets: u64,
    /// Resets of a single virtqueue by the driver.
    pub queue_resets: u64,
    /// Rings found malformed and stopped.
    pub rings_broken: u64,
}

impl std::ops::AddAssign<&Self> for DeviceCounters {
    fn add_assign(&mut self, other: &Self) {
        // Taken apart by name, so that a counter that is forgotten here does not compile.
        let Self {
            offered,
            offered_bytes,
            written,
            written_bytes,
            dropped,
            no_descriptor_held,
            interrupts,
            interrupts_suppressed,
            interrupts_coalesced,
            interrupts_pended,
            kicks,
            control_ok,
            control_err,
            transmitted,
            transmitted_bytes,
            transmit_link_down,
            link_changes,
            announcements_asked,
            features_refused,
            resets,
            queue_resets,
            rings_broken,
        } = other;
        self.offered += offered;
        self.offered_bytes += offered_bytes;
        self.written += written;
        self.written_bytes += written_bytes;
        self.no_descriptor_held += no_descriptor_held;
        self.interrupts += interrupts;
        self.interrupts_suppressed += interrupts_suppressed;
        self.interrupts_coalesced += interrupts_coalesced;
        self.interrupts_pended += interrupts_pended;
        self.kicks += kicks;
        self.control_ok += control_ok;
        self.control_err += control_err;
        self.transmitted += transmitted;
        self.transmitted_bytes += transmitted_bytes;
        self.transmit_link_down += transmit_link_down;
        self.link_changes += link_changes;
        self.announcements_asked += announcements_asked;
        self.features_refused += features_refused;
        self.resets += resets;
        self.queue_resets += queue_resets;
        self.rings_broken += rings_broken;
        for (sum, more) in self.dropped.iter_mut().zip(dropped) {
            *sum += more;
        }
    }
}

/// Counters of one queue pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueCounters {
    /// Frames that steering gave to this pair.
    pub steered: u64,
    /// Frames published in the used ring of its receive queue.
    pub written: u64,
    /// Bytes of them, without the virtio header.
    pub written_bytes: u64,
    /// Lost frames by [`DropReason::index`].
    pub dropped: [u64; DropReason::COUNT],
    /// Frames that found no descriptor but room in the FIFO: no loss.
    pub no_descriptor_held: u64,
    /// Frames whose checksum was verified and right, with VIRTIO_NET_F_GUEST_CSUM.
    pub rx_csum_valid: u64,
    /// Frames whose checksum was verified and wrong, with VIRTIO_NET_F_GUEST_CSUM; passed on all the same.
    pub rx_csum_bad: u64,
    /// Frames without a checksum that the device verifies, with VIRTIO_NET_F_GUEST_CSUM.
    pub rx_csum_none: u64,
    /// MSI-X messages sent for its receive queue, those delivered by unmasking not included.
    pub interrupts: u64,
    /// Publications for which the driver wanted no interrupt.
    pub interrupts_suppressed: u64,
    /// Publications whose interrupt was put off by coalescing.
    pub interrupts_coalesced: u64,
    /// Notifications of its receive queue.
    pub kicks: u64,
    /// Frames given to the wire.
    pub transmitted: u64,
    /// Bytes of them.
    pub transmitted_bytes: u64,
    /// Frames to transmit that met a link that is down.
    pub transmit_link_down: u64,
    /// MSI-X messages sent for its transmit queue, those delivered by unmasking not included.
    pub transmit_interrupts: u64,
    /// Notifications of its transmit queue.
    pub transmit_kicks: u64,
    /// What was done to frames on its transmit queue.
    pub offloads: OffloadCounters,
}

/// What the device did to frames of one transmit queue, in the words of virtio 1.4's statistics
/// (5.1.6.5.10). "GSO" frames are those that ask to be segmented.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffloadCounters {
    /// Frames whose checksum the device left alone.
    pub csum_none: u64,
    /// Frames whose checksum the device completed, or wrote into segments.
    pub needs_csum: u64,
    /// GSO frames that left, as segments or whole.
    pub gso_packets: u64,
    /// Bytes of them, before they were cut.
    pub gso_bytes: u64,
    /// Segments made of them.
    pub gso_segments: u64,
    /// Bytes of the segments.
    pub gso_segments_bytes: u64,
    /// GSO frames that were one segment.
    pub gso_packets_noseg: u64,
    /// Bytes of them.
    pub gso_bytes_noseg: u64,
}

impl OffloadCounters {
    /// Visits every counter with its name.
    pub fn visit(&self, visit: &mut impl FnMut(&'static str, u64)) {
        visit("tx_csum_none", self.csum_none);
        visit("tx_needs_csum", self.needs_csum);
        visit("tx_gso_packets", self.gso_packets);
        visit("tx_gso_bytes", self.gso_bytes);
        visit("tx_gso_segments", self.gso_segments);
        visit("tx_gso_segments_bytes", self.gso_segments_bytes);
        visit("tx_gso_packets_noseg", self.gso_packets_noseg);
        visit("tx_gso_bytes_noseg", self.gso_bytes_noseg);
    }
}

impl DeviceCounters {
    /// Visits every counter with its name; drops under their reason's name.
    pub fn visit(&self, visit: &mut impl FnMut(&'static str, u64)) {
        visit("offered", self.offered);
        visit("offered_bytes", self.offered_bytes);
        visit("written", self.written);
        visit("written_bytes", self.written_bytes);
        visit_dropped(&self.dropped, visit);
        visit("no_descriptor_held", self.no_descriptor_held);
        visit("interrupts", self.interrupts);
        visit("interrupts_suppressed", self.interrupts_suppressed);
        visit("interrupts_coalesced", self.interrupts_coalesced);
        visit("interrupts_pended", self.interrupts_pended);
        visit("kicks", self.kicks);
        visit("control_ok", self.control_ok);
        visit("control_err", self.control_err);
        visit("transmitted", self.transmitted);
        visit("transmitted_bytes", self.transmitted_bytes);
        visit("transmit_link_down", self.transmit_link_down);
        visit("link_changes", self.link_changes);
        visit("announcements_asked", self.announcements_asked);
        visit("features_refused", self.features_refused);
        visit("resets", self.resets);
        visit("queue_resets", self.queue_resets);
        visit("rings_broken", self.rings_broken);
    }

    /// Receive frames lost, for whatever reason.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        received_drops(&self.dropped)
    }
}

impl QueueCounters {
    /// Visits every counter with its name; drops under their reason's name.
    pub fn visit(&self, visit: &mut impl FnMut(&'static str, u64)) {
        visit("steered", self.steered);
        visit("written", self.written);
        visit("written_bytes", self.written_bytes);
        visit_dropped(&self.dropped, visit);
        visit("no_descriptor_held", self.no_descriptor_held);
        visit("rx_csum_valid", self.rx_csum_valid);
        visit("rx_csum_bad", self.rx_csum_bad);
        visit("rx_csum_none", self.rx_csum_none);
        visit("interrupts", self.interrupts);
        visit("interrupts_suppressed", self.interrupts_suppressed);
        visit("interrupts_coalesced", self.interrupts_coalesced);
        visit("kicks", self.kicks);
        visit("transmitted", self.transmitted);
        visit("transmitted_bytes", self.transmitted_bytes);
        visit("transmit_link_down", self.transmit_link_down);
        visit("transmit_interrupts", self.transmit_interrupts);
        visit("transmit_kicks", self.transmit_kicks);
        self.offloads.visit(visit);
    }

    /// Receive frames of this pair lost, for whatever reason.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        received_drops(&self.dropped)
    }
}

fn visit_dropped(dropped: &[u64; DropReason::COUNT], visit: &mut impl FnMut(&'static str, u64)) {
    for reason in DropReason::ALL {
        visit(reason.name(), dropped[reason.index()]);
    }
}

/// Frames to transmit are not part of the receive account.
fn received_drops(dropped: &[u64; DropReason::COUNT]) -> u64 {
    DropReason::ALL
        .into_iter()
        .filter(|reason| *reason != DropReason::TxMalformed)
        .map(|reason| dropped[reason.index()])
        .sum()
}
