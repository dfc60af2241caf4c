//! The segments of Npcap up to 0.9990 and of WinPcap 3 and 4: the buffer in equal parts, one for each
//! CPU (nmap/npcap `packetWin7/npf/npf/Read.c` before commit cfb314e7, wireshark/winpcap
//! `packetNtx/driver/Read.c`, nmap/npcap issue 317).
//!
//! ```text
//!   CPU 0 --> [4][7]......        the tap of a CPU fills that CPU's segment alone;
//!   CPU 1 --> ............        sequence numbers, shared by all, tell the reader in which
//!   CPU 2 --> [5][6][8]...        segment the next packet is: it goes round until it finds it
//! ```
//!
//! Contract: a packet takes 24 + caplen bytes of its segment, and what is skipped behind it
//! ([`circular`](super::circular)). The reader gets all packets in the order in which they were
//! stored. It is woken when *one* segment holds a segment's share of `min_to_copy`, which is
//! `min_to_copy / segments`, rounded down; and, but for WinPcap, by every refusal of a segment that has
//! a size. A read waits while *all* together hold no more than the shares of all: so a reader may be
//! woken for little, and a full segment may wait for the others.
//!
//! A segment's size is the buffer's divided by the number of segments, rounded down; the rest is
//! wasted. Below 24 it is 0: everything is dropped, without a wake, and every read refused, as with a
//! buffer of size 0. A record that does not fit what is left of the user buffer ends the read; if it
//! does not fit an empty one either, nothing is ever read again (issue 119). With the clamp at 255 and
//! more CPUs than that, the packets of CPU 255 and above go to a segment that no reader scans, of the
//! size of the others. The reader looks for their numbers for ever, so that the first of them is the
//! end of the capture: what is held then stays held until it is flushed.
//!
//! `free_drift`: before 0.9987 free space was counted down and up rather than computed from the
//! places of writer and reader, and some of it was lost with time until everything was dropped while
//! the buffer was empty. How, was never published. What is modelled is derived from the source: the
//! writer counts what it skips before the end of the segment, the reader does not count it back.
//! There this is so for the skip before a radiotap header, which must be in one piece as a record
//! header must, and which the reader knows nothing of; here every skip is lost, so that Ethernet
//! frames show the effect, too. What is lost counts as used and belongs to no packet, and since the
//! test for room leaves the skip out, `used` may end up to 23 bytes above a segment's size. A reset
//! makes good for it.
//!
//! Differences from the source: a user buffer shorter than a record header is refused rather than
//! left empty; padding that the user buffer has no room for is cut (there the read went on beyond its
//! end). Not modelled: packets whose transfer the network card finishes later; locks between CPUs
//! that share a segment.

mod choice;

pub(crate) use self::choice::Choice;
use super::circular::{Circular, Held, Popped, has_room};
use super::{Engine, Filled, Gone, Occupancy, Packet, Refusal, Sink, Stored};
use crate::pool::Pool;
use crate::record::{Header, RECORD_HEADER};
use crate::{DropReason, HandleOptions, ReadError, SegmentsOptions};

/// Sequence number, 4 bytes little-endian, and record header.
pub(crate) const HEADER: usize = 4 + RECORD_HEADER;
/// One segment.
pub(crate) type Segment = Circular<HEADER>;

/// A packet is dropped when 24 + caplen exceeds the free bytes of the one segment that it goes to,
/// whatever the others hold; and when the buffer has size 0.
#[derive(Debug)]
pub(crate) struct Segments {
    /// All segments, one behind the other.
    bytes: Vec<u8>,
    segments: Vec<Segment>,
    /// Of each.
    size: usize,
    choice: Choice,
    /// Number of the next packet stored, and of the next one read; they go round at 2^32.
    writer_sn: u32,
    reader_sn: u32,
    capacity: u64,
    used: u64,
    queued: u64,
    peak: u64,
    peak_memory: u64,
    min_to_copy: u64,
    immediate: bool,
    epoch_seconds: u32,
    wake_on_drop: bool,
    free_drift: bool,
}

impl Segments {
    pub(crate) fn new(options: &HandleOptions, choices: SegmentsOptions) -> Self {
        let choice = Choice::new(&choices, options.cpus);
        let mut segments = Segments {
            bytes: Vec::new(),
            segments: (0..choice.all()).map(|_| Segment::default()).collect(),
            size: 0,
            choice,
            writer_sn: 0,
            reader_sn: 0,
            capacity: 0,
            used: 0,
            queued: 0,
            peak: 0,
            peak_memory: 0,
            min_to_copy: options.min_to_copy,
            immediate: options.immediate,
            epoch_seconds: options.epoch_seconds,
            wake_on_drop: choices.wake_on_drop,
            free_drift: choices.free_drift,
        };
        segments.resize(options.kernel_buffer);
        segments
    }

    /// The part of `min_to_copy` that one segment must hold.
    fn share(&self) -> u64 {
        if self.immediate { 0 } else { self.min_to_copy / self.choice.scanned() as u64 }
    }

    #[inline]
    fn refuse(&self, at: usize, need: u64) -> Refusal {
        let (size, used) = (self.size as u64, self.segments[at].used());
        // What the reader sees of the buffer, and what of that this packet could have had.
        let scanned = self.choice.scanned();
        let orphan: u64 = self.segments[scanned..].iter().map(Segment::used).sum();
        let all_free = (size * scanned as u64).saturating_sub(self.used - orphan);
        let own_free = if at < scanned { size.saturating_sub(used) } else { 0 };
        Refusal {
            reason: DropReason::SegmentFull,
            used,
            capacity: size,
            need,
            elsewhere: all_free.saturating_sub(own_free),
            wake: self.wake_on_drop && size > 0,
        }
    }

    /// Which of the first `among` segments has the packet that is to be read next, looking at `first`
    /// first.
    #[inline]
    fn find(&self, first: usize, among: usize) -> Option<usize> {
        (first..among).chain(0..first).find(|at| self.sequence_number(*at) == Some(self.reader_sn))
    }

    /// Takes the packet that is to be read next, which is in segment `at`, off the books.
    #[inline]
    fn pop(&mut self, at: usize) -> Option<Popped<'_>> {
        let bytes = &self.bytes[at * self.size..(at + 1) * self.size];
        let segment = &mut self.segments[at];
        let before = segment.used();
        let popped = segment.pop(bytes, self.free_drift)?;
        self.used -= before - segment.used();
        self.queued -= 1;
        self.reader_sn = self.reader_sn.wrapping_add(1);
        Some(popped)
    }

    #[inline]
    fn sequence_number(&self, at: usize) -> Option<u32> {
        sequence_number(&self.segments[at], self.bytes_of(at))
    }

    #[inline]
    fn bytes_of(&self, at: usize) -> &[u8] {
        &self.bytes[at * self.size..(at + 1) * self.size]
    }

    fn memory(&self) -> u64 {
        self.bytes.len() as u64 + self.queued * size_of::<Held>() as u64
    }
}

impl Engine for Segments {
    #[inline]
    fn shares(&self) -> bool {
        false
    }

    #[inline]
    fn store(
        &mut self,
        packet: Packet,
        data: &[u8],
        _pool: &mut Pool,
        _sink: &mut impl Sink,
    ) -> Stored {
        let need = Segment::need(packet.caplen);
        if self.capacity == 0 {
            let (reason, wake) = (DropReason::ZeroBuffer, false);
            let refusal = Refusal { reason, used: 0, capacity: 0, need, elsewhere: 0, wake };
            return Stored::Refused(refusal);
        }
        let at = self.choice.pick(packet.cpu);
        if !self.segments[at].fits(need, self.size) {
            return Stored::Refused(self.refuse(at, need));
        }
        let header = header(self.writer_sn, self.epoch_seconds, &packet);
        let bytes = &mut self.bytes[at * self.size..(at + 1) * self.size];
        let charge = self.segments[at].push(bytes, header, data, packet);
        // The number is taken after the test for room, so that a drop leaves no hole.
        self.writer_sn = self.writer_sn.wrapping_add(1);
        self.used += charge;
        self.queued += 1;
        self.peak = self.peak.max(self.used);
        self.peak_memory = self.peak_memory.max(self.memory());
        let used = self.segments[at].used();
        Stored::Kept { charge, used, wake: used >= self.share() }
    }

    fn ready(&self, event_set: bool) -> bool {
        let scanned = self.choice.scanned();
        let held: u64 = self.segments[..scanned].iter().map(Segment::used).sum();
        event_set || held > self.share() * scanned as u64
    }

    fn read(
        &mut self,
        out: &mut [u8],
        _at: usize,
        _pool: &mut Pool,
        sink: &mut impl Sink,
    ) -> Result<Filled, ReadError> {
        if self.size == 0 {
            return Err(ReadError::ZeroBuffer);
        }
        if out.len() < RECORD_HEADER {
            return Err(ReadError::BufferTooSmall { len: out.len(), need: RECORD_HEADER });
        }
        let mut filled = Filled::default();
        let mut segment = 0;
        while let Some(at) = self.find(segment, self.choice.scanned()) {
            segment = at;
            let fits = |packet: &Packet| has_room(out, &filled, packet.caplen);
            if !self.segments[at].front().is_some_and(fits) {
                break;
            }
            let Some(popped) = self.pop(at) else { break };
            popped.deliver(out, &mut filled, sink);
        }
        Ok(filled)
    }

    fn take(&mut self, _pool: &mut Pool, visit: &mut impl FnMut(&Packet, u64, [&[u8]; 2])) -> bool {
        let Some(at) = self.find(0, self.choice.scanned()) else { return false };
        let Some(Popped { held, data, .. }) = self.pop(at) else { return false };
        visit(&held.packet, held.charge, data);
        true
    }

    /// In the order in which they were stored, the segment that no reader scans included.
    fn flush(&mut self, _pool: &mut Pool, sink: &mut impl Sink) {
        let mut segment = 0;
        while let Some(at) = self.find(segment, self.choice.all()) {
            segment = at;
            let used = self.segments[at].used();
            let capacity = self.size as u64;
            let Some(Popped { held: Held { packet, charge }, .. }) = self.pop(at) else { break };
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
        self.segments.iter_mut().for_each(Segment::reset);
        self.writer_sn = 0;
        self.reader_sn = 0;
        self.used = 0;
        self.peak = 0;
    }

    fn resize(&mut self, capacity: u64) {
        let size = self.choice.size(capacity) as usize;
        if size != self.size {
            self.size = size;
            // Fresh and zeroed, so that no page is touched before it is used.
            self.bytes = vec![0; size * self.choice.all()];
        }
        self.capacity = capacity;
        self.peak_memory = self.peak_memory.max(self.memory());
    }

    fn set_min_to_copy(&mut self, bytes: u64) {
        self.min_to_copy = bytes;
    }

    fn set_immediate(&mut self, immediate: bool) {
        self.immediate = immediate;
    }

    #[inline]
    fn occupancy(&self) -> Occupancy {
        let Self { used, capacity, peak, peak_memory, .. } = *self;
        let free = capacity as i64 - used as i64;
        Occupancy { used, capacity, free, peak, memory: self.memory(), peak_memory }
    }

    #[inline]
    fn queued(&self) -> u64 {
        self.queued
    }
}

/// The header of a packet's record: its number, and what the reader gets.
#[inline]
pub(crate) fn header(number: u32, epoch_seconds: u32, packet: &Packet) -> [u8; HEADER] {
    let Packet { timestamp, caplen, len, .. } = *packet;
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&number.to_le_bytes());
    Header { timestamp, epoch_seconds, caplen, len }.write(&mut header[4..]);
    header
}

/// Number of the oldest packet in a segment, whose bytes are `bytes`.
#[inline]
pub(crate) fn sequence_number(segment: &Segment, bytes: &[u8]) -> Option<u32> {
    let [a, b, c, d, ..] = *segment.front_header(bytes)?;
    Some(u32::from_le_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sink that remembers the tags delivered.
    #[derive(Default)]
    struct Tags(Vec<u64>);

    impl Sink for Tags {
        fn delivered(&mut self, packet: &Packet, _data: &[u8]) {
            self.0.push(packet.tag);
        }
        fn gone(&mut self, gone: Gone) {
            panic!("{gone:?}");
        }
        fn moved(&mut self, packet: &Packet, _charge: u64, _used: u64) {
            panic!("{packet:?}");
        }
    }

    #[test]
    fn sequence_numbers_go_round() {
        let options = HandleOptions { cpus: 3, kernel_buffer: 3000, ..HandleOptions::default() };
        let mut engine = Segments::new(&options, SegmentsOptions::default());
        engine.writer_sn = u32::MAX - 2;
        engine.reader_sn = u32::MAX - 2;
        let (mut pool, mut sink) = (Pool::new(), Tags::default());
        for (tag, cpu) in [2, 0, 1, 1, 0, 2].into_iter().enumerate() {
            let tag = tag as u64;
            let packet = Packet {
                tag,
                timestamp: 0,
                copy: None,
                caplen: 3,
                len: 3,
                cpu,
                queue: 0,
                marker: None,
            };
            assert!(matches!(
                engine.store(packet, b"abc", &mut pool, &mut sink),
                Stored::Kept { .. }
            ));
        }
        assert_eq!(engine.writer_sn, 3);
        engine.read(&mut [0; 500], 0, &mut pool, &mut sink).unwrap();
        assert_eq!(sink.0, [0, 1, 2, 3, 4, 5]);
        assert_eq!((engine.reader_sn, engine.queued()), (3, 0));
    }
}
