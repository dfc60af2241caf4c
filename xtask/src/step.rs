//! One step of a task: a cargo command, announced, run, timed.

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// A cargo command that passes or fails.
pub struct Step {
    pub name: &'static str,
    /// What cargo is called with.
    pub arguments: &'static [&'static str],
    /// An environment variable to set.
    pub env: Option<(&'static str, &'static str)>,
    /// Whether `--fast` runs it too.
    pub in_fast: bool,
}

impl Step {
    /// Runs the command in `root`, its output passed through; true when it succeeds.
    pub fn run(&self, root: &Path) -> bool {
        println!("\n== {}: {self}", self.name);
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(self.arguments).current_dir(root).envs(self.env);
        let start = Instant::now();
        let status = command.status();
        let seconds = start.elapsed().as_secs_f64();
        let (passed, outcome) = match status {
            Ok(status) if status.success() => (true, "passed".to_owned()),
            Ok(status) => (false, format!("failed ({status})")),
            Err(error) => (false, format!("failed: cannot run cargo: {error}")),
        };
        println!("== {} {outcome} in {seconds:.1} s", self.name);
        passed
    }
}

/// The command as one would type it.
impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some((name, value)) = self.env {
            write!(f, "{name}='{value}' ")?;
        }
        write!(f, "cargo {}", self.arguments.join(" "))
    }
}
