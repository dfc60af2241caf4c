//! Frames from the driver to the wire.
//!
//! A chain holds the virtio header and a frame of at least an Ethernet header and at most a giant's limit;
//! one that is to be segmented may be longer. A chain that is none of that, or asks for what was not
//! negotiated or cannot be done (`device/offload.rs`), is counted `tx_malformed`, and completed all the same.
//! One call takes at most as many chains as the queue is long, and ends after so many descriptors or frames;
//! what is left is due at once ([`Device::next_deadline`]), so that no queue can keep the device for itself.

use super::{BATCH, Device, one_frame};
use crate::drop::{DropReason, DropRecord};
use crate::host::Host;
use crate::offload::Malformed;
use crate::ring::{Fetched, Ring, RingFault, Shape, Used, Virtqueue};
use crate::spec::ethernet;
use std::ops::Deref;
use vm_memory::GuestMemory;

/// Descriptors that one call reads at most, but for those of one chain and of what the ring has read ahead:
/// with indirect tables a queue of 2^15 chains has 2^30.
const DESCRIPTORS_PER_CALL: u32 = 1 << 16;

impl<M> Device<M>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    /// Works off a pair's transmit queue, which is enabled.
    pub(super) fn serve_transmit<H: Host>(&mut self, now: u64, pair: u16, host: &mut H) {
        let virtqueue = 2 * pair + 1;
        match self.transmit_chains(now, pair, host) {
            Ok(0) => {}
            Ok(chains) => self.after_transmission(now, pair, chains, host),
            Err(fault) => {
                // What was sent before is complete; if even that cannot be published, it is broken anyway.
                let _ = self.publish(virtqueue.into());
                self.break_ring(now, virtqueue, fault, host);
            }
        }
    }

    /// Takes what the queue offers, within the bound; the chains published.
    fn transmit_chains<H: Host>(
        &mut self,
        now: u64,
        pair: u16,
        host: &mut H,
    ) -> Result<u32, RingFault> {
        let index = 2 * usize::from(pair) + 1;
        let bound = self.queues[index].ring.as_ref().map_or(0, Virtqueue::size);
        self.set_kicks(index, false)?;
        let (mut published, mut sent, mut read) = (0, 0, 0);
        for _ in 0..bound {
            if !self.fetch_to_transmit(index)? {
                published += self.publish(index)?;
                if !self.set_kicks(index, true)? {
                    return Ok(published);
                }
                // Filled between the look and the wish for a kick: look again.
                continue;
            }
            sent += self.transmit_one(now, pair, host)?;
            // Neither is above 2^16.
            read += self.scratch.chain.segments_len();
            let head = self.scratch.chain.head;
            self.scratch.used.push(Used { head, len: 0 });
            if self.scratch.used.len() == BATCH {
                published += self.publish(index)?;
            }
            if !Self::may_send_more(sent) || read >= DESCRIPTORS_PER_CALL {
                break;
            }
        }
        published += self.publish(index)?;
        let more = self.set_kicks(index, true)?;
        self.set_unfinished(index, more);
        Ok(published)
    }

    fn fetch_to_transmit(&mut self, index: usize) -> Result<bool, RingFault> {
        let Some(ring) = &mut self.queues[index].ring else { return Ok(false) };
        let chain = &mut self.scratch.chain;
        Ok(ring.fetch(&*self.memory, Shape::Transmit, 0, chain)? == Fetched::Chain)
    }

    /// Sends the frame in the scratch chain, or counts why not; the frames that left.
    fn transmit_one<H: Host>(
        &mut self,
        now: u64,
        pair: u16,
        host: &mut H,
    ) -> Result<usize, RingFault> {
        let len = self.scratch.chain.readable_len as usize;
        let header_len = self.format.header_len;
        let least = header_len + ethernet::HEADER_LEN;
        let most = header_len + self.config.frame_len_max();
        let longest = header_len + self.config.sent_len_max();
        if len < least || len > longest {
            self.tx_malformed(now, pair, len, most, host);
            return Ok(0);
        }
        self.scratch.chain.read(&*self.memory, &mut self.scratch.bytes[..len])?;
        // Lent out: what is sent must not hold on to the device.
        let mut bytes = std::mem::take(&mut self.scratch.bytes);
        let sent = self.send(now, pair, &mut bytes[..len], host);
        self.scratch.bytes = bytes;
        match sent {
            Ok(sent) => Ok(sent),
            Err(Malformed) => {
                self.tx_malformed(now, pair, len, most, host);
                Ok(0)
            }
        }
    }

    fn tx_malformed<H: Host>(
        &mut self,
        now: u64,
        pair: u16,
        len: usize,
        most: usize,
        host: &mut H,
    ) {
        let record = DropRecord {
            capacity: most as u64,
            need: len as u64,
            ..one_frame(0, DropReason::TxMalformed, Some(pair))
        };
        self.drop_frame(now, record, host);
    }

    /// Publishes the scratch elements; how many there were.
    pub(super) fn publish(&mut self, index: usize) -> Result<u32, RingFault> {
        let Some(ring) = &mut self.queues[index].ring else { return Ok(0) };
        // At most a batch.
        let count = self.scratch.used.len() as u32;
        let published = ring.put_used(&*self.memory, &self.scratch.used);
        self.scratch.used.clear();
        published.map(|()| count)
    }

    /// See [`Ring::set_kicks`]; a device that is polled leaves its wish as it is, and writes nothing.
    pub(super) fn set_kicks(&mut self, index: usize, wanted: bool) -> Result<bool, RingFault> {
        if self.config.polled {
            return Ok(false);
        }
        match &mut self.queues[index].ring {
            Some(ring) => ring.set_kicks(&*self.memory, wanted),
            None => Ok(false),
        }
    }
}
