//! What `rxlab compare` does with a scenario when the command line leaves it open.
//!
//! Contract: pure data; has no effect on a single run.

use serde::{Deserialize, Serialize};

use super::engine::Engine;

/// `[compare]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Compare {
    /// The engines, each for all handles; left out: every engine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub engine: Vec<Engine>,
    /// The key that is varied, as in `--set`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Its values, as in `--set`; left out: nothing is varied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}
