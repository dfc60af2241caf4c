//! Signals: Ctrl-C asks the run to stop, a second one ends it.
//!
//! After the first Ctrl-C (or SIGTERM) the run finishes the event in hand, writes its outputs and exits
//! with [`crate::exit::Exit::Interrupted`]; whoever does the work asks [`Interrupt::requested`] once per
//! batch. The second one ends the process at once with the same code; outputs then lack what was not
//! yet written.
//!
//! SIGXFSZ, which would end the process when a file grows past `ulimit -f`, is caught and does nothing
//! more: the write that caused it then fails with an error that [`crate::output::file`] handles.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

use crate::exit::Exit;

/// Whether the user has asked the run to stop. Clones share the answer.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over the process's signals; once, at its start.
    pub fn install() -> io::Result<Self> {
        let this = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down and only raises it.
            let code = i32::from(Exit::Interrupted.code());
            flag::register_conditional_shutdown(signal, code, Arc::clone(&this.asked))?;
            flag::register(signal, Arc::clone(&this.asked))?;
        }
        flag::register(SIGXFSZ, Arc::default())?;
        Ok(this)
    }

    /// What is set by the first Ctrl-C, for whoever waits elsewhere.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }

    /// True from the first Ctrl-C on. Costs one relaxed load.
    #[inline]
    pub fn requested(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::low_level::raise;
    use std::process::Command;

    const CHILD: &str = "RXLAB_TEST_INTERRUPT";

    /// The child of the test below; without its variable it has nothing to do.
    #[test]
    fn interrupted_child() {
        let Some(signal) = std::env::var_os(CHILD) else { return };
        let signal = if signal == "TERM" { SIGTERM } else { SIGINT };
        let interrupt = Interrupt::install().unwrap();
        let worker = interrupt.clone();
        raise(SIGXFSZ).unwrap();
        assert!(!worker.requested());
        raise(signal).unwrap();
        assert!(worker.requested());
        println!("asked to stop");
        raise(signal).unwrap();
        println!("still here");
    }

    #[test]
    fn the_first_signal_asks_and_the_second_ends() {
        for signal in ["INT", "TERM"] {
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "interrupt::tests::interrupted_child", "--nocapture"])
                .env(CHILD, signal)
                .output()
                .unwrap();
            let talk = String::from_utf8_lossy(&output.stdout);
            assert!(talk.contains("asked to stop") && !talk.contains("still here"), "{talk}");
            assert_eq!(output.status.code(), Some(130), "{talk}");
        }
    }
}
