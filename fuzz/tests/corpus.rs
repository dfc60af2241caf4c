//! The corpus of each target as an ordinary test, with some bytes of no meaning besides.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

use std::path::Path;

use fuzz::TARGETS;

#[test]
fn every_file_of_the_corpus_runs() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in TARGETS {
        let folder = std::fs::read_dir(corpus.join(target.name)).expect(target.name);
        let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "no corpus for {}", target.name);
        for file in files {
            // What is printed last when a target panics.
            println!("{}", file.display());
            (target.run)(&std::fs::read(&file).unwrap());
        }
    }
}

/// Bytes from a generator of which nothing is asked but that they are the same each time.
#[test]
fn bytes_of_no_meaning_run() {
    let mut state = 1u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    for round in 0..300 {
        let bytes: Vec<u8> = (0..round * 7 % 1000).map(|_| byte()).collect();
        for target in TARGETS {
            (target.run)(&bytes);
        }
    }
}

#[test]
fn every_target_is_built_for_the_fuzzer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for target in TARGETS {
        let path = format!("fuzz_targets/{}.rs", target.name);
        assert!(manifest.contains(&format!("path = \"{path}\"")), "{path} is not in Cargo.toml");
        let text = std::fs::read_to_string(root.join(path)).unwrap();
        assert!(text.contains(&format!("fuzz::{}::run", target.name)), "{}", target.name);
    }
}
