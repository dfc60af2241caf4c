//! The house rules, applied to the repository. The rules themselves, and their tests: `tests::house`.

use std::collections::BTreeMap;

use tests::house::{self, Source, prose};
use tests::workspace_root;

/// The crates that know nothing of each other, nor of whoever drives them.
const COMPONENTS: [&str; 3] = ["nic-model", "driver", "npf-core"];

/// The modules that may use `unsafe`; each says at its top why.
const FENCES: [&str; 11] = [
    "driver/src/prefetch.rs",
    "driver/src/vfio/map.rs",
    "harness/src/interface.rs",
    "harness/src/libpcap.rs",
    "nic-model/src/ring/prefetch.rs",
    "npf-core/src/filter/jit/memory.rs",
    "npf-core/src/filter/jit/pages.rs",
    "qemu/agent/src/guest/ioctl.rs",
    "qemu/agent/src/guest/packet.rs",
    "qemu/src/launch/child.rs",
    "tests/src/fork.rs",
];

const LINES_MAX: usize = 600;

fn sources() -> Vec<Source> {
    house::sources(&workspace_root()).unwrap_or_else(|e| panic!("cannot read the repository: {e}"))
}

fn rust() -> Vec<Source> {
    sources().into_iter().filter(|source| source.path.ends_with(".rs")).collect()
}

fn text_of(path: &str) -> String {
    let found = sources().into_iter().find(|source| source.path == path);
    found.unwrap_or_else(|| panic!("{path} is missing")).text
}

#[track_caller]
fn none(findings: impl IntoIterator<Item = String>) {
    let findings: Vec<String> = findings.into_iter().collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn the_walk_sees_the_repository() {
    let sources = sources();
    for path in ["Cargo.toml", ".ci/run", "tests/tests/house.rs", "npf-core/src/lib.rs"] {
        assert!(sources.iter().any(|source| source.path == path), "{path}");
    }
    assert!(!sources.iter().any(|source| source.path.starts_with("target/")));
}

#[test]
fn components_import_none_of_each_other() {
    for component in COMPONENTS {
        let manifest = text_of(&format!("{component}/Cargo.toml"));
        let names = house::dependencies(&manifest).expect("a manifest is TOML");
        let ours = COMPONENTS.into_iter().chain(["harness", "tests", "xtask"]);
        none(ours.filter(|crate_| names.iter().any(|name| name == crate_)).map(|crate_| {
            format!("{component}/Cargo.toml: depends on {crate_}; components know no one of ours")
        }));
    }
    // The other way to import: another crate's file as a module of one's own.
    let in_component = |source: &Source| {
        COMPONENTS.iter().any(|component| source.path.starts_with(&format!("{component}/")))
    };
    none(rust().iter().filter(|source| in_component(source)).flat_map(|source| {
        let lines = source.text.lines().enumerate();
        let reaching = lines.filter(|(_, line)| {
            line.contains("../../") && (line.contains("#[path") || line.contains("include"))
        });
        reaching
            .map(|(line, _)| format!("{}:{}: a file of elsewhere", source.path, line + 1))
            .collect::<Vec<_>>()
    }));
}

#[test]
fn components_without_a_fence_forbid_unsafe() {
    let fenced = |component: &str| FENCES.iter().any(|fence| fence.starts_with(component));
    for component in COMPONENTS.into_iter().filter(|component| !fenced(component)) {
        let text = text_of(&format!("{component}/src/lib.rs"));
        assert!(text.contains("\n#![forbid(unsafe_code)]\n"), "{component}/src/lib.rs");
    }
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    none(sources().iter().filter_map(|source| {
        let member = source.path.ends_with("/Cargo.toml");
        let takes = source.text.contains("[lints]\nworkspace = true\n");
        (member && !takes).then(|| format!("{}: lacks [lints] workspace = true", source.path))
    }));
}

#[test]
fn unsafe_stays_behind_its_fences() {
    let rust = rust();
    none(rust.iter().flat_map(|source| house::unsafe_outside(source, &FENCES)));
    for fence in FENCES {
        assert!(rust.iter().any(|source| source.path == fence), "{fence} is no file any more");
    }
}

#[test]
fn every_file_opens_with_its_contract() {
    none(rust().iter().filter_map(house::opens_with_its_contract));
}

#[test]
fn files_stay_small() {
    let rust = rust();
    let mut lengths: Vec<usize> = rust.iter().map(|source| source.text.lines().count()).collect();
    lengths.sort_unstable();
    let (count, median) = (lengths.len(), lengths[lengths.len() / 2]);
    let within = lengths.iter().filter(|&&lines| lines <= 300).count();
    println!("{count} files, median {median} lines, {within} of them within 300");
    none(rust.iter().filter_map(|source| {
        let lines = source.text.lines().count();
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines, at most {LINES_MAX}", source.path))
    }));
}

#[test]
fn nothing_is_left_undone() {
    none(rust().iter().flat_map(house::left_undone));
}

#[test]
fn nothing_names_one_machine() {
    none(sources().iter().flat_map(house::machine_paths));
}

#[test]
fn every_promise_names_its_test() {
    let by_path: BTreeMap<String, Source> =
        rust().into_iter().map(|source| (source.path.clone(), source)).collect();
    let promises = prose::promises(&text_of("SPEC.md"));
    assert!(!promises.is_empty(), "SPEC.md promises nothing");
    let mut findings = Vec::new();
    for (promise, number) in promises.iter().zip(1..) {
        let mut wrong = |what: String| {
            findings.push(format!("SPEC.md:{}: P{}: {what}", promise.line, promise.number));
        };
        if promise.number != number {
            wrong(format!("is the promise number {number}"));
        }
        if promise.tests.is_empty() {
            wrong("names no test; say Test: `path.rs::name`".to_owned());
        }
        for (path, name) in &promise.tests {
            match by_path.get(path) {
                None => wrong(format!("{path} is no file")),
                Some(source) => prose::lacks_test(source, name).into_iter().for_each(&mut wrong),
            }
        }
    }
    none(findings);
}

#[test]
fn relative_links_lead_somewhere() {
    let root = workspace_root();
    let sources = sources();
    let markdown = sources.iter().filter(|source| source.path.ends_with(".md"));
    none(markdown.flat_map(|source| {
        let folder = root.join(&source.path).parent().map(ToOwned::to_owned).unwrap_or_default();
        let links = prose::relative_links(&source.text).into_iter();
        let dead = links.filter(move |(_, target)| !folder.join(target).exists());
        dead.map(|(line, target)| format!("{}:{}: no {target}", source.path, line + 1))
            .collect::<Vec<_>>()
    }));
}

#[test]
fn the_readme_begins_with_what_ci_runs() {
    let readme = text_of("README.md");
    let first = readme.lines().map(str::trim).find(|line| line.starts_with("cargo "));
    assert_eq!(first, Some("cargo run --release"), "xtask runs this command as a step");
}
