//! Receive buffers that the driver has handed over: the network stack keeps each for a while.
//!
//! Contract: buffers of a queue come back in the order in which they were taken, each after the same
//! time. They are looked at when the queue is polled next, as nobody misses them before.

use crate::account::Oracle;
use driver::Driver;
use std::collections::VecDeque;

/// See the module's contract.
pub struct Lent {
    hold_ps: u64,
    /// By queue: when each is given back, and which it is.
    queues: Vec<VecDeque<(u64, u16)>>,
}

impl Lent {
    /// Nothing yet; each buffer will be kept for `hold_ps` picoseconds.
    #[must_use]
    pub fn new(queues: u16, hold_ps: u64) -> Self {
        Self { hold_ps, queues: (0..queues).map(|_| VecDeque::new()).collect() }
    }

    /// The stack has a frame, and its buffer if the driver has handed it over.
    #[inline]
    pub fn take(&mut self, now: u64, queue: u16, buffer: Option<u16>) {
        if let Some(buffer) = buffer {
            let due = now.saturating_add(self.hold_ps);
            self.queues[usize::from(queue)].push_back((due, buffer));
        }
    }

    /// Gives back what is due.
    #[inline]
    pub fn give_back(&mut self, now: u64, queue: u16, driver: &mut Driver, oracle: &mut Oracle) {
        let lent = &mut self.queues[usize::from(queue)];
        while let Some(&(due, buffer)) = lent.front()
            && due <= now
        {
            lent.pop_front();
            driver.give_back(queue, buffer);
            oracle.given_back(queue);
        }
    }
}
