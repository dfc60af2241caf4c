//! Faults put in on purpose: the checker must find each of them.
//!
//! A fault is a wrapper around the real thing that does one step as it must not be done; everything
//! else, and the check, is what the other tests use.

use super::segments::{OWN, capacity, core};
use super::{CPUS, Ears, check, options, race, read, sleepy};
use crate::concurrent::core::{Batch, Core};
use crate::concurrent::queue::Queue;
use crate::concurrent::rules::Rules;
use crate::concurrent::segments::SharedSegments;
use crate::concurrent::shared::Shared;
use crate::engine::{Filled, Packet, Sink, Stored};
use crate::{Occupancy, PacketQueueOptions, ReadError};
use loom::sync::atomic::Ordering::Relaxed;

/// A core with a fault in how it stores.
trait Fault: Sized {
    type Core: Core;
    fn new(core: &Self::Core) -> Self;
    fn stored(&mut self, core: &Self::Core, stored: &Stored);
    fn end(self, core: &Self::Core);
}

struct Faulty<C, F>(C, std::marker::PhantomData<fn() -> F>);

impl<C: Core, F: Fault<Core = C>> Faulty<C, F> {
    fn new(core: C) -> Self {
        Faulty(core, std::marker::PhantomData)
    }
}

struct FaultyBatch<'a, C: Core + 'a, F> {
    core: &'a C,
    batch: C::Batch<'a>,
    fault: F,
}

impl<C: Core, F: Fault<Core = C>> Core for Faulty<C, F> {
    type Lane = C::Lane;
    type Reader = C::Reader;
    type Batch<'a>
        = FaultyBatch<'a, C, F>
    where
        Self: 'a;
    const COPIES_FIRST: bool = C::COPIES_FIRST;

    fn lane(&self, at: usize) -> C::Lane {
        self.0.lane(at)
    }

    fn batch<'a>(
        &'a self,
        lane: &'a mut C::Lane,
        rules: &'a Rules,
        packets: u32,
        bytes: u64,
    ) -> FaultyBatch<'a, C, F> {
        let fault = F::new(&self.0);
        FaultyBatch { core: &self.0, batch: self.0.batch(lane, rules, packets, bytes), fault }
    }

    fn read(
        &self,
        reader: &mut C::Reader,
        rules: &Rules,
        out: &mut [u8],
        sink: &mut impl Sink,
    ) -> Result<Filled, ReadError> {
        self.0.read(reader, rules, out, sink)
    }

    fn ready(&self, rules: &Rules) -> bool {
        self.0.ready(rules)
    }

    fn flush(&self, reader: &mut C::Reader, rules: &Rules, sink: &mut impl Sink) {
        self.0.flush(reader, rules, sink);
    }

    fn resize(&self, capacity: u64) {
        self.0.resize(capacity);
    }

    fn occupancy(&self, rules: &Rules) -> Occupancy {
        self.0.occupancy(rules)
    }

    fn used(&self) -> u64 {
        self.0.used()
    }

    fn queued(&self) -> u64 {
        self.0.queued()
    }
}

impl<C: Core, F: Fault<Core = C>> Batch for FaultyBatch<'_, C, F> {
    fn store(&mut self, packet: Packet, data: &[u8]) -> Stored {
        let stored = self.batch.store(packet, data);
        self.fault.stored(self.core, &stored);
        stored
    }

    fn end(self) {
        self.batch.end();
        self.fault.end(self.core);
    }
}

/// The sequence number is taken before the test for room: a refused packet has one, too.
struct NumberBeforeRoom;

impl Fault for NumberBeforeRoom {
    type Core = SharedSegments;

    fn new(_core: &SharedSegments) -> Self {
        NumberBeforeRoom
    }

    fn stored(&mut self, core: &SharedSegments, stored: &Stored) {
        if let Stored::Refused(_) = stored {
            core.writer_sn.0.fetch_add(1, Relaxed);
        }
    }

    fn end(self, _core: &SharedSegments) {}
}

#[test]
#[should_panic(expected = "the reader stops before the end")]
fn a_number_before_the_room_test_is_a_hole_at_which_the_reader_stops() {
    check(2, || {
        // Room for one packet a CPU: its second one may be refused, and the reader then waits for it.
        let faulty = Faulty::<_, NumberBeforeRoom>::new(core(1, OWN));
        race(Shared::new(0, &options(capacity(1, OWN)), faulty), false, 1, true);
    });
}

/// The budget is read, and the sum written back later.
struct TornBudget {
    seen: u64,
    charged: u64,
}

impl Fault for TornBudget {
    type Core = Queue;

    fn new(core: &Queue) -> Self {
        TornBudget { seen: core.budget.0.used(), charged: 0 }
    }

    fn stored(&mut self, _core: &Queue, stored: &Stored) {
        if let Stored::Kept { charge, .. } = stored {
            self.charged += charge;
        }
    }

    fn end(self, core: &Queue) {
        core.budget.0.used.store(self.seen + self.charged, Relaxed);
    }
}

#[test]
#[should_panic(expected = "an empty buffer is charged for nothing")]
fn a_budget_in_two_steps_loses_charges() {
    check(2, || {
        let queue = Queue::new(PacketQueueOptions::CURRENT, CPUS.into());
        let handle = Shared::new(0, &options(1000), Faulty::<_, TornBudget>::new(queue));
        race(handle, true, 0, true);
    });
}

/// Clears the event when it has read, rather than before.
fn read_then_clear<C: Core>(handle: &Shared<C>, ears: &mut Ears) -> u32 {
    let packets = read(handle, ears);
    handle.event.0.store(false, Relaxed);
    packets
}

#[test]
#[should_panic(expected = "deadlock")]
fn an_event_cleared_after_the_read_loses_a_wake_up() {
    check(2, || {
        let queue = Queue::new(PacketQueueOptions::CURRENT, CPUS.into());
        sleepy(Shared::new(0, &options(1000), queue), true, read_then_clear);
    });
}
