//! Processes that end with the test that started them.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The slowest machine has done everything by then.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is ended with its owner.
pub struct Process(pub Option<Child>);

impl Process {
    /// Starts it, with pipes.
    pub fn start(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(piped.spawn().unwrap()))
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let id = self.0.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Says something to it.
    pub fn write(&mut self, text: &str) {
        self.0.as_mut().unwrap().stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Waits for its end.
    pub fn end(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Looks until it is so.
pub fn wait_for(mut what: impl FnMut() -> bool) {
    let started = Instant::now();
    while !what() {
        assert!(started.elapsed() < PATIENCE, "nothing comes of it");
        std::thread::sleep(Duration::from_millis(20));
    }
}
