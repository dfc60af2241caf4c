//! A frame from the wire: MAC checks, steering, and whether it goes to the DMA engine, into the FIFO, or
//! nowhere.
//!
//! A frame goes straight to an idle engine if its queue has no older frame and the ring a descriptor. Else
//! it is held if the FIFO has room. Else it is dropped: `no_descriptor` if its ring is empty, `fifo_overflow`
//! if not. The frame on the engine counts in the FIFO. An *empty* FIFO passes a frame of any size to the
//! engine, or a FIFO of 0 bytes could not receive at all.

use super::{Device, one_frame};
use crate::checksum::{self, Checksum};
use crate::drop::{DropReason, DropRecord};
use crate::event::Event;
use crate::header::RxHeader;
use crate::host::Host;
use crate::ring::{Fetched, Ring, RingFault, Virtqueue};
use crate::rss::HashType;
use crate::spec::ethernet;
use std::ops::Deref;
use vm_memory::GuestMemory;

/// A frame on its way in.
#[derive(Clone, Copy)]
struct Arrival<'a> {
    bytes: &'a [u8],
    len: u32,
    tag: u64,
    pair: u16,
    /// By which it was steered.
    hash: Option<(HashType, u32)>,
}

impl<M> Device<M>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    /// A whole frame, without preamble and FCS, has arrived at `now`; `fcs_ok`: its FCS was right.
    ///
    /// The checks come in this order: link, FCS, runt, giant, driver ready, filter, queue enabled, ring not broken,
    /// room. `tag` is the caller's and comes back with every event of the frame.
    #[inline]
    pub fn receive<H: Host>(
        &mut self,
        now: u64,
        frame: &[u8],
        fcs_ok: bool,
        tag: u64,
        host: &mut H,
    ) {
        let now = self.catch_up(now, host);
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        self.counters.offered += 1;
        self.counters.offered_bytes += u64::from(len);
        host.event(now, Event::Offered { tag, len });
        if let Some(record) = self.refused_by_mac(frame, fcs_ok, tag) {
            self.drop_frame(now, record, host);
            return;
        }
        if !self.registers.live() {
            self.drop_frame(now, one_frame(tag, self.why_not_live(), None), host);
            return;
        }
        if !self.filter.takes(frame) {
            self.drop_frame(now, one_frame(tag, DropReason::RxFiltered, None), host);
            return;
        }
        let (pair, hash) = self.steering.steer(frame);
        let pair = self.around_resets(pair);
        self.queue_counters[usize::from(pair)].steered += 1;
        host.event(now, Event::Steered { tag, queue: pair, hash });
        if self.dma.is_idle() && self.fifo.frames_of(pair) > 0 {
            self.look_again(now, pair, host);
        }
        let queue = &self.queues[2 * usize::from(pair)];
        let reason = match (queue.enabled, queue.broken) {
            (true, false) => {
                self.admit(now, Arrival { bytes: frame, len, tag, pair, hash }, host);
                return;
            }
            (true, true) => DropReason::RingBroken,
            (false, _) if queue.in_reset => DropReason::QueueReset,
            (false, _) => DropReason::QueueDisabled,
        };
        self.drop_frame(now, one_frame(tag, reason, Some(pair)), host);
    }

    /// The virtio header of a frame that there is room for.
    #[inline(always)]
    fn header_of(&mut self, arrival: Arrival<'_>) -> RxHeader {
        match self.format.hash || self.format.checksum {
            true => self.telling_header(arrival),
            false => RxHeader::default(),
        }
    }

    /// One that says something.
    #[inline(never)]
    fn telling_header(&mut self, arrival: Arrival<'_>) -> RxHeader {
        let mut header = RxHeader::default();
        if self.format.hash {
            header.hash = self.steering.report(arrival.bytes, arrival.hash);
        }
        if self.format.checksum {
            let counters = &mut self.queue_counters[usize::from(arrival.pair)];
            match checksum::verify(arrival.bytes) {
                Checksum::Valid => {
                    header.data_valid = true;
                    counters.rx_csum_valid += 1;
                }
                Checksum::Bad => counters.rx_csum_bad += 1,
                Checksum::None => counters.rx_csum_none += 1,
            }
        }
        header
    }

    #[inline]
    fn refused_by_mac(&self, frame: &[u8], fcs_ok: bool, tag: u64) -> Option<DropRecord> {
        if !self.registers.link_up {
            return Some(one_frame(tag, DropReason::LinkDown, None));
        }
        if !fcs_ok {
            return Some(one_frame(tag, DropReason::BadFcs, None));
        }
        let length = |reason, limit: usize| DropRecord {
            capacity: limit as u64,
            need: frame.len() as u64,
            ..one_frame(tag, reason, None)
        };
        let least = usize::from(self.config.min_frame);
        if frame.len() < least {
            return Some(length(DropReason::Runt, least));
        }
        let untagged = usize::from(self.config.mtu) + ethernet::HEADER_LEN;
        if frame.len() > untagged {
            let most = untagged + tags(frame) * ethernet::TAG_LEN;
            if frame.len() > most {
                return Some(length(DropReason::Giant, most));
            }
        }
        None
    }

    /// The engine idles and frames of this pair wait, so its ring was empty. A driver that has filled it and
    /// not kicked yet is served all the same, before the next frame asks for room.
    fn look_again<H: Host>(&mut self, now: u64, pair: u16, host: &mut H) {
        if self.format.mergeable {
            // Whether it is enough now, the attempt will tell.
            self.dma.try_again(pair);
            self.run_dma(now, host);
            return;
        }
        match self.receive_ring_offers(pair, 0) {
            Ok(0) => {}
            Ok(_) => self.run_dma(now, host),
            Err(fault) => self.break_ring(now, 2 * pair, fault, host),
        }
    }

    #[inline]
    fn admit<H: Host>(&mut self, now: u64, arrival: Arrival<'_>, host: &mut H) {
        let Arrival { bytes, len, tag, pair, .. } = arrival;
        let straight = self.dma.is_idle_for(pair)
            && self.fifo.frames_of(pair) == 0
            && (self.fifo.frames() == 0 || self.fifo.fits(len));
        if !straight {
            match self.receive_ring_offers(pair, len) {
                Ok(offered) => self.hold_or_drop(now, arrival, offered, host),
                Err(fault) => self.broken_by_arrival(now, arrival, fault, host),
            }
            return;
        }
        match self.fetch_for(pair, len) {
            Ok(Fetched::Chain) => {
                let header = self.header_of(arrival);
                if self.passes_at_once() {
                    self.write_at_once(now, (pair, tag), header, bytes, host);
                } else {
                    self.fifo.push(pair, &header.bytes(), bytes, len, tag);
                    self.start_dma(now, pair, tag, len, host);
                }
                self.run_dma(now, host);
            }
            Ok(Fetched::Empty) => self.hold_or_drop(now, arrival, 0, host),
            Ok(Fetched::TooSmall { capacity }) => {
                let record = too_small(tag, pair, self.format.header_len, len, capacity);
                self.drop_frame(now, record, host);
            }
            Err(fault) => self.broken_by_arrival(now, arrival, fault, host),
        }
    }

    /// The frame must wait, if it can; `offered`: chains in its ring, 0 if they do not do for it.
    fn hold_or_drop<H: Host>(
        &mut self,
        now: u64,
        arrival: Arrival<'_>,
        offered: u16,
        host: &mut H,
    ) {
        let Arrival { bytes, len, tag, pair, .. } = arrival;
        if !self.fifo.fits(len) {
            let record = self.no_room(pair, len, tag, offered);
            self.drop_frame(now, record, host);
            return;
        }
        let header = self.header_of(arrival);
        self.fifo.push(pair, &header.bytes(), bytes, len, tag);
        let fifo_bytes = self.fifo.bytes();
        host.event(now, Event::Held { tag, queue: pair, len, fifo_bytes });
        if offered == 0 {
            self.counters.no_descriptor_held += 1;
            self.queue_counters[usize::from(pair)].no_descriptor_held += 1;
            host.event(now, Event::NoDescriptorHeld { tag, queue: pair });
        }
        self.dma.frame_waits(pair);
        self.run_dma(now, host);
    }

    #[cold]
    fn broken_by_arrival<H: Host>(
        &mut self,
        now: u64,
        arrival: Arrival<'_>,
        fault: RingFault,
        host: &mut H,
    ) {
        self.break_ring(now, 2 * arrival.pair, fault, host);
        let record = one_frame(arrival.tag, DropReason::RingBroken, Some(arrival.pair));
        self.drop_frame(now, record, host);
        self.run_dma(now, host);
    }

    fn no_room(&mut self, pair: u16, len: u32, tag: u64, offered: u16) -> DropRecord {
        if offered > 0 {
            return DropRecord {
                occupancy: self.fifo.bytes(),
                capacity: self.fifo.capacity(),
                need: len.into(),
                ..one_frame(tag, DropReason::FifoOverflow, Some(pair))
            };
        }
        let size = self.queues[2 * usize::from(pair)].ring.as_ref().map_or(0, Virtqueue::size);
        let others = (0..self.steering.active_pairs()).filter(|other| *other != pair);
        // Chains that are there, but too few; none without mergeable buffers.
        let there = if self.format.mergeable { self.look(pair) } else { 0 };
        DropRecord {
            occupancy: u64::from(size).saturating_sub(there),
            capacity: size.into(),
            need: there + 1,
            free_elsewhere: others.map(|other| self.look(other)).sum(),
            ..one_frame(tag, DropReason::NoDescriptor, Some(pair))
        }
    }

    /// [`Device::available`], at less cost.
    fn look(&mut self, pair: u16) -> u64 {
        let queue = &mut self.queues[2 * usize::from(pair)];
        match &mut queue.ring {
            Some(ring) if queue.enabled && !queue.broken => {
                ring.look(&*self.memory).unwrap_or(0).into()
            }
            _ => 0,
        }
    }

    /// Chains in a pair's ring, or 0 if they do not do for a frame of `len` bytes. A ring that was empty and
    /// has some again needs no kick.
    fn receive_ring_offers(&mut self, pair: u16, len: u32) -> Result<u16, RingFault> {
        let offered = match &mut self.queues[2 * usize::from(pair)].ring {
            Some(ring) => ring.look(&*self.memory)?,
            None => 0,
        };
        if self.format.mergeable {
            let need = len + self.format.header_len as u32;
            let enough = offered > 0 && self.merged_would_do(pair, need)?;
            return Ok(if enough { offered } else { 0 });
        }
        if offered > 0 {
            self.end_starvation(pair)?;
        }
        Ok(offered)
    }
}

/// The record of a frame that met a chain of `capacity` bytes.
pub(super) fn too_small(
    tag: u64,
    pair: u16,
    header_len: usize,
    len: u32,
    capacity: u32,
) -> DropRecord {
    DropRecord {
        capacity: capacity.into(),
        need: header_len as u64 + u64::from(len),
        ..one_frame(tag, DropReason::BufferTooSmall, Some(pair))
    }
}

/// VLAN tags in front of the type, two at most.
fn tags(frame: &[u8]) -> usize {
    let is_tag = |index: &usize| {
        let at = 12 + index * ethernet::TAG_LEN;
        let ethertype = frame.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
        matches!(ethertype, Some(ethernet::TYPE_8021Q | ethernet::TYPE_8021AD))
    };
    (0..ethernet::TAGS_MAX).take_while(is_tag).count()
}
