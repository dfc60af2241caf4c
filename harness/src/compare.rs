//! The same traffic through several capture engines.
//!
//! Contract: every run of one [`Block`] is offered the same bytes at the same picoseconds; that is
//! checked, not assumed ([`Difference`]). Runs are independent of each other and of the order in which
//! they happen to finish: a comparison is a function of its scenarios.

pub mod json;
pub mod plot;
pub mod table;

use crate::scenario::{Engine, Scenario};
use crate::world::embedded::{Embedded, Watch};
use crate::world::outcome::Outcome;
use crate::world::setup::{self, SetupError};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One run of a comparison.
#[derive(Debug)]
pub struct Column {
    /// The engine of every handle.
    pub engine: Engine,
    /// What came of it.
    pub outcome: Outcome,
}

/// The runs for one value of the varied key, or the only ones.
#[derive(Debug)]
pub struct Block {
    /// The value, as the user wrote it; `None` if nothing is varied.
    pub value: Option<String>,
    /// One run per engine.
    pub columns: Vec<Column>,
}

/// A whole comparison.
#[derive(Debug)]
pub struct Comparison {
    /// The key that is varied.
    pub key: Option<String>,
    /// Per value.
    pub blocks: Vec<Block>,
}

/// What is to be run: per value of the varied key the scenario, whose handles' engines are replaced.
pub struct Plan {
    /// The key that is varied.
    pub key: Option<String>,
    /// Each value with its scenario.
    pub scenarios: Vec<(Option<String>, Scenario)>,
    /// The engines.
    pub engines: Vec<Engine>,
}

/// Two runs of one block were not offered the same frames.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{first} and {second} were not offered the same frames (digests {first_digest:016x} and \
     {second_digest:016x})"
)]
pub struct Difference {
    first: &'static str,
    second: &'static str,
    first_digest: u64,
    second_digest: u64,
}

impl Plan {
    /// Plays everything, on as many threads as the machine has CPUs. `watch` makes the observer of
    /// one run.
    ///
    /// # Errors
    /// The first scenario that cannot be played.
    pub fn run<W: Watch>(self, watch: impl Fn() -> W + Sync) -> Result<Comparison, SetupError> {
        let jobs: Vec<Scenario> = self.jobs().collect();
        let mut outcomes = play_all(&jobs, watch).into_iter();
        let mut blocks = Vec::new();
        for (value, _) in self.scenarios {
            let mut columns = Vec::new();
            for (&engine, outcome) in self.engines.iter().zip(outcomes.by_ref()) {
                columns.push(Column { engine, outcome: outcome? });
            }
            blocks.push(Block { value, columns });
        }
        Ok(Comparison { key: self.key, blocks })
    }

    /// Every scenario that is to be played, with its engine, in order.
    pub fn jobs(&self) -> impl Iterator<Item = Scenario> {
        self.scenarios.iter().flat_map(|(_, scenario)| {
            self.engines.iter().map(move |&engine| with_engine(scenario, engine))
        })
    }
}

impl Comparison {
    /// Every run in order, with the value of the varied key.
    pub fn columns(&self) -> impl Iterator<Item = (Option<&str>, &Column)> {
        self.blocks
            .iter()
            .flat_map(|block| block.columns.iter().map(|column| (block.value.as_deref(), column)))
    }

    /// Whether the runs of each block were offered the same frames.
    ///
    /// # Errors
    /// The first two that were not.
    pub fn check_offered(&self) -> Result<(), Difference> {
        for block in &self.blocks {
            for pair in block.columns.windows(2) {
                let [first, second] = pair else { continue };
                let digests = (first.outcome.offered_digest, second.outcome.offered_digest);
                if digests.0 != digests.1 {
                    return Err(Difference {
                        first: first.engine.name(),
                        second: second.engine.name(),
                        first_digest: digests.0,
                        second_digest: digests.1,
                    });
                }
            }
        }
        Ok(())
    }
}

fn with_engine(scenario: &Scenario, engine: Engine) -> Scenario {
    let mut scenario = scenario.clone();
    for handle in &mut scenario.handle {
        handle.engine = engine;
    }
    scenario
}

/// Plays each scenario; results in the order of the scenarios.
fn play_all<W: Watch>(
    jobs: &[Scenario],
    watch: impl Fn() -> W + Sync,
) -> Vec<Result<Outcome, SetupError>> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(scenario) = jobs.get(at) else { return done };
            let outcome = setup::build(scenario)
                .map(|parts| Embedded::new(scenario, parts).run(&mut watch()).outcome);
            done.push((at, outcome));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    let mut results = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        // A run that panics is a fault of ours; it must end the program as it would on one thread.
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Dropped frames in thousandths of a per cent of the offered ones.
fn loss_per_100_000(column: &Column) -> u64 {
    let total = &column.outcome.total;
    (total.dropped * 100_000).checked_div(total.offered).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::embedded::Unwatched;

    #[test]
    fn a_run_that_was_offered_other_frames_is_told_by_both_names() {
        let text = "traffic = { source = 'generator', frames = 100 }";
        let scenario = Scenario::parse(text, "test.toml", &[]).unwrap();
        let engines = vec![Engine::PacketQueue, Engine::Ring];
        let plan = Plan { key: None, scenarios: vec![(None, scenario)], engines };
        let mut comparison = plan.run(|| Unwatched).unwrap();
        assert!(comparison.check_offered().is_ok());

        comparison.blocks[0].columns[1].outcome.offered_digest ^= 1;
        let told = comparison.check_offered().unwrap_err().to_string();
        assert!(told.contains("packet-queue") && told.contains("ring"), "{told}");
    }
}
