//! Every shipped scenario, compared as it asks to be, against the table that it printed when somebody
//! last looked at it.
//!
//! After a change that is meant: `UPDATE_GOLDEN=1 cargo test -p harness --test golden`, and read the
//! difference before committing it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod common;

use std::path::PathBuf;

/// The scenarios, by name without ending.
fn shipped() -> Vec<String> {
    let folder = common::root().join("scenarios");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = files
        .filter(|file| file.extension().is_some_and(|ending| ending == "toml"))
        .map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 10);
    names
}

fn golden(name: &str) -> PathBuf {
    common::root().join(format!("harness/tests/golden/{name}.txt"))
}

/// The table without what differs from machine to machine: wall time, and the program's path.
fn table(name: &str) -> String {
    let scenario = format!("scenarios/{name}.toml");
    let text = std::fs::read_to_string(common::root().join(&scenario)).unwrap();
    let mut args = vec!["compare", &scenario];
    // One that compares nothing tells of a single design; all six of them would take long.
    if !text.contains("\n[compare]\n") {
        args.extend(["--engine", "packet-queue"]);
    }
    let (code, stdout, stderr) = common::run(&args);
    assert_eq!(code, 0, "{name}: {stderr}");
    let lines = stdout.lines().filter(|line| !line.starts_with("repeat: "));
    lines.map(|line| format!("{}\n", line.split("frames in ").next().unwrap())).collect()
}

#[test]
fn each_scenario_prints_its_golden_table() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for name in shipped() {
        let (file, table) = (golden(&name), table(&name));
        if update {
            std::fs::write(&file, &table).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        if table != expected {
            wrong.push(format!("{name}: expected\n{expected}\nbut it printed\n{table}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_table_is_left_without_its_scenario() {
    let shipped = shipped();
    for entry in std::fs::read_dir(common::root().join("harness/tests/golden")).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(shipped.contains(&name), "{} has no scenario", file.display());
    }
}
