//! A reader: a thread that sleeps until its handle wakes it, and reads until nothing is left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use npf_core::{Delivered, Event, Host, SharedHandle};

/// Bytes read at once.
const USER_BUFFER: usize = 1 << 20;

/// A handle, and what wakes who reads it.
pub struct Served {
    /// The handle.
    pub handle: SharedHandle,
    /// Its name in the scenario.
    pub name: String,
    woken: Mutex<bool>,
    bell: Condvar,
}

impl Served {
    /// A handle whose reader sleeps.
    #[must_use]
    pub fn new(handle: SharedHandle, name: String) -> Self {
        Self { handle, name, woken: Mutex::new(false), bell: Condvar::new() }
    }

    /// Wakes the reader.
    pub fn wake(&self) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_one();
    }

    fn sleep(&self, at_most: Duration) {
        let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.bell.wait_timeout_while(woken, at_most, |woken| !*woken);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// Reads `served` until `ends` says so; then what is left. Nobody is woken for fewer bytes than a handle's
/// `min_to_copy`: `read_timeout` is how long they may lie.
pub fn read(served: &Arc<Served>, read_timeout: Duration, ends: &AtomicBool) {
    let mut buffer = vec![0; USER_BUFFER];
    loop {
        let over = ends.load(Ordering::Acquire);
        while take(served, &mut buffer) {}
        if over {
            return;
        }
        if !served.handle.ready() {
            served.sleep(read_timeout);
        }
    }
}

/// One read, and the worker's share before it, where the design has one; whether there may be more.
fn take(served: &Served, buffer: &mut [u8]) -> bool {
    let mut ears = Ears { served };
    while served.handle.pending() > 0 {
        served.handle.work(0, 64, &mut ears);
    }
    // A handle that was closed has nothing to read.
    served.handle.read(0, buffer, &mut ears).is_ok_and(|read| read.packets > 0)
}

/// What the core tells a thread: wake-ups go to the reader, the rest is counted by the core itself.
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
        self.served.wake();
    }

    fn work(&mut self, _now: u64, _handle: u32) {
        self.served.wake();
    }
}
