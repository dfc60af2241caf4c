//! Tells the program which compiler built it: a benchmark's figures mean little without it.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Cargo sets RUSTC for build scripts, and runs this one anew when the compiler changes.
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(rustc).arg("--version").output();
    let version = version.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let version = version.as_deref().map_or("rustc (unknown version)", str::trim);
    println!("cargo:rustc-env=RXLAB_RUSTC={version}");
}
