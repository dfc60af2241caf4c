//! Tests of the whole way from text to scenario and back.

use super::*;

mod errors;
mod features;
mod round_trip;
mod sets;

/// Reads a text without `--set`.
fn read(text: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse(text, "folder/test.toml", &[])
}

/// The error of a text, which must have one.
fn wrong(text: &str, sets: &[&str]) -> Box<Wrong> {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    match Scenario::parse(text, "folder/test.toml", &sets) {
        Err(ScenarioError::Wrong(wrong)) => wrong,
        other => panic!("{text:?} with {sets:?} gives {other:?}"),
    }
}
