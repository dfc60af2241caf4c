//! The account of one handle: what was shown to it and what became of that.
//!
//! Contract: every change of a packet's fate is counted here and told to the host in the same step,
//! so that counters and events cannot disagree.

use super::markers::Markers;
use crate::engine::{Filled, Gone, Packet, Sink};
use crate::{
    DUMP_PACKET_HEADER, Delivered, DropReason, DropRecord, Event, HandleCounters, Host, MarkerKind,
    Read, Stats,
};

/// Counters of one handle.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub handle: u32,
    pub counters: HandleCounters,
    /// The driver's own statistics; a reset zeroes the first three.
    pub received: u64,
    pub accepted: u64,
    pub full_dropped: u64,
    pub resource_dropped: u64,
    /// Size of the dump file.
    pub file_bytes: u64,
    pub(super) markers: Markers,
}

impl Account {
    /// An account in which nothing has happened.
    pub(crate) fn of(handle: u32) -> Self {
        Account { handle, ..Account::default() }
    }

    /// An account that tells `host`; packets that the engine gives up without a reason of its own are
    /// dropped for `reason`.
    pub(crate) fn sink<'a, H: Host>(
        &'a mut self,
        now: u64,
        reason: DropReason,
        host: &'a mut H,
    ) -> Teller<'a, H> {
        Teller { now, reason, account: self, host, last: None, copied: 0, markers: 0 }
    }

    /// Counts a drop and tells of it.
    pub(crate) fn dropped<H: Host>(&mut self, now: u64, record: DropRecord, host: &mut H) {
        self.counters.dropped[record.reason.index()] += 1;
        self.markers.add(MarkerKind::Lost, 1);
        host.event(now, Event::Dropped(record));
    }

    /// The record of a packet that was held, without reason and numbers.
    pub(crate) fn record(&self, packet: &Packet, charge: u64) -> DropRecord {
        DropRecord {
            tag: packet.tag,
            reason: DropReason::Flushed,
            queue: Some(packet.queue),
            handle: Some(self.handle),
            cpu: Some(packet.cpu),
            occupancy: 0,
            capacity: 0,
            need: charge,
            free_elsewhere: 0,
            held: Some(charge),
        }
    }

    /// That record for a packet of `caplen` bytes that does not get into the dump file.
    pub(crate) fn behind_dump(&self, record: DropRecord, caplen: u32) -> DropRecord {
        DropRecord {
            reason: DropReason::DumpEnded,
            occupancy: self.file_bytes,
            capacity: self.file_bytes,
            need: DUMP_PACKET_HEADER as u64 + u64::from(caplen),
            free_elsewhere: 0,
            ..record
        }
    }

    /// So many bytes more are in the dump file.
    pub(crate) fn wrote(&mut self, bytes: u64) {
        self.file_bytes += bytes;
        self.counters.dump_bytes += bytes;
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            received: self.received,
            accepted: self.accepted,
            dropped: self.full_dropped + self.resource_dropped,
            resource_dropped: self.resource_dropped,
        }
    }

    /// Counts a read that was not refused: the `bytes` and `packets` of all its steps, what the last
    /// of them `filled`, tag and length of its last packet, and the packets still queued.
    pub(crate) fn read<H: Host>(
        &mut self,
        now: u64,
        (bytes, packets): (usize, u32),
        filled: &Filled,
        last: Option<(u64, u32)>,
        queued: u64,
        host: &mut H,
    ) -> Read {
        let handle = self.handle;
        // A truncated record fills the buffer, so it is also the last.
        if let (Some(stored), Some((tag, caplen))) = (filled.truncated_from, last) {
            self.counters.truncated += 1;
            host.event(now, Event::Truncated { tag, handle, stored, caplen });
        }
        self.counters.reads += 1;
        self.counters.read_bytes += bytes as u64;
        host.event(now, Event::Read { handle, packets, bytes: bytes as u64, queued });
        Read {
            bytes,
            packets,
            queued_left: queued,
            truncated: filled.truncated_from.is_some(),
            padding_cut: filled.padding_cut as u32,
        }
    }

    /// Adds another account of the same handle.
    pub(crate) fn add(&mut self, other: &Account) {
        self.counters.add(&other.counters);
        self.received += other.received;
        self.accepted += other.accepted;
        self.full_dropped += other.full_dropped;
        self.resource_dropped += other.resource_dropped;
    }

    /// Zeroes what a reset of the buffer zeroes; lack of memory is not among it.
    pub(crate) fn reset_statistics(&mut self) {
        self.received = 0;
        self.accepted = 0;
        self.full_dropped = 0;
    }
}

/// An account with the host that is told.
pub(crate) struct Teller<'a, H> {
    now: u64,
    reason: DropReason,
    account: &'a mut Account,
    host: &'a mut H,
    /// Tag and length of the packet delivered last; none if that was a marker.
    pub last: Option<(u64, u32)>,
    /// Bytes of frames delivered.
    pub copied: u64,
    /// Markers delivered.
    pub markers: u32,
}

impl<H: Host> Sink for Teller<'_, H> {
    #[inline]
    fn delivered(&mut self, packet: &Packet, data: &[u8]) {
        let Packet { tag, timestamp, len, cpu, queue, .. } = *packet;
        if let Some(marker) = packet.marker() {
            self.last = None;
            self.markers += 1;
            return self.account.marker_read(self.now, marker, data.len(), self.host);
        }
        let caplen = data.len() as u32;
        self.last = Some((tag, caplen));
        self.copied += u64::from(caplen);
        self.account.counters.delivered += 1;
        let delivered = Delivered { tag, queue, cpu, timestamp, caplen, len, data };
        self.host.delivered(self.now, self.account.handle, delivered);
    }

    fn gone(&mut self, gone: Gone) {
        let Gone { packet, capacity, need, .. } = gone;
        if let Some(marker) = packet.marker() {
            return self.account.marker_gone(self.now, marker, self.host);
        }
        if gone.in_statistics {
            self.account.full_dropped += 1;
        }
        let reason = gone.reason.unwrap_or(self.reason);
        let (occupancy, free_elsewhere) = (gone.used, gone.elsewhere);
        let mut record = DropRecord {
            reason,
            occupancy,
            capacity,
            need,
            free_elsewhere,
            ..self.account.record(&packet, gone.charge)
        };
        if reason == DropReason::DumpEnded {
            record = self.account.behind_dump(record, packet.caplen);
        }
        self.account.dropped(self.now, record, self.host);
    }

    fn moved(&mut self, packet: &Packet, charge: u64, used: u64) {
        let (tag, handle) = (packet.tag, self.account.handle);
        if let Some(marker) = packet.marker() {
            let event = Event::MarkerMoved { handle, marker, charge, occupancy: used };
            return self.host.event(self.now, event);
        }
        self.account.accepted += 1;
        self.host.event(self.now, Event::Moved { tag, handle, charge, occupancy: used });
    }
}
