//! The book: what every effect of a component does to the account, the event stream and the outputs.
//!
//! The components call back into the book (it is their `Host`); the book never calls them. What the
//! world must act on (interrupts to serve, readers to wake) it leaves in two lists, which the world
//! empties after each event.

mod faults;

use super::capture::{Capture, Loss};
use super::dump::{Dump, Stdio};
use super::latency::Latency;
use crate::account::{Broken, Claim, Flight, Ledger, Limits, Oracle, Reason};
use crate::event::{Event, Recorder, WorldEvent};
use crate::fault::{Kind, Notices, Slot};
use driver::RxChecksum;
use faults::Told;
use npf_core::Delivered;
use xxhash_rust::xxh3::Xxh3;

/// A drop record with its time, whichever component made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drop {
    /// Picoseconds.
    pub at: u64,
    /// Why.
    pub reason: Reason,
    /// Frame number.
    pub frame: u64,
    /// RX queue, if it had been steered.
    pub queue: Option<u16>,
    /// Virtual CPU, if one was at work on it.
    pub cpu: Option<u16>,
    /// Handle that dropped it.
    pub handle: Option<u32>,
    /// What was used, in the reason's unit.
    pub occupancy: u64,
    /// How much there is.
    pub capacity: u64,
    /// What the frame wanted.
    pub need: u64,
    /// Room of the same kind that existed, but not for this frame.
    pub free_elsewhere: u64,
}

/// See the module's contract.
pub struct Book {
    /// Frames in flight and fates.
    pub ledger: Ledger,
    /// Judge of drops.
    pub oracle: Oracle,
    /// Event stream.
    pub recorder: Recorder,
    /// Captures, by handle; none when the run writes none.
    pub captures: Vec<Capture>,
    /// Interrupts that left the device and were not handed to a CPU yet: (vector, cpu).
    pub interrupts: Vec<(u16, u16)>,
    /// Handles whose read event was set.
    pub wakes: Vec<u32>,
    /// Handles whose worker has got something to do.
    pub works: Vec<u32>,
    /// The first drop for each reason, by index.
    pub first_drops: Vec<Option<Drop>>,
    /// The first packet that each handle lost.
    pub first_lost: Vec<Option<Drop>>,
    /// Latency by handle.
    pub latency: Vec<Latency>,
    /// Fingerprint of everything offered: each frame's time of arrival and bytes.
    offered: Xxh3,
    /// Bytes of frames that handles kept or counted.
    pub accepted_bytes: u64,
    /// Bytes of each handle's packets delivered.
    pub bytes_delivered: Vec<u64>,
    /// Frames that were sent and are not with the driver yet: handle and bytes.
    pub outgoing: Vec<(u32, Vec<u8>)>,
    /// Dump files, by handle.
    pub dumps: Vec<Dump>,
    /// Capture files that reading programs write, by handle.
    pub writers: Vec<Option<Stdio>>,
    /// Handles whose dump event was set.
    pub wakes_dump: Vec<u32>,
    /// The scenario has faults.
    pub faulty: bool,
    /// What became of them.
    pub faults: Notices,
    /// What lies between the driver and the device's registers.
    pub slot: Slot,
    /// The lie that the NIC is about to tell.
    lie: Option<Kind>,
    queues: u16,
    /// Per handle and RX queue, and then for frames that were sent: the next frame number that may be delivered. Order is kept per queue.
    next_frame: Vec<Vec<u64>>,
    broken: Option<Broken>,
}

impl Book {
    /// An empty book for so many RX queues and handles.
    #[must_use]
    pub fn new(queues: u16, limits: Limits, recorder: Recorder) -> Self {
        let handles = limits.handles.len();
        Self {
            ledger: Ledger::new(queues, handles),
            oracle: Oracle::new(limits, queues),
            recorder,
            captures: Vec::new(),
            interrupts: Vec::new(),
            wakes: Vec::new(),
            works: Vec::new(),
            first_drops: vec![None; Reason::COUNT],
            first_lost: vec![None; handles],
            latency: vec![Latency::new(); handles],
            offered: Xxh3::new(),
            accepted_bytes: 0,
            bytes_delivered: vec![0; handles],
            next_frame: vec![vec![0; usize::from(queues) + 1]; handles],
            queues,
            outgoing: Vec::new(),
            dumps: (0..handles).map(|_| Dump::default()).collect(),
            writers: Vec::new(),
            wakes_dump: Vec::new(),
            faulty: false,
            faults: Notices::new(queues),
            slot: Slot::default(),
            lie: None,
            broken: None,
        }
    }

    /// The first thing found wrong outside the sums: an unjustified drop, a changed byte.
    #[inline]
    #[must_use]
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// A frame has arrived: gives its tag.
    #[inline]
    pub fn offer(&mut self, now: u64, frame: &[u8], fcs_ok: bool) -> u64 {
        self.offered.update(&now.to_le_bytes());
        self.offered.update(frame);
        self.oracle.offering(fcs_ok);
        self.ledger.offer(now, frame)
    }

    /// Fingerprint of everything offered so far: equal for two runs exactly if they were offered the
    /// same bytes at the same picoseconds.
    #[must_use]
    pub fn offered_digest(&self) -> u64 {
        self.offered.digest()
    }

    /// Bytes copied on the way to the files of one handle: what the file system was handed it copies
    /// once, and before that a reading program copied it into its buffer.
    #[must_use]
    pub fn written_copied(&self, handle: usize) -> u64 {
        let writer = self.writers.get(handle).and_then(Option::as_ref);
        self.dumps[handle].bytes + writer.map_or(0, |writer| 2 * writer.copied)
    }

    /// Writes what is left of capture files; gives what went wrong with them.
    pub fn close_dumps(&mut self) -> Vec<String> {
        let dumps = self.dumps.iter_mut().map(Dump::finish);
        let writers = self.writers.iter_mut().flatten().map(Stdio::finish);
        dumps.chain(writers).filter_map(Result::err).map(|error| error.to_string()).collect()
    }

    /// An event of the world itself.
    pub fn world_event(&mut self, now: u64, event: WorldEvent) {
        self.recorder.record(now, Event::World(event), None);
    }

    /// The tap has shown `tag` to every handle. If there is none any more, its drop was the end of it.
    #[inline]
    pub fn shown_to_all(&mut self, tag: u64) {
        if self.ledger.flight(tag).is_some() {
            self.ledger.shown_to_all(tag);
        }
    }

    #[inline(always)]
    pub(super) fn record(&mut self, now: u64, event: Event, tag: Option<u64>) {
        let frame = tag.and_then(|tag| self.ledger.flight(tag)).map(|flight| flight.frame);
        self.recorder.record(now, event, frame);
    }

    #[inline]
    fn enter_fifo(&mut self, tag: u64) {
        let len = self.ledger.flight(tag).map_or(0, |flight| flight.bytes.len());
        self.ledger.entered_fifo(tag);
        self.oracle.entered_fifo(len as u64);
    }

    #[cold]
    fn break_with(&mut self, what: String) {
        self.broken.get_or_insert(Broken { what });
    }

    /// A drop: recorded, judged, written down and only then counted, because counting may be the
    /// end of the frame.
    fn drop(&mut self, now: u64, reason: Reason, claim: Claim, cpu: Option<u16>, elsewhere: u64) {
        if let Err(what) = self.oracle.judge(reason, claim, &self.ledger) {
            self.break_with(what);
        }
        let Some(flight) = self.ledger.flight(claim.tag) else { return };
        let (frame, queue) = (flight.frame, flight.queue);
        let before_tap = !matches!(reason, Reason::Npf(_));
        let loss = Loss {
            reason: reason.name(),
            occupancy: claim.occupancy,
            capacity: claim.capacity,
            need: claim.need,
            unit: reason.unit(),
            before_tap,
            data: &flight.bytes,
        };
        for (handle, capture) in self.captures.iter_mut().enumerate() {
            if claim.handle.is_none_or(|dropped_by| dropped_by as usize == handle) {
                capture.dropped(now, frame, queue, loss);
            }
        }
        let record = Drop {
            at: now,
            reason,
            frame,
            queue,
            cpu,
            handle: claim.handle,
            occupancy: claim.occupancy,
            capacity: claim.capacity,
            need: claim.need,
            free_elsewhere: elsewhere,
        };
        self.first_drops[reason.index()].get_or_insert(record);
        if let Some(handle) = claim.handle {
            self.first_lost[handle as usize].get_or_insert(record);
        }
        if flight.is_in_the_fifo() {
            self.oracle.left_fifo(flight.bytes.len() as u64);
        }
        match (claim.handle, claim.held) {
            (None, _) => self.ledger.dropped(claim.tag, reason),
            (Some(handle), Some(charge)) => {
                self.oracle.gave_up(handle, charge);
                self.ledger.discarded_by(claim.tag, handle, reason);
            }
            (Some(handle), None) => self.ledger.refused_by(claim.tag, handle, reason),
        }
    }
}

impl nic_model::Host for Book {
    #[inline(always)]
    fn event(&mut self, now: u64, event: nic_model::Event) {
        use nic_model::Event as Nic;
        let tag = match event {
            Nic::Offered { tag, .. }
            | Nic::Steered { tag, .. }
            | Nic::Held { tag, .. }
            | Nic::NoDescriptorHeld { tag, .. }
            | Nic::DmaStart { tag, .. }
            | Nic::Written { tag, .. } => Some(tag),
            Nic::Dropped(record) => Some(record.tag),
            _ => None,
        };
        self.record(now, Event::Nic(event), tag);
        match event {
            Nic::Steered { tag, queue, .. } => self.ledger.steered(tag, queue),
            Nic::Held { tag, .. } => self.enter_fifo(tag),
            Nic::DmaStart { tag, queue, buffers, .. } => {
                // A frame that finds the engine idle does not wait; it takes up its room all the same.
                if self.ledger.flight(tag).is_some_and(Flight::is_on_the_wire) {
                    self.enter_fifo(tag);
                }
                if let Err(what) = self.oracle.fetched(queue, buffers) {
                    self.break_with(what);
                }
            }
            Nic::Written { tag, .. } => {
                let len = self.ledger.flight(tag).map_or(0, |flight| flight.bytes.len());
                self.ledger.written(tag);
                self.oracle.left_fifo(len as u64);
            }
            Nic::Dropped(record) => {
                let claim = Claim {
                    tag: record.tag,
                    queue: record.queue,
                    handle: None,
                    occupancy: record.occupancy,
                    capacity: record.capacity,
                    need: record.need,
                    held: None,
                    lied: self.upset(record.queue),
                };
                let reason = Reason::Nic(record.reason);
                self.drop(now, reason, claim, None, record.free_elsewhere);
            }
            Nic::LinkChanged { up } => self.oracle.link(up),
            Nic::QueueReset { virtqueue, .. } => self.oracle.queue_reset(virtqueue),
            _ if self.faulty => self.fault_in_nic_event(event),
            _ => {}
        }
    }

    #[inline]
    fn interrupt(&mut self, _now: u64, vector: u16, cpu: u16) {
        self.interrupts.push((vector, cpu));
    }

    fn transmit(&mut self, _now: u64, _queue: u16, _frame: &[u8]) {
        // What a program sends has been shown to the tap, and ends here; the device's own event counts it.
    }
}

impl npf_core::Host for Book {
    #[inline(always)]
    fn event(&mut self, now: u64, event: npf_core::Event) {
        use npf_core::Event as Npf;
        let tag = match event {
            Npf::Filtered { tag, .. }
            | Npf::Skipped { tag, .. }
            | Npf::Counted { tag, .. }
            | Npf::Dumped { tag, .. }
            | Npf::Sent { tag, .. }
            | Npf::Stored { tag, .. }
            | Npf::Moved { tag, .. }
            | Npf::Truncated { tag, .. } => Some(tag),
            Npf::Dropped(record) => Some(record.tag),
            _ => None,
        };
        self.record(now, Event::Npf(event), tag);
        match event {
            Npf::Filtered { tag, handle } => {
                self.ledger.filtered_by(handle);
                let queue = self.ledger.flight(tag).and_then(|flight| flight.queue);
                if let (Some(capture), Some(queue)) =
                    (self.captures.get_mut(handle as usize), queue)
                {
                    capture.filtered(queue);
                }
            }
            Npf::Stored { tag, handle, charge, caplen, .. } => {
                self.accepted_bytes += u64::from(caplen);
                self.ledger.stored_by(tag, handle);
                self.oracle.stored(handle, charge);
            }
            Npf::Counted { tag, handle, len } => {
                self.accepted_bytes += u64::from(len);
                self.ledger.counted_by(tag, handle);
            }
            Npf::Dumped { tag, handle, .. } => {
                self.oracle.dumped(handle);
                self.ledger.delivered_by(tag, handle);
            }
            Npf::MarkerStored { handle, charge, .. } => self.oracle.marker_stored(handle, charge),
            Npf::MarkerMoved { handle, charge, .. } => self.oracle.marker_moved(handle, charge),
            Npf::MarkerDelivered { handle, .. } | Npf::MarkerDropped { handle, .. } => {
                self.oracle.marker_left(handle);
            }
            Npf::ModeSet { handle, .. } => self.oracle.dump_begins(handle),
            Npf::Moved { handle, charge, .. } => self.oracle.moved(handle, charge),
            Npf::BufferReset { handle, capacity, .. } => self.oracle.resized(handle, capacity),
            Npf::Detached { handle, .. } | Npf::Closed { handle, .. } => {
                self.oracle.detached(handle);
            }
            Npf::Dropped(record) => {
                let claim = Claim {
                    tag: record.tag,
                    queue: record.queue,
                    handle: record.handle,
                    occupancy: record.occupancy,
                    capacity: record.capacity,
                    need: record.need,
                    held: record.held,
                    lied: false,
                };
                let reason = Reason::Npf(record.reason);
                self.drop(now, reason, claim, record.cpu, record.free_elsewhere);
            }
            _ => {}
        }
    }

    #[inline]
    fn delivered(&mut self, now: u64, handle: u32, packet: Delivered<'_>) {
        let tag = packet.tag;
        let index = handle as usize;
        let Some(flight) = self.ledger.flight(tag) else {
            return self.break_with(format!("handle {handle} delivered tag {tag}: no such frame"));
        };
        let (frame, latency) = (flight.frame, now - flight.arrival);
        let same = flight.bytes.get(..packet.data.len()) == Some(packet.data)
            && flight.bytes.len() == packet.len as usize;
        if !same && !self.excused(tag, packet.data, packet.len) {
            let Some(flight) = self.ledger.flight(tag) else { return };
            let (offered, len) = (flight.bytes.len(), packet.len);
            self.break_with(format!(
                "frame {frame} ({offered} B) reached handle {handle} as {len} B with other bytes"
            ));
            return;
        }
        let Some(flight) = self.ledger.flight(tag) else { return };
        // Frames that were sent came through no queue; they have an order of their own.
        let lane = flight.queue.map_or(usize::from(self.queues), usize::from);
        let next = &mut self.next_frame[index][lane];
        if frame < std::mem::replace(next, frame + 1) {
            let queue = packet.queue;
            self.break_with(format!(
                "frame {frame} of queue {queue} reached handle {handle} out of order"
            ));
            return;
        }
        if let Some(capture) = self.captures.get_mut(index) {
            capture.delivered(now, frame, flight.arrival, &packet);
        }
        if let Some(Some(writer)) = self.writers.get_mut(index) {
            writer.packet(packet.timestamp, packet.len, packet.data);
        }
        self.latency[index].record(latency);
        self.bytes_delivered[index] += packet.data.len() as u64;
        let (queue, caplen) = (packet.queue, packet.caplen);
        let event = WorldEvent::Delivered { tag, handle, queue, caplen, latency };
        self.recorder.record(now, Event::World(event), Some(frame));
        self.oracle.left(handle);
        self.ledger.delivered_by(tag, handle);
    }

    #[inline]
    fn wake(&mut self, _now: u64, handle: u32) {
        self.wakes.push(handle);
    }

    fn work(&mut self, _now: u64, handle: u32) {
        self.works.push(handle);
    }

    fn wake_dump(&mut self, _now: u64, handle: u32) {
        self.wakes_dump.push(handle);
    }

    fn dump(&mut self, _now: u64, handle: u32, bytes: &[u8]) {
        self.dumps[handle as usize].write(bytes);
    }

    fn transmit(&mut self, now: u64, handle: u32, frame: &[u8]) -> u64 {
        self.outgoing.push((handle, frame.to_vec()));
        self.ledger.send(now, frame)
    }

    fn fed_back(&mut self, now: u64, _handle: u32, frame: &[u8]) -> u64 {
        self.ledger.send(now, frame)
    }

    fn tapped(&mut self, _now: u64, tag: u64) {
        self.shown_to_all(tag);
    }
}

impl Book {
    /// The driver hands a frame up with this report type and hash. One that a fault has changed is not asked.
    pub fn check_hash(&mut self, tag: u64, reported: (u8, u32)) {
        let oracle = &self.oracle;
        let Some(flight) = self.ledger.flight(tag).filter(|flight| flight.proves()) else { return };
        let Err(what) = oracle.judge_hash(&flight.bytes, reported) else { return };
        let frame = flight.frame;
        self.break_with(format!("frame {frame}: {what}"));
    }

    /// The same with what the device says of its checksum.
    pub fn check_checksum(&mut self, tag: u64, said: RxChecksum) {
        let Some(flight) = self.ledger.flight(tag).filter(|flight| flight.proves()) else { return };
        let Err(what) = Oracle::judge_checksum(&flight.bytes, said) else { return };
        let frame = flight.frame;
        self.break_with(format!("frame {frame}: {what}"));
    }

    /// An event of the driver. It names frames by their place in the used ring.
    #[inline]
    pub fn driver_event(&mut self, now: u64, event: driver::Event) {
        let told = if self.faulty { self.fault_in_driver_event(now, event) } else { Told::Nothing };
        if told == Told::NoFrame {
            return;
        }
        let driver::Event::Dropped(record) = event else {
            match event {
                driver::Event::Refilled { queue, posted, .. } => {
                    self.oracle.posted(queue, posted.into());
                }
                driver::Event::BufferLent { queue, .. } => self.oracle.lent(queue),
                driver::Event::QueueRestarted { queue, entries, posted } => {
                    self.oracle.queue_restarted(queue, entries);
                    self.oracle.posted(queue, posted.into());
                }
                // Positions in the rings count from 0 again.
                driver::Event::DriverOk { .. } => {
                    self.oracle.ready(true);
                    self.ledger.restarted();
                }
                _ => {}
            }
            return self.record(now, Event::Driver(event), None);
        };
        let queue = record.queue.unwrap_or_default();
        let Some(tag) = self.ledger.taken(queue, record.tag) else { return };
        self.record(now, Event::Driver(event), Some(tag));
        let claim = Claim {
            tag,
            queue: record.queue,
            handle: None,
            occupancy: record.occupancy,
            capacity: record.capacity,
            need: record.need,
            held: None,
            lied: told == Told::Lie || self.upset(record.queue),
        };
        self.drop(now, Reason::Driver(record.reason), claim, record.cpu, record.free_elsewhere);
    }
}
