//! What every command that plays a scenario shares: which one, what is different about it, what ends
//! the command before anything ran, and the words that repeat it.

use super::ScenarioArgs;
use crate::exit::Exit;
use crate::scenario::{self, Engine, Scenario, ScenarioError, Traffic};
use crate::world::setup::SetupError;

/// What ends a command before it began, or while it wrote.
pub(super) enum Failure {
    Scenario(Box<ScenarioError>),
    Usage(String),
    Setup(SetupError),
    Output(String),
    /// Something that was going on has ended so.
    Ended(Exit, String),
}

impl Failure {
    /// What it is, without colours and places.
    pub(super) fn words(self) -> String {
        match self {
            Failure::Scenario(error) => error.to_string(),
            Failure::Setup(error) => error.to_string(),
            Failure::Usage(what) | Failure::Output(what) | Failure::Ended(_, what) => what,
        }
    }

    /// Tells the user; gives the exit code.
    pub(super) fn tell(self) -> Exit {
        match self {
            Failure::Scenario(error) => {
                eprintln!("{:?}", miette::Report::new(*error));
                Exit::Usage
            }
            Failure::Usage(what) => {
                eprintln!("rxlab: {what}");
                Exit::Usage
            }
            Failure::Setup(error) => {
                eprintln!("rxlab: {error}");
                Exit::Usage
            }
            Failure::Output(what) => {
                eprintln!("rxlab: {what}");
                Exit::Unexpected
            }
            Failure::Ended(exit, what) => {
                eprintln!("rxlab: {what}");
                exit
            }
        }
    }
}

/// The scenario that `args` name, with every choice made: the engine of all handles, if given, and one
/// more `key=value`, if a key is varied.
pub(super) fn load(
    args: &ScenarioArgs,
    engine: Option<&str>,
    vary: Option<String>,
) -> Result<Scenario, Failure> {
    load_or(args, engine, vary, scenario::DEFAULT)
}

/// The same, with `built_in` for a scenario where `args` name none.
pub(super) fn load_or(
    args: &ScenarioArgs,
    engine: Option<&str>,
    vary: Option<String>,
    built_in: &str,
) -> Result<Scenario, Failure> {
    let load = |result: Result<Scenario, ScenarioError>| {
        result.map_err(|error| Failure::Scenario(Box::new(error)))
    };
    let mut sets = Vec::new();
    if let Some(pcap) = &args.pcap {
        let file = std::path::absolute(pcap).unwrap_or_else(|_| pcap.clone());
        let file = toml::Value::String(file.to_string_lossy().into_owned());
        sets.push(format!("traffic={{ source = \"capture\", file = {file} }}"));
    }
    if let Some(seed) = &args.seed {
        sets.push(format!("seed={seed}"));
    }
    sets.extend(args.set.iter().cloned());
    sets.extend(vary);
    let mut scenario = match (&args.scenario, &args.pcap) {
        (Some(path), _) => load(Scenario::load(path, &sets))?,
        (None, None) => load(Scenario::parse(built_in, "(built-in scenario)", &sets))?,
        (None, Some(pcap)) => {
            let mut scenario = load(Scenario::parse("", "(plain scenario)", &sets))?;
            scenario.name = format!("{} through a plain laboratory", pcap.display());
            scenario
        }
    }
    .resolved();
    let engine = engine.map(engine_named).transpose()?;
    for handle in &mut scenario.handle {
        if let Some(filter) = &args.filter {
            handle.filter = Some(filter_from_here(filter));
        }
        if let Some(engine) = engine {
            handle.engine = engine;
        }
    }
    possible(&scenario)?;
    Ok(scenario)
}

/// What the command line changed may not fit the rest.
pub(super) fn possible(scenario: &Scenario) -> Result<(), Failure> {
    scenario.validate().map_err(|impossible| Failure::Usage(impossible.to_string()))
}

/// The engine of that name, or what the names are.
pub(super) fn engine_named(name: &str) -> Result<Engine, Failure> {
    Engine::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Engine::ALL.iter().map(|engine| engine.name()).collect();
        Failure::Usage(format!("there is no engine `{name}`; --engine takes {}", known.join(", ")))
    })
}

/// How many frames will be offered, where the scenario says so.
pub(super) fn frames(scenario: &Scenario) -> Option<u64> {
    match &scenario.traffic {
        Traffic::Generator(generator) => Some(generator.frames),
        Traffic::Capture(capture) => capture.limit,
    }
}

/// A program file named on the command line is relative to where the command runs.
fn filter_from_here(filter: &str) -> String {
    match filter.strip_prefix('@') {
        Some(file) => {
            let file = std::path::absolute(file).unwrap_or_else(|_| file.into());
            format!("@{}", file.display())
        }
        None => filter.into(),
    }
}

/// The command line that repeats `command` with every choice that `args` made; `more` are its own
/// options.
pub(super) fn repeat_of(
    command: &str,
    args: &ScenarioArgs,
    more: impl IntoIterator<Item = String>,
    scenario: &Scenario,
) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "rxlab".into());
    let mut words = vec![program];
    words.extend(command.split(' ').map(str::to_owned));
    if let Some(path) = &args.scenario {
        words.push(path.to_string_lossy().into_owned());
    }
    let options = [
        ("--pcap", args.pcap.as_ref().map(|pcap| pcap.to_string_lossy().into_owned())),
        ("--filter", args.filter.clone()),
        ("--seed", Some(scenario.seed.to_string())),
    ];
    for (option, value) in options {
        if let Some(value) = value {
            words.extend([option.to_owned(), value]);
        }
    }
    words.extend(more);
    for set in &args.set {
        words.extend(["--set".to_owned(), set.clone()]);
    }
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_where_a_shell_needs_it() {
        assert_eq!(quoted("ring.rx=512"), "ring.rx=512");
        assert_eq!(quoted("udp port 53"), "'udp port 53'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
