//! What a run leaves behind: the account and everything that the reports are made of.

use super::book::{Book, Drop};
use super::control::Closed;
use super::cpu::Cpu;
use super::latency::Latency;
use super::nic::Device;
use super::reader::Reader;
use crate::account::{Broken, Held, Tally};
use crate::exit::Exit;
use crate::fault::Notices;
use crate::source::SourceFault;
use driver::Driver;
use npf_core::{Adapter, HandleCounters};
use std::fmt;

/// How a run ended.
#[derive(Debug)]
pub enum End {
    /// Every frame met its fate, or the scenario holds it for good, or the drain time was over.
    Complete,
    /// The source broke off; everything offered before was played to the end.
    SourceFault(SourceFault),
    /// Ctrl-C: the account is that of the moment.
    Interrupted,
    /// The account is broken or a drop unjustified.
    Broken(Broken),
    /// Frames are held in the NIC or the rings, and nothing will ever move them.
    Stuck(String),
    /// The NIC is at the other end of a wire, and cannot be reached any more. The account is that of the moment
    /// before, without what was under way.
    Lost(String),
}

/// One handle at the end of a run.
#[derive(Debug)]
pub struct HandleOutcome {
    /// Name from the scenario.
    pub name: String,
    /// Fates of the frames that the tap showed it.
    pub tally: Tally,
    /// Packets still queued.
    pub held: u64,
    /// The core's counters.
    pub counters: HandleCounters,
    /// Bytes of frames and headers that were copied on the way to a file: into the buffer of the
    /// standard library and by the file system.
    pub written_copied: u64,
    /// The counters that an application sees.
    pub stats: npf_core::Stats,
    /// Kernel buffer in bytes.
    pub capacity: u64,
    /// The most bytes that were ever charged.
    pub peak: u64,
    /// The most bytes of memory that the design ever took.
    pub peak_memory: u64,
    /// Times that the reader was woken.
    pub wakes: u64,
    /// Reads done.
    pub reads: u64,
    /// Reads that gave nothing.
    pub empty_reads: u64,
    /// Reads that were refused.
    pub refused_reads: u64,
    /// The first packet that its buffer dropped.
    pub first_drop: Option<Drop>,
    /// Bytes of packets delivered.
    pub bytes_delivered: u64,
    /// From the last bit on the wire to the read.
    pub latency: Latency,
}

/// Counters as (name, count), in the order in which their component shows them.
pub type Counters = Vec<(&'static str, u64)>;

/// One RX queue at the end of a run.
#[derive(Debug)]
pub struct QueueOutcome {
    /// Fates of the frames steered to it.
    pub tally: Tally,
    /// Frames still held, by place.
    pub held: Held,
    /// The NIC's counters of this queue, by name.
    pub nic: Counters,
    /// The driver's counters of this queue, by name.
    pub driver: Counters,
    /// The driver's counters of the transmit queue of the same pair, by name.
    pub transmit: Counters,
    /// What the device told the driver of its two virtqueues (virtio 1.4 statistics); empty unless asked.
    pub told: Counters,
}

/// How busy one virtual CPU was, in picoseconds.
#[derive(Clone, Copy, Debug)]
pub struct CpuOutcome {
    /// In interrupt handlers.
    pub interrupt: u64,
    /// In polls.
    pub poll: u64,
    /// In the workers of capture buffers.
    pub worker: u64,
    /// In readers.
    pub reader: u64,
    /// Taken away by the hypervisor.
    pub stolen: u64,
}

/// A whole run.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Fates of all frames.
    pub total: Tally,
    /// Frames among them that a handle sent: the tap saw them, the wire did not bring them.
    pub sent: u64,
    /// Bytes of frames that were copied behind the driver: by taps, workers, reads, and on the way to
    /// files.
    pub copied: u64,
    /// Bytes of frames that filters accepted and handles kept or counted.
    pub accepted_bytes: u64,
    /// Frames still held, by place.
    pub held: Held,
    /// Per RX queue.
    pub queues: Vec<QueueOutcome>,
    /// Per handle.
    pub handles: Vec<HandleOutcome>,
    /// Per virtual CPU.
    pub cpus: Vec<CpuOutcome>,
    /// The first drop for each reason that occurred, in the order of a frame's life.
    pub first_drops: Vec<Drop>,
    /// What was injected, and who noticed.
    pub faults: Notices,
    /// Completions that were no frames and that the driver dropped.
    pub false_drops: u64,
    /// Frames that the driver left behind in a ring that a fault had upset, without counting them.
    pub left_behind: u64,
    /// Picoseconds of virtual time.
    pub sim_time_ps: u64,
    /// Events recorded.
    pub events: u64,
    /// When the source ended: events recorded by then, and frames held then.
    pub at_source_end: Option<(u64, u64)>,
    /// Digest of the event stream.
    pub digest: u64,
    /// Digest of what was offered: times of arrival and bytes.
    pub offered_digest: u64,
    /// The last events, as lines of JSON; only when the run broke or stuck.
    pub last_events: String,
    /// What the source noticed on the way (frames cut by a snap length, times going backwards).
    pub notices: Vec<String>,
}

impl Outcome {
    /// Whether the account adds up and every drop was justified.
    #[must_use]
    pub fn ok(&self) -> bool {
        !matches!(self.end, End::Broken(_))
    }

    /// The exit code: the worst thing that happened decides. `written`: its files are.
    #[must_use]
    pub fn exit(&self, written: bool) -> Exit {
        match &self.end {
            End::Broken(_) => Exit::AccountBroken,
            End::Stuck(_) => Exit::NoProgress,
            End::Interrupted => Exit::Interrupted,
            End::SourceFault(_) | End::Lost(_) => Exit::Unexpected,
            End::Complete if written => Exit::Ok,
            End::Complete => Exit::Unexpected,
        }
    }

    /// One of the NIC's counters, over all queues.
    #[must_use]
    pub fn nic_count(&self, name: &str) -> u64 {
        let counters = self.queues.iter().flat_map(|queue| &queue.nic);
        counters.filter(|(counter, _)| *counter == name).map(|(_, count)| count).sum()
    }

    /// One of the driver's counters, over all queues.
    #[must_use]
    pub fn driver_count(&self, name: &str) -> u64 {
        let counters = self.queues.iter().flat_map(|queue| &queue.driver);
        counters.filter(|(counter, _)| *counter == name).map(|(_, count)| count).sum()
    }

    /// The drops of one reason, in total.
    #[must_use]
    pub fn dropped_for(&self, name: &str) -> u64 {
        self.total.occurred().filter(|(reason, _)| reason.name() == name).map(|(_, n)| n).sum()
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("complete"),
            Self::SourceFault(fault) => write!(f, "the source broke off: {fault}"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Broken(broken) => write!(f, "the account is broken: {broken}"),
            Self::Stuck(what) => write!(f, "no progress: {what}"),
            Self::Lost(why) => write!(f, "the NIC cannot be reached any more: {why}"),
        }
    }
}

/// A finished run: its outcome, and the outputs that are still open.
pub struct Finished {
    /// What is reported.
    pub outcome: Outcome,
    pub(super) book: Book,
}

impl Finished {
    /// Writes the captures' statistics and closes all files; gives what went wrong with them.
    pub fn close_outputs(&mut self) -> Vec<String> {
        let mut failed = Vec::new();
        if let Err(error) = self.book.recorder.finish() {
            failed.push(error.to_string());
        }
        failed.extend(self.book.close_dumps());
        for capture in self.book.captures.drain(..) {
            if let Err(error) = capture.finish(self.outcome.sim_time_ps, &self.book.ledger) {
                failed.push(error.to_string());
            }
        }
        failed
    }
}

/// The parts of a world that an outcome is read from.
pub(super) struct Components<'a> {
    pub device: &'a Device,
    pub driver: &'a Driver,
    pub adapter: &'a Adapter,
    pub closed: &'a [Option<Closed>],
    pub readers: &'a [Reader],
    pub handle_names: Vec<String>,
    pub cpus: &'a [Cpu],
}

impl Components<'_> {
    /// Reads everything that is reported.
    pub fn outcome(self, book: &mut Book, end: End, now: u64) -> Outcome {
        let unhappy = matches!(end, End::Broken(_) | End::Stuck(_) | End::Lost(_));
        Outcome {
            end,
            total: book.ledger.total.clone(),
            sent: book.ledger.sent,
            copied: self.copied(book),
            accepted_bytes: book.accepted_bytes,
            held: book.ledger.held,
            queues: self.queues(book),
            cpus: self.cpus.iter().map(cpu_outcome).collect(),
            first_drops: book.first_drops.iter().flatten().copied().collect(),
            faults: book.faults.clone(),
            false_drops: book.ledger.false_drops.iter().sum(),
            left_behind: book.ledger.uncounted_drops.iter().sum(),
            sim_time_ps: now,
            events: book.recorder.count(),
            at_source_end: None,
            digest: book.recorder.digest(),
            offered_digest: book.offered_digest(),
            last_events: if unhappy { book.recorder.last_events() } else { String::new() },
            notices: Vec::new(),
            handles: self.handles(book),
        }
    }

    fn copied(&self, book: &Book) -> u64 {
        let core = self.adapter.adapter_counters();
        let files = (0..book.dumps.len()).map(|handle| book.written_copied(handle));
        core.bytes_copied + core.worker_copied + core.read_copied + files.sum::<u64>()
    }

    fn queues(&self, book: &Book) -> Vec<QueueOutcome> {
        let outcome = |(queue, of): (u16, &crate::account::QueueBook)| {
            let (mut nic, mut driver) = (Counters::new(), Counters::new());
            let mut transmit = Counters::new();
            let counters = self.device.queue_counters(queue);
            counters.visit(&mut |name, count| nic.push((name, count)));
            if let Some(counters) = self.driver.queue_counters(queue) {
                counters.visit(&mut |name, count| driver.push((name, count)));
            }
            if let Some(counters) = self.driver.transmit_counters(queue) {
                counters.visit(&mut |name, count| transmit.push((name, count)));
            }
            let told = Counters::new();
            QueueOutcome { tally: of.tally.clone(), held: of.held, nic, driver, transmit, told }
        };
        (0u16..).zip(&book.ledger.queues).map(outcome).collect()
    }

    fn handles(self, book: &Book) -> Vec<HandleOutcome> {
        let outcome = |(index, name): (usize, String)| {
            let handle = index as u32;
            let (of, reader) = (&book.ledger.handles[index], &self.readers[index]);
            let closed = self.closed[index].clone();
            let Closed { counters, stats, occupancy } = closed.unwrap_or_else(|| Closed {
                counters: self.adapter.counters(handle).copied().unwrap_or_default(),
                stats: self.adapter.stats(handle).unwrap_or_default(),
                occupancy: self.adapter.occupancy(handle),
            });
            HandleOutcome {
                name,
                tally: of.tally.clone(),
                held: of.held,
                counters,
                written_copied: book.written_copied(index),
                stats,
                capacity: occupancy.capacity,
                peak: occupancy.peak,
                peak_memory: occupancy.peak_memory,
                wakes: counters.wakes,
                reads: reader.reads,
                empty_reads: reader.empty_reads,
                refused_reads: reader.refused,
                first_drop: book.first_lost[index],
                bytes_delivered: book.bytes_delivered[index],
                latency: book.latency[index].clone(),
            }
        };
        self.handle_names.into_iter().enumerate().map(outcome).collect()
    }
}

fn cpu_outcome(cpu: &Cpu) -> CpuOutcome {
    let [reader, worker, poll, interrupt, stolen] = cpu.busy;
    CpuOutcome { interrupt, poll, worker, reader, stolen }
}
