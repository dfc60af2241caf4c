//! The threads world: a whole scenario in one process and in real time.
//!
//! ```text
//!   thread "lane i"        a device of one queue pair; its traffic, by the wall clock
//!     | vrings in shared memory, kicks and interrupts by event descriptors
//!   thread of driver i     poll, tap, filter, capture buffer
//!     | wake-up
//!   thread of each reader  (and of a worker, where the design has one)
//! ```
//!
//! Device and driver are those of `rxlab nic` and `rxlab driver`, joined by a pair of sockets: what works
//! here works with another process at either end.
//!
//! Contract: at rest the account is exact, and [`Account::check`] says what is wrong if it is not. While
//! frames flow, a snapshot counts no frame at a place that the places before it have not counted. A run ends
//! when the traffic has ended and every frame has been taken, and what was not taken within the scenario's
//! `run.drain` stays where it is; an interrupted run takes no more frames and ends in the same way.
//!
//! Not here: what belongs to the virtual clock (costs, DMA time, events, captures of every frame), and a
//! scenario that asks for faults, controls or frames sent is refused ([`fit`]).

pub mod account;
pub mod fit;
pub mod report;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use self::account::{Account, QueueAccount};
use crate::guest::lane::Live;
use crate::guest::session::{self, BackEnd, SessionError, Watched};
use crate::nic::build::Origin;
use crate::nic::served::{Nic, NicError};
use crate::real_time::{NoSuchCpu, check_cpus, usable_cpus};
use crate::scenario::Scenario;

/// How the world runs.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// No thread of NIC or driver ever sleeps; `None`: so if each of them has a CPU of its own.
    pub poll: Option<bool>,
    /// CPUs for the threads of NIC and driver, in turn: of queue 0's device, its driver, queue 1's device and
    /// so on. None: those that this process may use, if they are enough; else wherever.
    pub cpus: Vec<usize>,
    /// The traffic's first frames over and over, as fast as they are taken, for so long; `None`: all of the
    /// traffic, each frame at its time.
    pub endless: Option<Duration>,
}

/// Who watches a run.
pub trait Watch {
    /// Every now and then, with a way to take the account.
    fn look(&mut self, snapshot: &dyn Fn() -> Account);

    /// Whether the run is to end early.
    fn interrupted(&self) -> bool;
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// At rest.
    pub account: Account,
    /// From the first frame's time to the last that was taken.
    pub wall: Duration,
    /// CPUs of NIC and driver, by queue; empty: wherever.
    pub placed: Vec<(usize, usize)>,
    /// No thread of NIC or driver slept.
    pub polled: bool,
    /// It was to end early.
    pub interrupted: bool,
    /// What went wrong on the way: a source that broke off, a lane that ended.
    pub faults: Vec<String>,
}

/// Why a run has not begun.
#[derive(Debug, thiserror::Error)]
pub enum ThreadsError {
    /// The scenario asks for what this world has not.
    #[error(transparent)]
    Unfit(#[from] fit::Unfit),
    /// A CPU is asked for that there is not.
    #[error(transparent)]
    Cpu(#[from] NoSuchCpu),
    /// The NIC cannot be had.
    #[error(transparent)]
    Nic(#[from] NicError),
    /// The driver or a handle cannot be had.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Plays `scenario`.
///
/// # Errors
/// Nothing has been played.
pub fn run(
    scenario: &Scenario,
    choices: &Choices,
    watch: &mut dyn Watch,
) -> Result<Outcome, ThreadsError> {
    fit::check(scenario)?;
    check_cpus(&choices.cpus)?;
    let cpus = match choices.cpus.as_slice() {
        [] => usable_cpus(),
        given => given.to_vec(),
    };
    let placed = place(&cpus, !choices.cpus.is_empty(), scenario.channels.combined);
    let enough = cpus.len() >= 2 * usize::from(scenario.channels.combined);
    let polled = choices.poll.unwrap_or(enough);
    let origin = if choices.endless.is_some() { Origin::Endless } else { Origin::Traffic };
    let of_nic = placed.iter().map(|(nic, _)| *nic).collect();
    let (nic, stream) = Nic::start(scenario, origin, polled, of_nic)?;
    let session =
        session::Choices { poll: polled, cpus: placed.iter().map(|(_, driver)| *driver).collect() };
    let ends = AtomicBool::new(false);
    let mut course = Course::new(scenario, choices.endless);
    let session = session::run(scenario, &session, BackEnd::Over(stream), &ends, |watched| {
        let snapshot = || snapshot(&nic, watched);
        watch.look(&snapshot);
        if course.has_ended(&nic, watch.interrupted(), &snapshot) {
            ends.store(true, Ordering::Release);
        }
    })?;
    let tallies = nic.end();
    let mut faults: Vec<String> =
        tallies.iter().find_map(|tally| tally.feed.fault.clone()).into_iter().collect();
    let of_lane = |(queue, error): (usize, &String)| format!("queue {queue}: {error}");
    let lanes = session.lanes.iter().map(|lane| lane.error.as_ref());
    faults
        .extend(lanes.enumerate().filter_map(|(queue, error)| Some((queue, error?))).map(of_lane));
    let queues = tallies.into_iter().zip(&session.lanes).map(|(nic, lane)| QueueAccount {
        nic,
        indicated: lane.indicated.0,
        driver_dropped: lane.dropped,
        gave_up: lane.error.is_some(),
    });
    Ok(Outcome {
        account: Account {
            queues: queues.collect(),
            handles: session.handles,
            shares_traffic: choices.endless.is_none(),
        },
        wall: course.wall(),
        placed,
        polled,
        interrupted: course.interrupted,
        faults,
    })
}

/// The account now. Places are asked in the order opposite to that of a frame, so that none has counted what
/// the one before it has not.
fn snapshot(nic: &Nic, watched: &Watched<'_>) -> Account {
    let handles = watched.handles();
    let taken: Vec<(u64, u64)> = watched.lanes.iter().map(Live::taken).collect();
    let queues =
        nic.desk().tallies().into_iter().zip(taken).map(|(nic, (indicated, driver_dropped))| {
            QueueAccount { nic, indicated, driver_dropped, gave_up: false }
        });
    Account { queues: queues.collect(), handles, shares_traffic: false }
}

/// A CPU for each thread of NIC and driver; if they are not enough for one each, only those that were asked
/// for.
fn place(cpus: &[usize], asked: bool, pairs: u16) -> Vec<(usize, usize)> {
    if cpus.is_empty() || (!asked && cpus.len() < 2 * usize::from(pairs)) {
        return Vec::new();
    }
    let mut turns = cpus.iter().copied().cycle();
    let mut next = || turns.next().unwrap_or_default();
    (0..pairs).map(|_| (next(), next())).collect()
}

/// How far a run has come.
struct Course {
    endless: Option<Duration>,
    drain: Duration,
    begun: Option<Instant>,
    /// The traffic was ended.
    stopped: bool,
    interrupted: bool,
    /// No more frames come.
    fed: Option<Instant>,
    rested: Option<Instant>,
}

impl Course {
    fn new(scenario: &Scenario, endless: Option<Duration>) -> Self {
        let drain = Duration::from_nanos(scenario.run.drain.0 / 1000);
        let (begun, fed, rested) = (None, None, None);
        Self { endless, drain, begun, stopped: false, interrupted: false, fed, rested }
    }

    fn has_ended(&mut self, nic: &Nic, interrupted: bool, snapshot: &dyn Fn() -> Account) -> bool {
        let now = Instant::now();
        self.begun = nic.desk().begun();
        let late = self.begun.zip(self.endless).is_some_and(|(begun, most)| now >= begun + most);
        if (interrupted || late) && !self.stopped {
            nic.desk().end_traffic();
            (self.stopped, self.interrupted) = (true, interrupted);
        }
        let account = snapshot();
        if !account.is_fed() {
            return false;
        }
        self.fed.get_or_insert(now);
        let waited = self.fed.map_or(Duration::ZERO, |fed| now - fed);
        let rests = account.rests();
        if rests || waited >= self.drain {
            self.rested = Some(now);
            return true;
        }
        false
    }

    fn wall(&self) -> Duration {
        let end = self.rested.or(self.fed);
        self.begun.zip(end).map_or(Duration::ZERO, |(begun, end)| end - begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_a_cpu_each_or_are_left_alone() {
        assert_eq!(place(&[0, 1], false, 1), [(0, 1)]);
        assert_eq!(place(&[0, 1], false, 2), []);
        assert_eq!(place(&[4, 5, 6, 7], false, 2), [(4, 5), (6, 7)]);
        assert_eq!(place(&[4], true, 2), [(4, 4), (4, 4)]);
        assert_eq!(place(&[], true, 2), []);
    }
}
