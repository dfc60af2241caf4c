//! The comparison as JSON.
//!
//! Contract: `runs` holds, per value of the varied key and per engine, what `result.json` says of that
//! run, without its scenario, which stands once for all.

use super::Comparison;
use crate::report::json::ResultFile;
use crate::scenario::Scenario;
use serde_json::{Value, json};

/// Version of the format.
const VERSION: u32 = 1;

/// The file's text.
#[must_use]
pub fn text(scenario: &Scenario, comparison: &Comparison) -> String {
    let runs: Vec<Value> = comparison
        .columns()
        .map(|(value, column)| {
            let mut run = json!({ "engine": column.engine.name(), "value": value });
            let result = ResultFile::new(scenario, &column.outcome, None).to_value();
            if let (Value::Object(run), Value::Object(mut result)) = (&mut run, result) {
                for key in ["v", "name", "seed", "wall_s", "scenario"] {
                    result.remove(key);
                }
                run.append(&mut result);
            }
            run
        })
        .collect();
    let file = json!({
        "v": VERSION,
        "name": scenario.name,
        "seed": scenario.seed,
        "key": comparison.key,
        "runs": runs,
        "scenario": scenario,
    });
    format!("{file:#}\n")
}
