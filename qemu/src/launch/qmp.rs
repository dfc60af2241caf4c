//! QEMU's own control socket (docs/interop/qmp-spec.rst of QEMU): a JSON object per line.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::error::VmError;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at a migration.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest line that is read.
const LINE_MAX: u64 = 1 << 20;

/// A conversation with QEMU.
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Begins one at a socket on which QEMU listens.
    ///
    /// # Errors
    /// QEMU does not answer, or not as it should.
    pub fn connect(path: &Path) -> Result<Self, VmError> {
        let system = |error| VmError::System { what: "QEMU's control socket", error };
        let stream = UnixStream::connect(path).map_err(system)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(system)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(system)?;
        let mut qmp = Self { stream: BufReader::new(stream) };
        // Its greeting; then it wants this before anything else.
        qmp.read()?;
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Has QEMU do something; what it gives.
    ///
    /// # Errors
    /// It refuses, or does not answer.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value, VmError> {
        let line = json!({ "execute": command, "arguments": arguments });
        let sent = writeln!(self.stream.get_mut(), "{line}");
        sent.map_err(|error| VmError::System { what: "QEMU's control socket", error })?;
        loop {
            let mut answer = self.read()?;
            if let Some(error) = answer.get("error") {
                let why = error["desc"].as_str().unwrap_or("no reason").to_owned();
                return Err(VmError::Control { command: command.into(), why });
            }
            // Everything else is an event.
            if let Some(given) = answer.get_mut("return") {
                return Ok(given.take());
            }
        }
    }

    /// Has the guest's state sent to a socket on which another QEMU waits for it; returns when it is there.
    ///
    /// # Errors
    /// It does not get there, or not in time.
    pub fn migrate(&mut self, to: &Path, patience: Duration) -> Result<(), VmError> {
        // As fast as it goes: a guest that is waited for here is not disturbed by it.
        self.execute("migrate-set-parameters", &json!({ "max-bandwidth": 1_u64 << 32 }))?;
        let uri = format!("unix:{}", to.display());
        self.execute("migrate", &json!({ "uri": uri }))?;
        let deadline = Instant::now() + patience;
        loop {
            let state = self.execute("query-migrate", &json!({}))?;
            let why = match state["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => {
                    state["error-desc"].as_str().unwrap_or("no reason").to_owned()
                }
                _ if Instant::now() > deadline => format!("not done in {patience:?}: {state}"),
                _ => {
                    std::thread::sleep(PAUSE);
                    continue;
                }
            };
            return Err(VmError::Control { command: "migrate".into(), why });
        }
    }

    fn read(&mut self) -> Result<Value, VmError> {
        use std::io::Read;
        let mut line = String::new();
        let read = (&mut self.stream).take(LINE_MAX).read_line(&mut line);
        read.map_err(|error| VmError::System { what: "QEMU's control socket", error })?;
        let bad = |error: serde_json::Error| VmError::Control {
            command: "its answer".into(),
            why: format!("{error}: {line:?}"),
        };
        serde_json::from_str(&line).map_err(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A conversation with what says these lines.
    fn with(lines: &str) -> Qmp {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(lines.as_bytes()).unwrap();
        // The other end stays open, for what is said to it.
        std::mem::forget(theirs);
        ours.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        Qmp { stream: BufReader::new(ours) }
    }

    #[test]
    fn answers_are_told_from_events_and_errors() {
        let mut qmp = with("{\"event\":\"STOP\"}\n{\"return\":{\"a\":1}}\n");
        assert_eq!(qmp.execute("x", &json!({})).unwrap(), json!({ "a": 1 }));
        let mut qmp = with("{\"error\":{\"class\":\"GenericError\",\"desc\":\"because\"}}\n");
        assert!(qmp.execute("x", &json!({})).unwrap_err().to_string().contains("x: because"));
        assert!(with("nonsense\n").execute("x", &json!({})).is_err());
        assert!(with("").execute("x", &json!({})).is_err());
    }

    #[test]
    fn a_migration_that_fails_says_why() {
        let ok = "{\"return\":{}}\n".repeat(2);
        let active = "{\"return\":{\"status\":\"active\"}}\n";
        let failed = "{\"return\":{\"status\":\"failed\",\"error-desc\":\"no room\"}}\n";
        let mut qmp = with(&format!("{ok}{active}{failed}"));
        let error = qmp.migrate(Path::new("/x"), PATIENCE).unwrap_err().to_string();
        assert!(error.contains("migrate: no room"), "{error}");
        let mut qmp = with(&format!("{ok}{active}"));
        let error = qmp.migrate(Path::new("/x"), Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("not done in"), "{error}");
    }
}
