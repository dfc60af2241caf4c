//! The segments, filled from several CPUs and read at the same time.
//!
//! ```text
//!   CPU 0 --[lock 0]--> [4][7]......        the number of a packet: one counter for all, advanced
//!   CPU 1 --[lock 1]--> ............        under the segment's lock and after the test for room
//!   CPU 2 --[lock 2]--> [5][6][8]...  ----> reader: goes round, one lock at a time, to the next number
//! ```
//!
//! Contract: decides as [`Segments`](crate::engine::Segments) does. CPUs with segments of their own
//! share the counter, and once per batch the lock of the totals. All packets are read in the order of their numbers; what one CPU stores
//! before another begins to store bears the smaller one. A number that is taken is stored before its
//! segment is unlocked, and a refused packet takes none, so that the reader never waits for one that
//! will not come. Nobody holds two segments at a time.
//!
//! The bytes of a record are copied under its segment's lock: they lie in the segment. So the reader
//! keeps that CPU, and no other, waiting for [`BATCH`] records at most.

use super::core::{BATCH, Batch, Core};
use super::rules::Rules;
use super::sync::{Apart, AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering::Relaxed, lock};
use crate::engine::circular::{Held, Popped, has_room};
use crate::engine::segments::{Choice, Segment, header, sequence_number};
use crate::engine::{Filled, Gone, Packet, Refusal, Sink, Stored};
use crate::record::RECORD_HEADER;
use crate::{DropReason, HandleOptions, Occupancy, ReadError, SegmentsOptions};

/// A packet is dropped when 24 + caplen exceeds the free bytes of the one segment that it goes to,
/// whatever the others hold; and when the buffer has size 0.
#[derive(Debug)]
pub(super) struct SharedSegments {
    parts: Box<[Apart<Part>]>,
    choice: Choice,
    /// Packets that were given a segment in turn.
    turn: Apart<AtomicU32>,
    /// Number of the next packet stored.
    pub(super) writer_sn: Apart<AtomicU32>,
    totals: Apart<Mutex<Totals>>,
    wake_on_drop: bool,
    free_drift: bool,
}

/// One segment.
#[derive(Debug)]
struct Part {
    ring: Mutex<Ring>,
    /// Bytes charged, for those who do not hold the lock.
    used: AtomicU64,
}

/// What all segments hold together, brought up to date after each batch and each stretch of a read.
#[derive(Debug, Default)]
struct Totals {
    used: u64,
    queued: u64,
    peak: u64,
    bytes: u64,
    peak_memory: u64,
}

#[derive(Debug, Default)]
struct Ring {
    bytes: Vec<u8>,
    segment: Segment,
}

impl SharedSegments {
    pub(super) fn new(options: &HandleOptions, choices: SegmentsOptions) -> Self {
        let choice = Choice::new(&choices, options.cpus);
        let segments = SharedSegments {
            parts: (0..choice.all()).map(|_| Apart(Part::new())).collect(),
            choice,
            turn: Apart(AtomicU32::new(0)),
            writer_sn: Apart(AtomicU32::new(0)),
            totals: Apart(Mutex::new(Totals::default())),
            wake_on_drop: choices.wake_on_drop,
            free_drift: choices.free_drift,
        };
        segments.resize(options.kernel_buffer);
        segments
    }

    /// The segment for the next packet, which is tapped on `cpu`.
    #[inline]
    fn pick(&self, cpu: u16) -> usize {
        self.choice.of_cpu(cpu).unwrap_or_else(|| {
            let next = |turn| Some((turn + 1) % self.choice.scanned() as u32);
            let turn = self.turn.0.fetch_update(Relaxed, Relaxed, next);
            turn.unwrap_or_else(|turn| turn) as usize
        })
    }

    /// Of each segment.
    #[inline]
    fn size(&self, rules: &Rules) -> u64 {
        self.choice.size(rules.capacity)
    }

    /// The part of `min_to_copy` that one segment must hold.
    #[inline]
    fn share(&self, rules: &Rules) -> u64 {
        if rules.immediate { 0 } else { rules.min_to_copy / self.choice.scanned() as u64 }
    }

    /// Bytes charged in the segments that the reader scans.
    fn scanned(&self) -> u64 {
        let scanned = self.choice.scanned();
        self.parts[..scanned].iter().map(|part| part.0.used.load(Relaxed)).sum()
    }

    /// Packets were taken out of the segment at `at`, which was charged `before`.
    fn taken(&self, at: usize, before: u64, packets: u64, segment: &Segment) {
        let used = segment.used();
        self.parts[at].0.used.store(used, Relaxed);
        let totals = &mut *lock(&self.totals.0);
        totals.used -= before - used;
        totals.queued -= packets;
    }

    /// Which of the first `among` segments has the packet number `sn`, looking at `first` first; with
    /// its lock.
    #[inline]
    fn find(&self, first: usize, among: usize, sn: u32) -> Option<(usize, MutexGuard<'_, Ring>)> {
        (first..among).chain(0..first).find_map(|at| {
            let ring = lock(&self.parts[at].0.ring);
            (sequence_number(&ring.segment, &ring.bytes) == Some(sn)).then_some((at, ring))
        })
    }
}

impl Core for SharedSegments {
    type Lane = ();
    /// Number of the next packet read.
    type Reader = u32;
    type Batch<'a> = SegmentBatch<'a>;
    const COPIES_FIRST: bool = false;

    fn lane(&self, _at: usize) {}

    #[inline]
    fn batch<'a>(
        &'a self,
        _lane: &'a mut (),
        rules: &'a Rules,
        _packets: u32,
        _bytes: u64,
    ) -> SegmentBatch<'a> {
        let (size, share) = (self.size(rules), self.share(rules));
        SegmentBatch { segments: self, rules, size, share, held: None, packets: 0, charged: 0 }
    }

    fn read(
        &self,
        reader_sn: &mut u32,
        rules: &Rules,
        out: &mut [u8],
        sink: &mut impl Sink,
    ) -> Result<Filled, ReadError> {
        if self.size(rules) == 0 {
            return Err(ReadError::ZeroBuffer);
        }
        if out.len() < RECORD_HEADER {
            return Err(ReadError::BufferTooSmall { len: out.len(), need: RECORD_HEADER });
        }
        let mut filled = Filled::default();
        let mut at = 0;
        while let Some((found, mut ring)) = self.find(at, self.choice.scanned(), *reader_sn) {
            at = found;
            let Ring { bytes, segment } = &mut *ring;
            let (before, mut packets, mut fits) = (segment.used(), 0, true);
            while packets < BATCH as u64 && sequence_number(segment, bytes) == Some(*reader_sn) {
                let room = |packet: &Packet| has_room(out, &filled, packet.caplen);
                fits = segment.front().is_some_and(room);
                let popped = if fits { segment.pop(bytes, self.free_drift) } else { None };
                let Some(popped) = popped else { break };
                popped.deliver(out, &mut filled, sink);
                *reader_sn = reader_sn.wrapping_add(1);
                packets += 1;
            }
            self.taken(found, before, packets, segment);
            if !fits {
                break;
            }
        }
        Ok(filled)
    }

    fn ready(&self, rules: &Rules) -> bool {
        self.scanned() > self.share(rules) * self.choice.scanned() as u64
    }

    /// In the order in which they were stored, the segment that no reader scans included.
    fn flush(&self, reader_sn: &mut u32, rules: &Rules, sink: &mut impl Sink) {
        let capacity = self.size(rules);
        let mut at = 0;
        while let Some((found, mut ring)) = self.find(at, self.parts.len(), *reader_sn) {
            at = found;
            let Ring { bytes, segment } = &mut *ring;
            let used = segment.used();
            let Some(popped) = segment.pop(bytes, self.free_drift) else { break };
            let Popped { held: Held { packet, charge }, .. } = popped;
            *reader_sn = reader_sn.wrapping_add(1);
            sink.gone(Gone {
                packet,
                reason: None,
                charge,
                used,
                capacity,
                need: charge,
                elsewhere: 0,
                in_statistics: false,
            });
        }
        for part in &self.parts {
            let segment = &mut lock(&part.0.ring).segment;
            segment.reset();
            part.0.used.store(0, Relaxed);
        }
        self.writer_sn.0.store(0, Relaxed);
        *reader_sn = 0;
        let totals = &mut *lock(&self.totals.0);
        *totals = Totals { used: 0, queued: 0, peak: 0, ..*totals };
    }

    fn resize(&self, capacity: u64) {
        let size = self.choice.size(capacity) as usize;
        for part in &self.parts {
            let ring = &mut lock(&part.0.ring);
            if ring.bytes.len() != size {
                // Fresh and zeroed, so that no page is touched before it is used.
                ring.bytes = vec![0; size];
            }
        }
        let totals = &mut *lock(&self.totals.0);
        totals.bytes = (size * self.parts.len()) as u64;
        totals.peak_memory = totals.peak_memory.max(totals.memory());
    }

    fn occupancy(&self, rules: &Rules) -> Occupancy {
        let capacity = rules.capacity;
        let totals = &*lock(&self.totals.0);
        let Totals { used, peak, peak_memory, .. } = *totals;
        let free = capacity as i64 - used as i64;
        Occupancy { used, capacity, free, peak, memory: totals.memory(), peak_memory }
    }

    fn used(&self) -> u64 {
        lock(&self.totals.0).used
    }

    fn queued(&self) -> u64 {
        lock(&self.totals.0).queued
    }
}

impl Totals {
    fn memory(&self) -> u64 {
        self.bytes + self.queued * size_of::<Held>() as u64
    }
}

impl Part {
    fn new() -> Self {
        Part { ring: Mutex::new(Ring::default()), used: AtomicU64::new(0) }
    }
}

/// Packets of one CPU on their way in, with the segment that the last one went to.
pub(super) struct SegmentBatch<'a> {
    segments: &'a SharedSegments,
    rules: &'a Rules,
    size: u64,
    share: u64,
    held: Option<(usize, MutexGuard<'a, Ring>)>,
    packets: u64,
    charged: u64,
}

impl<'a> SegmentBatch<'a> {
    /// The segment at `at`, with its lock; the one held before is let go first.
    #[inline]
    fn hold(&mut self, at: usize) -> &mut MutexGuard<'a, Ring> {
        if self.held.as_ref().is_some_and(|(held, _)| *held != at) {
            self.release();
        }
        let part = &self.segments.parts[at].0;
        &mut self.held.get_or_insert_with(|| (at, lock(&part.ring))).1
    }

    /// Lets go of the segment, when what was stored there has been counted: a reader may take it then.
    #[inline]
    fn release(&mut self) {
        if self.packets > 0 {
            let totals = &mut *lock(&self.segments.totals.0);
            totals.used += self.charged;
            totals.queued += self.packets;
            totals.peak = totals.peak.max(totals.used);
            totals.peak_memory = totals.peak_memory.max(totals.memory());
            (self.packets, self.charged) = (0, 0);
        }
        self.held = None;
    }

    fn refuse(&self, at: usize, used: u64, need: u64) -> Stored {
        let segments = self.segments;
        // What the reader sees of the buffer, and what of that this packet could have had.
        let scanned = segments.choice.scanned();
        let all_free = (self.size * scanned as u64).saturating_sub(segments.scanned());
        let own_free = if at < scanned { self.size.saturating_sub(used) } else { 0 };
        Stored::Refused(Refusal {
            reason: DropReason::SegmentFull,
            used,
            capacity: self.size,
            need,
            elsewhere: all_free.saturating_sub(own_free),
            wake: segments.wake_on_drop && self.size > 0,
        })
    }
}

impl Batch for SegmentBatch<'_> {
    #[inline]
    fn store(&mut self, packet: Packet, data: &[u8]) -> Stored {
        let (segments, size, share) = (self.segments, self.size, self.share);
        let Rules { capacity, epoch_seconds, .. } = *self.rules;
        let need = Segment::need(packet.caplen);
        if capacity == 0 {
            let (reason, wake) = (DropReason::ZeroBuffer, false);
            let refusal = Refusal { reason, used: 0, capacity: 0, need, elsewhere: 0, wake };
            return Stored::Refused(refusal);
        }
        let at = segments.pick(packet.cpu);
        let Ring { bytes, segment } = &mut **self.hold(at);
        if !segment.fits(need, size as usize) {
            let used = segment.used();
            return self.refuse(at, used, need);
        }
        // After the test for room, so that a drop leaves no hole. The order among CPUs is that of
        // this counter; the record itself is handed over by the segment's lock: hence relaxed.
        let number = segments.writer_sn.0.fetch_add(1, Relaxed);
        let charge = segment.push(bytes, header(number, epoch_seconds, &packet), data, packet);
        let used = segment.used();
        segments.parts[at].0.used.store(used, Relaxed);
        (self.packets, self.charged) = (self.packets + 1, self.charged + charge);
        Stored::Kept { charge, used, wake: used >= share }
    }

    fn end(mut self) {
        self.release();
    }
}
