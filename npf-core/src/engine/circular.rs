//! Records in a ring of bytes, as Npcap up to 0.9991 and WinPcap 3 and 4 keep them: written behind
//! each other, emptied in the same order (nmap/npcap `packetWin7/npf/npf/Read.c`).
//!
//! ```text
//!   0        read                 write            size
//!   |........[header][data][header][data]..........|
//!   |ta][header][da]......[header][data][header][da|     data may wrap,
//!   |[header][data].......[header][data][header][data]ww|     a header may not: ww, less than one, is skipped
//! ```
//!
//! Contract: first in, first out. A record takes its header and its data, without padding. What it
//! leaves before the end, if that is less than a header, is charged to it, too, and given back with it.
//!
//! Not checked: room; who writes asks [`Circular::fits`] first. The bytes handed in are this ring's,
//! the same ones at every call.

use std::collections::VecDeque;

use super::{Filled, Packet, Sink};
use crate::record::{RECORD_HEADER, align};

/// Where the records of one ring are; each has a header of `HEADER` bytes, the record header that the
/// reader gets last.
#[derive(Debug, Default)]
pub(crate) struct Circular<const HEADER: usize> {
    read: usize,
    write: usize,
    /// Bytes charged; more than live packets account for if skips are lost.
    used: u64,
    held: VecDeque<Held>,
}

/// What is known of a record beside its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub packet: Packet,
    pub charge: u64,
}

/// A record that has just been taken out, while its bytes are still there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Popped<'a> {
    pub held: Held,
    header: &'a [u8],
    pub data: [&'a [u8]; 2],
}

impl<const HEADER: usize> Circular<HEADER> {
    #[inline]
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// Packets held.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.held.len() as u64
    }

    /// What a record takes, without a skip behind it.
    #[inline]
    pub(crate) fn need(caplen: u32) -> u64 {
        HEADER as u64 + u64::from(caplen)
    }

    /// The test for room. It leaves out the skip: whatever fits ends before the reader's place, which
    /// never is in the part that is skipped.
    #[inline]
    pub(crate) fn fits(&self, need: u64, size: usize) -> bool {
        self.used + need <= size as u64
    }

    /// Writes a record and gives its charge.
    #[inline]
    pub(crate) fn push(
        &mut self,
        bytes: &mut [u8],
        header: [u8; HEADER],
        data: &[u8],
        packet: Packet,
    ) -> u64 {
        let at = self.write;
        bytes[at..at + HEADER].copy_from_slice(&header);
        let place = Place::of(at, HEADER, data.len(), bytes.len());
        let (front, back) = data.split_at(place.unwrapped);
        bytes[place.data..place.data + front.len()].copy_from_slice(front);
        bytes[..back.len()].copy_from_slice(back);
        self.write = place.next;
        let charge = Self::need(packet.caplen) + place.skipped as u64;
        self.used += charge;
        self.held.push_back(Held { packet, charge });
        charge
    }

    /// The oldest packet.
    #[inline]
    pub(crate) fn front(&self) -> Option<&Packet> {
        self.held.front().map(|held| &held.packet)
    }

    /// Header of the oldest record, as it is in the ring.
    #[inline]
    pub(crate) fn front_header<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8; HEADER]> {
        self.held.front()?;
        bytes.get(self.read..)?.first_chunk()
    }

    /// Takes out the oldest record. With `lose_skip` the bytes skipped behind it stay charged.
    #[inline]
    pub(crate) fn pop<'a>(&mut self, bytes: &'a [u8], lose_skip: bool) -> Option<Popped<'a>> {
        let held = self.held.pop_front()?;
        let caplen = held.packet.caplen as usize;
        let header = self.read + HEADER - RECORD_HEADER..self.read + HEADER;
        let place = Place::of(self.read, HEADER, caplen, bytes.len());
        self.read = place.next;
        self.used -= if lose_skip { Self::need(held.packet.caplen) } else { held.charge };
        let front = &bytes[place.data..place.data + place.unwrapped];
        let back = &bytes[..caplen - place.unwrapped];
        Some(Popped { held, header: &bytes[header], data: [front, back] })
    }

    /// Back to the start, with nothing charged.
    pub(crate) fn reset(&mut self) {
        self.read = 0;
        self.write = 0;
        self.used = 0;
        self.held.clear();
    }
}

/// Whether a record of `caplen` bytes fits what `filled` has left of the user buffer.
#[inline]
pub(crate) fn has_room(out: &[u8], filled: &Filled, caplen: u32) -> bool {
    RECORD_HEADER + caplen as usize <= out.len() - filled.bytes
}

impl Popped<'_> {
    /// Writes the record to the user buffer, which has room for it.
    #[inline]
    pub(crate) fn deliver(&self, out: &mut [u8], filled: &mut Filled, sink: &mut impl Sink) {
        let [front, back] = self.data;
        let start = filled.bytes + RECORD_HEADER;
        let middle = start + front.len();
        let end = middle + back.len();
        out[filled.bytes..start].copy_from_slice(self.header);
        out[start..middle].copy_from_slice(front);
        out[middle..end].copy_from_slice(back);
        sink.delivered(&self.held.packet, &out[start..end]);

        let aligned = align(end);
        filled.bytes = aligned.min(out.len());
        filled.padding_cut = aligned - filled.bytes;
        out[end..filled.bytes].fill(0);
        filled.packets += 1;
    }
}

/// Where a record has its data, and where the next one starts.
struct Place {
    data: usize,
    /// So much of the data is before the end of the ring.
    unwrapped: usize,
    skipped: usize,
    next: usize,
}

impl Place {
    #[inline]
    fn of(at: usize, header: usize, caplen: usize, size: usize) -> Place {
        let data = if at + header == size { 0 } else { at + header };
        let unwrapped = caplen.min(size - data);
        let end = if unwrapped < caplen { caplen - unwrapped } else { data + caplen };
        let left = size - end;
        if left < header {
            Place { data, unwrapped, skipped: left, next: 0 }
        } else {
            Place { data, unwrapped, skipped: 0, next: end }
        }
    }
}
