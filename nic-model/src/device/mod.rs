//! The device: its parts, and what the rest of the world may ask of it.
//!
//! The methods are where they belong: [`registers`] for the driver's side, [`receive`] and [`dma`] for a
//! frame's way into guest memory, [`interrupt`], [`transmit`], [`control`] and [`reset`].

mod burst;
mod control;
mod dma;
mod fault;
mod handover;
mod interrupt;
mod merge;
mod offload;
mod receive;
mod registers;
mod reset;
mod stats;
mod transmit;

use crate::coalesce::Coalescer;
use crate::config::{ConfigError, DeviceConfig};
use crate::counters::{DeviceCounters, QueueCounters};
use crate::ctrl::COMMAND_LEN_MAX;
use crate::drop::{DropReason, DropRecord};
use crate::event::Event;
use crate::fifo::Fifo;
use crate::filter::Filter;
use crate::header::Format;
use crate::host::Host;
use crate::msix::Msix;
use crate::ring::{Chain, DeviceError, QueueSetup, Ring, RingFault, Used, Virtqueue};
use crate::rss::Steering;
use crate::spec::{header, status};
use burst::Burst;
use dma::Dma;
use fault::Armed;
use merge::Merged;
use registers::Registers;
use std::ops::Deref;
use vm_memory::GuestMemory;

/// A virtio-net device. `M` points to the guest's memory: `Arc<GuestMemoryMmap>`, for one.
///
/// Virtqueues are numbered as in 5.1.2: receive queue of pair `i` is `2i`, transmit queue `2i + 1`, and the
/// control queue comes last. Receive queues elsewhere go by their pair.
#[derive(Debug)]
pub struct Device<M> {
    config: DeviceConfig,
    memory: M,
    /// Latest `now` of any call; time never goes back.
    clock: u64,
    registers: Registers,
    /// By the features the driver chose, once FEATURES_OK is set.
    format: Format,
    filter: Filter,
    /// By virtqueue index.
    queues: Vec<Queue>,
    steering: Steering,
    fifo: Fifo,
    dma: Dma,
    rx_coalescer: Coalescer,
    tx_coalescer: Coalescer,
    msix: Msix,
    counters: DeviceCounters,
    /// By pair.
    queue_counters: Vec<QueueCounters>,
    /// Frames published since the last reset, by pair.
    published: Vec<u64>,
    broken: Option<DeviceError>,
    /// Some queue is; see [`Queue::unfinished`].
    unfinished: bool,
    scratch: Scratch,
    burst: Burst,
    /// Faults, from the first one on.
    armed: Option<Box<Armed>>,
}

/// A virtqueue.
#[derive(Debug, Default)]
struct Queue {
    /// Since it was set up.
    ring: Option<Virtqueue>,
    enabled: bool,
    /// Reset on its own and not enabled again since.
    in_reset: bool,
    /// Malformed, and stopped.
    broken: bool,
    /// More chains are there than one call may take; the next call goes on.
    unfinished: bool,
    vector: Option<u16>,
    /// What the driver set it up with.
    setup: Option<QueueSetup>,
}

/// Room for what transmit and control queues are working on.
#[derive(Debug)]
struct Scratch {
    chain: Chain,
    merged: Merged,
    bytes: Vec<u8>,
    /// The segment that leaves next.
    segment: Vec<u8>,
    /// What a control command answers beside its one byte.
    reply: Vec<u8>,
    used: Vec<Used>,
}

/// Used elements published at once.
const BATCH: usize = 64;

impl<M> Device<M>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    /// A device whose link is up and whose driver has not come yet.
    ///
    /// # Errors
    /// A field of `config` is out of its range, or the features do not fit together.
    pub fn new(config: DeviceConfig, memory: M) -> Result<Self, ConfigError> {
        config.validate()?;
        let pairs = config.max_queue_pairs;
        let tx_len_max = header::LEN_WITH_HASH + config.sent_len_max();
        Ok(Self {
            memory,
            clock: 0,
            registers: Registers::new(),
            format: Format::new(0),
            filter: Filter::new(config.mac),
            queues: (0..=2 * pairs).map(|_| Queue::default()).collect(),
            steering: Steering::new(),
            fifo: Fifo::new(config.fifo_bytes, pairs, config.frame_len_max()),
            dma: Dma::default(),
            rx_coalescer: Coalescer::new(config.rx_coalesce, pairs),
            tx_coalescer: Coalescer::new(config.tx_coalesce, pairs),
            msix: Msix::new(config.vectors),
            counters: DeviceCounters::default(),
            queue_counters: vec![QueueCounters::default(); pairs.into()],
            published: vec![0; pairs.into()],
            broken: None,
            unfinished: false,
            scratch: Scratch {
                chain: Chain::default(),
                merged: Merged::default(),
                bytes: vec![0; tx_len_max.max(COMMAND_LEN_MAX)],
                segment: Vec::with_capacity(config.frame_len_max()),
                reply: Vec::new(),
                used: Vec::with_capacity(BATCH),
            },
            burst: Burst::default(),
            armed: None,
            config,
        })
    }

    /// When [`Device::advance`] has something to do: the earliest of the DMA engine's completion, a
    /// coalescing timer, and work that one call was not allowed to finish. In ps.
    #[inline]
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        if self.unfinished {
            return Some(self.clock);
        }
        earlier(self.dma.done_at(), self.next_timer())
    }

    /// Does everything due at or before `now`, each thing at its own time.
    pub fn advance<H: Host>(&mut self, now: u64, host: &mut H) {
        let now = self.catch_up(now, host);
        if !std::mem::take(&mut self.unfinished) {
            return;
        }
        for virtqueue in 0..=2 * self.config.max_queue_pairs {
            if self.queues[usize::from(virtqueue)].unfinished {
                self.serve(now, virtqueue, host);
            }
        }
    }

    /// Frames in the FIFO, the one on the DMA engine included.
    #[must_use]
    pub fn fifo_frames(&self) -> u64 {
        self.fifo.frames()
    }

    /// Bytes of them.
    #[must_use]
    pub fn fifo_bytes(&self) -> u64 {
        self.fifo.bytes()
    }

    /// Frames of one pair in the FIFO, the one on the DMA engine included; 0 for a pair there is not.
    #[must_use]
    pub fn fifo_frames_of(&self, rx_pair: u16) -> u64 {
        match rx_pair < self.config.max_queue_pairs {
            true => self.fifo.frames_of(rx_pair) + self.withheld_of(rx_pair),
            false => 0,
        }
    }

    /// Frames written to the used ring of a pair's receive queue since the last reset.
    #[must_use]
    pub fn published(&self, rx_pair: u16) -> u64 {
        self.published.get(usize::from(rx_pair)).copied().unwrap_or(0)
    }

    /// Chains a pair's receive ring offers now that the device has not fetched; 0 for a ring that is not
    /// enabled or broken.
    #[must_use]
    pub fn available(&self, rx_pair: u16) -> u64 {
        let Some(queue) = self.queues.get(2 * usize::from(rx_pair)) else { return 0 };
        match &queue.ring {
            Some(ring) if queue.enabled && !queue.broken => {
                ring.available(&*self.memory).unwrap_or(0).into()
            }
            _ => 0,
        }
    }

    /// Counters of the device.
    #[must_use]
    pub fn counters(&self) -> &DeviceCounters {
        &self.counters
    }

    /// Counters of a pair.
    ///
    /// # Panics
    /// If the device has no such pair.
    #[must_use]
    pub fn queue_counters(&self, rx_pair: u16) -> &QueueCounters {
        &self.queue_counters[usize::from(rx_pair)]
    }

    /// Why DEVICE_NEEDS_RESET is set: the first ring that broke since the last reset.
    #[must_use]
    pub fn broken(&self) -> Option<&DeviceError> {
        self.broken.as_ref()
    }

    /// What the driver set a virtqueue up with; `None` for one that is not in use.
    #[must_use]
    pub fn queue_setup(&self, virtqueue: u16) -> Option<&QueueSetup> {
        let queue = self.queues.get(usize::from(virtqueue)).filter(|queue| queue.enabled)?;
        queue.setup.as_ref()
    }

    /// The features that the driver chose; 0 before.
    #[must_use]
    pub fn driver_features(&self) -> u64 {
        self.registers.driver_features
    }

    /// The guest's memory.
    #[must_use]
    pub fn memory(&self) -> &M::Target {
        &self.memory
    }

    /// What the device was built with.
    #[must_use]
    pub fn config(&self) -> &DeviceConfig {
        &self.config
    }

    /// Does what is due before a call at `now` may act; the time to act at.
    #[inline(always)]
    fn catch_up<H: Host>(&mut self, now: u64, host: &mut H) -> u64 {
        if self.dma.done_at().is_some_and(|at| at <= now)
            || self.next_timer().is_some_and(|at| at <= now)
        {
            self.do_due(now, host);
        }
        self.clock = self.clock.max(now);
        self.clock
    }

    /// The earliest coalescing timer.
    #[inline(always)]
    fn next_timer(&self) -> Option<u64> {
        earlier(self.rx_coalescer.next_deadline(), self.tx_coalescer.next_deadline())
    }

    /// Does everything the engine and the timers have to do up to `now`.
    #[inline(never)]
    fn do_due<H: Host>(&mut self, now: u64, host: &mut H) {
        // At the same instant the DMA engine goes first: its frame may complete a coalesced count.
        loop {
            let dma = self.dma.done_at().filter(|at| *at <= now);
            let timer = self.next_timer().filter(|at| *at <= now);
            match (dma, timer) {
                (None, None) => break,
                (Some(at), None) => self.complete_dma(at, host),
                (Some(at), Some(fires)) if at <= fires => self.complete_dma(at, host),
                (_, Some(fires)) => self.fire_timer(fires, host),
            }
        }
    }

    /// Loses a frame, with everything that must be told about it.
    fn drop_frame<H: Host>(&mut self, now: u64, record: DropRecord, host: &mut H) {
        self.counters.dropped[record.reason.index()] += 1;
        if let Some(queue) = record.queue {
            self.queue_counters[usize::from(queue)].dropped[record.reason.index()] += 1;
        }
        host.event(now, Event::Dropped(record));
    }

    /// Loses every frame of a pair that the FIFO holds, oldest first. A chain fetched for the first of them
    /// goes back into its ring.
    fn flush<H: Host>(&mut self, now: u64, pair: u16, reason: DropReason, host: &mut H) {
        self.publish_burst(now, host);
        if self.dma.forget(now, pair)
            && let Some(ring) = &mut self.queues[2 * usize::from(pair)].ring
        {
            for _ in 0..self.dma.fetched() {
                ring.unfetch();
            }
        }
        // A ring that goes on needs its chains back, and their frames are in memory already.
        if reason == DropReason::QueueDisabled {
            self.publish_withheld(now, pair, host);
        }
        self.drop_withheld(now, pair, reason, host);
        while let Some(held) = self.fifo.pop(pair) {
            self.drop_frame(now, one_frame(held.tag, reason, Some(pair)), host);
        }
    }

    /// Stops a ring until the driver resets its queue, or the device.
    #[cold]
    fn break_ring<H: Host>(&mut self, now: u64, virtqueue: u16, fault: RingFault, host: &mut H) {
        // What is written already is the driver's.
        self.publish_burst(now, host);
        let queue = &mut self.queues[usize::from(virtqueue)];
        queue.broken = true;
        self.broken.get_or_insert(DeviceError { virtqueue, fault });
        self.counters.rings_broken += 1;
        self.registers.status |= status::DEVICE_NEEDS_RESET;
        host.event(now, Event::NeedsReset { virtqueue, fault: fault.name() });
        if let Some(Role::Receive(pair)) = self.role(virtqueue) {
            self.flush(now, pair, DropReason::RingBroken, host);
        }
        self.configuration_interrupt(now, host);
    }

    fn set_unfinished(&mut self, virtqueue: usize, unfinished: bool) {
        self.queues[virtqueue].unfinished = unfinished;
        self.unfinished |= unfinished;
    }

    fn role(&self, virtqueue: u16) -> Option<Role> {
        let control = self.registers.control_queue(&self.config);
        match virtqueue {
            index if Some(index) == control => Some(Role::Control),
            index if index >= 2 * self.registers.pairs(&self.config) => None,
            index if index % 2 == 0 => Some(Role::Receive(index / 2)),
            index => Some(Role::Transmit(index / 2)),
        }
    }
}

/// What a virtqueue is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Receive(u16),
    Transmit(u16),
    Control,
}

/// The record of a drop where nothing but the frame itself is worth telling.
fn one_frame(tag: u64, reason: DropReason, queue: Option<u16>) -> DropRecord {
    DropRecord {
        tag,
        reason,
        queue,
        handle: None,
        cpu: None,
        occupancy: 0,
        capacity: 0,
        need: 1,
        free_elsewhere: 0,
    }
}

fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
