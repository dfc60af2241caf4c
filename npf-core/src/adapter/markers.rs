//! Markers put among the packets: "so many frames were lost here", "the filter was changed here".
//!
//! Contract: see [`MarkerKind`] and the module of [`Marker`]. A marker goes through the engine as a
//! packet that is none: it is charged and ordered like one, and no counter of frames sees it.

use super::account::Account;
use super::handle::Handle;
use super::tap::Source;
use crate::engine::{Engine, Packet, Stored};
use crate::marker::MARKER_LEN;
use crate::pool::Pool;
use crate::{DropReason, Event, Host, Marker, MarkerKind, TapWork};

/// What the next markers will tell.
#[derive(Debug, Default)]
pub(super) struct Markers {
    /// The handle has them.
    pub on: bool,
    lost: u64,
    filters: u64,
    /// Markers that the engine holds.
    pub queued: u64,
}

impl Markers {
    #[inline]
    pub(super) fn are_due(&self) -> bool {
        self.lost > 0 || self.filters > 0
    }

    /// Adds to what the next marker of the kind tells, if the handle has any.
    #[inline]
    pub(super) fn add(&mut self, kind: MarkerKind, count: u64) {
        if self.on {
            *self.untold(kind) += count;
        }
    }

    fn untold(&mut self, kind: MarkerKind) -> &mut u64 {
        match kind {
            MarkerKind::Lost => &mut self.lost,
            MarkerKind::FilterChanged => &mut self.filters,
        }
    }
}

impl Handle {
    /// Packets that the engine holds.
    #[inline]
    pub(super) fn queued(&self) -> u64 {
        self.engine.queued() - self.account.markers.queued
    }

    /// Puts in the markers that are due, as far as there is room.
    #[cold]
    pub(super) fn put_markers<H: Host>(
        &mut self,
        source: Source,
        pool: &mut Pool,
        work: &mut TapWork,
        host: &mut H,
    ) {
        for kind in [MarkerKind::Lost, MarkerKind::FilterChanged] {
            let count = *self.account.markers.untold(kind);
            if count > 0 && self.engine.longest() as usize >= MARKER_LEN {
                self.put_marker(source, Marker { kind, count }, pool, work, host);
            }
        }
    }

    fn put_marker<H: Host>(
        &mut self,
        source: Source,
        marker: Marker,
        pool: &mut Pool,
        work: &mut TapWork,
        host: &mut H,
    ) {
        let Source { now, cpu, queue, .. } = source;
        let Marker { kind, count } = marker;
        let payload = marker.to_bytes();
        let copy = self.engine.shares().then(|| pool.insert(&payload));
        let packet = Packet {
            tag: count,
            timestamp: now,
            copy,
            caplen: MARKER_LEN as u32,
            len: 0,
            cpu,
            queue,
            marker: Some(kind),
        };
        let idle = self.engine.pending() == 0;
        let mut sink = self.account.sink(now, DropReason::HeadDropped, host);
        let stored = self.engine.store(packet, &payload, pool, &mut sink);
        if let Some(copy) = copy {
            pool.release(copy);
        }
        // What has no room stays due; whether anybody is to be woken the packet behind it says.
        let Stored::Kept { charge, used, wake } = stored else { return };
        work.bytes_copied += MARKER_LEN as u64;
        // What storing it made the engine give up is for the next one.
        *self.account.markers.untold(kind) -= count;
        self.account.markers.queued += 1;
        self.account.counters.markers += 1;
        let (handle, occupancy) = (self.id, used);
        host.event(now, Event::MarkerStored { handle, marker, charge, occupancy });
        if wake {
            self.wake(now, host);
        }
        if idle && self.engine.pending() > 0 {
            host.work(now, handle);
        }
    }
}

impl Account {
    /// A reader has got `len` bytes of a marker; cut short it tells nothing.
    pub(super) fn marker_read<H: Host>(
        &mut self,
        now: u64,
        marker: Marker,
        len: usize,
        host: &mut H,
    ) {
        if len < MARKER_LEN {
            return self.marker_gone(now, marker, host);
        }
        self.markers.queued -= 1;
        host.event(now, Event::MarkerDelivered { handle: self.handle, marker });
    }

    /// A marker has left the buffer unread.
    pub(super) fn marker_gone<H: Host>(&mut self, now: u64, marker: Marker, host: &mut H) {
        self.markers.queued -= 1;
        self.markers.add(marker.kind, marker.count);
        host.event(now, Event::MarkerDropped { handle: self.handle, marker });
    }
}
