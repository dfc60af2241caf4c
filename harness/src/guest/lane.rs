//! A driver lane: the driver of one queue pair over vhost-user, in a thread of its own, and the tap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use driver::vhost_user::Lane;
use driver::{DmaRegion, Driver, DriverConfig, DriverError, Interrupt, Progress, Transport};
use rustix::event::{PollFd, PollFlags, poll};

use super::reader::Served;
use super::tap::Tap;
use crate::interface::descriptor_of;
use crate::real_time::{Clock, stay_on};

/// The receive queue of a lane, and its vector.
const RX: u16 = 0;
const RX_VECTOR: u16 = 1;
/// Frames of one poll.
const BUDGET: u16 = 64;
/// Frames after which a lane looks whether it has to end.
const TURN: u16 = 16 * BUDGET;
/// How long a lane sleeps before it looks whether it has to end.
const NAP: Duration = Duration::from_millis(20);

/// What a lane has counted.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// Frames indicated to the tap, and their bytes.
    pub indicated: (u64, u64),
    /// Completions that the driver dropped.
    pub dropped: u64,
    /// Interrupts taken.
    pub interrupts: u64,
    /// Polls.
    pub polls: u64,
    /// Why it ended before it was told to.
    pub error: Option<String>,
}

/// How far a lane has come, for those who watch it; in cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Live {
    indicated: AtomicU64,
    dropped: AtomicU64,
}

impl Live {
    /// Frames indicated to the tap and completions dropped, as of the last poll; all that a reader of this
    /// has seen of them before is counted.
    #[must_use]
    pub fn taken(&self) -> (u64, u64) {
        (self.indicated.load(Ordering::Acquire), self.dropped.load(Ordering::Acquire))
    }

    fn tell(&self, tap: &Tap<'_>) {
        self.indicated.store(tap.indicated.0, Ordering::Release);
        self.dropped.store(tap.dropped, Ordering::Release);
    }
}

/// How a lane works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Never sleeps, and takes no interrupt.
    pub poll: bool,
    /// CPU to stay on.
    pub cpu: Option<usize>,
    /// That of the session.
    pub clock: Clock,
}

/// Drives queue pair `number` until `ends` says so or the back-end goes.
pub fn run(
    number: u16,
    (transport, memory): (Lane, DmaRegion),
    config: DriverConfig,
    settings: Settings,
    handles: &[Arc<Served>],
    live: &Live,
    ends: &AtomicBool,
) -> Ended {
    stay_on(settings.cpu);
    let tap = Tap::new(number, number, handles);
    let clock = settings.clock;
    match Driver::new(config, memory) {
        Ok(driver) => {
            Worker { driver, transport, tap, clock, live, again: false, ended: Ended::default() }
                .run(settings, ends)
        }
        Err(error) => Ended { error: Some(error.to_string()), ..Ended::default() },
    }
}

struct Worker<'a> {
    driver: Driver,
    transport: Lane,
    tap: Tap<'a>,
    clock: Clock,
    live: &'a Live,
    /// The queue is scheduled and its interrupts are held off.
    again: bool,
    ended: Ended,
}

impl Worker<'_> {
    fn run(mut self, settings: Settings, ends: &AtomicBool) -> Ended {
        if let Err(error) = self.bring_up() {
            return Ended { error: Some(error.to_string()), ..self.ended };
        }
        while !ends.load(Ordering::Acquire) {
            let found = if settings.poll { self.poll() } else { self.serve() };
            if found > 0 {
                self.live.tell(&self.tap);
            }
            if let Some(error) = self.driver.error() {
                self.ended.error = Some(error.to_string());
                break;
            }
            if let Some(error) = self.driver.queue_error(RX) {
                self.ended.error = Some(error.to_string());
                break;
            }
            if found == 0 && !self.again {
                match settings.poll {
                    true => std::hint::spin_loop(),
                    false => self.sleep(),
                }
            }
        }
        // What the device has completed until its queues stop is indicated.
        self.transport.set_status(0);
        while self.poll() > 0 {}
        self.live.tell(&self.tap);
        Ended { indicated: self.tap.indicated, dropped: self.tap.dropped, ..self.ended }
    }

    fn bring_up(&mut self) -> Result<(), DriverError> {
        let now = self.clock.now();
        let mut progress = self.driver.start(now, &mut self.transport, &mut self.tap)?;
        while let Progress::Waiting { deadline } = progress {
            std::thread::yield_now();
            let now = self.clock.now().min(deadline.saturating_add(1));
            progress = self.driver.step(now, &mut self.transport, &mut self.tap)?;
        }
        Ok(())
    }

    /// One poll of the receive queue; the frames it took.
    fn poll(&mut self) -> u16 {
        let now = self.clock.now();
        let Self { driver, transport, tap, .. } = self;
        let polled = driver.poll(now, RX, BUDGET, transport, tap);
        driver.finish_poll(now, RX, transport, tap);
        for buffer in tap.lent.drain(..) {
            driver.give_back(RX, buffer);
        }
        self.ended.polls += 1;
        polled.frames + polled.dropped
    }

    /// What interrupts and timers ask for; the frames taken.
    fn serve(&mut self) -> u16 {
        let now = self.clock.now();
        let Self { driver, transport, tap, .. } = self;
        let mut due = self.again;
        if driver.next_deadline().is_some_and(|at| at <= now) {
            due |= driver.advance(now, transport, tap).iter().any(|queue| queue == RX);
        }
        if transport.take_interrupt(RX_VECTOR) {
            self.ended.interrupts += 1;
            due |= driver.interrupt(now, RX_VECTOR, transport, tap) == Interrupt::Poll(RX);
        }
        let mut frames = 0;
        while due {
            let polled = driver.poll(now, RX, BUDGET, transport, tap);
            frames += polled.frames + polled.dropped;
            self.ended.polls += 1;
            for buffer in tap.lent.drain(..) {
                driver.give_back(RX, buffer);
            }
            self.again = driver.finish_poll(now, RX, transport, tap).again;
            due = self.again && frames < TURN;
        }
        frames
    }

    fn sleep(&mut self) {
        let now = self.clock.now();
        let until = self
            .driver
            .next_deadline()
            .map_or(NAP, |at| Duration::from_nanos(at.saturating_sub(now) / 1000));
        let Ok(wait) = rustix::time::Timespec::try_from(until.min(NAP)) else { return };
        let call = descriptor_of(self.transport.call(RX_VECTOR));
        let mut fds = [PollFd::from_borrowed_fd(call, PollFlags::IN)];
        // Woken early is no harm.
        let _ = poll(&mut fds, Some(&wait));
    }
}
