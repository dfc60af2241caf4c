//! Our driver and the NPF core, running freely: a thread with an event loop, and a thread per reader.
//!
//! ```text
//!   MSI-X vector -> event descriptor -> subscriber -> driver -> tap -> handle -> reader's thread
//!   timer ------------------------------------^
//!   the host's questions ---------------------^
//! ```
//!
//! Contract: [`Live::start`] answers when the driver is up, or says why it is not. Afterwards nothing ends the loop
//! but [`Live::stop`]: a driver that gives up stays, with its reason in the account. A panic in there goes on in
//! whoever asks next.

pub mod account;
mod core;
mod subscriber;
mod tap;

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use harness::guest::{handles, offer};
use harness::real_time::Clock;
use protocol::{Disturb, LiveAccount, Start, Started};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use self::core::Core;
use super::serve::Refusal;
use super::{scenario, vfio};

/// What the host wants of a loop; the answer goes where it says.
enum Ask {
    Account(Sender<LiveAccount>),
    Disturb(Disturb, Sender<Result<(), String>>),
    Stop(Sender<LiveAccount>),
}

/// See the module's contract.
pub struct Live {
    thread: JoinHandle<Result<(), Refusal>>,
    asks: Sender<Ask>,
    bell: EventFd,
}

impl Live {
    /// Takes the NIC and brings the driver up.
    ///
    /// # Errors
    /// Whatever is in the way; nothing runs then.
    pub fn start(start: Start) -> Result<(Self, Started), Refusal> {
        let bell = EventFd::new(EFD_NONBLOCK).map_err(Refusal::system("an event descriptor"))?;
        let told = bell.try_clone().map_err(Refusal::system("an event descriptor"))?;
        let (asks, questions) = channel();
        let (up, started) = channel();
        let thread = std::thread::Builder::new().name("live".into());
        let thread = thread.spawn(move || run(&start, &up, &questions, &told));
        let thread = thread.map_err(Refusal::system("a thread"))?;
        match started.recv() {
            Ok(started) => Ok((Self { thread, asks, bell }, started)),
            Err(_) => Err(ended(thread)),
        }
    }

    /// What has become of frames so far.
    ///
    /// # Errors
    /// The loop has ended, which it must not.
    pub fn account(&self) -> Result<LiveAccount, Refusal> {
        self.ask(Ask::Account)
    }

    /// Does something to an interrupt vector.
    ///
    /// # Errors
    /// VFIO refuses, or the loop has ended, which it must not.
    pub fn disturb(&self, what: Disturb) -> Result<(), Refusal> {
        self.ask(|answer| Ask::Disturb(what, answer))?.map_err(Refusal::Value)
    }

    /// Stops the device, reads what is left, and ends.
    ///
    /// # Errors
    /// The loop had ended before.
    pub fn stop(self) -> Result<LiveAccount, Refusal> {
        match self.ask(Ask::Stop) {
            Ok(account) => Ok(account),
            Err(_) => Err(ended(self.thread)),
        }
    }

    fn ask<T>(&self, ask: impl FnOnce(Sender<T>) -> Ask) -> Result<T, Refusal> {
        let (answer, answered) = channel();
        let gone = |()| Refusal::Value("the driver's loop has ended".into());
        self.asks.send(ask(answer)).map_err(|_| gone(()))?;
        self.bell.write(1).map_err(Refusal::system("the loop's bell"))?;
        answered.recv().map_err(|_| gone(()))
    }
}

/// Why the loop has ended before its time.
fn ended(thread: JoinHandle<Result<(), Refusal>>) -> Refusal {
    match thread.join() {
        Ok(Err(refusal)) => refusal,
        Ok(Ok(())) => Refusal::Value("the driver's loop has ended".into()),
        Err(panic) => resume_unwind(panic),
    }
}

fn run(
    start: &Start,
    up: &Sender<Started>,
    questions: &Receiver<Ask>,
    bell: &EventFd,
) -> Result<(), Refusal> {
    let scenario = scenario::read(start)?;
    let handles = handles::open(&scenario).map_err(|error| Refusal::Value(error.to_string()))?;
    let (address, device) = vfio::take()?;
    let offered = device.features();
    let (config, mut notices) = offer::cut(&scenario, offered);
    let bytes = config.memory_needed().map_err(driver::DriverError::from)?;
    let (memory, hole) = match start.hole {
        None => (vfio::memory(&device, start.iova, bytes)?, None),
        Some(place) => {
            let (memory, hole) = vfio::Hole::in_memory(&device, start.iova, bytes, place)?;
            (memory, Some(hole))
        }
    };
    let bypasses_iommu = device.bypasses_iommu();
    if bypasses_iommu {
        notices.push(
            "the device bypasses the IOMMU: its addresses are physical ones, and nothing keeps it from any \
             memory"
                .into(),
        );
    }
    let mut started = Started {
        device: address.to_string(),
        offered,
        bypasses_iommu,
        memory: (memory.address(), memory.len()),
        notices,
        ..Started::default()
    };
    let transport = device.into_transport(config.queue_pairs + 1)?;
    started.msix = transport.has_msix();
    let clock = Clock::start();
    let cpus = (0..config.queue_pairs).map(|queue| scenario.rx_cpu(queue));
    let taps = tap::Taps::new(cpus, &handles, start.digest, clock);
    let mut core = Core::new(config, memory, transport, taps, clock)?;
    core.bring_up()?;
    started.features = core.features();
    let over = AtomicBool::new(false);
    let (core, answer) = std::thread::scope(|scope| {
        handles::serve(scope, &scenario, &handles, clock, &over);
        // Whoever has asked for it may have gone: then the first account is asked for in vain.
        let _ = up.send(started);
        let ended = subscriber::serve(core, questions, bell);
        over.store(true, Ordering::Release);
        handles.iter().for_each(|served| served.wake());
        ended
    })?;
    let mut account = core.account();
    account.hole_changed = hole.map(|hole| hole.changed()).transpose()?;
    let _ = answer.send(account);
    Ok(())
}

impl From<driver::DriverError> for Refusal {
    fn from(error: driver::DriverError) -> Self {
        Self::Value(format!("the driver does not come up: {error}"))
    }
}
