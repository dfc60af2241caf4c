//! Capture buffer designs behind one seam; one file each.
//!
//! An engine is asked to store packets, each a reference to a shared copy, for the CPU they were
//! tapped on, and to fill a user buffer when somebody reads. It says what became of each packet and
//! whether the reader is to be woken. It does not know handles, events or counters: the adapter
//! keeps the account.
//!
//! How other designs fit the same seam:
//! - per-CPU segments: `Packet::cpu` chooses the segment; `free` in [`Occupancy`] is the sum, the
//!   refusal carries the segment's own numbers;
//! - a ring that copies bytes in: charges by its own rule and keeps the reference as its bytes;
//! - store/hold buffers and zero copy: rotate inside `store` and `read`;
//! - a worker thread with a queue before the buffer: `store` keeps the packet in that queue; what the
//!   worker later refuses leaves like a flushed packet, as a dropped record after the stored event;
//! - a buffer that refuses before the filter has run (WinPcap's ring): one more question, asked where
//!   the tap lets every handle decide;
//! - a read with rules of its own (exact length, none at all): `read` refuses, with its own error.
//!
//! Contract: every packet kept by [`Engine::store`] holds one reference in the pool and leaves by
//! exactly one of [`Engine::read`] and [`Engine::flush`], in the engine's order.

mod packet_queue;

pub(crate) use packet_queue::PacketQueue;

use crate::pool::{CopyRef, Pool};
use crate::{Delivered, DropReason, EngineKind, HandleOptions, ReadError};

/// How full a handle's buffer is, in bytes as the engine charges them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupancy {
    /// Charged for queued packets; may exceed `capacity` under a soft limit.
    pub used: u64,
    /// Size of the buffer.
    pub capacity: u64,
    /// `capacity - used`.
    pub free: i64,
    /// Highest `used` since the handle was opened or its buffer last reset.
    pub peak: u64,
}

/// One packet for one engine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet {
    pub tag: u64,
    /// Picoseconds of the tap.
    pub timestamp: u64,
    pub copy: CopyRef,
    /// Bytes of the copy that this handle keeps.
    pub caplen: u32,
    /// Length on the wire.
    pub len: u32,
    pub cpu: u16,
    pub queue: u16,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stored {
    /// It is in the buffer, which now holds `used` bytes.
    Kept { charge: u64, used: u64, wake: bool },
    /// It is not; the pool reference was not taken.
    Refused { reason: DropReason, used: u64, capacity: u64, need: u64, wake: bool },
}

/// What a read did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Filled {
    pub bytes: usize,
    pub packets: u32,
    /// Padding after the last record that had no room.
    pub padding_cut: usize,
    /// The first record was cut from so many bytes of frame.
    pub truncated_from: Option<u32>,
}

/// One capture buffer design.
pub(crate) trait Engine {
    /// Asks to keep a packet. If kept, the engine has retained the copy.
    fn store(&mut self, packet: Packet, pool: &mut Pool) -> Stored;

    /// Writes records into `out`, giving each packet to `deliver` and its reference back. A refusal
    /// changes nothing.
    fn read(
        &mut self,
        out: &mut [u8],
        pool: &mut Pool,
        deliver: &mut impl FnMut(Delivered<'_>),
    ) -> Result<Filled, ReadError>;

    /// Empties the buffer; `gone` gets each packet, what it was charged, and the bytes used before
    /// it left.
    fn flush(&mut self, pool: &mut Pool, gone: &mut impl FnMut(&Packet, u64, u64));

    /// Sets the size of an empty buffer.
    fn resize(&mut self, capacity: u64);

    /// Sets the bytes that must be queued before the reader is woken.
    fn set_min_to_copy(&mut self, bytes: u64);

    /// How full it is.
    fn occupancy(&self) -> Occupancy;

    /// Packets in it.
    fn queued(&self) -> u64;
}

/// The engine of one handle, chosen when it is opened.
#[derive(Debug)]
pub(crate) enum AnyEngine {
    PacketQueue(PacketQueue),
}

impl AnyEngine {
    pub(crate) fn new(options: &HandleOptions) -> Self {
        match options.engine {
            EngineKind::PacketQueue(quirks) => AnyEngine::PacketQueue(PacketQueue::new(
                options.kernel_buffer,
                options.min_to_copy,
                options.epoch_seconds,
                quirks,
            )),
        }
    }
}

impl Engine for AnyEngine {
    #[inline]
    fn store(&mut self, packet: Packet, pool: &mut Pool) -> Stored {
        match self {
            AnyEngine::PacketQueue(engine) => engine.store(packet, pool),
        }
    }

    #[inline]
    fn read(
        &mut self,
        out: &mut [u8],
        pool: &mut Pool,
        deliver: &mut impl FnMut(Delivered<'_>),
    ) -> Result<Filled, ReadError> {
        match self {
            AnyEngine::PacketQueue(engine) => engine.read(out, pool, deliver),
        }
    }

    fn flush(&mut self, pool: &mut Pool, gone: &mut impl FnMut(&Packet, u64, u64)) {
        match self {
            AnyEngine::PacketQueue(engine) => engine.flush(pool, gone),
        }
    }

    fn resize(&mut self, capacity: u64) {
        match self {
            AnyEngine::PacketQueue(engine) => engine.resize(capacity),
        }
    }

    fn set_min_to_copy(&mut self, bytes: u64) {
        match self {
            AnyEngine::PacketQueue(engine) => engine.set_min_to_copy(bytes),
        }
    }

    #[inline]
    fn occupancy(&self) -> Occupancy {
        match self {
            AnyEngine::PacketQueue(engine) => engine.occupancy(),
        }
    }

    #[inline]
    fn queued(&self) -> u64 {
        match self {
            AnyEngine::PacketQueue(engine) => engine.queued(),
        }
    }
}
