//! The house rules as functions from text to what is wrong with it; `tests/house.rs` applies them to
//! the repository.
//!
//! Every finding names file and line, so that it can be clicked. The rules look at text, not at syntax
//! trees: they catch slips, not somebody who wants to get around them.

pub mod code;
pub mod prose;

use std::fs;
use std::io;
use std::path::Path;

use code::code_of;

/// A text file of the repository.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path from the root, with `/`.
    pub path: String,
    /// What it holds.
    pub text: String,
}

impl Source {
    /// A finding at a line that counts from 0.
    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, line + 1)
    }
}

/// All text files below `root`, sorted by path. Left out: build products, outputs, links, and hidden
/// entries but `.cargo` and `.ci`.
pub fn sources(root: &Path) -> io::Result<Vec<Source>> {
    let mut found = Vec::new();
    walk(root, "", &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let hidden = name.starts_with('.') && name != ".cargo" && name != ".ci";
        let product = prefix.is_empty() && (name == "target" || name == "out");
        if hidden || product {
            continue;
        }
        let (kind, path) = (entry.file_type()?, format!("{prefix}{name}"));
        if kind.is_dir() {
            walk(&entry.path(), &format!("{path}/"), found)?;
        } else if kind.is_file() {
            // What is no UTF-8 is a capture or an image, not a text.
            if let Ok(text) = String::from_utf8(fs::read(entry.path())?) {
                found.push(Source { path, text });
            }
        }
    }
    Ok(())
}

/// The first line says what the file is: `//!`. Generated files say that instead.
pub fn opens_with_its_contract(source: &Source) -> Option<String> {
    let first = source.text.lines().next().unwrap_or_default();
    let fine = first.starts_with("//! ") || first.starts_with("// @generated");
    (!fine).then(|| source.at(0, "the first line is no `//! ` sentence on what this file is"))
}

/// `unsafe` stands only in the files of `fences`, and each of them has some.
pub fn unsafe_outside(source: &Source, fences: &[&str]) -> Vec<String> {
    let fenced = fences.contains(&source.path.as_str());
    let code = code_of(&source.text);
    let mut findings = Vec::new();
    let mut seen = false;
    for (line, text) in code.lines().enumerate() {
        let opened = text.contains("allow(unsafe_code)");
        if opened || has_word(text, "unsafe") {
            seen = true;
            if !fenced {
                findings.push(source.at(line, "`unsafe` outside the fenced modules"));
            }
        }
    }
    if fenced && !seen {
        findings.push(source.at(0, "fenced for `unsafe`, but has none: take it off the list"));
    }
    findings
}

/// What a finished file has none of: code that is missing, switched off, or hidden when unused.
pub fn left_undone(source: &Source) -> Vec<String> {
    const UNDONE: [&str; 3] = ["todo!", "unimplemented!", "#[ignore"];
    const HIDDEN: [&str; 2] = ["allow(dead_code)", "allow(unused"];
    // A module that several test binaries share is never used whole by each of them.
    let shared = source.path.contains("/tests/") && source.path.ends_with("/mod.rs");
    let hidden = if shared { &[][..] } else { &HIDDEN[..] };
    let code = code_of(&source.text);
    let mut findings = Vec::new();
    for (line, text) in code.lines().enumerate() {
        for mark in UNDONE.iter().chain(hidden).filter(|mark| text.contains(*mark)) {
            findings.push(source.at(line, mark));
        }
    }
    findings
}

/// Absolute paths that exist on one machine only.
pub fn machine_paths(source: &Source) -> Vec<String> {
    const HOMES: [&str; 6] = ["home", "root", "Users", "work", "farm", "workspaces"];
    let mut findings = Vec::new();
    for (line, text) in source.text.lines().enumerate() {
        for home in HOMES {
            let path = format!("/{home}/");
            let absolute = text.match_indices(&path).any(|(at, _)| {
                let before = text[..at].chars().next_back();
                before.is_none_or(|c| c.is_whitespace() || "\"'`(=:<".contains(c))
            });
            if absolute {
                findings.push(source.at(line, &format!("a path of one machine: {path}...")));
            }
        }
    }
    findings
}

/// The packages that a Cargo.toml names in any of its dependency tables.
pub fn dependencies(manifest: &str) -> Result<Vec<String>, toml::de::Error> {
    fn collect(table: &toml::Table, names: &mut Vec<String>) {
        for (key, value) in table {
            let Some(inner) = value.as_table() else { continue };
            if key.ends_with("dependencies") {
                for (name, value) in inner {
                    let renamed = value.get("package").and_then(toml::Value::as_str);
                    names.push(renamed.unwrap_or(name).to_owned());
                }
            } else {
                collect(inner, names); // [target.'cfg(...)'.dependencies]
            }
        }
    }
    let mut names = Vec::new();
    collect(&manifest.parse()?, &mut names);
    Ok(names)
}

/// Whether `text` has `word` with no letter, digit or underscore beside it.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { path: "x/y.rs".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_file_without_contract_is_found() {
        assert_eq!(opens_with_its_contract(&source("//! A thing.\n")), None);
        assert_eq!(opens_with_its_contract(&source("// @generated by y\n")), None);
        for text in ["", "\n//! Late.", "// A comment.", "//!", "use x;"] {
            let finding = opens_with_its_contract(&source(text)).unwrap();
            assert!(finding.starts_with("x/y.rs:1: "), "{finding}");
        }
    }

    #[test]
    fn unsafe_is_found_in_code_and_only_there() {
        let bad = source("//! unsafe\nfn f() {\n    unsafe { g() }\n}\n");
        assert_eq!(unsafe_outside(&bad, &[]), ["x/y.rs:3: `unsafe` outside the fenced modules"]);
        assert!(unsafe_outside(&bad, &["x/y.rs"]).is_empty());
        assert_eq!(unsafe_outside(&source("#![allow(unsafe_code)]"), &[]).len(), 1);
        let good = source("#![forbid(unsafe_code)] // unsafe\nconst A: &str = \"unsafe\";");
        assert!(unsafe_outside(&good, &[]).is_empty());
        assert_eq!(unsafe_outside(&good, &["x/y.rs"]).len(), 1, "a fence around nothing");
    }

    #[test]
    fn what_is_left_undone_is_found() {
        let lines = ["todo!()", "unimplemented!()", "#[ignore]", "#[ignore = \"slow\"]"];
        for line in lines.into_iter().chain(["#![allow(dead_code)]", "#[allow(unused_mut)]"]) {
            assert_eq!(left_undone(&source(&format!("//! x\n{line}\n"))).len(), 1, "{line}");
        }
        assert!(left_undone(&source("// todo!\nlet a = \"#[ignore]\";")).is_empty());
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        for home in ["home/ann", "Users/ann", "root"] {
            let text = format!("see `/{home}/rxlab`");
            assert_eq!(machine_paths(&source(&text)).len(), 1, "{text}");
        }
        for text in ["https://example.org/home/x", "a/root/b", "/usr/lib", "/homes/x"] {
            assert!(machine_paths(&source(text)).is_empty(), "{text}");
        }
    }

    #[test]
    fn dependencies_of_all_kinds_are_seen() {
        let manifest = "[package]\nname = 'x'\n[dependencies]\na.workspace = true\nb = { package = \
             'c', version = '1' }\n[dev-dependencies]\nd = '1'\n[target.'cfg(unix)'.dependencies]\n\
             e = '1'\n";
        assert_eq!(dependencies(manifest).unwrap(), ["a", "c", "d", "e"]);
    }
}
