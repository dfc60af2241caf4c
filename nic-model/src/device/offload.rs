//! Offloads of frames to transmit: what the header asks for is done, then the frames leave.
//!
//! A frame whose header asks for what was not negotiated or cannot be done is dropped `tx_malformed`. With
//! the link down one frame is counted, however many segments it would have given.

use super::Device;
use crate::event::Event;
use crate::host::Host;
use crate::offload::checksum::complete;
use crate::offload::segment::Plan;
use crate::offload::{Kind, Malformed, Place, Request};
use crate::spec::header;
use std::ops::Deref;
use vm_memory::GuestMemory;

/// Segments that one call sends at most, or a small ring of large frames could keep the device for long.
const SEGMENTS_PER_CALL: usize = 1 << 16;

impl<M> Device<M>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    /// Sends the frame behind the header in `bytes`; how many frames that became.
    pub(super) fn send<H: Host>(
        &mut self,
        now: u64,
        pair: u16,
        bytes: &mut [u8],
        host: &mut H,
    ) -> Result<usize, Malformed> {
        let (head, frame) = bytes.split_at_mut_checked(self.format.header_len).ok_or(Malformed)?;
        let head = head.first_chunk::<{ header::LEN }>().ok_or(Malformed)?;
        let request = Request::parse(head, self.registers.driver_features)?;
        let longest = self.config.frame_len_max();
        let whole = matches!(request, Request::Segments { .. });
        if !whole && frame.len() > longest {
            return Err(Malformed);
        }
        let sent = match request {
            Request::Nothing => {
                self.leave(now, pair, frame, host);
                1
            }
            Request::Checksum(place) => {
                complete(frame, place)?;
                self.leave(now, pair, frame, host);
                1
            }
            Request::Segments { kind, size, place } => {
                self.send_segments(now, pair, frame, (kind, size, place), host)?
            }
        };
        let counters = &mut self.queue_counters[usize::from(pair)].offloads;
        match request {
            Request::Nothing => counters.csum_none += 1,
            Request::Checksum(_) | Request::Segments { .. } => counters.needs_csum += 1,
        }
        Ok(sent)
    }

    fn send_segments<H: Host>(
        &mut self,
        now: u64,
        pair: u16,
        frame: &[u8],
        (kind, size, place): (Kind, u16, Place),
        host: &mut H,
    ) -> Result<usize, Malformed> {
        let plan = Plan::new(frame, kind, size, place, self.config.frame_len_max())?;
        if !self.registers.link_up {
            self.leave(now, pair, frame, host);
            return Ok(1);
        }
        let count = plan.count(frame);
        let mut segment = std::mem::take(&mut self.scratch.segment);
        let mut segment_bytes = 0;
        for index in 0..count {
            plan.write(frame, index, &mut segment);
            segment_bytes += segment.len() as u64;
            self.leave(now, pair, &segment, host);
        }
        self.scratch.segment = segment;
        let counters = &mut self.queue_counters[usize::from(pair)].offloads;
        counters.gso_packets += 1;
        counters.gso_bytes += frame.len() as u64;
        if count > 1 {
            counters.gso_segments += count as u64;
            counters.gso_segments_bytes += segment_bytes;
        } else {
            counters.gso_packets_noseg += 1;
            counters.gso_bytes_noseg += frame.len() as u64;
        }
        Ok(count)
    }

    /// A frame goes to the wire, or meets a link that is down.
    fn leave<H: Host>(&mut self, now: u64, pair: u16, frame: &[u8], host: &mut H) {
        let len = frame.len() as u32;
        let counters = &mut self.queue_counters[usize::from(pair)];
        if self.registers.link_up {
            self.counters.transmitted += 1;
            self.counters.transmitted_bytes += u64::from(len);
            counters.transmitted += 1;
            counters.transmitted_bytes += u64::from(len);
            host.event(now, Event::Transmitted { queue: pair, len });
            host.transmit(now, pair, frame);
        } else {
            self.counters.transmit_link_down += 1;
            counters.transmit_link_down += 1;
            host.event(now, Event::TransmitLinkDown { queue: pair, len });
        }
    }

    /// Whether a call that has sent so many frames may go on.
    pub(super) fn may_send_more(sent: usize) -> bool {
        sent < SEGMENTS_PER_CALL
    }
}
