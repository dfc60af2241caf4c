//! Debian's kernel, by the package client: `apt-cache`, `apt-get download`, `dpkg-deb`. None needs root.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::ImageError;
use super::kernel::Kernel;
use crate::cache::Cache;
use crate::protocol::data::sha256;

/// The package that always depends on the newest kernel for virtual machines.
const NEWEST: &str = "linux-image-cloud-amd64";
/// A file that names the kernel that was used last.
const LAST: &str = "kernel/last";

/// The folder with an unpacked kernel: the one that was used last, or the newest one.
///
/// # Errors
/// It cannot be downloaded or unpacked.
pub fn kernel(cache: &Cache) -> Result<PathBuf, ImageError> {
    let last = cache.path(LAST);
    if let Ok(name) = std::fs::read_to_string(&last) {
        let folder = cache.path(name.trim());
        if folder.is_dir() {
            return Ok(folder);
        }
    }
    let package = depends(&show(NEWEST)?).ok_or_else(|| no_package(NEWEST))?;
    let stanza = show(&package)?;
    let digest = field(&stanza, "SHA256").ok_or_else(|| no_package(&package))?;
    let version = field(&stanza, "Version").ok_or_else(|| no_package(&package))?;
    let name = format!("kernel/{}", &digest[..digest.len().min(32)]);
    let folder = cache.entry(&name, |to| unpack(&package, version, digest, to))?;
    std::fs::write(&last, &name).map_err(ImageError::file(&last))?;
    Ok(folder)
}

/// Downloads a package and unpacks it into the folder `to`.
fn unpack(package: &str, version: &str, digest: &str, to: &Path) -> Result<(), ImageError> {
    let download = to.join("download");
    std::fs::create_dir_all(&download).map_err(ImageError::file(&download))?;
    let mut client = Command::new("apt-get");
    client.args(["--quiet", "-o", "Acquire::Retries=3", "download"]);
    run(client.arg(format!("{package}={version}")).current_dir(&download))?;
    let entries = std::fs::read_dir(&download).map_err(ImageError::file(&download))?;
    let file = entries.filter_map(Result::ok).map(|entry| entry.path()).next();
    let missing = || ImageError::Incomplete { folder: download.clone(), what: "package" };
    let file = file.ok_or_else(missing)?;
    let found = sha256(&std::fs::read(&file).map_err(ImageError::file(&file))?);
    if found != digest {
        return Err(ImageError::Damaged { path: file, found, expected: digest.into() });
    }
    run(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(to))?;
    std::fs::remove_dir_all(&download).map_err(ImageError::file(&download))?;
    Kernel::below(to)?.check()
}

/// What the package client knows of a package's newest version.
fn show(package: &str) -> Result<String, ImageError> {
    let mut client = Command::new("apt-cache");
    let shown = run(client.args(["show", "--no-all-versions", package]));
    match shown {
        // It says so by its exit code.
        Err(ImageError::Client { why, .. }) if why.contains("No packages found") => {
            Err(no_package(package))
        }
        other => other,
    }
}

fn no_package(package: &str) -> ImageError {
    ImageError::NoPackage { package: package.into() }
}

/// Runs a command; what it prints.
fn run(command: &mut Command) -> Result<String, ImageError> {
    const INSTALL: &str = "it is Debian's (apt, dpkg)";
    let words: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
    let line = format!("{} {}", command.get_program().to_string_lossy(), words.join(" "));
    let client = |why: String| ImageError::Client { command: line, why, install: INSTALL };
    match command.env("LC_ALL", "C").output() {
        Err(error) => Err(client(error.to_string())),
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => Err(client(String::from_utf8_lossy(&output.stderr).trim().into())),
    }
}

/// A field of the first stanza.
fn field<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    let lines = stanza.lines().take_while(|line| !line.is_empty());
    lines
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// The kernel that a metapackage depends on.
fn depends(stanza: &str) -> Option<String> {
    let names =
        field(stanza, "Depends")?.split(',').filter_map(|one| one.split_whitespace().next());
    names.filter(|name| name.starts_with("linux-image-")).map(ToOwned::to_owned).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "Package: linux-image-cloud-amd64\nVersion: 6.1.9-1\n\
        Depends: linux-base, linux-image-6.1.0-9-cloud-amd64 (= 6.1.9-1)\nSHA256: ab\n\nVersion: 5\n";

    #[test]
    fn a_stanza_is_read() {
        assert_eq!(field(SHOWN, "Version"), Some("6.1.9-1"));
        assert_eq!(field(SHOWN, "Size"), None);
        assert_eq!(depends(SHOWN).as_deref(), Some("linux-image-6.1.0-9-cloud-amd64"));
        assert_eq!(depends("Package: x\n"), None);
    }

    #[test]
    fn a_program_that_is_missing_or_fails_is_named() {
        let missing = run(Command::new("no-such-package-client").arg("x")).unwrap_err().to_string();
        assert!(missing.contains("no-such-package-client x: "), "{missing}");
        let failed = run(Command::new("sh").args(["-c", "echo because >&2; exit 3"])).unwrap_err();
        assert!(failed.to_string().contains("because"));
    }
}
