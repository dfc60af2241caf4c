//! A lane: a device of one queue pair, and the thread that works for it.
//!
//! Contract: the thread alone touches the device. Others give it [`Order`]s, which it obeys between two
//! batches of frames; an order that is answered has taken effect. While a lane has nothing to do it sleeps
//! until an order, a kick, a frame or a timer comes, unless it polls ([`Settings::poll`]).

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use nic_model::rss::Steering;
use nic_model::spec::{feature, status};
use nic_model::vhost_user::inflight::Tracking;
use nic_model::vhost_user::memory::Memory;
use nic_model::vhost_user::port::Start;
use nic_model::{ConfigError, Device, DeviceConfig, Fault, FaultError, QueueError};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::ears::{Ears, RX_VECTOR};
use super::feed::{Feed, Sink};
use super::rarp;
use super::tally::Tally;
use crate::real_time::{Clock, stay_on};

/// Frames taken from the feed at once.
const BATCH: usize = 64;
/// The receive queue of a lane's device, and its transmit queue.
const RX: u16 = 0;

/// How a lane works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of the device; one pair.
    pub device: DeviceConfig,
    /// Never sleeps, and asks for no kick.
    pub poll: bool,
    /// CPU to stay on.
    pub cpu: Option<usize>,
}

/// What a lane is told to do.
pub enum Order {
    /// Guest memory is this from now on.
    Memory(Option<Arc<Memory>>),
    /// The driver chose these features.
    Features(u64),
    /// A vring runs.
    Start {
        /// 0 receives, 1 transmits.
        vring: u16,
        /// Where it is.
        start: Start,
        /// Whether it does.
        done: SyncSender<Result<(), QueueError>>,
    },
    /// A vring runs no more.
    Stop {
        /// Which.
        vring: u16,
        /// Where it would have gone on.
        done: SyncSender<u32>,
    },
    /// Frames may flow on a vring, or not.
    Enable {
        /// Which.
        vring: u16,
        /// They may.
        on: bool,
    },
    /// Kicks come here.
    Kick(u16, Option<OwnedFd>),
    /// Interrupts go here.
    Call(u16, Option<OwnedFd>),
    /// Takes no frame of the feed before the next [`Order::Steer`]; the number of the next one.
    Hold(SyncSender<u64>),
    /// Frames are steered so from this number on.
    Steer(Arc<Steering>, u64),
    /// The traffic ends before the frame of this number.
    EndAt(u64),
    /// The cable is in, or not.
    Link(bool),
    /// The guest with this address is here now: the network is told.
    Announce([u8; 6]),
    /// The device does something wrong.
    Fault(Fault, SyncSender<Result<(), FaultError>>),
    /// The feed's first frame is due at this moment.
    Go(Instant),
    /// Says what was counted.
    Tell(SyncSender<Tally>),
    /// Nobody is told of a ring that breaks: who reads the tally is.
    BeQuiet,
    /// Nothing before this is still to be done.
    Sync(SyncSender<()>),
    /// The end.
    Quit,
}

/// Who gives a lane orders.
pub struct Lane {
    orders: Sender<Order>,
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

/// Wakes a lane that sleeps or polls.
struct Bell {
    rung: AtomicBool,
    fd: OwnedFd,
}

impl Lane {
    /// Starts the thread. `feed` and its sink are made in it.
    ///
    /// # Errors
    /// The device refuses its configuration, or the system a thread.
    pub fn start(
        name: &str,
        settings: Settings,
        empty: Arc<Memory>,
        feed: impl FnOnce() -> (Feed, Box<dyn Sink>) + Send + 'static,
    ) -> Result<Self, LaneError> {
        let device =
            Device::new(settings.device.clone(), empty.clone()).map_err(LaneError::Device)?;
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| LaneError::System(error.into()))?;
        let bell = Arc::new(Bell { rung: AtomicBool::new(false), fd });
        let (orders, inbox) = channel();
        let rung = Arc::clone(&bell);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let (feed, sink) = feed();
            Worker::new(settings, device, empty, inbox, rung, feed, sink).run();
        });
        let thread = Some(thread.map_err(LaneError::System)?);
        Ok(Self { orders, bell, thread })
    }

    /// Gives an order and goes on.
    pub fn order(&self, order: Order) {
        // A lane that has ended obeys nothing any more.
        let _ = self.orders.send(order);
        self.bell.rung.store(true, Ordering::Release);
        let _ = rustix::io::write(&self.bell.fd, &1_u64.to_ne_bytes());
    }

    /// Its thread.
    #[must_use]
    pub fn thread(&self) -> Option<ThreadId> {
        self.thread.as_ref().map(|thread| thread.thread().id())
    }

    /// Gives an order and waits for its answer; `None` from a lane that has ended.
    pub fn ask<T>(&self, order: impl FnOnce(SyncSender<T>) -> Order) -> Option<T> {
        let (done, answer) = sync_channel(1);
        self.order(order(done));
        answer.recv().ok()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.order(Order::Quit);
        if let Some(thread) = self.thread.take() {
            // A panic there was told there.
            let _ = thread.join();
        }
    }
}

/// Why a lane cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// The device refuses its configuration.
    #[error("the NIC cannot be configured so: {0}")]
    Device(ConfigError),
    /// The system refuses a thread or an event descriptor.
    #[error("a lane cannot be started: {0}")]
    System(std::io::Error),
}

struct Worker {
    settings: Settings,
    device: Device<Arc<Memory>>,
    /// What the device has while there is no front-end.
    empty: Arc<Memory>,
    ears: Ears,
    inbox: Receiver<Order>,
    bell: Arc<Bell>,
    feed: Feed,
    scratch: Vec<u8>,
    vrings: [Vring; 2],
    clock: Clock,
    /// When the feed's first frame was due.
    feeding_since: Option<u64>,
    holds: bool,
    tag: u64,
    tally: Tally,
    /// Rings that were broken when somebody was last told of it.
    broken_told: u64,
    quiet: bool,
}

#[derive(Default)]
struct Vring {
    kick: Option<OwnedFd>,
    runs: bool,
}

impl Worker {
    fn new(
        settings: Settings,
        device: Device<Arc<Memory>>,
        empty: Arc<Memory>,
        inbox: Receiver<Order>,
        bell: Arc<Bell>,
        feed: Feed,
        sink: Box<dyn Sink>,
    ) -> Self {
        let calls = [None, None];
        let ears = Ears { calls, sink, not_sent: 0, discarded: 0, discards: false };
        Self {
            settings,
            device,
            empty,
            ears,
            inbox,
            bell,
            feed,
            scratch: Vec::new(),
            vrings: Default::default(),
            clock: Clock::start(),
            feeding_since: None,
            holds: false,
            tag: 0,
            tally: Tally::default(),
            broken_told: 0,
            quiet: false,
        }
    }

    fn run(mut self) {
        stay_on(self.settings.cpu);
        loop {
            if self.bell.rung.swap(false, Ordering::Acquire) {
                while let Ok(order) = self.inbox.try_recv() {
                    if matches!(order, Order::Quit) {
                        return;
                    }
                    self.obey(order);
                }
            }
            let now = self.clock.now();
            let worked = self.work(now);
            if self.device.counters().rings_broken != self.broken_told {
                self.tell_broken();
            }
            if worked {
                continue;
            }
            if self.settings.poll {
                std::hint::spin_loop();
            } else {
                self.sleep(now);
            }
        }
    }

    /// Does what there is to do; `false` if there was nothing.
    fn work(&mut self, now: u64) -> bool {
        let sent = self.device.counters().transmitted;
        if self.vrings[0].runs && self.settings.poll {
            // Buffers that came without a kick.
            self.device.poll_queue(now, RX, &mut self.ears);
        }
        if self.vrings[1].runs {
            self.device.poll_queue(now, RX + 1, &mut self.ears);
        }
        self.device.advance(now, &mut self.ears);
        let fed = self.feed(now);
        let more = self.device.next_deadline().is_some_and(|at| at <= now);
        fed > 0 || more || sent != self.device.counters().transmitted
    }

    /// A ring has broken: whoever watches the daemon wants to know why at once.
    #[cold]
    fn tell_broken(&mut self) {
        self.broken_told = self.device.counters().rings_broken;
        let Some(error) = self.device.broken().filter(|_| !self.quiet) else { return };
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("a lane");
        // Nobody to tell is no reason to stop.
        let _ = writeln!(
            std::io::stderr(),
            "rxlab nic: {name}: {error}. Until then its frames are dropped ring_broken"
        );
    }

    fn feed(&mut self, now: u64) -> usize {
        let Some(since) = self.feeding_since.filter(|_| !self.holds) else { return 0 };
        let most = match self.feed.is_endless() {
            true => (self.device.available(0) as usize).min(BATCH),
            false => BATCH,
        };
        let Self { feed, device, ears, scratch, tag, .. } = self;
        device.burst(ears, |device, ears| {
            feed.pull(now.saturating_sub(since), most, scratch, |frame, fcs_ok| {
                device.receive(now, frame, fcs_ok, *tag, ears);
                *tag += 1;
            })
        })
    }

    /// Waits for whatever comes first.
    fn sleep(&mut self, now: u64) {
        self.tally.sleeps += 1;
        let feed_at = self.feeding_since.and_then(|since| Some(since + self.feed.next_ps()?));
        let at = [self.device.next_deadline(), feed_at].into_iter().flatten().min();
        // An endless feed waits for descriptors, of which a kick tells.
        let wait = at.map(|at| Duration::from_nanos(at.saturating_sub(now) / 1000));
        let wait = wait.and_then(|wait| rustix::time::Timespec::try_from(wait).ok());
        let mut fds = vec![PollFd::new(&self.bell.fd, PollFlags::IN)];
        fds.extend(
            self.vrings
                .iter()
                .filter_map(|vring| Some(PollFd::new(vring.kick.as_ref()?, PollFlags::IN))),
        );
        let feed = self.feed.fd().filter(|_| self.feeding_since.is_some());
        if let Some(fd) = &feed {
            fds.push(PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN));
        }
        if poll(&mut fds, wait.as_ref()).is_err() {
            return;
        }
        drop(fds);
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.bell.fd, &mut count);
        for (vring, queue) in self.vrings.iter().zip(RX..) {
            let Some(kick) = &vring.kick else { continue };
            // Also of a vring that does not run: it would wake this thread for ever.
            if rustix::io::read(kick, &mut count).is_ok() && vring.runs {
                self.device.notify(now, queue, &mut self.ears);
            }
        }
    }

    fn obey(&mut self, order: Order) {
        let now = self.clock.now();
        match order {
            Order::Memory(memory) => {
                self.device.set_memory(memory.unwrap_or_else(|| Arc::clone(&self.empty)));
            }
            Order::Features(features) => self.bring_up(now, features),
            Order::Start { vring, start, done } => {
                let _ = done.send(self.start(now, vring, start));
            }
            Order::Stop { vring, done } => {
                let _ = done.send(self.stop(now, vring));
            }
            Order::Enable { vring, on } => self.enable(now, vring, on),
            Order::Kick(vring, kick) => {
                if let Some(kick) = &kick {
                    // A lane that sleeps reads each once; one that blocks would stop it.
                    let _ = rustix::io::ioctl_fionbio(kick, true);
                }
                self.vrings[usize::from(vring & 1)].kick = kick;
            }
            Order::Call(vring, call) => self.ears.calls[usize::from(vring & 1)] = call,
            Order::Hold(done) => {
                self.holds = true;
                let _ = done.send(self.feed.position());
            }
            Order::Steer(steering, from) => {
                self.holds = false;
                self.feed.steer(&steering, from);
            }
            Order::EndAt(number) => {
                self.holds = false;
                self.feed.end_at(number);
            }
            Order::Link(up) => self.device.set_link(now, up, &mut self.ears),
            Order::Announce(mac) => {
                self.ears.not_sent += u64::from(!self.ears.sink.send(&rarp::request(mac)));
            }
            Order::Fault(fault, done) => {
                let _ = done.send(self.device.inject(now, fault, &mut self.ears));
            }
            Order::Go(at) => {
                self.feeding_since.get_or_insert(self.clock.at(at));
            }
            Order::Tell(done) => {
                let _ = done.send(self.tell());
            }
            Order::BeQuiet => self.quiet = true,
            Order::Sync(done) => {
                let _ = done.send(());
            }
            Order::Quit => {}
        }
    }

    /// A driver with these features is there; rings come later.
    fn bring_up(&mut self, now: u64, features: u64) {
        let Self { device, ears, .. } = self;
        device.set_status(now, 0, ears);
        device.set_status(now, status::ACKNOWLEDGE | status::DRIVER, ears);
        let features = features & device.device_features() | feature::VERSION_1;
        device.set_driver_features(features);
        device.set_status(now, status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK, ears);
    }

    fn start(&mut self, now: u64, vring: u16, start: Start) -> Result<(), QueueError> {
        let mut setup = start.setup;
        setup.vector = Some(RX_VECTOR + vring);
        match start.tracking {
            None => self.device.resume_queue(vring, &setup, start.base)?,
            Some(Tracking { region, entries }) => {
                self.device.resume_tracked(vring, &setup, start.base, entries, region)?;
            }
        }
        self.vrings[usize::from(vring)].runs = true;
        let all = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK | status::DRIVER_OK;
        if self.device.status() & status::DRIVER_OK == 0 {
            self.device.set_status(now, all, &mut self.ears);
        }
        self.enable(now, vring, start.enabled);
        Ok(())
    }

    fn stop(&mut self, now: u64, vring: u16) -> u32 {
        self.vrings[usize::from(vring)].runs = false;
        self.device.stop_queue(now, vring, &mut self.ears).unwrap_or_default()
    }

    /// A receive queue takes frames only while it is enabled; a transmit queue works all the same, and what
    /// it sends is discarded.
    fn enable(&mut self, now: u64, vring: u16, on: bool) {
        if !self.vrings[usize::from(vring)].runs {
            return;
        }
        if vring == RX {
            self.device.set_receiving(now, RX, on, &mut self.ears);
        } else {
            self.ears.discards = !on;
            // An error would mean that it is enabled already.
            let _ = self.device.enable_queue(vring);
        }
    }

    fn tell(&self) -> Tally {
        let queues = self.device.queue_counters(0);
        Tally {
            device: self.device.counters().clone(),
            held: self.device.fifo_frames(),
            available: self.device.available(0),
            not_sent: self.ears.not_sent,
            discarded: self.ears.discarded,
            interrupts: [queues.interrupts, queues.transmit_interrupts],
            feed: self.feed.standing(),
            broken: self.device.broken().copied(),
            ..self.tally.clone()
        }
    }
}
