//! Buffer policies: what becomes of a receive buffer that holds a frame.
//!
//! | policy | chain | copied by the driver | the buffer |
//! |---|---|---|---|
//! | copy | one buffer | the frame | is free at once |
//! | page flip | one buffer | nothing | stays with the host; a spare one takes its place |
//! | header split | header buffer, payload buffer | the header | as page flip; free if the header is all |
//!
//! A buffer that is handed over comes back by [`Driver::give_back`]. While no spare is left, the next
//! frame is copied ([`Exhausted::Copy`], as drivers do that keep a page they cannot replace) or dropped
//! ([`Exhausted::Drop`], as drivers do that cannot allocate). The bytes that the host is shown are a
//! snapshot in any case: memory that a device may write to cannot be lent as a plain slice. The
//! snapshot stands for looking at the buffer and is not counted as a copy of the policy.
//!
//! A frame that the device has spread over several buffers (MRG_RXBUF) is copied into one piece in any case.
//!
//! Contract: a buffer is in a slot of the ring, spare, or out, and never in two of these.
//! Not checked: that a device leaves a buffer alone that it has completed.

use crate::config::DriverConfig;
use crate::config_error::{ConfigError, in_range};
use crate::dma::{DmaRegion, View};
use crate::layout::QueueLayout;
use crate::ring::{Buffer, Ring};
use crate::{Driver, spec};

/// What becomes of a receive buffer that holds a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffers {
    /// The frame is copied, the buffer recycled.
    Copy,
    /// The buffer is handed over, a spare one takes its place.
    PageFlip {
        /// Spare buffers of each receive queue, 1..=32767.
        spares: u16,
        /// What happens without one.
        exhausted: Exhausted,
    },
    /// The first bytes go to a buffer of their own and are copied; the rest is handed over.
    HeaderSplit {
        /// Bytes of the header buffer, virtio header included: 64..=1024.
        header: u16,
        /// Spare payload buffers of each receive queue, 1..=32767.
        spares: u16,
        /// What happens without one.
        exhausted: Exhausted,
    },
}

/// What happens to a frame whose buffer cannot be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// It is copied, and its buffer recycled.
    Copy,
    /// It is dropped, and its buffer recycled.
    Drop,
}

impl Buffers {
    /// Most buffers of a chain.
    pub(crate) fn chain(self) -> u16 {
        if self.header() > 0 { 2 } else { 1 }
    }

    /// Bytes of the header buffer; 0 without one.
    pub(crate) fn header(self) -> usize {
        match self {
            Self::HeaderSplit { header, .. } => header.into(),
            Self::Copy | Self::PageFlip { .. } => 0,
        }
    }

    /// Spare buffers per queue.
    pub(crate) fn spares(self) -> u16 {
        match self {
            Self::Copy => 0,
            Self::PageFlip { spares, .. } | Self::HeaderSplit { spares, .. } => spares,
        }
    }

    fn exhausted(self) -> Exhausted {
        match self {
            Self::Copy => Exhausted::Copy,
            Self::PageFlip { exhausted, .. } | Self::HeaderSplit { exhausted, .. } => exhausted,
        }
    }

    pub(crate) fn validate(self) -> Result<(), ConfigError> {
        if let Self::HeaderSplit { header, .. } = self {
            in_range("header buffer", header.into(), 64, 1024)?;
        }
        if self == Self::Copy {
            return Ok(());
        }
        in_range("spare buffers", self.spares().into(), 1, 32767)
    }
}

/// How a frame is handed to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Copied; so many bytes, virtio header included.
    Copy(usize),
    /// Copied because no spare is left.
    CopyInstead(usize),
    /// In this buffer; so many bytes of it were copied all the same.
    Lend(u16, usize),
    /// Not at all.
    Drop,
}

/// The buffers of one receive queue.
#[derive(Debug)]
pub(crate) struct Pool {
    policy: Buffers,
    layout: QueueLayout,
    buffer_size: u32,
    /// By slot of the ring.
    in_slot: Vec<u16>,
    spare: Vec<u16>,
    /// By buffer: the host has it.
    is_out: Vec<bool>,
    out: u16,
}

impl Pool {
    pub(crate) fn new(config: &DriverConfig, layout: QueueLayout) -> Self {
        let buffers = layout.buffers.len / layout.stride;
        Self {
            policy: config.buffers,
            layout,
            buffer_size: config.buffer_size,
            in_slot: Vec::with_capacity(layout.ring.size.into()),
            spare: Vec::with_capacity(buffers),
            is_out: vec![false; buffers],
            out: 0,
        }
    }

    /// Puts a buffer into each slot; the others are spare, but for those that the host still has.
    pub(crate) fn describe_all(&mut self, memory: &DmaRegion, ring: &mut Ring) {
        self.in_slot.clear();
        self.spare.clear();
        let here = (0u16..).zip(&self.is_out).filter(|(_, out)| !**out).map(|(buffer, _)| buffer);
        let (slots, spares) = (usize::from(ring.slots()), self.policy.spares() - self.out);
        for buffer in here.take(slots + usize::from(spares)) {
            let into = if self.in_slot.len() < slots { &mut self.in_slot } else { &mut self.spare };
            into.push(buffer);
        }
        for slot in 0..ring.slots() {
            self.describe(memory, ring, slot);
        }
    }

    /// Decides how the frame in `slot`, of `len` bytes with its virtio header, is handed to the host;
    /// the slot has another buffer afterwards if its own is lent.
    #[inline]
    pub(crate) fn plan(
        &mut self,
        memory: &DmaRegion,
        ring: &mut Ring,
        slot: u16,
        len: usize,
    ) -> Plan {
        if self.policy == Buffers::Copy {
            return Plan::Copy(len);
        }
        let header = self.policy.header().min(len);
        if header == len {
            return Plan::Copy(len);
        }
        let Some(spare) = self.spare.pop() else {
            return match self.policy.exhausted() {
                Exhausted::Copy => Plan::CopyInstead(len),
                Exhausted::Drop => Plan::Drop,
            };
        };
        let buffer = std::mem::replace(&mut self.in_slot[usize::from(slot)], spare);
        self.is_out[usize::from(buffer)] = true;
        self.out += 1;
        self.describe(memory, ring, slot);
        Plan::Lend(buffer, header)
    }

    /// The buffer in `slot`.
    #[inline]
    fn in_slot(&self, slot: u16) -> u16 {
        // With the copy policy a slot's buffer is its own for ever.
        if self.policy == Buffers::Copy { slot } else { self.in_slot[usize::from(slot)] }
    }

    /// Copies the start of what the device wrote into `slot`.
    #[inline]
    pub(crate) fn copy_out(
        &self,
        memory: &DmaRegion,
        buffers: &View<'_>,
        slot: u16,
        out: &mut [u8],
    ) {
        let header = self.policy.header().min(out.len());
        let (head, payload) = out.split_at_mut(header);
        if header > 0 {
            memory.view(self.layout.headers).copy_out(self.header_at(slot), head);
        }
        buffers.copy_out(usize::from(self.in_slot(slot)) * self.layout.stride, payload);
    }

    /// Asks for the start of what the device wrote into `slot`, one of the ring's.
    #[inline]
    pub(crate) fn prefetch(&self, buffers: &View<'_>, slot: u16) {
        buffers.prefetch(usize::from(self.in_slot(slot)) * self.layout.stride);
    }

    /// The host is done with `buffer`; `false` if it does not have it.
    pub(crate) fn give_back(&mut self, buffer: u16) -> bool {
        match self.is_out.get_mut(usize::from(buffer)) {
            Some(out) if *out => {
                *out = false;
                self.out -= 1;
                self.spare.push(buffer);
                true
            }
            _ => false,
        }
    }

    /// Buffers that the host can have at most.
    pub(crate) fn spares(&self) -> u16 {
        self.policy.spares()
    }

    /// Buffers that the host has.
    pub(crate) fn out(&self) -> u16 {
        self.out
    }

    /// Bytes that a frame may take.
    pub(crate) fn room(&self) -> u32 {
        self.buffer_size + self.policy.header() as u32
    }

    fn header_at(&self, slot: u16) -> usize {
        usize::from(slot) * self.policy.header().next_multiple_of(spec::CACHE_LINE)
    }

    fn describe(&self, memory: &DmaRegion, ring: &mut Ring, slot: u16) {
        let at = usize::from(self.in_slot[usize::from(slot)]) * self.layout.stride;
        let address = memory.address_of(self.layout.buffers) + at as u64;
        let payload = Buffer { address, len: self.buffer_size, writable: true };
        if self.policy.header() == 0 {
            return ring.describe(memory, slot, &[payload]);
        }
        let address = memory.address_of(self.layout.headers) + self.header_at(slot) as u64;
        let header = Buffer { address, len: self.policy.header() as u32, writable: true };
        ring.describe(memory, slot, &[header, payload]);
    }
}

impl Driver {
    /// The host is done with a buffer that it was handed with [`RxFrame::buffer`](crate::RxFrame). One
    /// that it does not have is counted as a misdirected call.
    pub fn give_back(&mut self, queue: u16, buffer: u16) {
        let taken = self.rx.get_mut(usize::from(queue)).is_some_and(|rx| {
            let taken = rx.pool.give_back(buffer);
            rx.counters.receive.buffers_returned += u64::from(taken);
            taken
        });
        self.counters.misdirected_calls += u64::from(!taken);
    }

    /// Buffers of receive queue `queue` that the host has.
    pub fn lent(&self, queue: u16) -> u64 {
        self.rx.get(usize::from(queue)).map_or(0, |rx| rx.pool.out().into())
    }
}
