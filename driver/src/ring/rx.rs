//! A receive queue: the ring, a buffer behind each descriptor, and the list of free ones.
//!
//! Contract: a descriptor is either with the device or in the free list, in the order in which it came
//! back; the two together are always the whole ring, until the device breaks the ring. Which buffer a
//! descriptor means is the buffer policy's affair.

use crate::Host;
use crate::buffers::Pool;
use crate::config::DriverConfig;
use crate::counters::QueueCounters;
use crate::dma::{DmaRegion, View};
use crate::event::Event;
use crate::layout::QueueLayout;
use crate::moderation::Moderator;
use crate::policy::Refill;
use crate::reset::Resetting;
use crate::ring::{Ring, RingError, RingFeatures};
use crate::timer::QueueTimer;
use crate::transport::Transport;

#[derive(Debug)]
pub(crate) struct RxQueue {
    pub(crate) ring: Ring,
    layout: QueueLayout,
    pub(crate) pool: Pool,
    /// Descriptors to give back to the device, oldest first. Never grows beyond the ring.
    pub(crate) free: Vec<u16>,
    /// An interrupt (or a poll without one) has scheduled the queue; its interrupts are held off.
    pub(crate) scheduled: bool,
    /// The last poll used up its budget, so more may be waiting.
    pub(crate) exhausted: bool,
    /// Completions that the last poll took.
    pub(crate) found: u16,
    /// Buffers that the longest frame takes: with fewer a device may wait for more, whatever the policy.
    pub(crate) least: u16,
    pub(crate) moderator: Moderator,
    pub(crate) timer: QueueTimer,
    pub(crate) broken: Option<RingError>,
    /// The device has the ring: completions may be in it.
    pub(crate) up: bool,
    /// The device is asked to reset the queue and has not said that it has.
    pub(crate) resetting: Option<Resetting>,
    /// Nothing is given back until the caller says so.
    pub(crate) withheld: bool,
    /// Completions taken since start.
    pub(crate) consumed: u64,
    pub(crate) counters: QueueCounters,
}

impl RxQueue {
    pub(crate) fn new(layout: QueueLayout, config: &DriverConfig) -> Self {
        Self {
            ring: Ring::new(layout.ring),
            layout,
            pool: Pool::new(config, layout),
            free: Vec::with_capacity(layout.ring.size.into()),
            scheduled: false,
            exhausted: false,
            found: 0,
            least: 1,
            moderator: Moderator::default(),
            timer: QueueTimer::default(),
            broken: None,
            up: false,
            resetting: None,
            withheld: false,
            consumed: 0,
            counters: QueueCounters::default(),
        }
    }

    /// Forgets the device and describes every buffer again. The device must be in reset.
    pub(crate) fn reset(&mut self, memory: &DmaRegion, agreed: RingFeatures) {
        self.ring.reset(memory, agreed);
        self.pool.describe_all(memory, &mut self.ring);
        self.free.clear();
        self.free.extend(0..self.ring.slots());
        (self.scheduled, self.exhausted, self.broken) = (false, false, None);
        (self.up, self.resetting) = (true, None);
        self.consumed = 0;
        self.found = 0;
        (self.moderator, self.timer) = Default::default();
    }

    /// The ring has so many entries from the next [`RxQueue::reset`] on; no more than at first.
    pub(crate) fn resize(&mut self, entries: u16) {
        self.layout.ring.size = entries;
        self.ring = Ring::new(self.layout.ring);
    }

    /// Whether the policy gives buffers back now.
    #[inline]
    pub(crate) fn wants_refill(&self, refill: Refill, threshold: u16) -> bool {
        let free = self.free.len();
        // So many are free when the device has one less than a longest frame needs. A ring that is too
        // short for one, which only a device without MTU can have, is refilled whenever it can be.
        let starved = usize::from(self.ring.slots() + 1).saturating_sub(self.least.into()).max(1);
        match refill {
            Refill::Threshold | Refill::WithoutKick => free >= starved.min(threshold.into()),
            Refill::EachPoll => free > 0,
            Refill::WhenEmpty => free >= starved,
        }
    }

    /// Gives all free buffers to the device, with one publication. Returns how many.
    #[inline]
    pub(crate) fn refill(&mut self, memory: &DmaRegion) -> u16 {
        let posted = self.free.len() as u16;
        if posted > 0 {
            self.ring.publish(memory, &self.free);
            self.free.clear();
            self.counters.receive.posted += u64::from(posted);
            self.counters.receive.refills += 1;
        }
        posted
    }

    /// Tells the device of new buffers if it wants to know; gives whether it did.
    #[inline]
    pub(crate) fn kick<T: Transport, H: Host>(
        &mut self,
        now: u64,
        queue: u16,
        memory: &DmaRegion,
        transport: &mut T,
        host: &mut H,
    ) -> bool {
        let wanted = self.ring.kick_wanted(memory);
        if wanted {
            self.counters.receive.kicks += 1;
            host.event(now, Event::Kicked { queue });
            transport.notify(2 * queue);
        }
        wanted
    }

    /// All buffers, to be passed to [`Pool::copy_out`] for a whole batch.
    #[inline]
    pub(crate) fn buffers<'a>(&self, memory: &'a DmaRegion) -> View<'a> {
        memory.view(self.layout.buffers)
    }
}
