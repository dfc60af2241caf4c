//! What is fuzzed: seven functions from bytes to nothing, which stop the process when a promise is broken.
//!
//! ```text
//! bytes -> structured input (arbitrary) -> calls into one component -> promises checked after each
//! ```
//!
//! Contract: each target is a pure function of its bytes, takes any, and panics exactly when it has found a
//! fault. `cargo xtask fuzz` runs them under libFuzzer; the files in corpus/ are run by an ordinary test
//! (tests/corpus.rs), so that what was found once stays found.
//!
//! Not checked: how long a call takes; libFuzzer's own time limit does that.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used, reason = "a broken promise must stop the process")]

pub mod capture;
pub mod control;
pub mod device;
pub mod driver;
pub mod filter;
mod rig;
pub mod scenario;
pub mod vhost_user;

/// A function that is fuzzed.
pub struct Target {
    /// Its name: that of its module, of its file in fuzz_targets/ and of its folder in corpus/.
    pub name: &'static str,
    /// The function.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 7] = [
    Target { name: "device", run: device::run },
    Target { name: "driver", run: driver::run },
    Target { name: "control", run: control::run },
    Target { name: "scenario", run: scenario::run },
    Target { name: "capture", run: capture::run },
    Target { name: "filter", run: filter::run },
    Target { name: "vhost_user", run: vhost_user::run },
];
