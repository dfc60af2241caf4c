//! The driver of all queue pairs, with its device and its taps: what interrupts and timers make it do.
//!
//! Contract: as the driver wants it (`driver::Interrupt`, `driver::Finished`): who is scheduled is polled, up to
//! [`TURN`] frames at a time; then the others have their turn, and [`Core::go_on`] continues.

use std::time::{Duration, Instant};

use driver::vfio::PciTransport;
use driver::{DmaRegion, Driver, DriverConfig, DriverError, Interrupt, Progress, Transport};
use harness::real_time::Clock;
use protocol::Disturb;
use vmm_sys_util::eventfd::EventFd;

use super::tap::Taps;

/// Frames of one poll.
const BUDGET: u16 = 64;
/// Frames after which another queue has its turn.
const TURN: u16 = 16 * BUDGET;
/// How long a device may take to stop.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module's contract.
pub struct Core<'a> {
    pub(super) driver: Driver,
    transport: PciTransport,
    pub(super) taps: Taps<'a>,
    pub(super) clock: Clock,
    /// By vector: interrupts that were told.
    pub(super) messages: Vec<u64>,
    /// Queues that are scheduled and have had their turn, as a set.
    again: u64,
    /// Why interrupts do not come any more.
    pub(super) fault: Option<String>,
}

impl<'a> Core<'a> {
    /// Lays out rings and buffers in `memory`.
    ///
    /// # Errors
    /// The configuration breaks a rule.
    pub fn new(
        config: DriverConfig,
        memory: DmaRegion,
        transport: PciTransport,
        taps: Taps<'a>,
        clock: Clock,
    ) -> Result<Self, DriverError> {
        let driver = Driver::new(config, memory)?;
        let messages = vec![0; transport.vectors().into()];
        Ok(Self { driver, transport, taps, clock, messages, again: 0, fault: None })
    }

    /// Until the driver runs.
    ///
    /// # Errors
    /// What the device refuses.
    pub fn bring_up(&mut self) -> Result<(), DriverError> {
        let Self { driver, transport, taps, clock, .. } = self;
        let mut progress = driver.start(clock.now(), transport, taps)?;
        while let Progress::Waiting { .. } = progress {
            std::thread::yield_now();
            progress = driver.step(clock.now(), transport, taps)?;
        }
        Ok(())
    }

    /// The features agreed.
    pub fn features(&self) -> u64 {
        self.driver.features()
    }

    /// The event descriptor of each vector, in order.
    pub fn events(&self) -> impl Iterator<Item = (u16, &EventFd)> {
        (0..self.transport.vectors())
            .filter_map(|vector| Some((vector, self.transport.event(vector)?)))
    }

    /// That of the interrupt line, if all vectors share it.
    pub fn line(&self) -> Option<&EventFd> {
        self.transport.line()
    }

    /// The line has fired.
    pub fn relay(&mut self) {
        if let Err(error) = self.transport.relay_line() {
            self.fault = Some(error.to_string());
        }
    }

    /// An event descriptor is readable.
    pub fn interrupt(&mut self, vector: u16) {
        if !self.transport.take_interrupt(vector) {
            return;
        }
        if let Some(count) = self.messages.get_mut(usize::from(vector)) {
            *count += 1;
        }
        let Self { driver, transport, taps, clock, .. } = self;
        if let Interrupt::Poll(queue) = driver.interrupt(clock.now(), vector, transport, taps) {
            self.poll(queue);
        }
    }

    /// Does something to an interrupt vector.
    ///
    /// # Errors
    /// VFIO refuses, in words.
    pub fn disturb(&mut self, what: Disturb) -> Result<(), String> {
        match what {
            Disturb::Trigger(vector) => {
                self.transport.trigger(vector).map_err(|error| error.to_string())?;
            }
            Disturb::Hold(vector) => self.transport.hold_vector(vector, true),
            Disturb::Release(vector) => self.transport.hold_vector(vector, false),
        }
        Ok(())
    }

    /// Does what timers ask for, and lets the queues go on that are still scheduled.
    pub fn go_on(&mut self) {
        let mut due = std::mem::take(&mut self.again);
        let now = self.clock.now();
        if self.driver.next_deadline().is_some_and(|at| at <= now) {
            let Self { driver, transport, taps, .. } = self;
            due |= driver.advance(now, transport, taps).queues;
        }
        for queue in (driver::Due { queues: due }).iter() {
            self.poll(queue);
        }
    }

    /// When [`Core::go_on`] has something to do: at once, at a time, or not before something happens.
    pub fn next(&self) -> Next {
        match self.driver.next_deadline() {
            _ if self.again != 0 => Next::Now,
            Some(at) => Next::In(Duration::from_nanos(at.saturating_sub(self.clock.now()) / 1000)),
            None => Next::Never,
        }
    }

    /// Stops the device; what it has completed until then is indicated.
    pub fn stop(&mut self) {
        self.transport.set_status(0);
        let started = Instant::now();
        while self.transport.status() != 0 && started.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        for queue in 0..self.driver.config().queue_pairs {
            while self.poll_once(queue).0 > 0 {}
        }
    }

    fn poll(&mut self, queue: u16) {
        let mut frames = 0;
        loop {
            let (found, again) = self.poll_once(queue);
            frames += found;
            if !again {
                return;
            }
            if frames >= TURN {
                self.again |= 1 << queue;
                return;
            }
        }
    }

    /// Frames taken, and whether the queue is still scheduled.
    fn poll_once(&mut self, queue: u16) -> (u16, bool) {
        let Self { driver, transport, taps, clock, .. } = self;
        let now = clock.now();
        let polled = driver.poll(now, queue, BUDGET, transport, taps);
        for buffer in taps.lent(queue) {
            driver.give_back(queue, buffer);
        }
        let finished = driver.finish_poll(now, queue, transport, taps);
        (polled.frames + polled.dropped, finished.again)
    }
}

/// See [`Core::next`].
pub enum Next {
    /// At once.
    Now,
    /// After so long.
    In(Duration),
    /// When something happens.
    Never,
}
