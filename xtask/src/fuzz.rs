//! `cargo xtask fuzz`: builds the targets of fuzz/ with libFuzzer and lets each run for a set time.
//!
//! With a stable compiler: code coverage is a pass of LLVM that `-C` flags turn on; overflow checks and
//! assertions are on, memory is Rust's own affair (the sanitizers want a nightly one: `cargo fuzz` does
//! that). libFuzzer is C++, so g++ is needed here and nowhere else.
//!
//! New inputs go to target/fuzz/corpus/NAME, findings to fuzz/artifacts/NAME; with `--keep` the inputs that
//! reach more than the committed ones are added to fuzz/corpus/NAME, which the ordinary tests run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What to fuzz, and for how long.
#[derive(Debug, PartialEq, Eq)]
pub struct Fuzz {
    /// Seconds for each target.
    pub seconds: u64,
    /// The only target, or all.
    pub target: Option<String>,
    /// Whether to add what was learnt to the committed corpus.
    pub keep: bool,
}

/// The targets, as fuzz/Cargo.toml has them.
const TARGETS: [&str; 7] =
    ["device", "driver", "control", "scenario", "capture", "filter", "vhost_user"];

/// The pass that tells libFuzzer which code was reached, and by which comparisons.
const COVERAGE: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cdebug-assertions -Coverflow-checks --cfg fuzzing";

impl Fuzz {
    /// Understands `--time 60s`, `--target NAME`, `--keep`; otherwise what makes no sense.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let mut fuzz = Self { seconds: 60, target: None, keep: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--keep" => fuzz.keep = true,
                "--time" => fuzz.seconds = seconds(words.next().unwrap_or(&""))?,
                "--target" => {
                    let name = words.next().unwrap_or(&"");
                    if !TARGETS.contains(name) {
                        return Err(format!("target '{name}': there are {}", TARGETS.join(", ")));
                    }
                    fuzz.target = Some((*name).to_owned());
                }
                other => return Err(format!("fuzz {other}")),
            }
        }
        Ok(fuzz)
    }

    /// Builds and runs; fails when a target has found something.
    pub fn run(&self, root: &Path) -> ExitCode {
        let wanted = |name: &&str| self.target.as_ref().is_none_or(|only| only == name);
        let targets: Vec<&str> = TARGETS.into_iter().filter(|name| wanted(name)).collect();
        let folder = match build(root, &targets) {
            Ok(folder) => folder,
            Err(why) => {
                eprintln!("xtask: {why}");
                return ExitCode::FAILURE;
            }
        };
        let mut failed = Vec::new();
        for name in &targets {
            println!("\n== {name}: {} s", self.seconds);
            let passed = self.fuzz(root, &folder, name);
            if let Err(why) = passed {
                println!("== {name}: {why}");
                failed.push(*name);
            }
        }
        println!("\n{} targets, findings in {}: {failed:?}", targets.len(), failed.len());
        if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn fuzz(&self, root: &Path, folder: &Path, name: &str) -> Result<(), String> {
        let learnt = root.join("target/fuzz/corpus").join(name);
        let kept = root.join("fuzz/corpus").join(name);
        let found = root.join("fuzz/artifacts").join(name);
        for folder in [&learnt, &kept, &found] {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let limits = [
            format!("-max_total_time={}", self.seconds),
            format!("-artifact_prefix={}/", found.display()),
        ];
        let fixed = ["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048", "-verbosity=0"];
        let fixed = fixed.map(str::to_owned);
        let binary = folder.join(name);
        run(Command::new(&binary).args(limits.iter().chain(&fixed)).args([&learnt, &kept]))?;
        if self.keep {
            run(Command::new(&binary).arg("-set_cover_merge=1").args([&kept, &learnt]))?;
        }
        Ok(())
    }
}

/// `60s`, `5m` or `1h`.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("fuzz --time '{text}': write 60s, 5m or 1h");
    let unit = match text.bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|seconds| *seconds > 0).ok_or_else(wrong)
}

/// Builds the targets; the folder with the programs.
fn build(root: &Path, targets: &[&str]) -> Result<PathBuf, String> {
    let triple = host()?;
    let folder = root.join("target/fuzz");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(["build", "--package", "fuzz", "--profile", "fuzz"]);
    // With a target named, the flags are for the programs only and not for what builds them.
    cargo.args(["--features", "libfuzzer", "--target", &triple, "--target-dir"]).arg(&folder);
    cargo.args(targets.iter().flat_map(|name| ["--bin", name]));
    run(cargo.env("RUSTFLAGS", COVERAGE))?;
    Ok(folder.join(triple).join("fuzz"))
}

/// The machine that the compiler runs on, in its own words.
fn host() -> Result<String, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output();
    let output = output.map_err(|error| format!("cannot run rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not say what machine this is".to_owned())
}

/// Runs a command to its end, its output passed through.
fn run(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{:?} ended with {status}", command.get_program())),
        Err(error) => Err(format!("cannot run {:?}: {error}", command.get_program())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_understood_or_told() {
        let all = Fuzz { seconds: 60, target: None, keep: false };
        assert_eq!(Fuzz::parse(&[]), Ok(all));
        let one = Fuzz { seconds: 300, target: Some("driver".to_owned()), keep: true };
        assert_eq!(Fuzz::parse(&["--target", "driver", "--time", "5m", "--keep"]), Ok(one));
        for wrong in
            [&["--time"][..], &["--time", "0s"], &["--time", "x"], &["--target", "x"], &["y"]]
        {
            assert!(Fuzz::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_targets_are_those_of_the_crate() {
        let manifest = include_str!("../../fuzz/Cargo.toml");
        for name in TARGETS {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    }
}
