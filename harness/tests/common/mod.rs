//! What the tests of the program share: starting it, folders of their own, reading what it wrote.
#![allow(dead_code, reason = "each test program uses its own part")]

#[cfg(target_os = "linux")]
pub mod guest;
pub mod process;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program as cargo built it for these tests.
pub fn rxlab() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rxlab"));
    command.current_dir(root()).env("NO_COLOR", "1");
    command
}

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// An empty folder for one test.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs it and gives exit code, stdout, stderr.
pub fn run(args: &[&str]) -> (i32, String, String) {
    told(&rxlab().args(args).output().unwrap())
}

/// Exit code, stdout, stderr.
pub fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Runs it with `--json` and reads the result.
pub fn result(args: &[&str]) -> serde_json::Value {
    let mut all = args.to_vec();
    all.push("--json");
    let (code, stdout, stderr) = run(&all);
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

/// A scenario file in `folder`; gives its path.
pub fn scenario(folder: &Path, text: &str) -> String {
    let path = folder.join("scenario.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().into()
}

/// A command of another package, if it is installed; says so if it is not.
pub fn tool(name: &str) -> Option<Command> {
    match Command::new(name).arg("--version").output() {
        Ok(_) => Some(Command::new(name)),
        Err(_) => {
            println!("skipped: {name} is not installed (cargo xtask test installs it)");
            None
        }
    }
}
