//! Capture buffer designs behind one seam; one file each.
//!
//! An engine is asked to store packets for the CPU they were tapped on, and to fill a user buffer
//! when somebody reads. It says what became of each packet and whether the reader is to be woken. It
//! does not know handles, events or counters: what happens to packets that it already holds it tells
//! a [`Sink`], and the adapter keeps the account.
//!
//! Contract: every packet that [`Engine::store`] kept leaves by exactly one call of
//! [`Sink::delivered`] or [`Sink::gone`]. An engine whose [`Engine::shares`] is true holds one
//! reference to the packet's shared copy for as long as it holds the packet; any other copies the
//! bytes into memory of its own.

mod any;
pub(crate) mod circular;
mod packet_queue;
mod ring;
pub(crate) mod segments;
mod store_hold;
mod worker;
mod zero_copy;

pub(crate) use any::AnyEngine;
pub use zero_copy::ZBUF_HEADER;
pub(crate) use zero_copy::{KERNEL_GEN, KERNEL_LEN, USER_GEN, ZeroCopy, word};

use crate::pool::{CopyRef, Pool};
use crate::{ControlError, DropReason, Marker, MarkerKind, ReadError};

/// How full a handle's buffer is, in bytes as the engine charges them, and what it takes in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Occupancy {
    /// Charged for queued packets; may exceed `capacity` under a soft limit.
    pub used: u64,
    /// Size of the buffer.
    pub capacity: u64,
    /// `capacity - used`.
    pub free: i64,
    /// Highest `used` since the handle was opened or its buffer last reset.
    pub peak: u64,
    /// Bytes of memory that the design takes now: buffers allocated, packet objects, queued
    /// requests, the shared copies they refer to (each counted by every handle that refers to it).
    pub memory: u64,
    /// Highest `memory` since the handle was opened.
    pub peak_memory: u64,
}

/// One packet for one engine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet {
    pub tag: u64,
    /// Picoseconds of the tap.
    pub timestamp: u64,
    /// The shared copy; `Some` exactly for engines that share.
    pub copy: Option<CopyRef>,
    /// Bytes of the frame that this handle keeps.
    pub caplen: u32,
    /// Length on the wire.
    pub len: u32,
    pub cpu: u16,
    pub queue: u16,
    /// It is no frame but a marker, whose count is `tag`.
    pub marker: Option<MarkerKind>,
}

impl Packet {
    /// The marker, if it is no frame.
    #[inline]
    pub(crate) fn marker(&self) -> Option<Marker> {
        self.marker.map(|kind| Marker { kind, count: self.tag })
    }
}

const _: () = assert!(size_of::<Packet>() == 40, "a cache line holds one and a half");

/// What became of a packet that was offered to a buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stored {
    /// The engine holds it; the part of the buffer it is in now holds `used` bytes. A charge of 0:
    /// it waits for the worker and is not in the buffer yet.
    Kept { charge: u64, used: u64, wake: bool },
    /// It does not; no reference was taken.
    Refused(Refusal),
}

/// Why an engine would not have a packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    pub reason: DropReason,
    /// Bytes charged in the part of the buffer that the packet would have gone to.
    pub used: u64,
    /// Size of that part.
    pub capacity: u64,
    pub need: u64,
    /// Free bytes of the same buffer that this packet could not have.
    pub elsewhere: u64,
    pub wake: bool,
}

/// A packet that an engine held and gave up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gone {
    pub packet: Packet,
    /// Why, or `None` for the reason of whoever asked for the flush.
    pub reason: Option<DropReason>,
    /// What it was charged; 0 if it was not in the buffer yet.
    pub charge: u64,
    /// Bytes charged before it left, in its part of the buffer.
    pub used: u64,
    /// Size of that part.
    pub capacity: u64,
    /// What it would have needed, if it was refused late; its charge otherwise.
    pub need: u64,
    pub elsewhere: u64,
    /// Whether the driver's own statistics count the drop.
    pub in_statistics: bool,
}

/// Who is told what becomes of packets that an engine holds.
pub(crate) trait Sink {
    /// A reader has `data` of it, all that was kept unless the read cut it. For a packet that was in
    /// the buffer, in the engine's order.
    fn delivered(&mut self, packet: &Packet, data: &[u8]);
    /// It is lost.
    fn gone(&mut self, gone: Gone);
    /// The worker put it into the buffer, which now holds `used` bytes.
    fn moved(&mut self, packet: &Packet, charge: u64, used: u64);
}

/// What a read, or one step of it, did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Filled {
    /// Bytes written by this step, padding included.
    pub bytes: usize,
    /// Packets whose last byte was written by this step.
    pub packets: u32,
    /// Padding after the last record that had no room.
    pub padding_cut: usize,
    /// The first record was cut from so many bytes of frame.
    pub truncated_from: Option<u32>,
    /// The read goes on: call again, with the same buffer, when copying these bytes has taken its
    /// time. Until then the tap may run.
    pub more: bool,
    /// The read event stays as it is; looked at in the first step only, at which it is cleared
    /// otherwise.
    pub leaves_event: bool,
}

/// What a step of the worker did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Worked {
    pub requests: u32,
    pub bytes_copied: u64,
    pub wake: bool,
}

/// One capture buffer design.
pub(crate) trait Engine {
    /// Whether packets are kept as references to the frame's shared copy.
    fn shares(&self) -> bool;

    /// Refuses a frame of `len` bytes before any filter has seen it.
    #[inline]
    fn refuse_unfiltered(&self, _cpu: u16, _len: u32) -> Option<Refusal> {
        None
    }

    /// Whether the driver's own statistics count a packet that was refused for `reason`.
    #[inline]
    fn counts(&self, _reason: DropReason) -> bool {
        true
    }

    /// The most bytes of a frame that a record of this buffer can hold.
    #[inline]
    fn longest(&self) -> u32 {
        u32::MAX
    }

    /// Asks to keep a packet, whose kept bytes are `data`. Older packets that have to make room go to
    /// the sink.
    fn store(
        &mut self,
        packet: Packet,
        data: &[u8],
        pool: &mut Pool,
        sink: &mut impl Sink,
    ) -> Stored;

    /// Whether a reader that comes now is served without waiting. `event_set`: the read event.
    #[inline]
    fn ready(&self, event_set: bool) -> bool {
        event_set
    }

    /// Writes records into `out` at `at`, the bytes that earlier steps of the same read wrote. What is
    /// there is what one gets, also nothing. A refusal changes nothing.
    fn read(
        &mut self,
        out: &mut [u8],
        at: usize,
        pool: &mut Pool,
        sink: &mut impl Sink,
    ) -> Result<Filled, ReadError>;

    /// The read in progress ends here.
    fn end_read(&mut self) {}

    /// Takes the oldest packet out, showing `visit` its bytes in one or two pieces; false if there is
    /// none to be had. The packet is the caller's: the sink does not hear of it.
    fn take(&mut self, pool: &mut Pool, visit: &mut impl FnMut(&Packet, u64, [&[u8]; 2])) -> bool;

    /// Packets that wait for the worker.
    #[inline]
    fn pending(&self) -> u64 {
        0
    }

    /// The worker handles up to `max` requests.
    fn work(&mut self, _max: u32, _pool: &mut Pool, _sink: &mut impl Sink) -> Worked {
        Worked::default()
    }

    /// Gives up everything it holds, a read in progress included. Each packet goes to the sink with
    /// no reason of its own.
    fn flush(&mut self, pool: &mut Pool, sink: &mut impl Sink);

    /// Gives up everything it holds for good, also what a flush has to leave.
    fn close(&mut self, pool: &mut Pool, sink: &mut impl Sink) {
        self.flush(pool, sink);
    }

    /// Whether the buffer may be given that size now.
    fn can_resize(&self, _capacity: u64) -> Result<(), ControlError> {
        Ok(())
    }

    /// Sets the size of an empty buffer; the same size resets it.
    fn resize(&mut self, capacity: u64);

    /// Sets the bytes that must be queued before the reader is woken.
    fn set_min_to_copy(&mut self, bytes: u64);

    /// Sets whether each packet wakes the reader.
    fn set_immediate(&mut self, immediate: bool);

    /// How full it is.
    fn occupancy(&self) -> Occupancy;

    /// Packets it holds, those that wait for the worker included.
    fn queued(&self) -> u64;
}
