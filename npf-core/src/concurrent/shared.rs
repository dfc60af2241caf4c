//! The account and the read event around a buffer that several CPUs fill and a reader empties.
//!
//! ```text
//!   tap:  share rules -> filter -> [lane of the CPU: account, batch -> core] -> event -> wake
//!   read: share rules -> [reader: clear event, core -> out, account]
//!   control: own rules, alone
//! ```
//!
//! Contract: decides, counts and tells as the state machine's [`Adapter`](crate::Adapter) with one
//! handle does, but for the wake-up, which comes after the packets of its batch. The lock of a lane
//! stands for the CPU: nobody waits for it but another thread that says it runs on the same CPU, and
//! who sums up the account. Locks are taken in the order rules, reader, lane, core.
//!
//! No wake-up is lost: the event is set after the packets can be had, and cleared before the reader
//! looks for them.

use super::core::{BATCH, Batch, Core};
use super::rules::Rules;
use super::sync::{
    Apart, AtomicBool, AtomicU64, Mutex,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
    RwLock, lock, share, try_lock,
};
use crate::adapter::account::Account;
use crate::adapter::judge::Judged;
use crate::adapter::tap::Source;
use crate::engine::{Filled, Packet, Refusal, Stored};
use crate::{
    DropReason, DropRecord, Event, Frame, HandleCounters, HandleOptions, Host, Occupancy, Read,
    ReadError, Stats, TapWork,
};

/// More CPUs than this share lanes.
const LANES_MAX: u16 = 256;

/// One handle.
#[derive(Debug)]
pub(super) struct Shared<C: Core> {
    pub(super) id: u32,
    pub(super) core: C,
    pub(super) rules: Apart<RwLock<Rules>>,
    lanes: Box<[Apart<LaneLock<C::Lane>>]>,
    pub(super) reader: Apart<Mutex<Reader<C::Reader>>>,
    pub(super) event: Apart<AtomicBool>,
    objects: Objects,
}

type LaneLock<L> = Mutex<Lane<L>>;

/// What a CPU has to itself.
#[derive(Debug)]
struct Lane<L> {
    account: Account,
    core: L,
}

/// What the reader has to itself.
#[derive(Debug)]
pub(super) struct Reader<R> {
    pub account: Account,
    pub core: R,
}

/// How many lanes a handle has.
pub(super) fn lanes(options: &HandleOptions) -> usize {
    options.cpus.min(LANES_MAX).into()
}

impl<C: Core> Shared<C> {
    pub(super) fn new(id: u32, options: &HandleOptions, core: C) -> Self {
        let account = || Account::of(id);
        let lane = |at| Lane { account: account(), core: core.lane(at) };
        Shared {
            id,
            rules: Apart(RwLock::new(Rules::new(options))),
            lanes: (0..lanes(options)).map(|at| Apart(Mutex::new(lane(at)))).collect(),
            reader: Apart(Mutex::new(Reader { account: account(), core: C::Reader::default() })),
            event: Apart(AtomicBool::new(false)),
            objects: Objects::new(options.object_limit),
            core,
        }
    }

    /// See [`SharedHandle::tap`](super::SharedHandle::tap).
    pub(super) fn tap<H: Host>(
        &self,
        source: Source,
        frames: &[Frame<'_>],
        host: &mut H,
    ) -> TapWork {
        let mut work = TapWork::default();
        for frames in frames.chunks(BATCH) {
            let woken = self.indicate(source, frames, &mut work, host);
            if let Some(occupancy) = woken {
                host.event(source.now, Event::Woken { handle: self.id, occupancy });
                host.wake(source.now, self.id);
            }
        }
        work
    }

    /// Shows a batch; gives the bytes used if the read event became set.
    fn indicate<H: Host>(
        &self,
        source: Source,
        frames: &[Frame<'_>],
        work: &mut TapWork,
        host: &mut H,
    ) -> Option<u64> {
        let Source { now, cpu, queue, .. } = source;
        let rules = share(&self.rules.0);
        work.frames += frames.len() as u32;
        if rules.detached {
            for frame in frames {
                host.event(now, Event::Dropped(source.record(frame.tag)));
            }
            return None;
        }
        let mut judged = [Judged::default(); BATCH];
        let (mut packets, mut bytes) = (0, 0);
        for (judged, frame) in judged.iter_mut().zip(frames) {
            *judged = rules.judge(source, frame);
            packets += u32::from(judged.keep.is_some());
            bytes += u64::from(judged.keep.unwrap_or(0));
        }

        let mut lane = lock(&self.lanes[usize::from(cpu) % self.lanes.len()].0);
        let Lane { account, core } = &mut *lane;
        let mut batch = self.core.batch(core, &rules, packets, bytes);
        let mut wakes = false;
        for (frame, judged) in frames.iter().zip(judged) {
            let (tag, handle, len) = (frame.tag, self.id, frame.wire_len);
            let Judged { keep, instructions, .. } = judged;
            judged.charge(work);
            account.counters.shown += 1;
            account.counters.instructions += u64::from(instructions);
            account.received += u64::from(keep.is_some() || !rules.received_after_filter);
            let Some(caplen) = keep else {
                account.counters.filtered += 1;
                host.event(now, Event::Filtered { tag, handle });
                continue;
            };
            if let Err(held) = self.objects.take() {
                account.resource_dropped += 1;
                let record = self.objects.record(held, handle, source.record(tag));
                account.dropped(now, record, host);
                continue;
            }
            let (timestamp, copy, marker) = (now, None, None);
            let packet = Packet { tag, timestamp, copy, caplen, len, cpu, queue, marker };
            let stored = batch.store(packet, &frame.data[..caplen as usize]);
            let kept = matches!(stored, Stored::Kept { .. });
            work.bytes_copied += if kept || C::COPIES_FIRST { u64::from(caplen) } else { 0 };
            match stored {
                Stored::Kept { charge, used, wake } => {
                    work.accepted += 1;
                    account.accepted += 1;
                    account.counters.stored += 1;
                    host.event(now, Event::Stored { tag, handle, caplen, charge, occupancy: used });
                    wakes |= wake;
                }
                Stored::Refused(refusal) => {
                    self.objects.give(1);
                    account.full_dropped += 1;
                    account.dropped(now, refused(refusal, handle, source.record(tag)), host);
                    wakes |= refusal.wake;
                }
            }
        }
        batch.end();
        if !wakes || self.event.0.swap(true, AcqRel) {
            return None;
        }
        account.counters.wakes += 1;
        Some(self.core.used())
    }

    /// See [`SharedHandle::read`](super::SharedHandle::read).
    pub(super) fn read<H: Host>(
        &self,
        now: u64,
        out: &mut [u8],
        host: &mut H,
    ) -> Result<Read, ReadError> {
        let rules = share(&self.rules.0);
        let handle = self.id;
        let Some(mut reader) = try_lock(&self.reader.0) else {
            return Err(ReadError::Busy { handle });
        };
        let Reader { account, core } = &mut *reader;
        let was_set = self.event.0.swap(false, AcqRel);
        let mut sink = account.sink(now, DropReason::Flushed, host);
        let read = self.core.read(core, &rules, out, &mut sink);
        let last = sink.last;
        let queued = self.core.queued();
        let filled = match read {
            Ok(filled) if filled.packets == 0 && rules.detached => {
                Err(ReadError::DeviceRemoved { queued })
            }
            other => other,
        };
        let filled = filled.inspect_err(|_| {
            // A refused read changes nothing.
            if was_set {
                self.event.0.store(true, Release);
            }
        })?;
        self.objects.give(filled.packets.into());
        let Filled { bytes, packets, .. } = filled;
        Ok(account.read(now, (bytes, packets), &filled, last, queued, host))
    }

    pub(super) fn ready(&self) -> bool {
        self.event_set() || self.core.ready(&share(&self.rules.0))
    }

    pub(super) fn event_set(&self) -> bool {
        self.event.0.load(Acquire)
    }

    pub(super) fn queued(&self) -> u64 {
        self.core.queued()
    }

    pub(super) fn occupancy(&self) -> Occupancy {
        self.core.occupancy(&share(&self.rules.0))
    }

    /// The account of the reader and of all CPUs together.
    fn account(&self) -> Account {
        let mut sum = Account::of(self.id);
        sum.add(&lock(&self.reader.0).account);
        for lane in &self.lanes {
            sum.add(&lock(&lane.0).account);
        }
        sum
    }

    pub(super) fn counters(&self) -> HandleCounters {
        self.account().counters
    }

    pub(super) fn stats(&self) -> Stats {
        self.account().stats()
    }

    /// Drops everything queued for `reason` and says how many packets were lost. Who calls owns the
    /// rules.
    pub(super) fn flush<H: Host>(
        &self,
        now: u64,
        rules: &Rules,
        reason: DropReason,
        host: &mut H,
    ) -> u64 {
        let lost = self.core.queued();
        let Reader { account, core } = &mut *lock(&self.reader.0);
        self.core.flush(core, rules, &mut account.sink(now, reason, host));
        self.objects.give(lost);
        lost
    }

    /// Empties the buffer, sets its size and zeroes the statistics that a reset zeroes.
    pub(super) fn reset<H: Host>(&self, now: u64, rules: &mut Rules, capacity: u64, host: &mut H) {
        let flushed = self.flush(now, rules, DropReason::Flushed, host);
        rules.capacity = capacity;
        self.core.resize(capacity);
        for lane in &self.lanes {
            lock(&lane.0).account.reset_statistics();
        }
        lock(&self.reader.0).account.counters.resets += 1;
        host.event(now, Event::BufferReset { handle: self.id, flushed, capacity });
    }
}

fn refused(refusal: Refusal, handle: u32, record: DropRecord) -> DropRecord {
    let Refusal { reason, used, capacity, need, elsewhere, wake: _ } = refusal;
    let (occupancy, free_elsewhere) = (used, elsewhere);
    DropRecord { reason, handle: Some(handle), occupancy, capacity, need, free_elsewhere, ..record }
}

/// Packet objects that the handle may hold at once.
#[derive(Debug)]
struct Objects {
    held: Apart<AtomicU64>,
    /// Nothing is counted without one.
    limit: Option<u64>,
}

impl Objects {
    fn new(limit: Option<u64>) -> Self {
        Objects { held: Apart(AtomicU64::new(0)), limit }
    }

    /// Takes one, or says how many are held.
    #[inline]
    fn take(&self) -> Result<(), u64> {
        let Some(limit) = self.limit else { return Ok(()) };
        let more = |held| Some(held + 1).filter(|more| *more <= limit);
        self.held.0.fetch_update(Relaxed, Relaxed, more).map(|_| ())
    }

    #[inline]
    fn give(&self, objects: u64) {
        if self.limit.is_some() {
            self.held.0.fetch_sub(objects, Relaxed);
        }
    }

    fn record(&self, held: u64, handle: u32, record: DropRecord) -> DropRecord {
        let (reason, capacity) = (DropReason::NoMemory, self.limit.unwrap_or(u64::MAX));
        DropRecord { reason, handle: Some(handle), occupancy: held, capacity, ..record }
    }
}
