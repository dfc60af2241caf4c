//! The oracle's picture of the capture buffers: what is charged where, from the events alone, and for
//! each design when a drop is justified.
//!
//! Contract: a packet is charged to the *part* of the buffer that its design puts it in (the segment
//! of its CPU; otherwise there is one part). The charges must match what the drop record says, and the
//! record must satisfy the rule of its reason. How exactly, per design:
//!
//! - `packet-queue`, `segments`, `worker`: to the byte;
//! - `ring`: the free space may lie in two pieces, and the window moves through the middle of packets,
//!   so both are known to within the largest record;
//! - `store-hold`, `zero-copy`: the record tells of the store buffer; that the other one is taken
//!   shows in the charges that are not in the store.

use npf_core::{BufferMode, CpuClamp, DropReason as Npf, DumpLimits, EngineKind, SegmentChoice};
use std::collections::VecDeque;

use super::Claim;

/// What the scenario grants one handle.
#[derive(Clone, Copy, Debug)]
pub struct HandleLimit {
    /// Design of the buffer.
    pub engine: EngineKind,
    /// Kernel buffer in bytes.
    pub capacity: u64,
    /// CPUs of the machine.
    pub cpus: u16,
    /// Packets that it may hold.
    pub object_limit: Option<u64>,
    /// When its dump ends, if it is ever in dump mode.
    pub dump: DumpLimits,
    /// The core puts markers among the packets.
    pub markers: bool,
}

/// A packet, or a marker that the core put among the packets.
#[derive(Clone, Copy, Debug)]
struct Record {
    part: usize,
    charge: u64,
    marker: bool,
}

/// One handle's buffer as the events paint it.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    limit: HandleLimit,
    /// Charged bytes, by part.
    charged: Vec<u64>,
    /// What is in the buffer, oldest first.
    records: VecDeque<Record>,
    /// Packets that the handle holds in all.
    held: u64,
    /// Packets offered to the buffer; round robin goes by it.
    attempts: u64,
    /// The largest record there ever was.
    largest: u64,
    /// Packets in its dump file.
    dumped: u64,
    /// The dump file came to a packet that exceeds its limit in bytes.
    dump_over: bool,
    /// A control is at work, which may lose what the buffer holds.
    pub controlled: bool,
    /// The tap shows it nothing any more.
    pub detached: bool,
}

impl Buffer {
    pub(super) fn new(limit: HandleLimit) -> Self {
        Self {
            limit,
            charged: vec![0; parts(&limit)],
            records: VecDeque::new(),
            held: 0,
            attempts: 0,
            largest: 0,
            dumped: 0,
            dump_over: false,
            controlled: false,
            detached: false,
        }
    }

    /// A control gave the buffer this size.
    pub(super) fn resized(&mut self, capacity: u64) {
        self.limit.capacity = capacity;
    }

    /// A packet tapped on `cpu` is held; a charge of 0 means that it is not in the buffer yet.
    #[inline]
    pub(super) fn stored(&mut self, cpu: u16, charge: u64) {
        self.held += 1;
        let part = self.part(cpu);
        self.attempts += 1;
        if charge > 0 {
            self.charge(Record { part, charge, marker: false });
        }
    }

    /// A marker is in the buffer, or waits for the worker if its charge is 0. Its CPU is that of the
    /// packet which it stands before.
    pub(super) fn marker_stored(&mut self, cpu: u16, charge: u64) {
        let part = self.part(cpu);
        self.attempts += 1;
        if charge > 0 {
            self.charge(Record { part, charge, marker: true });
        }
    }

    /// The worker put a marker into the buffer.
    pub(super) fn marker_moved(&mut self, charge: u64) {
        self.charge(Record { part: 0, charge, marker: true });
    }

    /// A marker was delivered or dropped. One that waited for the worker was never in the buffer.
    pub(super) fn marker_left(&mut self) {
        if self.records.front().is_some_and(|record| record.marker) {
            self.take_record();
        }
    }

    /// The worker put a packet into the buffer.
    pub(super) fn moved(&mut self, charge: u64) {
        self.charge(Record { part: 0, charge, marker: false });
    }

    /// The oldest packet in the buffer left it.
    #[inline]
    pub(super) fn left(&mut self) {
        self.held = self.held.saturating_sub(1);
        self.take_record();
    }

    /// The oldest packet in the buffer was written to the dump file.
    pub(super) fn dumped(&mut self) {
        self.left();
        self.dumped += 1;
    }

    /// Dumps end at other limits from now on.
    pub(super) fn dump_limits(&mut self, limits: DumpLimits) {
        self.limit.dump = limits;
    }

    /// A new dump file begins.
    pub(super) fn dump_begins(&mut self) {
        self.dumped = 0;
        self.dump_over = false;
    }

    /// A packet left that was never in the buffer.
    pub(super) fn left_the_queue(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    #[inline]
    fn charge(&mut self, record: Record) {
        self.charged[record.part] += record.charge;
        self.records.push_back(record);
        self.largest = self.largest.max(record.charge);
    }

    #[inline]
    fn take_record(&mut self) {
        if let Some(record) = self.records.pop_front() {
            self.charged[record.part] -= record.charge;
        }
    }

    /// Whether a drop of this buffer's is justified.
    ///
    /// # Errors
    /// The facts that it is not.
    pub(super) fn judge(&mut self, reason: Npf, claim: Claim, cpu: u16) -> Result<(), String> {
        let part = self.part(cpu);
        if !may_say(&self.limit.engine, reason) {
            return Err(format!("{:?} never drops for it", self.limit.engine));
        }
        if self.holds(reason, claim, part) { Ok(()) } else { Err(self.facts(claim, part)) }
    }

    #[cold]
    fn facts(&self, claim: Claim, part: usize) -> String {
        let whole: u64 = self.charged.iter().sum();
        format!(
            "{whole} of {} B are charged, {} of them in part {part}, {} packets held; the record says {} of {} \
             and a need of {}",
            self.limit.capacity,
            self.charged[part],
            self.held,
            claim.occupancy,
            claim.capacity,
            claim.need
        )
    }

    /// Whether the numbers of a drop are those of its rule.
    fn holds(&mut self, reason: Npf, claim: Claim, part: usize) -> bool {
        let whole: u64 = self.charged.iter().sum();
        let Self { limit, .. } = self;
        let Claim { occupancy, capacity, need, held, .. } = claim;
        let full = occupancy + need > capacity;
        match reason {
            Npf::BufferFull => match limit.engine {
                EngineKind::PacketQueue(choices) => {
                    let no_room = if choices.soft_limit { whole >= limit.capacity } else { full };
                    no_room && occupancy == whole && capacity == limit.capacity
                }
                EngineKind::Ring(_) => {
                    capacity == limit.capacity
                        && occupancy + need + self.largest.max(need) >= capacity
                        && occupancy.abs_diff(whole) <= self.largest.max(need)
                }
                EngineKind::StoreHold(_) | EngineKind::ZeroCopy(_) => {
                    full && capacity == limit.capacity / 2 && (whole > 0 || need > capacity)
                }
                EngineKind::Segments(_) | EngineKind::Worker(_) => false,
            },
            Npf::SegmentFull => {
                let size = limit.capacity / parts_of_buffer(limit);
                self.attempts += 1;
                let size = if size < 24 { 0 } else { size };
                // What has drifted away is charged to no packet.
                let drifts =
                    matches!(limit.engine, EngineKind::Segments(choices) if choices.free_drift);
                let charged = self.charged[part];
                // A marker that found no room has moved the round on too, and no event says so: then
                // it is only known that the segment holds no more than the buffer.
                let adrift = self.limit.markers && self.goes_round() && occupancy <= whole;
                let exact = occupancy == charged || drifts && occupancy > charged;
                full && capacity == size && (exact || adrift)
            }
            Npf::Prefiltered => {
                full && capacity == limit.capacity
                    && occupancy.abs_diff(whole) <= self.largest.max(need)
            }
            Npf::WorkerFull => {
                held == Some(0) && full && capacity <= limit.capacity && occupancy >= whole
            }
            // What the user was given may have been read already, and only not given back.
            Npf::UserOwned => full && self.largest > 0,
            Npf::HeadDropped | Npf::Unread => held.is_some_and(|charge| charge > 0),
            Npf::ZeroBuffer => capacity == 0 && limit.capacity < 2,
            Npf::NoMemory => limit.object_limit.is_some_and(|limit| self.held >= limit),
            Npf::DumpEnded => {
                let packets = limit.dump.max_packets.is_some_and(|max| {
                    self.dumped + self.held >= max + u64::from(limit.dump.one_too_many)
                });
                // The first packet too many ends the file, also for shorter ones behind it.
                self.dump_over |= limit.dump.max_bytes.is_some_and(|max| occupancy + need > max);
                packets || self.dump_over
            }
            Npf::Flushed | Npf::Closed => self.controlled,
            _ => false,
        }
    }

    /// Whether each packet goes to the next segment.
    fn goes_round(&self) -> bool {
        matches!(self.limit.engine, EngineKind::Segments(choices)
            if choices.choice == SegmentChoice::RoundRobin)
    }

    /// The part that takes a packet tapped on `cpu`.
    fn part(&self, cpu: u16) -> usize {
        let EngineKind::Segments(choices) = self.limit.engine else { return 0 };
        let count = self.charged.len();
        match choices.choice {
            SegmentChoice::RoundRobin => (self.attempts % count as u64) as usize,
            SegmentChoice::Modulo => usize::from(cpu) % count,
            SegmentChoice::Cpu => {
                let cpu = match choices.clamp {
                    CpuClamp::At63 => cpu.min(63),
                    CpuClamp::At255 => cpu.min(255),
                    CpuClamp::Off => cpu,
                };
                usize::from(cpu).min(count - 1)
            }
        }
    }
}

/// Whether a design, so chosen, has the rule of this reason at all.
fn may_say(engine: &EngineKind, reason: Npf) -> bool {
    let shared = matches!(engine, EngineKind::ZeroCopy(choices)
        if choices.buffer_mode != BufferMode::Buffered);
    match reason {
        Npf::BufferFull => {
            !shared && !matches!(engine, EngineKind::Segments(_) | EngineKind::Worker(_))
        }
        Npf::SegmentFull => matches!(engine, EngineKind::Segments(_)),
        Npf::WorkerFull => matches!(engine, EngineKind::Worker(_)),
        Npf::Prefiltered => {
            matches!(engine, EngineKind::Ring(choices) if choices.prefilter_heuristic)
        }
        Npf::HeadDropped => {
            matches!(engine, EngineKind::StoreHold(choices) if choices.head_drop)
        }
        Npf::UserOwned | Npf::Unread => shared,
        Npf::ZeroBuffer => !shared,
        // These are the handle's own, whatever its buffer.
        Npf::NoMemory | Npf::Flushed | Npf::Closed | Npf::DumpEnded => true,
        // That there is no handle is nothing that one says.
        Npf::NoHandle => false,
    }
}

/// How many parts the buffer is divided into.
fn parts_of_buffer(limit: &HandleLimit) -> u64 {
    let EngineKind::Segments(choices) = limit.engine else { return 1 };
    let per_cpu = match choices.clamp {
        CpuClamp::At63 => limit.cpus.min(64),
        CpuClamp::At255 => limit.cpus.min(255),
        CpuClamp::Off => limit.cpus,
    };
    u64::from(choices.count.unwrap_or(per_cpu).max(1))
}

/// How many parts there are to charge: one more where a CPU number points behind the last segment.
fn parts(limit: &HandleLimit) -> usize {
    let unscanned = matches!(limit.engine, EngineKind::Segments(choices)
        if choices.clamp == CpuClamp::At255
            && choices.choice == SegmentChoice::Cpu
            && choices.count.is_none()
            && limit.cpus > 255);
    parts_of_buffer(limit) as usize + usize::from(unscanned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use npf_core::{
        PacketQueueOptions, RingOptions, SegmentsOptions, StoreHoldOptions, WorkerOptions,
        ZeroCopyOptions,
    };

    /// Each design with the options that matter, and the reasons that it may give besides the handle's own.
    #[test]
    fn each_design_drops_for_its_own_reasons() {
        let ring = |prefilter_heuristic| EngineKind::Ring(RingOptions { prefilter_heuristic });
        let store_hold =
            |head_drop| EngineKind::StoreHold(StoreHoldOptions { head_drop, ..Default::default() });
        let zero_copy = |buffer_mode| {
            EngineKind::ZeroCopy(ZeroCopyOptions { buffer_mode, ..Default::default() })
        };
        use Npf::{
            BufferFull, HeadDropped, Prefiltered, SegmentFull, Unread, UserOwned, WorkerFull,
            ZeroBuffer,
        };
        let table: [(EngineKind, &[Npf]); 10] = [
            (EngineKind::PacketQueue(PacketQueueOptions::CURRENT), &[BufferFull, ZeroBuffer]),
            (EngineKind::Segments(SegmentsOptions::default()), &[SegmentFull, ZeroBuffer]),
            (EngineKind::Worker(WorkerOptions::default()), &[WorkerFull, ZeroBuffer]),
            (ring(false), &[BufferFull, ZeroBuffer]),
            (ring(true), &[BufferFull, Prefiltered, ZeroBuffer]),
            (store_hold(false), &[BufferFull, ZeroBuffer]),
            (store_hold(true), &[BufferFull, HeadDropped, ZeroBuffer]),
            (zero_copy(BufferMode::Buffered), &[BufferFull, ZeroBuffer]),
            (zero_copy(BufferMode::ZeroCopy), &[UserOwned, Unread]),
            (zero_copy(BufferMode::ZeroCopyInherit), &[UserOwned, Unread]),
        ];
        let own = [Npf::NoMemory, Npf::Flushed, Npf::Closed, Npf::DumpEnded];
        for (engine, its) in table {
            for reason in Npf::ALL {
                let may = its.contains(&reason) || own.contains(&reason);
                assert_eq!(may_say(&engine, reason), may, "{} of {engine:?}", reason.name());
            }
        }
    }

    #[test]
    fn a_reason_of_another_design_holds_with_no_numbers() {
        let limit = HandleLimit {
            engine: EngineKind::PacketQueue(PacketQueueOptions::CURRENT),
            capacity: 1000,
            cpus: 1,
            object_limit: None,
            dump: DumpLimits::default(),
            markers: false,
        };
        let mut buffer = Buffer::new(limit);
        buffer.stored(0, 1000);
        let claim = Claim {
            tag: 0,
            queue: Some(0),
            handle: Some(0),
            occupancy: 1000,
            capacity: 1000,
            need: 80,
            held: Some(1000),
            lied: false,
        };
        assert_eq!(buffer.judge(Npf::BufferFull, claim, 0), Ok(()));
        for reason in [Npf::HeadDropped, Npf::Unread, Npf::UserOwned, Npf::Prefiltered] {
            assert!(buffer.judge(reason, claim, 0).is_err(), "{}", reason.name());
        }
    }
}
