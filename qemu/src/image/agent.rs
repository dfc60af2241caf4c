//! Where the agent comes from.
//!
//! Contract: the given one; else `RXLAB_AGENT`; else the one beside the running program; else it is built
//! from the source tree that this crate was built from, with cargo, into a folder `agent` of its target
//! folder, static and stripped. Building again what is built takes a moment.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::ImageError;

const NAME: &str = "rxlab-agent";
/// The guest is x86-64 with no library in it. Naming the target keeps cargo from building its own helpers
/// static as well, which it could not load then.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The root's profile for it.
const PROFILE: &str = "agent";

/// The agent's file.
///
/// # Errors
/// The given one is not there, or none is anywhere and it cannot be built.
pub fn find(given: Option<&Path>) -> Result<PathBuf, ImageError> {
    let given = given.map(ToOwned::to_owned);
    let given = given
        .or_else(|| env::var_os("RXLAB_AGENT").filter(|path| !path.is_empty()).map(Into::into));
    if let Some(path) = given {
        std::fs::metadata(&path).map_err(ImageError::file(&path))?;
        return Ok(path);
    }
    let beside = env::current_exe().ok().and_then(|program| Some(program.parent()?.join(NAME)));
    match beside.filter(|path| is_static(path)) {
        Some(path) => Ok(path),
        None => build(),
    }
}

/// Beside a program in cargo's folder lies the agent as a part of the workspace, which is not static.
fn is_static(path: &Path) -> bool {
    // A dynamic program names its interpreter among the first few hundred bytes.
    std::fs::read(path).is_ok_and(|bytes| {
        let start = &bytes[..bytes.len().min(4096)];
        bytes.starts_with(b"\x7fELF") && !start.windows(8).any(|part| part == b"ld-linux")
    })
}

fn build() -> Result<PathBuf, ImageError> {
    let no_agent = |why: String| ImageError::NoAgent { why };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    if !root.join("qemu/agent/Cargo.toml").exists() {
        return Err(no_agent(format!("the source tree is not at {} any more", root.display())));
    }
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let target = root.join(target).join("agent");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "agent", "--bin", NAME]);
    cargo.args(["--profile", PROFILE, "--target", TARGET]).arg("--target-dir").arg(&target);
    cargo.current_dir(root).env("RUSTFLAGS", "-C target-feature=+crt-static");
    // What another cargo that runs this program has set for itself.
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
    let output = cargo.output().map_err(|error| no_agent(format!("cargo: {error}")))?;
    if !output.status.success() {
        return Err(no_agent(format!("cargo says: {}", String::from_utf8_lossy(&output.stderr))));
    }
    Ok(target.join(TARGET).join(PROFILE).join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_one_must_be_there() {
        let error = find(Some(Path::new("/no/such/agent"))).unwrap_err().to_string();
        assert!(error.contains("/no/such/agent"), "{error}");
    }

    #[test]
    fn this_program_is_not_static() {
        assert!(!is_static(&env::current_exe().unwrap()));
        assert!(!is_static(Path::new("/no/such/agent")));
    }
}
