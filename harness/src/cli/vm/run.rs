//! `rxlab vm run`: load, boot, play, report.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use qemu::protocol::Sockets;

use super::{DriverName, NicName, RunArgs};
use crate::cli::ScenarioArgs;
use crate::cli::scenario::{Failure, load, repeat_of};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::nic::build::Origin;
use crate::output::file::write_whole;
use crate::output::stdout;
use crate::scenario::Scenario;
use crate::vm::{self, Account, Choices, Driver, End, NicKind, Outcome, VmRunError, Watch, report};

impl From<DriverName> for Driver {
    fn from(name: DriverName) -> Self {
        match name {
            DriverName::Vfio => Self::Vfio,
            DriverName::Linux => Self::Linux,
        }
    }
}

impl From<NicName> for NicKind {
    fn from(name: NicName) -> Self {
        match name {
            NicName::Rxlab => Self::Rxlab,
            NicName::Qemu => Self::Qemu,
        }
    }
}

/// Plays what `args` name.
pub(super) fn run(args: &RunArgs) -> Exit {
    try_run(args).unwrap_or_else(Failure::tell)
}

fn try_run(args: &RunArgs) -> Result<Exit, Failure> {
    let interrupt =
        Interrupt::install().map_err(|error| Failure::Output(format!("signals: {error}")))?;
    let scenario = scenario_of(&args.scenario, args.queues, args.engine.as_deref())?;
    let nic = NicKind::from(args.nic);
    vm::fit::check(&scenario, nic).map_err(|unfit| Failure::Usage(unfit.to_string()))?;
    let driver = Driver::from(args.driver);
    let mut watcher = Watcher::new();
    watcher.phase("the image is made");
    let queues = scenario.channels.combined;
    let machine = args.machine.machine(driver, queues, interrupt.flag())?;
    let choices = Choices {
        driver,
        nic,
        from: Origin::Traffic,
        sockets: Sockets::Both,
        traffic_for: None,
        options: machine.options.clone(),
        folder: machine.place.path().to_owned(),
    };
    let outcome = vm::run(&scenario, &choices, &mut watcher);
    drop(watcher);
    let outcome = outcome.map_err(|error| failure(args, error))?;
    tell(args, &scenario, &outcome)
}

/// The scenario that is named, with so many queue pairs if it is said.
pub(super) fn scenario_of(
    named: &ScenarioArgs,
    queues: Option<u16>,
    engine: Option<&str>,
) -> Result<Scenario, Failure> {
    let mut which = named.clone();
    which.set.extend(queues.map(|queues| format!("channels.combined={queues}")));
    load(&which, engine, None)
}

/// Writes and prints what came of it; how that ends the program.
fn tell(args: &RunArgs, scenario: &Scenario, outcome: &Outcome) -> Result<Exit, Failure> {
    let json = report::json(scenario, outcome);
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out)
            .map_err(|error| Failure::Output(format!("{}: {error}", out.display())))?;
        write_whole(&out.join("result.json"), json.as_bytes())
            .map_err(|error| Failure::Output(error.to_string()))?;
    }
    let repeat = repeat_of("vm run", &args.scenario, repeat(args), scenario);
    let text = if args.json { json } else { report::text(scenario, outcome, &repeat) };
    stdout::print(&text).map_err(Failure::Output)?;
    Ok(match &outcome.end {
        End::Failed { error, silent } => {
            eprintln!("rxlab: {error}");
            if *silent { Exit::NoProgress } else { Exit::Unexpected }
        }
        end => match (outcome.check(), end) {
            (Some(Err(wrong)), _) => {
                eprintln!("rxlab: the account is broken: {wrong}");
                Exit::AccountBroken
            }
            (_, End::Interrupted) => Exit::Interrupted,
            (_, End::TimeLimit) => {
                let limit = &args.machine.time_limit;
                eprintln!("rxlab: stopped after {limit}; --time-limit gives it more");
                Exit::NoProgress
            }
            _ if outcome.faults.is_empty() => Exit::Ok,
            _ => Exit::Unexpected,
        },
    })
}

fn failure(args: &RunArgs, error: VmRunError) -> Failure {
    match error {
        VmRunError::Unfit(unfit) => Failure::Usage(unfit.to_string()),
        VmRunError::Setup(error) => Failure::Setup(error),
        VmRunError::Vm(error) => args.machine.failure(&error),
        error @ (VmRunError::Nic(_) | VmRunError::Socket { .. }) => {
            Failure::Output(error.to_string())
        }
    }
}

pub(super) fn repeat(args: &RunArgs) -> Vec<String> {
    let mut words = Vec::new();
    let driver = Driver::from(args.driver);
    if driver != Driver::Vfio {
        words.extend(["--driver".to_owned(), driver.name().into()]);
    }
    if args.nic == NicName::Qemu {
        words.extend(["--nic".to_owned(), NicKind::Qemu.name().into()]);
    }
    words.extend(args.engine.iter().flat_map(|name| ["--engine".to_owned(), name.clone()]));
    words.extend(args.queues.iter().flat_map(|n| ["--queues".to_owned(), n.to_string()]));
    words.extend(args.machine.words());
    words
}

/// A line of progress, on a terminal only.
struct Watcher {
    bar: ProgressBar,
    last: Instant,
}

/// Time from one line of progress to the next.
const PERIOD: Duration = Duration::from_millis(250);

impl Watcher {
    fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        // Hidden by itself when stderr is no terminal.
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self { bar, last: Instant::now() }
    }
}

impl Watch for Watcher {
    fn phase(&mut self, what: &str) {
        self.bar.set_message(format!("{what} ..."));
    }

    fn look(&mut self, account: &Account) {
        if self.last.elapsed() >= PERIOD {
            self.last = Instant::now();
            self.bar.set_message(format!(
                "{} offered, {} dropped before the tap, {} on the way to it",
                account.offered(),
                account.dropped(),
                account.held()
            ));
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
