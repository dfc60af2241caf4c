//! The taps of all receive queues, as the one host of the driver.

use std::sync::Arc;

use driver::{Event, Host, RxFrame};
use harness::guest::reader::Served;
use harness::guest::tap::Tap;
use harness::real_time::Clock;
use xxhash_rust::xxh3::xxh3_64;

/// See the module.
pub struct Taps<'a> {
    queues: Vec<Queue<'a>>,
    handles: &'a [Arc<Served>],
    digests: bool,
    clock: Clock,
    /// When the first frame came.
    pub first_frame: Option<u64>,
}

struct Queue<'a> {
    tap: Tap<'a>,
    digest: u64,
}

impl<'a> Taps<'a> {
    /// Of queues whose frames the core takes on these CPUs, in order.
    pub fn new(
        cpus: impl Iterator<Item = u16>,
        handles: &'a [Arc<Served>],
        digests: bool,
        clock: Clock,
    ) -> Self {
        let tap = |(queue, cpu)| Queue { tap: Tap::new(cpu, queue, handles), digest: 0 };
        let queues = (0..).zip(cpus).map(tap).collect();
        Self { queues, handles, digests, clock, first_frame: None }
    }

    /// The handles.
    pub fn handles(&self) -> &'a [Arc<Served>] {
        self.handles
    }

    /// The sum of the digests of a queue's frames.
    pub fn digest(&self, queue: u16) -> u64 {
        self.queues.get(usize::from(queue)).map_or(0, |queue| queue.digest)
    }

    /// The buffers that came with frames of a queue, to be given back.
    pub fn lent(&mut self, queue: u16) -> impl Iterator<Item = u16> + '_ {
        self.queues
            .get_mut(usize::from(queue))
            .into_iter()
            .flat_map(|queue| queue.tap.lent.drain(..))
    }
}

impl Host for Taps<'_> {
    fn event(&mut self, _now: u64, _event: Event) {
        // The driver's counters say all that is wanted.
    }

    fn indicate(&mut self, now: u64, queue: u16, frames: &[RxFrame<'_>]) {
        let Some(to) = self.queues.get_mut(usize::from(queue)) else { return };
        if self.first_frame.is_none() {
            self.first_frame = Some(self.clock.now());
        }
        if self.digests {
            let sum = frames.iter().map(|frame| xxh3_64(frame.data));
            to.digest = sum.fold(to.digest, u64::wrapping_add);
        }
        to.tap.indicate(now, queue, frames);
    }
}
