//! Why there is no image.

use std::io;
use std::path::{Path, PathBuf};

/// What is missing or wrong, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The cache cannot be used.
    #[error("the cache: {0}; XDG_CACHE_HOME says where it is")]
    Cache(#[from] io::Error),
    /// A program of the package client is missing or fails.
    #[error("{command}: {why}; give a kernel and its modules instead, or install it: {install}")]
    Client {
        /// What was run.
        command: String,
        /// What it says.
        why: String,
        /// What would help.
        install: &'static str,
    },
    /// The package client knows no such package.
    #[error(
        "the package client knows no {package}; run apt-get update, or give a kernel and its modules"
    )]
    NoPackage {
        /// Which.
        package: String,
    },
    /// A package is not what the package client said it would be.
    #[error(
        "{path} has SHA-256 {found}, where the package client says {expected}: download it again"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A kernel's package without a kernel or without its modules.
    #[error("{folder} holds no {what}")]
    Incomplete {
        /// Where it was looked for.
        folder: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// Something else than a kernel that QEMU can boot.
    #[error("{path} is no Linux kernel for x86 (no bzImage)")]
    NotAKernel {
        /// Which file.
        path: PathBuf,
    },
    /// One of kernel and modules was given without the other.
    #[error("a kernel and its modules belong together: {given} is given, {missing} is not")]
    Half {
        /// Which.
        given: &'static str,
        /// Which.
        missing: &'static str,
    },
    /// A module that is needed is not there.
    #[error("{folder} has no module {name}{}: is the kernel built without it?", needed(by))]
    NoModule {
        /// Which.
        name: String,
        /// What needs it; empty: the guest does.
        by: String,
        /// The modules' folder.
        folder: PathBuf,
    },
    /// A module that cannot be read.
    #[error("{path} is no module for x86-64: {why}")]
    NotAModule {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// The agent is not there and cannot be built.
    #[error(
        "there is no rxlab-agent: not beside this program, and not built: {why}. Name one by RXLAB_AGENT"
    )]
    NoAgent {
        /// Why it cannot be built.
        why: String,
    },
}

impl ImageError {
    /// Of an error with a file.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |error| Self::File { path, error }
    }
}

fn needed(by: &str) -> String {
    if by.is_empty() { String::new() } else { format!(", which {by} needs") }
}
