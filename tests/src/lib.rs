//! What the tests of this folder share. The tests themselves are in `tests/`, one file per subject.

pub mod draw;
#[cfg(target_os = "linux")]
pub mod fork;
pub mod house;

use std::path::{Path, PathBuf};

/// The folder of the workspace, where README.md and scenarios/ are.
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}
