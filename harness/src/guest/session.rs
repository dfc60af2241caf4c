//! A session: connects to a back-end, runs the lanes and the readers, and adds up.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use driver::vhost_user::{Link, LinkError};
use driver::{DriverConfig, DriverError, Moderation};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use serde_json::{Value, json};

use super::account::HandleAccount;
use super::handles;
use super::lane::{self, Ended, Live};
use super::reader::Served;
use crate::real_time::{Clock, in_turn};
use crate::scenario::Scenario;
use crate::world::setup::{SetupError, driver_config};

/// Whom the driver works with.
pub enum BackEnd<'a> {
    /// Who listens there.
    At(&'a Path),
    /// Who is at the other end.
    Over(UnixStream),
}

/// How the session works.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Lanes never sleep.
    pub poll: bool,
    /// CPUs of the lanes, in turn; none: wherever.
    pub cpus: Vec<usize>,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The driver refuses its configuration.
    #[error("the driver cannot be configured so: {0}")]
    Driver(#[from] DriverError),
    /// A handle is refused.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// No shared memory.
    #[error("{bytes} bytes of shared memory: {error}")]
    Memory {
        /// As many.
        bytes: u64,
        /// What the system says.
        error: std::io::Error,
    },
}

/// What a session came to.
#[derive(Debug)]
pub struct Outcome {
    /// By lane.
    pub lanes: Vec<Ended>,
    /// By handle.
    pub handles: Vec<HandleAccount>,
}

/// A session under way, as those see it who watch it.
pub struct Watched<'a> {
    handles: &'a [Arc<Served>],
    /// By lane.
    pub lanes: &'a [Live],
}

impl Watched<'_> {
    /// The account of each handle. Whatever it counts, the lanes have counted when they are asked next.
    #[must_use]
    pub fn handles(&self) -> Vec<HandleAccount> {
        self.handles.iter().map(|served| HandleAccount::of(served)).collect()
    }
}

/// Runs until `ends` is set or every lane has ended. `watch` is called every now and then.
///
/// # Errors
/// Nothing has begun.
pub fn run(
    scenario: &Scenario,
    choices: &Choices,
    back_end: BackEnd<'_>,
    ends: &AtomicBool,
    mut watch: impl FnMut(&Watched<'_>),
) -> Result<Outcome, SessionError> {
    let pairs = scenario.channels.combined;
    let config = config(scenario, choices.poll);
    let per_lane = config.memory_needed().map_err(DriverError::from)?.next_multiple_of(4096);
    let file = shared_memory(per_lane * u64::from(pairs))?;
    let link = match back_end {
        BackEnd::At(path) => Link::connect(path, pairs, file)?,
        BackEnd::Over(stream) => Link::over(stream, pairs, file)?,
    };
    let handles = handles::open(scenario)?;
    let lanes = link.lanes()?;
    let live: Vec<Live> = lanes.iter().map(|_| Live::default()).collect();
    let servers_end = AtomicBool::new(false);
    let clock = Clock::start();
    let lanes = thread::scope(|scope| {
        handles::serve(scope, scenario, &handles, clock, &servers_end);
        let threads: Vec<_> = (0..)
            .zip(lanes)
            .zip(&live)
            .map(|((number, lane), live)| {
                let (config, handles) = (config.clone(), &handles);
                let cpu = in_turn(&choices.cpus, number);
                let settings = lane::Settings { poll: choices.poll, cpu, clock };
                scope.spawn(move || lane::run(number, lane, config, settings, handles, live, ends))
            })
            .collect();
        while !ends.load(Ordering::Acquire) && threads.iter().any(|thread| !thread.is_finished()) {
            thread::sleep(TICK);
            watch(&Watched { handles: &handles, lanes: &live });
        }
        let ended = |thread: thread::ScopedJoinHandle<'_, Ended>| {
            let panicked =
                |_| Ended { error: Some("its thread panicked".into()), ..Ended::default() };
            thread.join().unwrap_or_else(panicked)
        };
        let lanes: Vec<Ended> = threads.into_iter().map(ended).collect();
        servers_end.store(true, Ordering::Release);
        handles.iter().for_each(|served| served.wake());
        lanes
    });
    let handles = handles.iter().map(|served| HandleAccount::of(served)).collect();
    Ok(Outcome { lanes, handles })
}

/// How often a session looks around.
const TICK: Duration = Duration::from_millis(10);

/// A lane's driver: of one pair, without what goes by command.
fn config(scenario: &Scenario, poll: bool) -> DriverConfig {
    let whole = driver_config(scenario);
    DriverConfig {
        queue_pairs: 1,
        rss: None,
        hash_report: None,
        filter: driver::ReceiveFilter::default(),
        coalesce: driver::CoalesceSettings::default(),
        moderation: if poll { Moderation::BusyPoll { period_ps: 1 } } else { whole.moderation },
        ..whole
    }
}

fn shared_memory(bytes: u64) -> Result<File, SessionError> {
    let failed = |error: rustix::io::Errno| SessionError::Memory { bytes, error: error.into() };
    let fd = memfd_create("rxlab driver", MemfdFlags::CLOEXEC).map_err(failed)?;
    ftruncate(&fd, bytes).map_err(failed)?;
    Ok(File::from(fd))
}

impl Outcome {
    /// Frames indicated, over all lanes.
    #[must_use]
    pub fn indicated(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.indicated.0).sum()
    }

    /// Whether each handle was shown every frame, and each frame has one fate.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.handles.iter().all(|handle| handle.adds_up(self.indicated()))
    }

    /// As one object.
    #[must_use]
    pub fn json(&self) -> Value {
        let lanes: Vec<Value> = self
            .lanes
            .iter()
            .map(|lane| {
                json!({
                    "indicated": lane.indicated.0,
                    "bytes": lane.indicated.1,
                    "dropped": lane.dropped,
                    "interrupts": lane.interrupts,
                    "polls": lane.polls,
                    "error": lane.error,
                })
            })
            .collect();
        let handles: Vec<Value> = self.handles.iter().map(HandleAccount::json).collect();
        json!({ "indicated": self.indicated(), "lanes": lanes, "handles": handles, "adds_up": self.adds_up() })
    }

    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (number, lane) in self.lanes.iter().enumerate() {
            let Ended { indicated: (frames, bytes), dropped, interrupts, polls, error } = lane;
            text += &format!(
                "queue {number}: indicated {frames} ({bytes} B), dropped {dropped}, {interrupts} interrupts, {polls} polls"
            );
            text += &error.as_ref().map_or("\n".into(), |error| format!("; ended: {error}\n"));
        }
        for handle in &self.handles {
            text += &handle.line(self.indicated());
        }
        text
    }
}
