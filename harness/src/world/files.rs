//! The files that a run writes into its folder: `events.ndjson`, and for each handle `capture.pcapng`, the dump
//! of a capture driver and what a reading program writes.
//!
//! Contract: what the scenario does not want is not made. `result.json`, which comes last, is its caller's.

use std::path::Path;

use super::capture::Capture;
use super::setup::Parts;
use crate::event::{Detail, Recorder};
use crate::output::file::{OutputError, RecordFile};
use crate::output::pcapng::PcapngError;
use crate::scenario::{CaptureOutput, EventsOutput, Scenario};

/// A file cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refuses.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A capture cannot begin.
    #[error(transparent)]
    Capture(#[from] PcapngError),
}

/// Where the event stream goes.
///
/// # Errors
/// Its file cannot be made.
pub fn recorder(scenario: &Scenario, out: &Path) -> Result<Recorder, OutputError> {
    let detail = match scenario.output.events {
        EventsOutput::All => Detail::All,
        EventsOutput::Losses => Detail::Losses,
        EventsOutput::None => return Ok(Recorder::default()),
    };
    Ok(Recorder::to_file(RecordFile::create(&out.join("events.ndjson"))?, detail))
}

/// Opens all others.
///
/// # Errors
/// One cannot be made.
pub fn open(parts: &mut Parts, scenario: &Scenario, out: &Path) -> Result<(), FileError> {
    captures(parts, scenario, out)?;
    dumps(parts, scenario, out)?;
    Ok(())
}

/// Whether a file has the name of an output: result.json, events.ndjson, and per handle
/// capture.pcapng, dump.pcap, written.pcap, capture-N.pcapng ...
pub fn is_output(file: &Path) -> bool {
    let Some(name) = file.file_name().and_then(|name| name.to_str()) else { return false };
    let of =
        |kind, ending| name.strip_prefix(kind).and_then(|rest: &str| rest.strip_suffix(ending));
    let numbered = |rest: &str| {
        let number = rest.strip_prefix('-');
        number.is_some_and(|n| !n.is_empty() && n.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let mut files =
        [of("capture", ".pcapng"), of("dump", ".pcap"), of("written", ".pcap")].into_iter();
    ["result.json", "events.ndjson"].contains(&name)
        || files.any(|rest| rest.is_some_and(|rest| rest.is_empty() || numbered(rest)))
}

/// One capture per handle, if the scenario wants any.
fn captures(parts: &mut Parts, scenario: &Scenario, out: &Path) -> Result<(), FileError> {
    if scenario.output.capture == CaptureOutput::None {
        return Ok(());
    }
    for (index, handle) in scenario.handle.iter().enumerate() {
        let file = RecordFile::create(&out.join(name_of("capture", index, "pcapng")))?;
        let with_dropped = scenario.output.capture == CaptureOutput::All;
        parts.book.captures.push(Capture::new(
            file,
            scenario.channels.combined,
            scenario.wire.rate.0,
            handle.snaplen,
            handle.filter.as_deref(),
            with_dropped,
        )?);
    }
    Ok(())
}

/// The files that capture drivers and reading programs write, if the scenario has any.
fn dumps(parts: &mut Parts, scenario: &Scenario, out: &Path) -> Result<(), OutputError> {
    let create = |kind, index| RecordFile::create(&out.join(name_of(kind, index, "pcap")));
    for (index, handle) in scenario.handle.iter().enumerate() {
        if handle.ever_dumps() {
            parts.book.dumps[index].file = Some(create("dump", index)?);
        }
        if let Some(writer) = &mut parts.book.writers[index] {
            writer.dump.file = Some(create("written", index)?);
        }
    }
    Ok(())
}

/// The name of a handle's file of one kind; the first handle needs no number.
fn name_of(kind: &str, handle: usize, ending: &str) -> String {
    match handle {
        0 => format!("{kind}.{ending}"),
        _ => format!("{kind}-{handle}.{ending}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_known_by_their_names() {
        for name in [
            "result.json",
            "events.ndjson",
            "capture.pcapng",
            "capture-12.pcapng",
            "dump.pcap",
            "written-3.pcap",
        ] {
            assert!(is_output(&Path::new("out").join(name)), "{name}");
        }
        for name in ["capture-.pcapng", "capture-mine.pcapng", "my-capture.pcapng", "result.txt"] {
            assert!(!is_output(&Path::new("out").join(name)), "{name}");
        }
    }
}
