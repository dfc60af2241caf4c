//! `rxlab driver`: the driver as a vhost-user front-end, with the NPF core behind it.

use super::ScenarioArgs;
use super::scenario::{Failure, load};
use crate::exit::Exit;
use crate::guest::session::{self, BackEnd, Choices, SessionError};
use crate::output::stdout;
use crate::real_time::check_cpus;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Which NIC, and what to do with its frames.
#[derive(Args)]
pub(super) struct DriverArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Capture engine for every handle.
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// The back-end's socket: that of `rxlab nic`, or of DPDK's net_vhost.
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// Queue pairs.
    #[arg(long, value_name = "N")]
    queues: Option<u16>,
    /// End after so many seconds, instead of at Ctrl-C.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// End when so many frames were shown to each handle.
    #[arg(long, value_name = "N")]
    frames: Option<u64>,
    /// Never sleep: look at the rings all the time, and ask for no interrupt.
    #[arg(long)]
    poll: bool,
    /// CPUs for the queue pairs' threads, in turn, as in 0,1.
    #[arg(long, value_name = "CPU,CPU,...", value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Print the account as JSON.
    #[arg(long)]
    json: bool,
}

/// Drives what `args` name.
pub(super) fn driver(args: &DriverArgs) -> Exit {
    drive(args).unwrap_or_else(Failure::tell)
}

fn drive(args: &DriverArgs) -> Result<Exit, Failure> {
    let mut which = args.scenario.clone();
    which.set.extend(args.queues.map(|queues| format!("channels.combined={queues}")));
    let scenario = load(&which, args.engine.as_deref(), None)?;
    check_cpus(&args.cpus).map_err(|cpu| Failure::Usage(cpu.to_string()))?;
    let ends = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ends))
            .map_err(|error| Failure::Output(format!("signals: {error}")))?;
    }
    let choices = Choices { poll: args.poll, cpus: args.cpus.clone() };
    let until = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let outcome = session::run(&scenario, &choices, BackEnd::At(&args.socket), &ends, |watched| {
        let late = until.is_some_and(|until| Instant::now() >= until);
        let enough = args.frames.is_some_and(|frames| {
            watched.handles().iter().all(|handle| handle.counters.shown >= frames)
        });
        if late || enough {
            ends.store(true, Ordering::Release);
        }
    });
    let outcome = outcome.map_err(|error| match error {
        SessionError::Setup(error) => Failure::Setup(error),
        error => Failure::Output(error.to_string()),
    })?;
    let text = if args.json { format!("{}\n", outcome.json()) } else { outcome.text() };
    stdout::print(&text).map_err(|error| Failure::Output(error.to_string()))?;
    for (queue, error) in outcome
        .lanes
        .iter()
        .enumerate()
        .filter_map(|(queue, lane)| Some((queue, lane.error.as_ref()?)))
    {
        eprintln!("rxlab driver: queue {queue}: {error}");
    }
    Ok(match (outcome.adds_up(), outcome.lanes.iter().all(|lane| lane.error.is_none())) {
        (false, _) => Exit::AccountBroken,
        (true, true) => Exit::Ok,
        (true, false) => Exit::Unexpected,
    })
}
