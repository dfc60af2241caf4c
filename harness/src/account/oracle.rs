//! The oracle: asks of every drop whether the state justified it.
//!
//! It keeps its own picture of what is full, built from the events alone: bytes in the FIFO,
//! descriptors the device may still fetch, bytes charged to each handle. A drop record says what the
//! component believed; the oracle says what the events imply. When the two disagree the run breaks,
//! whichever of them is wrong. This is what catches a drop like Npcap #317's, made while there was
//! room, if somebody calls it `buffer_full`.
//!
//! It does not check whether a *filter* was right to refuse a frame; the filter's tests do.

use super::buffers::{Buffer, HandleLimit};
use super::checksum::is_right;
use super::rx_filter::may_refuse;
use super::{Flight, Ledger, Reason};
use crate::scenario::RxFilter;
use driver::{DropReason as Driver, RxChecksum};
use nic_model::DropReason as Nic;
use nic_model::rss::{classify, toeplitz};
use npf_core::{DropReason as Npf, DumpLimits};

/// What the scenario grants: the capacities that drops are measured against.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The NIC's FIFO, in bytes.
    pub fifo_bytes: u64,
    /// A frame shorter than this is a runt.
    pub min_frame: u64,
    /// Largest payload of a frame; Ethernet header and up to two VLAN tags come on top.
    pub mtu: u64,
    /// Bytes that one chain of receive buffers takes, virtio header included.
    pub buffer_bytes: u64,
    /// Spare receive buffers of each queue.
    pub spare_buffers: u64,
    /// Bytes of the virtio header among them.
    pub header_bytes: u64,
    /// Descriptors of an RX queue, until it is restarted with fewer.
    pub rx_ring: u64,
    /// A frame may take several buffers.
    pub mergeable: bool,
    /// The rings are packed: a false completion takes the place of a descriptor that the device still had.
    pub packed: bool,
    /// The NIC's own address.
    pub mac: [u8; 6],
    /// What the NIC is to take.
    pub rx_filter: RxFilter,
    /// Types and key of the hash that the NIC is to report.
    pub hash_report: Option<(u32, Vec<u8>)>,
    /// Per handle: design and size of its buffer.
    pub handles: Vec<HandleLimit>,
}

/// The oracle's own picture. See the module's contract.
pub struct Oracle {
    limits: Limits,
    fifo_bytes: u64,
    /// What the FIFO takes now.
    fifo_limit: u64,
    available: Vec<u64>,
    /// By queue: entries of its ring.
    ring: Vec<u64>,
    /// By queue: receive buffers that the stack keeps.
    lent: Vec<u64>,
    /// The queue was reset by itself and is not in use again.
    in_reset: Vec<bool>,
    buffers: Vec<Buffer>,
    /// The CPU on which the tap is at work.
    cpu: u16,
    link_up: bool,
    ready: bool,
    /// The device is being reset at this moment.
    resets: bool,
    /// Channels that the driver wants to use.
    channels: u16,
    bad_fcs: bool,
    /// Why the device drops everything, if a fault has stopped it.
    halted: Option<Nic>,
}

/// The numbers of a drop record, of whichever component.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Frame.
    pub tag: u64,
    /// RX queue, if the frame had been steered.
    pub queue: Option<u16>,
    /// Handle, for the NPF core's drops.
    pub handle: Option<u32>,
    /// What was used.
    pub occupancy: u64,
    /// How much there is.
    pub capacity: u64,
    /// What the frame wanted.
    pub need: u64,
    /// What a packet that the handle held was charged; `None` if it was refused at once.
    pub held: Option<u64>,
    /// A fault has had this completion lie, or has upset the queue: what is wrong there is just.
    pub lied: bool,
}

impl Oracle {
    /// A picture of the empty laboratory.
    #[must_use]
    pub fn new(limits: Limits, queues: u16) -> Self {
        let buffers = limits.handles.iter().copied().map(Buffer::new).collect();
        Self {
            fifo_limit: limits.fifo_bytes,
            ring: vec![limits.rx_ring; usize::from(queues)],
            limits,
            fifo_bytes: 0,
            available: vec![0; usize::from(queues)],
            lent: vec![0; usize::from(queues)],
            in_reset: vec![false; usize::from(queues)],
            buffers,
            cpu: 0,
            link_up: true,
            ready: false,
            resets: false,
            channels: queues,
            bad_fcs: false,
            halted: None,
        }
    }

    /// The frame about to be offered has this frame check sequence.
    #[inline]
    pub fn offering(&mut self, fcs_ok: bool) {
        self.bad_fcs = !fcs_ok;
    }

    /// The driver has reached DRIVER_OK, or the device was reset.
    pub fn ready(&mut self, ready: bool) {
        self.ready = ready;
    }

    /// The driver asks for so many channels.
    pub fn uses_channels(&mut self, channels: u16) {
        self.channels = channels;
    }

    /// The driver has the device reset at this moment: it loses every descriptor, and what it holds.
    pub fn resetting(&mut self, at_work: bool) {
        self.resets = at_work;
        if at_work {
            self.ready = false;
            self.available.fill(0);
            self.in_reset.fill(false);
        }
    }

    /// The driver handed a receive buffer of `queue` over.
    pub fn lent(&mut self, queue: u16) {
        self.lent[usize::from(queue)] += 1;
    }

    /// The stack gave one back.
    pub fn given_back(&mut self, queue: u16) {
        self.lent[usize::from(queue)] -= 1;
    }

    /// The driver reset virtqueue `virtqueue`: if it is a receive queue, the device has no descriptor of it.
    pub fn queue_reset(&mut self, virtqueue: u16) {
        let queue = usize::from(virtqueue / 2);
        if virtqueue.is_multiple_of(2) && queue < self.available.len() {
            (self.available[queue], self.in_reset[queue]) = (0, true);
        }
    }

    /// The driver has put a receive queue to use again, with a ring of so many entries.
    pub fn queue_restarted(&mut self, queue: u16, entries: u16) {
        let queue = usize::from(queue);
        (self.in_reset[queue], self.ring[queue]) = (false, entries.into());
    }

    /// The link changed.
    pub fn link(&mut self, up: bool) {
        self.link_up = up;
    }

    /// A fault has stopped the device, which drops everything for this reason; `None`: it was reset.
    pub fn halted(&mut self, reason: Option<Nic>) {
        if self.halted != Some(Nic::Removed) {
            self.halted = reason;
        }
    }

    /// A fault has left the FIFO so many bytes; `None`: what the scenario grants.
    pub fn fifo_shrinks(&mut self, bytes: Option<u64>) {
        self.fifo_limit = bytes.unwrap_or(self.limits.fifo_bytes);
    }

    /// The driver published `posted` descriptors.
    #[inline]
    pub fn posted(&mut self, queue: u16, posted: u64) {
        self.available[usize::from(queue)] += posted;
    }

    /// The device fetched so many descriptor chains.
    #[inline]
    pub fn fetched(&mut self, queue: u16, chains: u16) -> Result<(), String> {
        match self.available[usize::from(queue)].checked_sub(chains.into()) {
            Some(left) => self.available[usize::from(queue)] = left,
            None => return Err(format!("queue {queue} fetched a descriptor that nobody posted")),
        }
        Ok(())
    }

    /// A frame of `len` bytes entered the FIFO.
    #[inline]
    pub fn entered_fifo(&mut self, len: u64) {
        self.fifo_bytes += len;
    }

    /// A frame of `len` bytes left the FIFO.
    #[inline]
    pub fn left_fifo(&mut self, len: u64) {
        self.fifo_bytes = self.fifo_bytes.saturating_sub(len);
    }

    /// The tap works on `cpu`.
    #[inline]
    pub fn tapping(&mut self, cpu: u16) {
        self.cpu = cpu;
    }

    /// `handle` holds a packet and charged it so much; 0 if it waits for the worker.
    #[inline]
    pub fn stored(&mut self, handle: u32, charge: u64) {
        self.buffers[handle as usize].stored(self.cpu, charge);
    }

    /// The worker of `handle` put a packet into the buffer.
    pub fn moved(&mut self, handle: u32, charge: u64) {
        self.buffers[handle as usize].moved(charge);
    }

    /// `handle` put a marker before the packet at hand; its charge is 0 if it waits for the worker.
    pub fn marker_stored(&mut self, handle: u32, charge: u64) {
        self.buffers[handle as usize].marker_stored(self.cpu, charge);
    }

    /// The worker of `handle` put a marker into the buffer.
    pub fn marker_moved(&mut self, handle: u32, charge: u64) {
        self.buffers[handle as usize].marker_moved(charge);
    }

    /// A marker of `handle` was delivered or dropped.
    pub fn marker_left(&mut self, handle: u32) {
        self.buffers[handle as usize].marker_left();
    }

    /// The oldest packet in the buffer of `handle` left it.
    #[inline]
    pub fn left(&mut self, handle: u32) {
        self.buffers[handle as usize].left();
    }

    /// `handle` wrote its oldest packet to its dump file.
    pub fn dumped(&mut self, handle: u32) {
        self.buffers[handle as usize].dumped();
    }

    /// The program that holds `handle` asks for dumps with these limits.
    pub fn dump_limits(&mut self, handle: u32, limits: DumpLimits) {
        self.buffers[handle as usize].dump_limits(limits);
    }

    /// `handle` begins a new dump file.
    pub fn dump_begins(&mut self, handle: u32) {
        self.buffers[handle as usize].dump_begins();
    }

    /// `handle` gave up a packet that it held; `charge` 0: it was not in the buffer.
    pub fn gave_up(&mut self, handle: u32, charge: u64) {
        let buffer = &mut self.buffers[handle as usize];
        if charge > 0 { buffer.left() } else { buffer.left_the_queue() }
    }

    /// The buffer of `handle` has this size from now on.
    pub fn resized(&mut self, handle: u32, capacity: u64) {
        self.buffers[handle as usize].resized(capacity);
    }

    /// Whether a control of `handle` is at work.
    pub fn controlling(&mut self, handle: u32, at_work: bool) {
        self.buffers[handle as usize].controlled = at_work;
    }

    /// `handle` is shown nothing any more: it was closed or its adapter removed.
    pub fn detached(&mut self, handle: u32) {
        self.buffers[handle as usize].detached = true;
    }

    /// Whether a drop for `reason` is justified now.
    ///
    /// # Errors
    /// The reason that does not hold, with the numbers.
    pub fn judge(&mut self, reason: Reason, claim: Claim, ledger: &Ledger) -> Result<(), String> {
        let Some(flight) = ledger.flight(claim.tag) else {
            return Err(format!("{} for tag {}, which is not in flight", reason.name(), claim.tag));
        };
        let why_not = match reason {
            Reason::Nic(reason) => {
                if self.nic_may(reason, claim, &flight.bytes) {
                    return Ok(());
                }
                self.nic_facts(reason, claim, &flight.bytes)
            }
            Reason::Npf(reason) => {
                match claim.handle.and_then(|h| self.buffers.get_mut(h as usize)) {
                    Some(buffer) => match buffer.judge(reason, claim, self.cpu) {
                        Ok(()) => return Ok(()),
                        Err(facts) => facts,
                    },
                    None if reason == Npf::NoHandle => return Ok(()),
                    None => format!("handle {:?} is not open", claim.handle),
                }
            }
            Reason::Driver(Driver::NoSpareBuffer) => {
                let lent = claim.queue.map_or(0, |queue| self.lent[usize::from(queue)]);
                let spares = self.limits.spare_buffers;
                if lent == spares && (claim.occupancy, claim.capacity) == (spares, spares) {
                    return Ok(());
                }
                format!(
                    "{lent} of {spares} spare buffers are out, the record says {} of {}",
                    claim.occupancy, claim.capacity
                )
            }
            // The driver's other reasons accuse the device; a model that obeys the specification never
            // gives cause for one, so unless a fault has had it lie each of them is a fault of ours.
            Reason::Driver(_) if claim.lied => return Ok(()),
            Reason::Driver(_) => "the device obeys the specification here".into(),
        };
        Err(unjust(reason, flight, &why_not))
    }

    /// Whether what the device says about a frame's checksum is so, by the plain definition. It need not say
    /// of every right one that it is.
    ///
    /// # Errors
    /// What is not so.
    pub fn judge_checksum(frame: &[u8], said: RxChecksum) -> Result<(), String> {
        match said {
            RxChecksum::Unknown => Ok(()),
            RxChecksum::Valid if is_right(frame) => Ok(()),
            RxChecksum::Valid => Err("the device calls a checksum right that is not".into()),
            RxChecksum::Partial { .. } => {
                Err("the device wants a checksum completed that came over the wire".into())
            }
        }
    }

    /// Whether the hash that came with a frame is the one of its bytes, by the plain definition. A frame
    /// that has none is right to have none: the device may have been reset and not told yet.
    ///
    /// # Errors
    /// What it should have been.
    pub fn judge_hash(&self, frame: &[u8], reported: (u8, u32)) -> Result<(), String> {
        let Some((hash_types, key)) = &self.limits.hash_report else {
            return Err("a hash was reported that nobody asked for".into());
        };
        let found = classify(frame, *hash_types);
        let right = found.map(|found| (found.hash_type().report(), toeplitz(key, found.input())));
        if right == Some(reported) {
            return Ok(());
        }
        Err(format!("the hash reported is {reported:x?}, that of the frame {right:x?}"))
    }

    /// Whether so many descriptors do for a frame of `len` bytes.
    fn would_do(&self, available: u64, len: u64) -> bool {
        let need = len + self.limits.header_bytes;
        available > 0 && (!self.limits.mergeable || available * self.limits.buffer_bytes >= need)
    }

    fn nic_may(&self, reason: Nic, claim: Claim, frame: &[u8]) -> bool {
        let len = frame.len() as u64;
        let available = claim.queue.map_or(0, |queue| self.available[usize::from(queue)]);
        let no_room = self.fifo_bytes + len > self.fifo_limit;
        match reason {
            Nic::LinkDown => !self.link_up,
            Nic::BadFcs => self.bad_fcs,
            Nic::Runt => len < self.limits.min_frame,
            Nic::Giant => len > self.longest(frame),
            Nic::NotReady => !self.ready,
            Nic::RxFiltered => may_refuse(&self.limits.rx_filter, self.limits.mac, frame),
            // In a packed ring a false completion takes the place of a descriptor that the device had.
            Nic::NoDescriptor => {
                let starved =
                    !self.would_do(available, len) && claim.occupancy + available == claim.capacity;
                no_room && (starved || self.limits.packed && claim.lied)
            }
            Nic::FifoOverflow => {
                self.would_do(available, len) && no_room && claim.occupancy == self.fifo_bytes
            }
            Nic::BufferTooSmall => len + self.limits.header_bytes > self.room(claim.queue),
            Nic::NeedsReset | Nic::Removed => self.halted == Some(reason),
            Nic::Reset => self.resets,
            Nic::QueueReset => claim.queue.is_some_and(|queue| self.in_reset[usize::from(queue)]),
            // A driver that took a false completion gives the device a descriptor which it has already.
            Nic::RingBroken => claim.lied,
            // A channel that is used no more: what waited for it.
            Nic::QueueDisabled => claim.queue.is_some_and(|queue| queue >= self.channels),
            _ => false,
        }
    }

    /// What is so instead of what the NIC's reason says.
    #[cold]
    fn nic_facts(&self, reason: Nic, claim: Claim, frame: &[u8]) -> String {
        let available = claim.queue.map_or(0, |queue| self.available[usize::from(queue)]);
        match reason {
            Nic::LinkDown => "the link is up".into(),
            Nic::BadFcs => "its frame check sequence is good".into(),
            Nic::Runt => "it is long enough".into(),
            Nic::Giant => format!("{} B are allowed", self.longest(frame)),
            Nic::NotReady => "the driver is ready".into(),
            Nic::RxFiltered => "the NIC is to take it".into(),
            Nic::NoDescriptor | Nic::FifoOverflow => format!(
                "{available} descriptors are available, {} of {} B of the FIFO are used, the record says {} of \
                 {}",
                self.fifo_bytes, self.fifo_limit, claim.occupancy, claim.capacity
            ),
            Nic::BufferTooSmall => format!("a frame may take {} B", self.room(claim.queue)),
            Nic::NeedsReset | Nic::Removed => "no fault has stopped the device".into(),
            Nic::Reset => "nobody resets the device".into(),
            Nic::QueueReset => "its queue is in use".into(),
            Nic::RingBroken => "the driver obeys the specification on this queue".into(),
            _ => "nothing in this world can cause it".into(),
        }
    }

    /// Bytes of the longest frame with as many tags as this one.
    fn longest(&self, frame: &[u8]) -> u64 {
        self.limits.mtu + 14 + 4 * vlan_tags(frame)
    }

    /// Bytes that one frame can take in this queue's ring, at the most.
    fn room(&self, queue: Option<u16>) -> u64 {
        let ring = queue.map_or(0, |queue| self.ring[usize::from(queue)]);
        let chains = if self.limits.mergeable { ring } else { 1 };
        chains * self.limits.buffer_bytes
    }
}

/// What is said of a drop that does not hold.
#[cold]
fn unjust(reason: Reason, flight: &Flight, why_not: &str) -> String {
    format!(
        "frame {} ({} B) was dropped for {}, which does not hold: {why_not}; it is {}",
        flight.frame,
        flight.bytes.len(),
        reason.name(),
        reason.describe()
    )
}

/// 802.1Q and 802.1ad tags in front of the payload, two at most.
fn vlan_tags(frame: &[u8]) -> u64 {
    let is_tag = |at: usize| matches!(frame.get(at..at + 2), Some([0x81, 0x00] | [0x88, 0xa8]));
    u64::from(is_tag(12)) + u64::from(is_tag(12) && is_tag(16))
}

#[cfg(test)]
mod tests;
