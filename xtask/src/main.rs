//! `cargo xtask`: the one way to set up and check this repository, on a desk and in CI.
//!
//! `cargo xtask test` installs what the tests can use, then runs the steps in order; each is printed
//! with its command and its time, the first that fails ends it with exit code 1. The last line is
//! `N passed, N failed`, counted in steps.
//!
//! Plain std and no dependencies: it must build before anything else does.

mod fuzz;
mod prepare;
mod step;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use fuzz::Fuzz;
use step::Step;

const HELP: &str = "\
cargo xtask test [--fast]   check everything: what CI runs
cargo xtask fuzz [--time 60s] [--target NAME] [--keep]
                            let each fuzz target run for a while
cargo xtask help            this text

test
    installs libpcap, tshark, DPDK, QEMU and iproute2 when they are missing (apt-get, as root or
    by `sudo -n`), and downloads a kernel for QEMU's guests; what cannot be had is named, with the
    tests that skip or fail without it
    then: fmt, clippy, test, doc, and the README's first command
    --fast leaves out the installing, the documentation and the release build
fuzz
    needs g++; the first build takes some minutes. Findings lie in fuzz/artifacts
    --keep adds what reaches new code to fuzz/corpus, which the tests run
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match parse(&arguments) {
        Ok(Task::Help) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Task::Test { fast }) => test(fast),
        Ok(Task::Fuzz(fuzz)) => fuzz.run(&workspace_root()),
        Err(unknown) => {
            eprint!("xtask: there is no '{unknown}'\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Task {
    Help,
    Test { fast: bool },
    Fuzz(Fuzz),
}

/// The task asked for, or what was asked when it makes no sense.
fn parse(arguments: &[String]) -> Result<Task, String> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] | ["help" | "--help" | "-h"] => Ok(Task::Help),
        ["test"] => Ok(Task::Test { fast: false }),
        ["test", "--fast"] => Ok(Task::Test { fast: true }),
        ["fuzz", ref rest @ ..] => Fuzz::parse(rest).map(Task::Fuzz),
        _ => Err(words.join(" ")),
    }
}

fn test(fast: bool) -> ExitCode {
    let root = workspace_root();
    if !fast {
        prepare::prepare(&root);
    }
    let (mut passed, mut failed) = (0, 0);
    for step in STEPS.iter().filter(|step| step.in_fast || !fast) {
        if step.run(&root) {
            passed += 1;
        } else {
            failed += 1;
            break;
        }
    }
    println!("\n{}", summary(passed, failed));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The steps of `cargo xtask test`; cheap ones first, so that a slip is told early.
const STEPS: [Step; 5] = [
    Step { name: "fmt", arguments: &["fmt", "--all", "--check"], env: None, in_fast: true },
    Step {
        name: "clippy",
        arguments: &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        env: None,
        in_fast: true,
    },
    Step { name: "test", arguments: &["test", "--workspace"], env: None, in_fast: true },
    Step {
        name: "doc",
        arguments: &["doc", "--workspace", "--no-deps"],
        env: Some(("RUSTDOCFLAGS", "-D warnings")),
        in_fast: false,
    },
    Step {
        name: "the README's first command",
        arguments: &["run", "--release"],
        env: None,
        in_fast: false,
    },
];

fn summary(passed: u32, failed: u32) -> String {
    format!("{passed} passed, {failed} failed")
}

/// The folder above xtask's own; cargo says at run time where that is.
fn workspace_root() -> PathBuf {
    let own = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    own.and_then(|path| path.parent().map(PathBuf::from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task, String> {
        parse(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_are_tasks_or_told_back() {
        assert_eq!(parsed(""), Ok(Task::Help));
        assert_eq!(parsed("help"), Ok(Task::Help));
        assert_eq!(parsed("test"), Ok(Task::Test { fast: false }));
        assert_eq!(parsed("test --fast"), Ok(Task::Test { fast: true }));
        for line in ["tset", "--fast test", "test --slow", "test --fast more", "help me"] {
            assert_eq!(parsed(line), Err(line.to_owned()));
        }
    }

    #[test]
    fn the_closing_line_is_what_ci_looks_for() {
        assert_eq!(summary(5, 0), "5 passed, 0 failed");
    }
}
