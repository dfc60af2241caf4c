//! What a program says about frames: one line for each.

use std::fmt::Write as _;

use npf_core::filter::{Ancillary, Filter};
use serde_json::json;

use super::{Failure, FilterArgs, numbers};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::stdout;
use crate::source::Records;

/// Runs `filter` on the frames that `args` name.
pub(super) fn run(args: &FilterArgs, filter: &Filter) -> Result<Exit, Failure> {
    // A setting that is wrong is said before the first frame.
    let lines = Lines { args, filter, text: String::new(), frames: 0 };
    lines.ancillary(&[])?;
    match &args.pcap {
        Some(path) => {
            let usage = |error| Failure::Usage(format!("{error}"));
            lines.of_capture(Records::open(path).map_err(usage)?)
        }
        None => lines.of_frames(),
    }
}

/// The lines, written in pieces.
struct Lines<'a> {
    args: &'a FilterArgs,
    filter: &'a Filter,
    text: String,
    frames: u64,
}

impl Lines<'_> {
    fn of_capture(mut self, mut records: Records) -> Result<Exit, Failure> {
        let interrupt =
            Interrupt::install().map_err(|error| Failure::Output(format!("signals: {error}")))?;
        let mut frame = Vec::new();
        loop {
            match records.next(&mut frame) {
                Ok(Some(wire_len)) => self.add(&frame, wire_len)?,
                Ok(None) => break,
                // What came before the fault has been answered.
                Err(fault) => {
                    self.flush()?;
                    return Err(Failure::Output(fault.to_string()));
                }
            }
            if interrupt.requested() {
                self.flush()?;
                return Ok(Exit::Interrupted);
            }
        }
        self.flush()?;
        Ok(Exit::Ok)
    }

    fn of_frames(mut self) -> Result<Exit, Failure> {
        let mut frames = Vec::new();
        for hex in &self.args.frame {
            let data =
                numbers::hex(hex).map_err(|what| Failure::Usage(format!("--frame: {what}")))?;
            let len = data.len() as u32;
            let wire_len = self.args.wire_length.unwrap_or(len);
            if wire_len < len {
                return Err(Failure::Usage(format!(
                    "--wire-length {wire_len} is less than the {len} bytes of --frame"
                )));
            }
            frames.push((data, wire_len));
        }
        for (data, wire_len) in frames {
            self.add(&data, wire_len)?;
        }
        self.flush()?;
        Ok(Exit::Ok)
    }

    fn ancillary(&self, frame: &[u8]) -> Result<Ancillary, Failure> {
        let mut ancillary = Ancillary::of_ethernet(frame);
        for setting in &self.args.ancillary {
            numbers::set_ancillary(&mut ancillary, setting)
                .map_err(|what| Failure::Usage(format!("--ancillary: {what}")))?;
        }
        Ok(ancillary)
    }

    fn add(&mut self, frame: &[u8], wire_len: u32) -> Result<(), Failure> {
        let verdict = self.filter.run(frame, wire_len, &self.ancillary(frame)?);
        self.frames += 1;
        let _ = if self.args.json {
            let executed = (!self.filter.is_compiled()).then_some(verdict.executed);
            let line = json!({
                "frame": self.frames,
                "captured": frame.len(),
                "wire": wire_len,
                "accept": verdict.accept,
                "executed": executed,
                "engine": self.filter.engine_name(),
            });
            writeln!(self.text, "{line}")
        } else {
            writeln!(self.text, "{}", verdict.accept)
        };
        if self.text.len() > 1 << 16 { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.text);
        stdout::print(&text).map_err(Failure::Output)
    }
}
