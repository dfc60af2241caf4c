//! Completions out of a used ring, one frame after the other: copied, looked at, indicated or dropped.
//!
//! A frame is dropped when its length cannot hold one, its header cannot be followed, its buffers do not add
//! up, or an id is a lie. In the last case, and when buffers are missing, the queue stops, as nobody can say
//! which frame was meant or where the next one begins.
//!
//! Contract: each frame taken has one position, and is indicated or dropped once. Positions count frames,
//! not buffers.

use crate::Host;
use crate::buffers::Plan;
use crate::dma::{DmaRegion, View};
use crate::drop::{DropReason, DropRecord};
use crate::event::Event;
use crate::header::{self, RxHeader};
use crate::merge::{self, Gathered};
use crate::poll::Polled;
use crate::ring::RingError;
use crate::ring::rx::RxQueue;
use crate::spec;
use crate::staging::{BATCH, Staging};

/// What one indication took.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) frames: u16,
    pub(crate) dropped: u16,
    pub(crate) bytes: u64,
    /// Bytes that were copied.
    pub(crate) copied: u64,
    /// Buffers that were handed over.
    pub(crate) lent: u64,
}

/// A frame that has left the ring.
enum Taken {
    /// It is in the staging area: so many bytes without header, so many copied, its buffer handed over.
    Frame { bytes: usize, copied: usize, lent: bool },
    /// It is not; the numbers of its record.
    Dropped(DropReason, Numbers),
}

/// The ring is broken, and took this frame with it.
struct Broken {
    error: RingError,
    dropped: Option<(DropReason, Numbers)>,
}

/// The used ring, the buffers, and the memory that they are in.
pub(crate) type Views<'a> = (&'a View<'a>, &'a View<'a>, &'a DmaRegion);

/// Occupancy, capacity and need of a [`DropRecord`].
type Numbers = (u64, u64, u64);

/// Takes every completion there is, whatever it costs.
pub(crate) fn take_all<H: Host>(
    now: u64,
    queue: u16,
    rx: &mut RxQueue,
    memory: &DmaRegion,
    staging: &mut Staging,
    host: &mut H,
) -> Polled {
    let mut polled = Polled::default();
    while rx.broken.is_none() {
        let batch = take_batch(now, queue, BATCH as u16, rx, memory, staging, host);
        if batch.frames + batch.dropped == 0 {
            break;
        }
        polled.add(&batch);
    }
    let receive = &mut rx.counters.receive;
    receive.consumed += u64::from(polled.frames) + u64::from(polled.dropped);
    receive.indicated += u64::from(polled.frames);
    receive.bytes += polled.bytes;
    polled
}

/// Takes up to `limit` frames, [`BATCH`] at most, and indicates them.
#[inline]
pub(crate) fn take_batch<H: Host>(
    now: u64,
    queue: u16,
    limit: u16,
    rx: &mut RxQueue,
    memory: &DmaRegion,
    staging: &mut Staging,
    host: &mut H,
) -> Batch {
    let mut batch = Batch::default();
    let (used, buffers) = (rx.ring.used_view(memory), rx.buffers(memory));
    let mut broken = None;
    for _ in 0..limit {
        if !staging.has_room() {
            break;
        }
        if let Some(slot) = rx.ring.slot_ahead(&used) {
            rx.pool.prefetch(&buffers, slot);
        }
        let tag = rx.consumed;
        match take_frame(now, queue, rx, (&used, &buffers, memory), staging, host) {
            Ok(Some(Taken::Frame { bytes, copied, lent })) => {
                batch.frames += 1;
                batch.bytes += bytes as u64;
                batch.copied += copied as u64;
                batch.lent += u64::from(lent);
            }
            Ok(Some(Taken::Dropped(reason, numbers))) => {
                batch.dropped += 1;
                // Fates are told in ring order: those before it come first.
                staging.indicate(now, queue, host);
                drop_it(now, queue, tag, reason, numbers, rx, host);
            }
            Ok(None) => break,
            Err(fault) => {
                broken = Some(fault);
                break;
            }
        }
        rx.consumed += 1;
    }
    count_buffers(rx, &batch);
    staging.indicate(now, queue, host);
    if let Some(Broken { error, dropped }) = broken {
        if let Some((reason, numbers)) = dropped {
            batch.dropped += 1;
            drop_it(now, queue, rx.consumed, reason, numbers, rx, host);
            rx.consumed += 1;
        }
        stop(now, queue, rx, error, host);
    }
    batch
}

/// Takes the next frame, if there is one. Its position is that of `rx.consumed`.
#[inline]
fn take_frame<H: Host>(
    now: u64,
    queue: u16,
    rx: &mut RxQueue,
    views: Views<'_>,
    staging: &mut Staging,
    host: &mut H,
) -> Result<Option<Taken>, Broken> {
    let (used, buffers, memory) = views;
    let completion = match rx.ring.take(used) {
        Ok(Some(completion)) => completion,
        Ok(None) => return Ok(None),
        Err(error) => {
            let numbers = (rx.ring.outstanding().into(), rx.ring.slots().into(), 1);
            return Err(Broken { error, dropped: reason_of(error).map(|r| (r, numbers)) });
        }
    };
    rx.free.push(completion.id);
    let format = staging.format;
    let least = format.header_bytes + spec::ETHERNET_HEADER_BYTES;
    let mut len = clamp(now, queue, completion.len, rx, host);
    let short = |len: usize, rx: &RxQueue| {
        let numbers = (len as u64, rx.pool.room().into(), least as u64);
        Ok(Some(Taken::Dropped(DropReason::ShortCompletion, numbers)))
    };
    // In the first of several buffers may be as little as the header.
    if len < if format.mergeable { format.header_bytes } else { least } {
        return short(len, rx);
    }
    let copy = staging.add(len, rx.consumed);
    rx.pool.copy_out(memory, buffers, completion.id, copy);
    let mut merged = false;
    if format.mergeable {
        let first = (header::num_buffers(copy), completion.len);
        if first.0 != 1
            && let Some(dropped) = merge_rest(rx, views, staging, first)?
        {
            staging.take_back();
            return Ok(Some(dropped));
        }
        merged = first.0 != 1;
        len = staging.last().len();
        if len < least {
            staging.take_back();
            return short(len, rx);
        }
    }
    let bytes = len - format.header_bytes;
    match header::inspect(format, staging.last()) {
        Ok(said) => {
            if said != RxHeader::default() {
                staging.describe_last(said);
                if said.unexpected {
                    rx.counters.receive.header_unexpected += 1;
                    host.event(now, Event::HeaderUnexpected { tag: rx.consumed, queue });
                }
            }
            let plan = if merged {
                // Over several buffers a frame is copied into one piece in any case.
                Plan::Copy(len)
            } else {
                rx.pool.plan(memory, &mut rx.ring, completion.id, len)
            };
            Ok(Some(hand_over(now, queue, plan, bytes, rx, staging, host)))
        }
        Err(need) => {
            staging.take_back();
            let numbers = (bytes as u64, bytes as u64, need as u64);
            Ok(Some(Taken::Dropped(DropReason::BadChecksumPlace, numbers)))
        }
    }
}

/// Does with the last frame of the staging area what the buffer policy has decided.
#[inline]
fn hand_over<H: Host>(
    now: u64,
    queue: u16,
    plan: Plan,
    bytes: usize,
    rx: &mut RxQueue,
    staging: &mut Staging,
    host: &mut H,
) -> Taken {
    match plan {
        Plan::Copy(copied) => Taken::Frame { bytes, copied, lent: false },
        Plan::CopyInstead(copied) => {
            rx.counters.receive.spares_exhausted += 1;
            Taken::Frame { bytes, copied, lent: false }
        }
        Plan::Lend(buffer, copied) => {
            host.event(now, Event::BufferLent { tag: rx.consumed, queue, buffer });
            staging.lend_last(buffer);
            Taken::Frame { bytes, copied, lent: true }
        }
        Plan::Drop => {
            rx.counters.receive.spares_exhausted += 1;
            staging.take_back();
            let numbers = (rx.pool.out().into(), rx.pool.spares().into(), 1);
            Taken::Dropped(DropReason::NoSpareBuffer, numbers)
        }
    }
}

fn count_buffers(rx: &mut RxQueue, batch: &Batch) {
    let receive = &mut rx.counters.receive;
    receive.copied_bytes += batch.copied;
    receive.buffers_lent += batch.lent;
    receive.buffers_out_most = receive.buffers_out_most.max(rx.pool.out().into());
}

/// Takes the buffers after the first of a frame; `Some` if they do not add up.
fn merge_rest(
    rx: &mut RxQueue,
    views: Views<'_>,
    staging: &mut Staging,
    first: (u16, u32),
) -> Result<Option<Taken>, Broken> {
    let numbers = |taken: u16, rx: &RxQueue| {
        (u64::from(taken), u64::from(rx.ring.slots()), u64::from(first.0))
    };
    match merge::gather(rx, views, staging, first) {
        Gathered::Whole => Ok(None),
        Gathered::Wrong { taken } => {
            Ok(Some(Taken::Dropped(DropReason::BadMerge, numbers(taken, rx))))
        }
        Gathered::Lost { taken, error } => {
            staging.take_back();
            let reason = reason_of(error).unwrap_or(DropReason::BadMerge);
            Err(Broken { error, dropped: Some((reason, numbers(taken, rx))) })
        }
    }
}

/// The length to believe: never more than the buffer that the device was given.
#[inline]
fn clamp<H: Host>(now: u64, queue: u16, len: u32, rx: &mut RxQueue, host: &mut H) -> usize {
    if len > rx.pool.room() {
        rx.counters.receive.length_clamped += 1;
        let (tag, capacity) = (rx.consumed, rx.pool.room().into());
        host.event(now, Event::LengthClamped { tag, queue, len: len.into(), capacity });
    }
    len.min(rx.pool.room()) as usize
}

/// Why the completion that an error has taken is dropped; most errors take none.
fn reason_of(error: RingError) -> Option<DropReason> {
    match error {
        RingError::UnknownId { .. } => Some(DropReason::UnknownId),
        RingError::DuplicateId { .. } => Some(DropReason::DuplicateId),
        RingError::IndexJump { .. }
        | RingError::DescriptorFlags { .. }
        | RingError::BatchTooLong { .. }
        | RingError::MissingBuffers { .. } => None,
    }
}

pub(crate) fn drop_it<H: Host>(
    now: u64,
    queue: u16,
    tag: u64,
    reason: DropReason,
    (occupancy, capacity, need): (u64, u64, u64),
    rx: &mut RxQueue,
    host: &mut H,
) {
    rx.counters.dropped[reason.index()] += 1;
    let record = DropRecord {
        tag,
        reason,
        queue: Some(queue),
        handle: None,
        cpu: None,
        occupancy,
        capacity,
        need,
        free_elsewhere: 0,
    };
    host.event(now, Event::Dropped(record));
}

/// Stops the queue for good: it stays masked, takes nothing, and is given nothing.
fn stop<H: Host>(now: u64, queue: u16, rx: &mut RxQueue, error: RingError, host: &mut H) {
    let receive = &mut rx.counters.receive;
    match error {
        RingError::IndexJump { .. } => receive.index_jumps += 1,
        RingError::DescriptorFlags { .. } => receive.descriptor_flags += 1,
        RingError::BatchTooLong { .. } => receive.batch_too_long += 1,
        // The dropped completion counts.
        RingError::UnknownId { .. }
        | RingError::DuplicateId { .. }
        | RingError::MissingBuffers { .. } => {}
    }
    rx.broken = Some(error);
    host.event(now, Event::QueueBroken { queue, error: error.name() });
}
