//! `rxlab compare`, and `rxlab` without arguments.

use super::CompareArgs;
use super::scenario::{Failure, engine_named, frames, load, possible, repeat_of};
use super::watch::Watcher;
use crate::compare::{Comparison, Plan, json, plot, table};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::file::write_whole;
use crate::output::stdout;
use crate::scenario::{Engine, Scenario};
use crate::world::outcome::End;
use std::time::Instant;

/// Compares what `args` name.
pub(super) fn compare(args: &CompareArgs) -> Exit {
    try_compare(args).unwrap_or_else(Failure::tell)
}

fn try_compare(args: &CompareArgs) -> Result<Exit, Failure> {
    let interrupt =
        Interrupt::install().map_err(|error| Failure::Output(format!("signals: {error}")))?;
    let scenario = load(&args.scenario, None, None)?;
    let engines = engines(args, &scenario)?;
    let (key, scenarios) = varied(args, &scenario)?;
    let plan = Plan { key, scenarios, engines };
    plan.jobs().try_for_each(|job| possible(&job))?;
    let started = Instant::now();
    let comparison =
        plan.run(|| Watcher::new(interrupt.clone(), frames(&scenario))).map_err(Failure::Setup)?;
    let wall_s = started.elapsed().as_secs_f64();
    if let Some(file) = &args.plot {
        let picture = plot::svg(&scenario.name, &comparison).map_err(Failure::Output)?;
        write_whole(file, picture.as_bytes())
            .map_err(|error| Failure::Output(error.to_string()))?;
    }
    let report = if args.json {
        json::text(&scenario, &comparison)
    } else {
        table::table(&scenario, &comparison, wall_s, &repeat(args, &scenario))
    };
    stdout::print(&report).map_err(Failure::Output)?;
    Ok(exit_of(&comparison))
}

/// Those of the command line, or those of the scenario, or all.
fn engines(args: &CompareArgs, scenario: &Scenario) -> Result<Vec<Engine>, Failure> {
    if args.engine.is_empty() {
        let own = &scenario.compare.engine;
        return Ok(if own.is_empty() { Engine::ALL.to_vec() } else { own.clone() });
    }
    let mut engines = Vec::new();
    for name in &args.engine {
        let engine = engine_named(name)?;
        if engines.contains(&engine) {
            return Err(Failure::Usage(format!("--engine names {name} twice")));
        }
        engines.push(engine);
    }
    Ok(engines)
}

/// The varied key, and a scenario for each of its values.
type Varied = (Option<String>, Vec<(Option<String>, Scenario)>);

fn varied(args: &CompareArgs, scenario: &Scenario) -> Result<Varied, Failure> {
    let (key, values) = match &args.vary {
        Some(vary) => {
            let Some((key, values)) = vary.split_once('=') else {
                return Err(Failure::Usage(format!(
                    "--vary {vary}: no values; write --vary key=value,value"
                )));
            };
            (key.trim().to_owned(), values.split(',').map(str::trim).map(String::from).collect())
        }
        None if scenario.compare.values.is_empty() => {
            return Ok((None, vec![(None, scenario.clone())]));
        }
        None => (scenario.compare.key.clone(), scenario.compare.values.clone()),
    };
    let mut scenarios = Vec::new();
    for value in values {
        let scenario = load(&args.scenario, None, Some(format!("{key}={value}")))?;
        scenarios.push((Some(value), scenario));
    }
    Ok((Some(key), scenarios))
}

/// The worst thing that happened decides.
fn exit_of(comparison: &Comparison) -> Exit {
    if let Err(difference) = comparison.check_offered() {
        let stopped = comparison.columns().any(|(_, c)| matches!(c.outcome.end, End::Interrupted));
        if !stopped {
            eprintln!("rxlab: {difference}");
            return Exit::WorldsDisagree;
        }
    }
    let exit = |end: &End| match end {
        End::Complete => Exit::Ok,
        End::Broken(_) => Exit::AccountBroken,
        End::Stuck(_) => Exit::NoProgress,
        End::Lost(_) => Exit::Unexpected,
        End::Interrupted => Exit::Interrupted,
        End::SourceFault(_) => Exit::Unexpected,
    };
    let mut worst = Exit::Ok;
    for (_, column) in comparison.columns() {
        let exit = exit(&column.outcome.end);
        if exit != Exit::Ok {
            eprintln!("rxlab: {}: {}", column.engine.name(), column.outcome.end);
        }
        // A broken account outranks everything; the rest by code.
        worst = match (worst, exit) {
            (Exit::AccountBroken, _) | (_, Exit::AccountBroken) => Exit::AccountBroken,
            (worst, exit) => worst.max(exit),
        };
    }
    worst
}

/// The command that repeats this comparison.
fn repeat(args: &CompareArgs, scenario: &Scenario) -> String {
    let mut more = Vec::new();
    if !args.engine.is_empty() {
        more.extend(["--engine".to_owned(), args.engine.join(",")]);
    }
    if let Some(vary) = &args.vary {
        more.extend(["--vary".to_owned(), vary.clone()]);
    }
    repeat_of("compare", &args.scenario, more, scenario)
}
