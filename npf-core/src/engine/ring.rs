//! The single circular buffer of WinPcap 2.3 (wireshark/winpcap `packetNtx/driver/Read.c`, tree of
//! 2002-10-24), the design of the papers about WinPcap.
//!
//! ```text
//!   unwrapped   |......[packet][packet][packet]...........|     occupancy = tail - head
//!                      head                    tail
//!   wrapped     |[packet][packet].......[packet][packet]ww|     occupancy = last - head + tail
//!                                tail   head            last    ww: wasted, a packet is never split
//! ```
//!
//! Contract: first in, first out; a packet takes 20 + caplen bytes, rounded up to a multiple of 4, in
//! one piece. The reader is woken when more than `min_to_copy` bytes are used, and never by a drop; a
//! read waits while no more than that are used and the event is clear.
//!
//! A read copies in steps of 1024 bytes, and `head` follows each of them, through the middle of
//! packets, so that the tap finds room while the copy is still going on (the sliding window). It
//! takes what was there when it began: everything, if the ring is not wrapped and holds less than the
//! user buffer; the upper part alone, if it is wrapped, so that a wrapped ring takes two reads; or as
//! many whole packets as fit. A packet larger than the user buffer is never read, nor what is behind
//! it. A packet counts as delivered when its last byte is copied. A ring that wrapped while it was
//! empty has an empty upper part, and one read returns nothing for it.
//!
//! For outside observers: `used` is the sum of the charges of the packets held, less the bytes of the
//! oldest one that a read in progress has already copied. A packet that was refused although its need
//! is less than what is free met free space in two pieces; `elsewhere` is then all that is free, at
//! most its need and the largest record together.
//!
//! The drivers that were released as WinPcap 3 and 4 do not have this ring but one per CPU: that is
//! [`EngineKind::Segments`](crate::EngineKind::Segments) with `wake_on_drop` off and `free_drift` on.
//!
//! Differences from the source: a read of a buffer of size 0, or into less than a record header, is
//! refused rather than empty for ever; a control that empties the buffer ends the read in progress,
//! which there would go on to move `head`. Not modelled: packets whose transfer the network card
//! finishes later.

use std::collections::VecDeque;

use super::{Engine, Filled, Gone, Occupancy, Packet, Refusal, Sink, Stored};
use crate::pool::Pool;
use crate::record::{Header, RECORD_HEADER, align};
use crate::{DropReason, HandleOptions, ReadError, RingOptions};

/// After so many bytes of a copy the space they took is free again.
const STEP: usize = 1024;

/// With `prefilter_heuristic` a frame is dropped before the filter sees it when fewer bytes are free,
/// in whatever pieces, than 20 + its whole length. A packet that the filter kept is dropped, without
/// being counted, when the buffer has size 0; otherwise when it finds no place:
///
/// - wrapped: when `head - tail` is no more than its need;
/// - unwrapped, and `tail` plus its need is not below the size: when `head` is no more than its need;
///   else it goes to the start, and what is behind `tail` is wasted until `head` has come round.
#[derive(Debug)]
pub(crate) struct Ring {
    buffer: Vec<u8>,
    head: usize,
    tail: usize,
    /// End of the upper part while the ring is wrapped (`head > tail`); else without meaning.
    last: usize,
    /// What is in the ring, oldest first.
    packets: VecDeque<Packet>,
    window: Option<Window>,
    min_to_copy: u64,
    immediate: bool,
    peak: u64,
    peak_memory: u64,
    epoch_seconds: u32,
    choices: RingOptions,
}

/// A read in progress: the ring's bytes from where `head` was when it began.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    /// All it copies.
    total: usize,
    /// Of that, what has been written to the user buffer.
    written: usize,
    /// Of that, what `head` has left behind.
    freed: usize,
    /// Of that, the packets delivered.
    delivered: usize,
    /// It is from the upper part of a wrapped ring.
    wrapped: bool,
    /// The event stays as it is.
    leaves_event: bool,
}

impl Ring {
    pub(crate) fn new(options: &HandleOptions, choices: RingOptions) -> Self {
        let mut ring = Ring {
            buffer: Vec::new(),
            head: 0,
            tail: 0,
            last: 0,
            packets: VecDeque::new(),
            window: None,
            min_to_copy: options.min_to_copy,
            immediate: options.immediate,
            peak: 0,
            peak_memory: 0,
            epoch_seconds: options.epoch_seconds,
            choices,
        };
        ring.resize(options.kernel_buffer);
        ring
    }

    #[inline]
    fn wrapped(&self) -> bool {
        self.head > self.tail
    }

    #[inline]
    fn used(&self) -> usize {
        if self.wrapped() { self.last - self.head + self.tail } else { self.tail - self.head }
    }

    /// Where a packet of that need would begin, if there is room.
    #[inline]
    fn place(&self, need: usize) -> Option<usize> {
        if self.wrapped() {
            (self.head - self.tail > need).then_some(self.tail)
        } else if self.tail + need < self.buffer.len() {
            Some(self.tail)
        } else {
            (self.head > need).then_some(0)
        }
    }

    #[inline]
    fn more_than_min(&self) -> bool {
        let min = if self.immediate { 0 } else { self.min_to_copy };
        self.used() as u64 > min
    }

    fn refusal(&self, reason: DropReason, need: usize) -> Refusal {
        let free = self.buffer.len() - self.used();
        Refusal {
            reason,
            used: self.used() as u64,
            capacity: self.buffer.len() as u64,
            need: need as u64,
            elsewhere: if free > need { free as u64 } else { 0 },
            wake: false,
        }
    }

    /// What a read into `room` bytes that begins now takes.
    fn begin(&self, room: usize) -> Window {
        let waited = !self.more_than_min();
        let wrapped = self.wrapped();
        let run = if wrapped { self.last } else { self.tail } - self.head;
        if run < room {
            let leaves_event = wrapped && !waited;
            return Window { total: run, wrapped, leaves_event, ..Window::default() };
        }
        let mut total = 0;
        for packet in &self.packets {
            let charge = charge(packet);
            if total == run || total + charge > room {
                break;
            }
            total += charge;
        }
        Window { total, wrapped, leaves_event: !waited, ..Window::default() }
    }

    /// Moves `head` past what has been written and delivers the packets that are now whole in `out`.
    fn slide(&mut self, window: &mut Window, out: &[u8], sink: &mut impl Sink) -> u32 {
        self.head += window.written - window.freed;
        window.freed = window.written;
        let mut packets = 0;
        while let Some(packet) = self.packets.front().copied() {
            let charge = charge(&packet);
            if window.delivered + charge > window.freed {
                break;
            }
            self.packets.pop_front();
            let start = window.delivered + RECORD_HEADER;
            sink.delivered(&packet, &out[start..start + packet.caplen as usize]);
            window.delivered += charge;
            packets += 1;
        }
        packets
    }

    /// A wrapped ring whose upper part is read starts over.
    fn start_over(&mut self) {
        if self.wrapped() && self.head == self.last {
            self.head = 0;
        }
    }

    fn memory(&self) -> u64 {
        (self.buffer.len() + self.packets.len() * size_of::<Packet>()) as u64
    }
}

impl Engine for Ring {
    #[inline]
    fn shares(&self) -> bool {
        false
    }

    #[inline]
    fn refuse_unfiltered(&self, _cpu: u16, len: u32) -> Option<Refusal> {
        if !self.choices.prefilter_heuristic {
            return None;
        }
        let need = RECORD_HEADER + len as usize;
        let free = self.buffer.len() - self.used();
        (free < need).then(|| self.refusal(DropReason::Prefiltered, need))
    }

    #[inline]
    fn counts(&self, reason: DropReason) -> bool {
        reason != DropReason::ZeroBuffer
    }

    fn store(
        &mut self,
        packet: Packet,
        data: &[u8],
        _pool: &mut Pool,
        _sink: &mut impl Sink,
    ) -> Stored {
        let need = charge(&packet);
        if self.buffer.is_empty() {
            return Stored::Refused(self.refusal(DropReason::ZeroBuffer, need));
        }
        let Some(start) = self.place(need) else {
            return Stored::Refused(self.refusal(DropReason::BufferFull, need));
        };
        if start < self.tail {
            self.last = self.tail;
        }
        let record = &mut self.buffer[start..start + need];
        let Packet { timestamp, caplen, len, .. } = packet;
        Header { timestamp, epoch_seconds: self.epoch_seconds, caplen, len }.write(record);
        let (kept, padding) = record[RECORD_HEADER..].split_at_mut(data.len());
        kept.copy_from_slice(data);
        padding.fill(0);
        self.tail = start + need;
        self.packets.push_back(packet);

        let used = self.used() as u64;
        self.peak = self.peak.max(used);
        self.peak_memory = self.peak_memory.max(self.memory());
        Stored::Kept { charge: need as u64, used, wake: self.more_than_min() }
    }

    #[inline]
    fn ready(&self, event_set: bool) -> bool {
        event_set || self.more_than_min()
    }

    fn read(
        &mut self,
        out: &mut [u8],
        _at: usize,
        _pool: &mut Pool,
        sink: &mut impl Sink,
    ) -> Result<Filled, ReadError> {
        if self.buffer.is_empty() {
            return Err(ReadError::ZeroBuffer);
        }
        if out.len() < RECORD_HEADER {
            return Err(ReadError::BufferTooSmall { len: out.len(), need: RECORD_HEADER });
        }
        let mut window = match self.window.take() {
            Some(window) => window,
            None => self.begin(out.len()),
        };
        let packets = self.slide(&mut window, out, sink);
        let bytes = (window.total - window.written).min(STEP);
        if bytes > 0 {
            let written = window.written..window.written + bytes;
            out[written].copy_from_slice(&self.buffer[self.head..self.head + bytes]);
            window.written += bytes;
            self.window = Some(window);
        } else if window.wrapped {
            self.start_over();
        }
        let leaves_event = window.leaves_event;
        Ok(Filled { bytes, packets, more: bytes > 0, leaves_event, ..Filled::default() })
    }

    fn take(&mut self, _pool: &mut Pool, visit: &mut impl FnMut(&Packet, u64, [&[u8]; 2])) -> bool {
        if self.window.is_some() {
            return false;
        }
        let Some(packet) = self.packets.pop_front() else { return false };
        self.start_over();
        let (charge, data) = (charge(&packet), self.head + RECORD_HEADER);
        let bytes = &self.buffer[data..data + packet.caplen as usize];
        visit(&packet, charge as u64, [bytes, &[]]);
        self.head += charge;
        self.start_over();
        true
    }

    fn flush(&mut self, _pool: &mut Pool, sink: &mut impl Sink) {
        self.window = None;
        // All of them is more than what is used if a read was in the middle of the first.
        let used = self.used() as u64;
        let mut left = self.packets.iter().map(|packet| charge(packet) as u64).sum::<u64>();
        for packet in self.packets.drain(..) {
            let charge = charge(&packet) as u64;
            sink.gone(Gone {
                packet,
                reason: None,
                charge,
                used: left.min(used),
                capacity: self.buffer.len() as u64,
                need: charge,
                elsewhere: 0,
                in_statistics: false,
            });
            left -= charge;
        }
        (self.head, self.tail, self.last, self.peak) = (0, 0, 0, 0);
    }

    fn resize(&mut self, capacity: u64) {
        if capacity != self.buffer.len() as u64 {
            // Pages that are not used are not taken.
            self.buffer = vec![0; capacity as usize];
            self.peak_memory = self.peak_memory.max(self.memory());
        }
    }

    fn set_min_to_copy(&mut self, bytes: u64) {
        self.min_to_copy = bytes;
    }

    fn set_immediate(&mut self, immediate: bool) {
        self.immediate = immediate;
    }

    #[inline]
    fn occupancy(&self) -> Occupancy {
        let (used, capacity) = (self.used() as u64, self.buffer.len() as u64);
        let free = capacity as i64 - used as i64;
        let Self { peak, peak_memory, .. } = *self;
        Occupancy { used, capacity, free, peak, memory: self.memory(), peak_memory }
    }

    #[inline]
    fn queued(&self) -> u64 {
        self.packets.len() as u64
    }
}

/// What a packet takes in the ring.
#[inline]
fn charge(packet: &Packet) -> usize {
    align(RECORD_HEADER + packet.caplen as usize)
}
