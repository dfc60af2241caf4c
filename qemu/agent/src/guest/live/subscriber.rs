//! The event loop: who waits for what.
//!
//! Contract: one subscriber per interrupt vector, one for the interrupt line if there is no MSI-X, one for the
//! timer, one for the host's questions. All work on one [`Core`], one after the other.

use std::cell::RefCell;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender};

use event_manager::{EventManager, EventOps, Events, MutEventSubscriber, SubscriberOps};
use protocol::LiveAccount;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::eventfd::EventFd;

use super::Ask;
use super::core::{Core, Next};
use crate::guest::serve::Refusal;

/// What they share.
struct Shared<'a> {
    core: Core<'a>,
    /// Who wants the last account.
    stop: Option<Sender<LiveAccount>>,
    /// Why a subscriber cannot wait.
    failed: Option<String>,
}

/// Serves `core` until the host stops it; the core, and who wants its account.
///
/// # Errors
/// There is nothing to wait by, or waiting fails.
pub fn serve<'a>(
    core: Core<'a>,
    questions: &Receiver<Ask>,
    bell: &EventFd,
) -> Result<(Core<'a>, Sender<LiveAccount>), Refusal> {
    let loops = |error: event_manager::Error| Refusal::Value(format!("the event loop: {error}"));
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK);
    let timer = timer.map_err(|error| Refusal::system("a timer")(error.into()))?;
    let vectors: Vec<(u16, RawFd)> =
        core.events().map(|(vector, event)| (vector, event.as_raw_fd())).collect();
    let line = core.line().map(AsRawFd::as_raw_fd);
    let shared = Rc::new(RefCell::new(Shared { core, stop: None, failed: None }));
    let mut manager = EventManager::<Subscriber<'_, 'a>>::new().map_err(loops)?;
    let mut add = |fd, waits| {
        manager.add_subscriber(Subscriber { fd, waits, shared: Rc::clone(&shared) });
    };
    for (vector, fd) in vectors {
        add(fd, Waits::Vector(vector));
    }
    if let Some(line) = line {
        add(line, Waits::Line);
    }
    add(timer.as_raw_fd(), Waits::Timer(&timer));
    add(bell.as_raw_fd(), Waits::Bell(bell, questions));
    let ended = loop {
        let next = {
            let mut shared = shared.borrow_mut();
            if let Some(why) = shared.failed.take() {
                break Err(Refusal::Value(why));
            }
            if let Some(answer) = shared.stop.take() {
                shared.core.stop();
                break Ok(answer);
            }
            shared.core.go_on();
            shared.core.next()
        };
        let wait = match next {
            Next::Now => 0,
            Next::In(time) => {
                set(&timer, time)?;
                -1
            }
            Next::Never => -1,
        };
        manager.run_with_timeout(wait).map_err(loops)?;
    };
    drop(manager);
    let answer = ended?;
    match Rc::try_unwrap(shared) {
        Ok(shared) => Ok((shared.into_inner().core, answer)),
        Err(_) => Err(Refusal::Value("a subscriber is left".into())),
    }
}

fn set(timer: &OwnedFd, time: std::time::Duration) -> Result<(), Refusal> {
    let system = |error: rustix::io::Errno| Refusal::system("a timer")(error.into());
    // Nothing at all would disarm it.
    let time = time.max(std::time::Duration::from_nanos(1));
    let forever = Timespec { tv_sec: i64::MAX, tv_nsec: 0 };
    let it_value = Timespec::try_from(time).unwrap_or(forever);
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &once).map(drop).map_err(system)
}

/// Waits for one descriptor.
struct Subscriber<'l, 'a> {
    fd: RawFd,
    waits: Waits<'l>,
    shared: Rc<RefCell<Shared<'a>>>,
}

enum Waits<'l> {
    Vector(u16),
    Line,
    Timer(&'l OwnedFd),
    Bell(&'l EventFd, &'l Receiver<Ask>),
}

impl MutEventSubscriber for Subscriber<'_, '_> {
    fn init(&mut self, ops: &mut EventOps<'_>) {
        if let Err(error) = ops.add(Events::new_raw(self.fd, EventSet::IN)) {
            self.shared.borrow_mut().failed = Some(format!("the event loop: {error}"));
        }
    }

    fn process(&mut self, _events: Events, _ops: &mut EventOps<'_>) {
        let shared = &mut *self.shared.borrow_mut();
        match self.waits {
            Waits::Vector(vector) => shared.core.interrupt(vector),
            Waits::Line => shared.core.relay(),
            Waits::Timer(timer) => {
                // What is due is done in the loop, whoever has woken it.
                let _ = rustix::io::read(timer, &mut [0; 8]);
            }
            Waits::Bell(bell, questions) => {
                // One question may have rung twice, or two once.
                let _ = bell.read();
                while let Ok(ask) = questions.try_recv() {
                    match ask {
                        // Whoever has asked may have gone.
                        Ask::Account(answer) => drop(answer.send(shared.core.account())),
                        Ask::Disturb(what, answer) => drop(answer.send(shared.core.disturb(what))),
                        Ask::Stop(answer) => shared.stop = Some(answer),
                    }
                }
            }
        }
    }
}
