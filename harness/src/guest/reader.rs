//! A reader: a thread that sleeps until its handle wakes it, and reads by the rhythm that the scenario gives
//! it.
//!
//! Contract: one thread reads a handle, and one more does what the design's worker does, if it has one. The
//! rhythm is [`Reader`]'s, with the wall clock; of its work per frame only what a scenario asks for takes
//! time. When the session ends, what is left is read, unless the reader has stopped for good.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use npf_core::{Delivered, Event, Host, SharedHandle};

use crate::real_time::Clock;
use crate::world::reader::{Reader, Step};

/// Packets that a worker or a dump thread does at once.
const BATCH: u32 = 64;
/// Looks in vain after which a reader that ends believes that it will find nothing more.
const LOOKS: u32 = 4;
/// How long a thread sleeps at most before it looks whether it has to end.
const NAP: Duration = Duration::from_millis(50);

/// A handle, and what wakes who serves it.
pub struct Served {
    /// The handle.
    pub handle: SharedHandle,
    /// Its name in the scenario.
    pub name: String,
    reader: Bell,
    worker: Bell,
}

/// Wakes one thread.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    wakes: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wakes.notify_one();
    }

    fn wait(&self, at_most: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.wakes.wait_timeout_while(rung, at_most, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

impl Served {
    /// A handle whose reader sleeps.
    #[must_use]
    pub fn new(handle: SharedHandle, name: String) -> Self {
        Self { handle, name, reader: Bell::default(), worker: Bell::default() }
    }

    /// Wakes whoever serves it.
    pub fn wake(&self) {
        self.reader.ring();
        self.worker.ring();
    }
}

/// Reads `served` until `ends` says so; then what is left.
pub fn read(served: &Served, mut reader: Reader, clock: Clock, ends: &AtomicBool) {
    reader.shared = served.handle.zero_copy_reader().ok();
    while !ends.load(Ordering::Acquire) {
        let now = clock.now();
        match reader.next(now, served.handle.ready()) {
            Step::Read => {
                take(served, &mut reader, clock);
            }
            Step::Wait { timeout_at, .. } => {
                let most = timeout_at.map_or(Duration::MAX, |at| until(at, now));
                served.reader.wait(most);
                // Woken or not, it reads what there is.
                take(served, &mut reader, clock);
            }
            Step::Sleep { until: at, .. } => served.reader.wait(until(at, now).min(NAP)),
            Step::Stop => return,
        }
    }
    // A look that finds nothing may be the one that has buffers exchanged.
    let mut in_vain = 0;
    while served.handle.queued() > 0 && in_vain < LOOKS {
        in_vain = if take(served, &mut reader, clock) { 0 } else { in_vain + 1 };
    }
}

/// Does what the design's worker does, and what the thread of a handle in dump mode does, until `ends` says
/// so.
pub fn work(served: &Served, clock: Clock, ends: &AtomicBool) {
    let mut ears = Ears { served };
    loop {
        let over = ends.load(Ordering::Acquire);
        while served.handle.pending() > 0 {
            served.handle.work(clock.now(), BATCH, &mut ears);
        }
        // Refused by a handle that does not dump.
        while let Ok(step) = served.handle.dump(clock.now(), BATCH, &mut ears)
            && step.packets > 0
        {}
        if over {
            return;
        }
        served.worker.wait(NAP);
    }
}

fn until(at: u64, now: u64) -> Duration {
    Duration::from_nanos(at.saturating_sub(now) / 1000)
}

/// One read; whether there may be more.
fn take(served: &Served, reader: &mut Reader, clock: Clock) -> bool {
    let mut ears = Ears { served };
    let now = clock.now();
    let taken = match &mut reader.shared {
        Some(shared) => {
            // Whoever finds nothing asks for a rotation with the second look.
            let taken = match served.handle.poll(now, shared, &mut ears) {
                Ok(taken) if taken.waits => served.handle.poll(now, shared, &mut ears),
                taken => taken,
            };
            taken.ok().map(|taken| (taken.bytes as u64, u64::from(taken.packets)))
        }
        None => {
            let read = served.handle.read(now, &mut reader.buffer, &mut ears);
            read.ok().map(|read| (read.bytes as u64, u64::from(read.packets)))
        }
    };
    let Some((bytes, packets)) = taken else {
        reader.was_refused(now);
        return false;
    };
    reader.did_read(now, bytes, packets);
    let work = Duration::from_nanos((packets * reader.frame_ps) / 1000);
    if !work.is_zero() {
        std::thread::sleep(work);
    }
    packets > 0
}

/// What the core tells a thread: wake-ups go to whoever serves the handle, the rest is counted by the core
/// itself.
pub struct Ears<'a> {
    /// Whose handle it is about.
    pub served: &'a Served,
}

impl Host for Ears<'_> {
    #[inline(always)]
    fn event(&mut self, _now: u64, _event: Event) {}

    #[inline(always)]
    fn delivered(&mut self, _now: u64, _handle: u32, _packet: Delivered<'_>) {}

    fn wake(&mut self, _now: u64, _handle: u32) {
        self.served.reader.ring();
    }

    fn work(&mut self, _now: u64, _handle: u32) {
        self.served.worker.ring();
    }

    fn wake_dump(&mut self, _now: u64, _handle: u32) {
        self.served.worker.ring();
    }
}
