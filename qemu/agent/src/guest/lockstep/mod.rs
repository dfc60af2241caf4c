//! A run in lockstep: the scenario's world plays here, in virtual time, with the host's NIC.
//!
//! Contract: the world is that of `rxlab run`, to the last event; only its NIC is elsewhere. What the driver asks
//! of the NIC's registers goes to the host over a port; its doorbells are those of the PCI device, its interrupts
//! are awaited as they come from there, its rings and buffers lie in memory that the device reaches by DMA.

mod carrier;
mod link;

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use harness::output::file::write_whole;
use harness::report::json::{ResultFile, account_so_far};
use harness::report::text;
use harness::scenario::Scenario;
use harness::trace::{Sides, Tracer};
use harness::world::embedded::Embedded;
use harness::world::files;
use harness::world::nic::Device;
use harness::world::nic::remote::Remote;
use harness::world::outcome::{End, Finished};
use harness::world::setup::{self, SetupError};
use protocol::lockstep::{Ended, Lockstep, Progress, Trace};
use protocol::{Blob, Reply};
use vm_memory::GuestMemoryMmap;

use super::serve::Refusal;
use carrier::Carrier;
use link::PortLink;

/// The run, if there is one.
#[derive(Default)]
pub struct Runs(Option<Run>);

struct Run {
    scenario: Scenario,
    world: Embedded,
    out: PathBuf,
    shown: Shown,
    end: Option<End>,
    started: Instant,
}

impl Runs {
    /// Does a part of a run.
    ///
    /// # Errors
    /// What was in the way; a run that has not begun is none.
    pub fn serve(&mut self, part: Lockstep) -> Result<Reply, Refusal> {
        let none = || Refusal::Value("no run in lockstep has begun".into());
        match part {
            Lockstep::Begin { scenario, file, compiled, out, trace } => {
                // The one before lets the device go first.
                self.0 = None;
                self.0 = Some(begin(&scenario, &file, compiled, out.into(), trace)?);
                Ok(Reply::Nothing)
            }
            Lockstep::Play { steps } => {
                let run = self.0.as_mut().ok_or_else(none)?;
                if run.end.is_none() {
                    run.end = run.world.play_steps(steps);
                }
                Ok(Reply::Progress(run.progress()))
            }
            Lockstep::End { interrupted, repeat } => {
                let run = self.0.take().ok_or_else(none)?;
                Ok(Reply::Ended(run.finish(interrupted, &repeat)))
            }
        }
    }
}

fn begin(
    text: &str,
    file: &str,
    compiled: Vec<(String, u32, Blob)>,
    out: PathBuf,
    trace: Trace,
) -> Result<Run, Refusal> {
    let scenario = Scenario::parse(text, file, &[]);
    let refused = |what: String| Refusal::Value(format!("the scenario: {what}"));
    let mut scenario = scenario.map_err(|error| refused(error.to_string()))?.resolved();
    for (filter, snaplen, Blob(program)) in compiled {
        if !scenario.compiled.keep(filter.clone(), snaplen, &program) {
            return Err(refused(format!("the program of filter {filter:?} is cut short")));
        }
    }
    // What an earlier run has left; often nothing.
    let _ = std::fs::remove_dir_all(&out);
    std::fs::create_dir_all(&out).map_err(Refusal::system(format!("folder {}", out.display())))?;
    let queues = scenario.channels.combined;
    let slot = |bytes: u64| {
        let failed = |error: super::Fault| SetupError::Slot(error.to_string());
        let (carrier, memory) = Carrier::open(queues, bytes).map_err(SetupError::Slot)?;
        let shared = GuestMemoryMmap::from_arc_regions(vec![Arc::clone(memory.region())]);
        let shared = shared.map_err(|error| SetupError::Slot(error.to_string()))?;
        let link = PortLink::open(carrier).map_err(failed)?;
        let remote = Remote::new(Box::new(link), Arc::new(shared)).map_err(SetupError::Slot)?;
        Ok((Device::There(Box::new(remote)), memory))
    };
    let shown = Shown::default();
    let recorder = || {
        let recorder = files::recorder(&scenario, &out)?;
        Ok(match trace {
            Trace::Sides(lines) => recorder.told_to(Sides::new(Box::new(shown.clone()), lines)),
            Trace::Nothing | Trace::Rings(_) => recorder,
        })
    };
    let parts = setup::build_around(&scenario, recorder, slot);
    let mut parts = parts.map_err(|error| Refusal::Value(error.to_string()))?;
    let opened = files::open(&mut parts, &scenario, &out);
    opened.map_err(|error| Refusal::Value(error.to_string()))?;
    let mut world = Embedded::new(&scenario, parts);
    if let Trace::Rings(pictures) = trace {
        world.trace(Tracer::new(Box::new(shown.clone()), pictures));
    }
    world.begin();
    Ok(Run { scenario, world, out, shown, end: None, started: Instant::now() })
}

impl Run {
    fn progress(&self) -> Progress {
        let (total, held) = self.world.account();
        Progress {
            steps: self.world.steps(),
            offered: total.offered,
            now_ps: self.world.now(),
            over: self.end.is_some(),
            shown: self.shown.take(),
            account: account_so_far(&total, held).to_string(),
        }
    }

    fn finish(self, interrupted: bool, repeat: &str) -> Ended {
        let Self { scenario, world, out, end, started, .. } = self;
        let end = end.unwrap_or(if interrupted { End::Interrupted } else { End::Complete });
        let mut finished = world.stop(end);
        let mut failed = finished.close_outputs();
        let Finished { outcome, .. } = &finished;
        let wall_s = started.elapsed().as_secs_f64();
        for (name, text) in [
            ("result.json", ResultFile::new(&scenario, outcome, None).to_text()),
            (REPORT, text::report(&scenario, outcome, wall_s, repeat)),
        ] {
            if let Err(error) = write_whole(&out.join(name), text.as_bytes()) {
                failed.push(error.to_string());
            }
        }
        Ended {
            exit: outcome.exit(failed.is_empty()).code(),
            end: outcome.end.to_string(),
            digest: outcome.digest,
            adds_up: outcome.ok(),
            files: lengths(&out),
            failed,
            last_events: outcome.last_events.clone(),
        }
    }
}

/// The report for a terminal.
const REPORT: &str = "report.txt";

/// The files in a folder, by name.
fn lengths(folder: &Path) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<(String, u64)> = entries
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.metadata().ok()?)))
        .filter(|(_, data)| data.is_file())
        .map(|(name, data)| (name, data.len()))
        .collect();
    files.sort();
    files
}

/// What nobody has fetched yet.
#[derive(Clone, Default)]
struct Shown(Rc<RefCell<Vec<u8>>>);

impl Shown {
    fn take(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.0.borrow_mut())).into_owned()
    }
}

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_in_order() {
        let mut runs = Runs::default();
        let play = runs.serve(Lockstep::Play { steps: 1 }).unwrap_err().to_string();
        assert!(play.contains("no run"), "{play}");
        let end = Lockstep::End { interrupted: false, repeat: String::new() };
        assert!(runs.serve(end).unwrap_err().to_string().contains("no run"));
    }

    #[test]
    fn what_cannot_begin_is_refused_in_words() {
        let begin = |scenario: &str, compiled| {
            let mut runs = Runs::default();
            let begin = Lockstep::Begin {
                scenario: scenario.into(),
                file: "/x.toml".into(),
                compiled,
                out: std::env::temp_dir().join("rxlab-agent-out").display().to_string(),
                trace: Trace::Nothing,
            };
            runs.serve(begin).unwrap_err().to_string()
        };
        assert!(begin("ring = 7", Vec::new()).contains("the scenario"));
        let odd = vec![("ip".to_owned(), 100, Blob(vec![1, 2, 3]))];
        assert!(begin("", odd).contains("cut short"));
    }
}
