//! What the two designs whose CPUs need not wait for each other have in common, as seen by the
//! account that [`Shared`](super::shared::Shared) keeps around them.
//!
//! Contract: as that of [`Engine`](crate::engine::Engine), with `&self`: each packet that a batch kept
//! leaves by exactly one call of the sink. [`Core::flush`] and [`Core::resize`] are called by who owns
//! the rules, so that no batch and no read is under way.

use super::rules::Rules;
use crate::engine::{Filled, Packet, Sink, Stored};
use crate::{Occupancy, ReadError};

/// Most packets that are handled under one lock.
pub(super) const BATCH: usize = 64;

/// One capture buffer, filled from several CPUs and read at the same time.
pub(super) trait Core {
    /// What a CPU has to itself.
    type Lane;
    /// What the reader has to itself.
    type Reader: Default;
    /// Packets of one CPU on their way in.
    type Batch<'a>: Batch
    where
        Self: 'a;

    /// Whether a packet is copied before the buffer is asked, and so costs a copy also if it is
    /// refused.
    const COPIES_FIRST: bool;

    /// What CPU number `at` starts with.
    fn lane(&self, at: usize) -> Self::Lane;

    /// Begins a batch of at most [`BATCH`] packets, which keeps `bytes` bytes of `packets` frames if
    /// there is room for all.
    fn batch<'a>(
        &'a self,
        lane: &'a mut Self::Lane,
        rules: &'a Rules,
        packets: u32,
        bytes: u64,
    ) -> Self::Batch<'a>;

    /// Writes records into `out`.
    fn read(
        &self,
        reader: &mut Self::Reader,
        rules: &Rules,
        out: &mut [u8],
        sink: &mut impl Sink,
    ) -> Result<Filled, ReadError>;

    /// Whether a reader that comes now need not wait, whatever the event says.
    fn ready(&self, rules: &Rules) -> bool;

    /// Gives up everything it holds.
    fn flush(&self, reader: &mut Self::Reader, rules: &Rules, sink: &mut impl Sink);

    /// The buffer, which is empty, is `capacity` bytes from now on.
    fn resize(&self, capacity: u64);

    /// How full it is.
    fn occupancy(&self, rules: &Rules) -> Occupancy;

    /// Bytes charged.
    fn used(&self) -> u64;

    /// Packets it holds.
    fn queued(&self) -> u64;
}

/// Packets of one CPU on their way in.
pub(super) trait Batch {
    /// Asks to keep a packet, whose kept bytes are `data`.
    fn store(&mut self, packet: Packet, data: &[u8]) -> Stored;

    /// The reader can have what was kept, from here on at the latest.
    fn end(self);
}
