//! `rxlab run --world threads`: load, play, report; progress on a terminal, the account at SIGUSR1.

use super::RunArgs;
use super::scenario::{Failure, load, repeat_of};
use crate::exit::Exit;
use crate::guest::account::HandleAccount;
use crate::guest::session::SessionError;
use crate::interrupt::Interrupt;
use crate::output::file::write_whole;
use crate::output::stdout;
use crate::threads::account::Account;
use crate::threads::{self, Choices, ThreadsError, Watch, report};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Plays what `args` name.
pub(super) fn run(args: &RunArgs) -> Result<Exit, Failure> {
    if args.trace.is_some() {
        return Err(Failure::Usage(
            "--trace needs the virtual clock: leave --world threads out".into(),
        ));
    }
    let scenario = load(&args.scenario, args.engine.as_deref(), None)?;
    let mut watcher =
        Watcher::new().map_err(|error| Failure::Output(format!("signals: {error}")))?;
    let choices =
        Choices { poll: args.poll.then_some(true), cpus: args.cpus.clone(), endless: None };
    let outcome = threads::run(&scenario, &choices, &mut watcher).map_err(failure)?;
    drop(watcher);
    let json = report::json(&scenario, &outcome);
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out)
            .map_err(|error| Failure::Output(format!("{}: {error}", out.display())))?;
        write_whole(&out.join("result.json"), json.as_bytes())
            .map_err(|error| Failure::Output(error.to_string()))?;
    }
    let repeat = repeat_of("run", &args.scenario, repeat(args), &scenario);
    let text = if args.json { json } else { report::text(&scenario, &outcome, &repeat) };
    stdout::print(&text).map_err(Failure::Output)?;
    if let Err(wrong) = outcome.account.check() {
        eprintln!("rxlab: the account is broken: {wrong}");
        return Ok(Exit::AccountBroken);
    }
    Ok(match (outcome.interrupted, outcome.faults.is_empty()) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::Ok,
        (false, false) => Exit::Unexpected,
    })
}

fn failure(error: ThreadsError) -> Failure {
    match error {
        ThreadsError::Unfit(unfit) => Failure::Usage(unfit.to_string()),
        ThreadsError::Cpu(cpu) => Failure::Usage(cpu.to_string()),
        ThreadsError::Session(SessionError::Setup(error)) => Failure::Setup(error),
        error => Failure::Output(error.to_string()),
    }
}

fn repeat(args: &RunArgs) -> Vec<String> {
    let mut words = vec!["--world".to_owned(), "threads".into()];
    words.extend(args.engine.iter().flat_map(|name| ["--engine".to_owned(), name.clone()]));
    if args.poll {
        words.push("--poll".into());
    }
    if !args.cpus.is_empty() {
        let cpus: Vec<String> = args.cpus.iter().map(ToString::to_string).collect();
        words.extend(["--cpus".to_owned(), cpus.join(",")]);
    }
    words
}

/// Ctrl-C, SIGUSR1 and a line of progress.
struct Watcher {
    interrupt: Interrupt,
    asked: Arc<AtomicBool>,
    bar: ProgressBar,
    last: (Instant, u64),
}

/// Time from one line of progress to the next.
const PERIOD: Duration = Duration::from_millis(250);

impl Watcher {
    fn new() -> std::io::Result<Self> {
        let interrupt = Interrupt::install()?;
        let asked = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&asked))?;
        let bar = ProgressBar::new_spinner();
        // Hidden by itself when stderr is no terminal.
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Ok(Self { interrupt, asked, bar, last: (Instant::now(), 0) })
    }

    fn show(&mut self, account: &Account) {
        let (now, offered) = (Instant::now(), account.offered());
        let (then, before) = std::mem::replace(&mut self.last, (now, offered));
        let rate = (offered - before) as f64 / (now - then).as_secs_f64().max(1e-9) / 1e6;
        let sum =
            |count: fn(&HandleAccount) -> u64| -> u64 { account.handles.iter().map(count).sum() };
        self.bar.set_message(format!(
            "{rate:.3} Mpps  {offered} offered, {} dropped before the tap, {} in NIC and rings; \
             handles: {} delivered, {} dropped, {} held",
            account.dropped(),
            account.held(),
            sum(HandleAccount::delivered),
            sum(|handle| handle.counters.dropped_total()),
            sum(HandleAccount::held),
        ));
    }
}

impl Watch for Watcher {
    fn look(&mut self, snapshot: &dyn Fn() -> Account) {
        if self.asked.swap(false, Ordering::Relaxed) {
            let account = snapshot();
            self.bar.suspend(|| eprint!("{}", report::account(&account)));
        }
        if !self.bar.is_hidden() && self.last.0.elapsed() >= PERIOD {
            self.show(&snapshot());
        }
    }

    fn interrupted(&self) -> bool {
        self.interrupt.requested()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
