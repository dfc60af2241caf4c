//! One handle's `capture.pcapng`: what its reader received, and on request what was dropped too.
//!
//! One interface per RX queue; each packet carries its frame number, its queue, how many frames of
//! that queue were lost since the one before it, and its fate in words.

use crate::account::Ledger;
use crate::output::file::RecordFile;
use crate::output::pcapng::{Interface, Packet, PcapngError, Statistics, Writer};
use std::fmt::Write as _;

/// Picoseconds in a nanosecond: captures count in nanoseconds.
const PS_PER_NS: u64 = 1000;

/// What one queue's interface has counted.
#[derive(Clone, Copy, Default)]
struct Counts {
    received: u64,
    dropped_by_nic: u64,
    dropped_by_core: u64,
    filtered: u64,
    delivered: u64,
    lost_since_last: u64,
}

/// The writer of one handle's capture.
pub struct Capture {
    writer: Writer<RecordFile>,
    error: Option<PcapngError>,
    counts: Vec<Counts>,
    with_dropped: bool,
    comment: String,
}

/// A drop as the capture tells it.
#[derive(Clone, Copy)]
pub struct Loss<'a> {
    /// Why.
    pub reason: &'static str,
    /// The record's numbers: used, of, wanted, in `unit`.
    pub occupancy: u64,
    /// How much there is.
    pub capacity: u64,
    /// What the frame wanted.
    pub need: u64,
    /// Unit of the three.
    pub unit: &'static str,
    /// Whether the NIC or driver dropped it, and not the capture system.
    pub before_tap: bool,
    /// The frame's bytes.
    pub data: &'a [u8],
}

impl Capture {
    /// Starts a capture with one interface per queue.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn new(
        file: RecordFile,
        queues: u16,
        speed_bps: u64,
        snaplen: u32,
        filter: Option<&str>,
        with_dropped: bool,
    ) -> Result<Self, PcapngError> {
        let interfaces: Vec<Interface<'_>> = (0..queues)
            .map(|queue| Interface {
                queue,
                description: "rxlab RX queue",
                speed_bps,
                snaplen: if with_dropped { 0 } else { snaplen },
                filter,
            })
            .collect();
        Ok(Self {
            writer: Writer::new(file, &interfaces)?,
            error: None,
            counts: vec![Counts::default(); usize::from(queues)],
            with_dropped,
            comment: String::new(),
        })
    }

    /// The filter refused a frame.
    pub fn filtered(&mut self, queue: u16) {
        self.counts[usize::from(queue)].filtered += 1;
    }

    /// A packet reached the reader.
    pub fn delivered(
        &mut self,
        now: u64,
        frame: u64,
        arrival: u64,
        packet: &npf_core::Delivered<'_>,
    ) {
        let counts = &mut self.counts[usize::from(packet.queue)];
        counts.delivered += 1;
        let lost = std::mem::take(&mut counts.lost_since_last);
        self.comment.clear();
        let waited = now.saturating_sub(arrival) / PS_PER_NS;
        let _ = write!(self.comment, "delivered: {waited} ns after its last bit");
        let packet = Packet {
            interface: packet.queue.into(),
            timestamp_ns: packet.timestamp / PS_PER_NS,
            data: packet.data,
            wire_len: packet.len,
            packet_id: frame,
            queue: packet.queue.into(),
            drop_count: Some(lost),
            comment: &self.comment,
        };
        Self::keep(&mut self.error, self.writer.packet(&packet));
    }

    /// A frame was dropped. Frames dropped before steering have no queue and so no interface.
    pub fn dropped(&mut self, now: u64, frame: u64, queue: Option<u16>, loss: Loss<'_>) {
        let Some(queue) = queue else { return };
        let counts = &mut self.counts[usize::from(queue)];
        counts.lost_since_last += 1;
        if loss.before_tap {
            counts.dropped_by_nic += 1;
        } else {
            counts.dropped_by_core += 1;
        }
        if !self.with_dropped {
            return;
        }
        self.comment.clear();
        let _ = write!(
            self.comment,
            "dropped: {} rxq{queue}, {} of {} {} used, {} needed",
            loss.reason, loss.occupancy, loss.capacity, loss.unit, loss.need
        );
        let packet = Packet {
            interface: queue.into(),
            timestamp_ns: now / PS_PER_NS,
            data: loss.data,
            wire_len: loss.data.len() as u32,
            packet_id: frame,
            queue: queue.into(),
            drop_count: None,
            comment: &self.comment,
        };
        Self::keep(&mut self.error, self.writer.packet(&packet));
    }

    /// Writes the statistics and closes the file.
    ///
    /// # Errors
    /// The first error that writing met; the file then ends after its last whole block.
    pub fn finish(mut self, now: u64, ledger: &Ledger) -> Result<(), PcapngError> {
        for (queue, counts) in self.counts.iter_mut().enumerate() {
            counts.received = ledger.queues[queue].tally.offered;
            let statistics = Statistics {
                interface: queue as u32,
                timestamp_ns: now / PS_PER_NS,
                start_ns: 0,
                end_ns: now / PS_PER_NS,
                received: counts.received,
                dropped_by_interface: counts.dropped_by_nic,
                accepted_by_filter: counts.received - counts.dropped_by_nic - counts.filtered,
                dropped_by_os: counts.dropped_by_core,
                delivered: counts.delivered,
            };
            Self::keep(&mut self.error, self.writer.statistics(&statistics));
        }
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.writer.into_sink().finish()?),
        }
    }

    /// Remembers the first error: the run goes on, because the account is worth more than its log.
    fn keep(error: &mut Option<PcapngError>, result: Result<(), PcapngError>) {
        if let Err(new) = result {
            error.get_or_insert(new);
        }
    }
}
