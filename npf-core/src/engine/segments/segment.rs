//! One segment: a ring of records, written by the tap and emptied by the reader.
//!
//! ```text
//!   0        read                     write             size
//!   |........[header 24][data][header 24][data].........|
//!   [more data]...read  [header 24][data][header 24][da]t     data may wrap, a header may not:
//!                                              wasted: |__|   fewer than 24 bytes before the end are skipped
//! ```
//!
//! Contract: a header is the packet's sequence number, 4 bytes little-endian, and the record header
//! that the reader gets. The end that a packet leaves no room for a header in is charged to that
//! packet.
//!
//! Not checked: room; who writes asks [`Segment::fits`] first. The bytes handed in are this segment's,
//! the same ones at every call.

use std::collections::VecDeque;

use crate::engine::Packet;
use crate::record::RECORD_HEADER;

/// Sequence number and record header.
pub(super) const HEADER: usize = 4 + RECORD_HEADER;

/// Where the records of one segment are.
#[derive(Debug, Default)]
pub(super) struct Segment {
    read: usize,
    write: usize,
    /// Bytes charged; more than live packets account for if free space has drifted.
    used: u64,
    held: VecDeque<Held>,
}

/// What is known of a record beside its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub packet: Packet,
    /// Bytes skipped behind it.
    skipped: u32,
}

impl Held {
    pub(super) fn charge(&self) -> u64 {
        need(self.packet.caplen) + u64::from(self.skipped)
    }
}

/// What a record takes, without a skip behind it.
#[inline]
pub(super) fn need(caplen: u32) -> u64 {
    HEADER as u64 + u64::from(caplen)
}

impl Segment {
    #[inline]
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// The test for room. It leaves out the skip: whoever fits ends before the reader's place, which
    /// never is in the part that is skipped.
    #[inline]
    pub(super) fn fits(&self, need: u64, size: usize) -> bool {
        self.used + need <= size as u64
    }

    /// Writes a record and gives its charge.
    #[inline]
    pub(super) fn push(
        &mut self,
        bytes: &mut [u8],
        sn: u32,
        header: [u8; RECORD_HEADER],
        data: &[u8],
        packet: Packet,
    ) -> u64 {
        let at = self.write;
        bytes[at..at + 4].copy_from_slice(&sn.to_le_bytes());
        bytes[at + 4..at + HEADER].copy_from_slice(&header);
        let place = Place::of(at, data.len(), bytes.len());
        let (front, back) = data.split_at(place.unwrapped);
        bytes[place.data..place.data + front.len()].copy_from_slice(front);
        bytes[..back.len()].copy_from_slice(back);
        self.write = place.next;
        let held = Held { packet, skipped: place.skipped as u32 };
        self.used += held.charge();
        self.held.push_back(held);
        held.charge()
    }

    /// Sequence number of the oldest record.
    #[inline]
    pub(super) fn front_sn(&self, bytes: &[u8]) -> Option<u32> {
        let sn = *bytes.get(self.read..)?.first_chunk()?;
        (!self.held.is_empty()).then(|| u32::from_le_bytes(sn))
    }

    /// The oldest packet.
    #[inline]
    pub(super) fn front(&self) -> Option<&Packet> {
        self.held.front().map(|held| &held.packet)
    }

    /// Takes out the oldest record: what was known of it, its header, and its data in two pieces.
    /// With `drift` the bytes skipped behind it stay charged.
    #[inline]
    pub(super) fn pop<'a>(
        &mut self,
        bytes: &'a [u8],
        drift: bool,
    ) -> Option<(Held, &'a [u8], [&'a [u8]; 2])> {
        let held = self.held.pop_front()?;
        let caplen = held.packet.caplen as usize;
        let at = self.read;
        let place = Place::of(at, caplen, bytes.len());
        self.read = place.next;
        self.used -= if drift { need(held.packet.caplen) } else { held.charge() };
        let front = &bytes[place.data..place.data + place.unwrapped];
        let back = &bytes[..caplen - place.unwrapped];
        Some((held, &bytes[at + 4..at + HEADER], [front, back]))
    }

    /// Back to the start, with nothing charged.
    pub(super) fn reset(&mut self) {
        self.read = 0;
        self.write = 0;
        self.used = 0;
        self.held.clear();
    }
}

/// Where a record that starts at some place has its data, and where the next one starts.
struct Place {
    data: usize,
    /// So much of the data is before the end of the segment.
    unwrapped: usize,
    skipped: usize,
    next: usize,
}

impl Place {
    #[inline]
    fn of(at: usize, caplen: usize, size: usize) -> Place {
        let data = if at + HEADER == size { 0 } else { at + HEADER };
        let unwrapped = caplen.min(size - data);
        let end = if unwrapped < caplen { caplen - unwrapped } else { data + caplen };
        let skipped = if size - end < HEADER { size - end } else { 0 };
        let next = if size - end < HEADER { 0 } else { end };
        Place { data, unwrapped, skipped, next }
    }
}
