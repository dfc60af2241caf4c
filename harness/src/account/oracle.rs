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
use super::rx_filter::may_refuse;
use super::{Ledger, Reason};
use crate::scenario::RxFilter;
use driver::DropReason as Driver;
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
    bad_fcs: bool,
    /// Why the device drops everything, if a fault has stopped it.
    halted: Option<Nic>,
    /// Queues whose completions a fault has had lie, one bit each.
    lied: u64,
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
            bad_fcs: false,
            halted: None,
            lied: 0,
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

    /// A completion of this receive queue lies: the driver has cause to complain from now on.
    pub fn lied(&mut self, queue: u16) {
        self.lied |= 1 << (queue & 63);
    }

    fn has_lied(&self, queue: Option<u16>) -> bool {
        queue.is_some_and(|queue| self.lied & (1 << (queue & 63)) != 0)
    }

    /// This receive queue begins anew.
    pub fn forgets_lies(&mut self, queue: u16) {
        self.lied &= !(1 << (queue & 63));
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
        let len = flight.bytes.len() as u64;
        let (holds, facts) = match reason {
            Reason::Nic(reason) => self.judge_nic(reason, claim, &flight.bytes),
            Reason::Npf(reason) => {
                match claim.handle.and_then(|h| self.buffers.get_mut(h as usize)) {
                    Some(buffer) => buffer.judge(reason, claim, self.cpu),
                    None => {
                        (reason == Npf::NoHandle, format!("handle {:?} is not open", claim.handle))
                    }
                }
            }
            Reason::Driver(Driver::NoSpareBuffer) => {
                let lent = claim.queue.map_or(0, |queue| self.lent[usize::from(queue)]);
                let spares = self.limits.spare_buffers;
                (
                    lent == spares && (claim.occupancy, claim.capacity) == (spares, spares),
                    format!(
                        "{lent} of {spares} spare buffers are out, the record says {} of {}",
                        claim.occupancy, claim.capacity
                    ),
                )
            }
            // The driver's reasons accuse the device; a model that obeys the specification never
            // gives cause for one, so unless a completion of the queue has lied each of them is a
            // fault of ours.
            Reason::Driver(_) => (
                self.has_lied(claim.queue),
                "the device obeys the specification on this queue".into(),
            ),
        };
        if holds {
            return Ok(());
        }
        Err(format!(
            "frame {} ({len} B) was dropped for {}, which does not hold: {facts}; it is {}",
            flight.frame,
            reason.name(),
            reason.describe()
        ))
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

    fn judge_nic(&self, reason: Nic, claim: Claim, frame: &[u8]) -> (bool, String) {
        let len = frame.len() as u64;
        let available = claim.queue.map_or(0, |queue| self.available[usize::from(queue)]);
        let no_room = self.fifo_bytes + len > self.fifo_limit;
        match reason {
            Nic::LinkDown => (!self.link_up, "the link is up".into()),
            Nic::BadFcs => (self.bad_fcs, "its frame check sequence is good".into()),
            Nic::Runt => (len < self.limits.min_frame, "it is long enough".into()),
            Nic::Giant => {
                let limit = self.limits.mtu + 14 + 4 * vlan_tags(frame);
                (len > limit, format!("{limit} B are allowed"))
            }
            Nic::NotReady => (!self.ready, "the driver is ready".into()),
            Nic::RxFiltered => (
                may_refuse(&self.limits.rx_filter, self.limits.mac, frame),
                "the NIC is to take it".into(),
            ),
            Nic::NoDescriptor => (
                no_room
                    && (self.limits.packed && self.has_lied(claim.queue)
                        || !self.would_do(available, len)
                            && claim.occupancy + available == claim.capacity),
                format!(
                    "{available} descriptors are available, {} of {} B of the FIFO are used, the record says {} of {} descriptors are used",
                    self.fifo_bytes, self.fifo_limit, claim.occupancy, claim.capacity
                ),
            ),
            Nic::FifoOverflow => (
                self.would_do(available, len) && no_room && claim.occupancy == self.fifo_bytes,
                format!(
                    "{available} descriptors are available, {} of {} B of the FIFO are used, the record says {}",
                    self.fifo_bytes, self.fifo_limit, claim.occupancy
                ),
            ),
            Nic::BufferTooSmall => {
                let ring = claim.queue.map_or(0, |queue| self.ring[usize::from(queue)]);
                let buffers = if self.limits.mergeable { ring } else { 1 };
                let room = buffers * self.limits.buffer_bytes;
                (len + self.limits.header_bytes > room, format!("a frame may take {room} B"))
            }
            Nic::NeedsReset | Nic::Removed => {
                (self.halted == Some(reason), "no fault has stopped the device".into())
            }
            Nic::Reset => (self.resets, "nobody resets the device".into()),
            Nic::QueueReset => (
                claim.queue.is_some_and(|queue| self.in_reset[usize::from(queue)]),
                "its queue is in use".into(),
            ),
            // A driver that took a false completion gives the device a descriptor which it has already.
            Nic::RingBroken => (
                self.has_lied(claim.queue),
                "the driver obeys the specification on this queue".into(),
            ),
            // No scenario disables a queue or has frames sent.
            _ => (false, "nothing in this world can cause it".into()),
        }
    }
}

/// 802.1Q and 802.1ad tags in front of the payload, two at most.
fn vlan_tags(frame: &[u8]) -> u64 {
    let is_tag = |at: usize| matches!(frame.get(at..at + 2), Some([0x81, 0x00] | [0x88, 0xa8]));
    u64::from(is_tag(12)) + u64::from(is_tag(12) && is_tag(16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use npf_core::{DumpLimits, EngineKind, PacketQueueOptions};

    fn oracle() -> Oracle {
        let engine = EngineKind::PacketQueue(PacketQueueOptions::CURRENT);
        let limit = HandleLimit {
            engine,
            capacity: 1000,
            cpus: 1,
            object_limit: None,
            dump: DumpLimits::default(),
            markers: false,
        };
        let handles = vec![limit];
        let limits = Limits {
            fifo_bytes: 100,
            min_frame: 60,
            mtu: 1500,
            buffer_bytes: 2048,
            spare_buffers: 2,
            header_bytes: 12,
            rx_ring: 16,
            mergeable: false,
            packed: false,
            mac: [2; 6],
            rx_filter: RxFilter::default(),
            hash_report: None,
            handles,
        };
        let mut oracle = Oracle::new(limits, 2);
        oracle.ready(true);
        oracle
    }

    fn claim(tag: u64) -> Claim {
        Claim {
            tag,
            queue: Some(0),
            handle: Some(0),
            occupancy: 0,
            capacity: 0,
            need: 0,
            held: None,
        }
    }

    #[test]
    fn with_mergeable_buffers_too_few_are_as_good_as_none() {
        let mut ledger = Ledger::new(2, 1);
        let tag = ledger.offer(0, &[0; 100]);
        let mut oracle = oracle();
        oracle.limits.mergeable = true;
        oracle.limits.buffer_bytes = 56;
        oracle.entered_fifo(60);
        oracle.posted(0, 1);
        let judge = |oracle: &mut Oracle, reason, occupancy| {
            let claim = Claim { occupancy, capacity: 16, ..claim(tag) };
            oracle.judge(Reason::Nic(reason), claim, &ledger).is_ok()
        };
        assert!(judge(&mut oracle, Nic::NoDescriptor, 15));
        assert!(!judge(&mut oracle, Nic::NoDescriptor, 16), "one is there");
        assert!(!judge(&mut oracle, Nic::FifoOverflow, 60));
        oracle.posted(0, 1);
        assert!(!judge(&mut oracle, Nic::NoDescriptor, 14), "112 B do");
        assert!(judge(&mut oracle, Nic::FifoOverflow, 60));
        assert!(!judge(&mut oracle, Nic::BufferTooSmall, 0), "the ring has 896 B");
        oracle.queue_restarted(1, 1);
        assert!(!judge(&mut oracle, Nic::BufferTooSmall, 0), "that was another ring");
        oracle.queue_restarted(0, 1);
        assert!(judge(&mut oracle, Nic::BufferTooSmall, 0));
    }

    #[test]
    fn a_frame_is_filtered_only_if_the_nic_was_told_so() {
        let mut ledger = Ledger::new(2, 1);
        let tag = ledger.offer(0, &[4; 60]);
        let mut oracle = oracle();
        let judge = |oracle: &mut Oracle| {
            oracle.judge(Reason::Nic(Nic::RxFiltered), claim(tag), &ledger).is_ok()
        };
        assert!(!judge(&mut oracle));
        oracle.limits.rx_filter.promiscuous = false;
        assert!(judge(&mut oracle));
    }

    #[test]
    fn a_reported_hash_is_that_of_the_frame() {
        let mut frame = vec![0; 60];
        frame[12..15].copy_from_slice(&[8, 0, 0x45]);
        frame[26..34].copy_from_slice(&[66, 9, 149, 187, 161, 142, 100, 80]);
        let mut oracle = oracle();
        assert!(oracle.judge_hash(&frame, (1, 0x323e_8fc2)).is_err(), "nobody asked");
        let key = crate::scenario::HashKey::default().0.to_vec();
        oracle.limits.hash_report = Some((0x1ff, key));
        // The published vector of these addresses (Microsoft's RSS verification suite).
        assert_eq!(oracle.judge_hash(&frame, (1, 0x323e_8fc2)), Ok(()));
        assert!(oracle.judge_hash(&frame, (1, 0x323e_8fc3)).is_err());
        assert!(oracle.judge_hash(&frame, (2, 0x323e_8fc2)).is_err());
        assert!(oracle.judge_hash(&[0; 60], (1, 0)).is_err(), "no IP, no hash");
    }

    #[test]
    fn no_descriptor_holds_only_with_an_empty_ring_and_a_full_fifo() {
        let mut ledger = Ledger::new(2, 1);
        let tag = ledger.offer(0, &[0; 60]);
        let mut oracle = oracle();
        let judge =
            |oracle: &mut Oracle| oracle.judge(Reason::Nic(Nic::NoDescriptor), claim(tag), &ledger);
        assert!(judge(&mut oracle).is_err(), "the FIFO has room");
        oracle.entered_fifo(60);
        assert!(judge(&mut oracle).is_ok());
        oracle.posted(0, 1);
        let error = judge(&mut oracle).unwrap_err();
        assert!(error.contains("1 descriptors are available"), "{error}");
        oracle.fetched(0, 1).unwrap();
        assert!(judge(&mut oracle).is_ok());
        assert!(oracle.fetched(0, 1).is_err());
    }

    #[test]
    fn buffer_full_holds_only_when_the_charges_say_so_and_the_record_agrees() {
        let mut ledger = Ledger::new(2, 1);
        let tag = ledger.offer(0, &[0; 60]);
        let mut oracle = oracle();
        let full = Claim { occupancy: 1040, capacity: 1000, need: 80, ..claim(tag) };
        let judge =
            |oracle: &mut Oracle, claim| oracle.judge(Reason::Npf(Npf::BufferFull), claim, &ledger);
        oracle.stored(0, 960);
        assert!(
            judge(&mut oracle, Claim { occupancy: 960, ..full }).is_err(),
            "40 B are free: soft limit"
        );
        oracle.stored(0, 80);
        assert!(judge(&mut oracle, full).is_ok());
        assert!(judge(&mut oracle, Claim { occupancy: 999, ..full }).is_err(), "the record lies");
    }

    #[test]
    fn a_giant_is_longer_than_mtu_header_and_tags() {
        let mut ledger = Ledger::new(2, 1);
        let mut oracle = oracle();
        let mut frame = vec![0; 1518];
        frame[12..14].copy_from_slice(&[0x81, 0x00]);
        let tagged = ledger.offer(0, &frame);
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        let plain = ledger.offer(0, &frame);
        let mut judge = |tag| oracle.judge(Reason::Nic(Nic::Giant), claim(tag), &ledger);
        assert!(judge(tagged).is_err());
        assert!(judge(plain).is_ok());
    }

    #[test]
    fn a_missing_spare_buffer_holds_only_while_all_are_out() {
        let mut ledger = Ledger::new(2, 1);
        let tag = ledger.offer(0, &[0; 60]);
        let mut oracle = oracle();
        let reason = Reason::Driver(Driver::NoSpareBuffer);
        let full = Claim { occupancy: 2, capacity: 2, need: 1, ..claim(tag) };
        oracle.lent(0);
        oracle.lent(1);
        assert!(oracle.judge(reason, full, &ledger).is_err(), "one of two is out");
        oracle.lent(0);
        assert!(oracle.judge(reason, full, &ledger).is_ok());
        assert!(oracle.judge(reason, Claim { occupancy: 1, ..full }, &ledger).is_err());
        oracle.given_back(0);
        assert!(oracle.judge(reason, full, &ledger).is_err());
    }
}
