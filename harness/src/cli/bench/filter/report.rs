//! The figures of `rxlab bench filter` as a table and as JSON.
//!
//! Contract: an engine that was not measured, libpcap's where it is not installed, is a dash in the
//! table and null in the JSON.

use serde::Serialize;
use serde_json::Value;

use crate::cli::bench::{Figures, Spread};

/// Figures of each engine.
#[derive(Serialize)]
pub(super) struct Engines {
    pub(super) jit: Option<Spread>,
    pub(super) interpreter: Option<Spread>,
    pub(super) libpcap: Option<Spread>,
    pub(super) rust: Option<Spread>,
}

/// Of two engines, the first's time over the second's.
#[derive(Serialize)]
pub(super) struct Ratios {
    pub(super) jit_to_libpcap: Option<Spread>,
    pub(super) jit_to_rust: Option<Spread>,
    pub(super) interpreter_to_libpcap: Option<Spread>,
}

/// One expression.
#[derive(Serialize)]
pub(super) struct Measured {
    pub(super) expression: &'static str,
    pub(super) instructions: usize,
    pub(super) matching_frames: usize,
    pub(super) ns_per_frame: Engines,
    pub(super) ratios: Ratios,
    pub(super) compile_ns: Option<Spread>,
}

/// All of them.
#[derive(Serialize)]
pub(super) struct Table {
    pub(super) frames: usize,
    pub(super) rounds: usize,
    /// Its version.
    pub(super) libpcap: Option<String>,
    pub(super) filters: Vec<Measured>,
}

impl Figures for Table {
    const BENCH: &'static str = "filter";

    fn value(&self) -> Result<Value, String> {
        serde_json::to_value(self).map_err(|error| error.to_string())
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if let Some(version) = &self.libpcap {
            text += &format!("{version}\n");
        }
        let Self { frames, rounds, .. } = self;
        text += &format!("{frames} mixed frames of 64 B and less, {rounds} rounds in turn\n");
        text += &format!("\n{:50}{:>7}{:>7}\n", "", "length", "match");
        for Measured { expression, instructions, matching_frames, .. } in &self.filters {
            let percent = matching_frames * 100 / frames;
            text += &format!("{expression:50}{instructions:>7}{percent:>5} %\n");
        }
        text += &heading("ns per frame: median (least)", ["jit", "interpreter", "libpcap", "rust"]);
        for filter in &self.filters {
            let Engines { jit, interpreter, libpcap, rust } = &filter.ns_per_frame;
            text += &row(filter.expression, [jit, interpreter, libpcap, rust].map(with_least));
        }
        let columns = ["jit/libpcap", "jit/rust", "interp./libpcap", "compile, us"];
        text += &heading("ratio of times in one round: median", columns);
        for Measured { expression, ratios, compile_ns, .. } in &self.filters {
            let Ratios { jit_to_libpcap, jit_to_rust, interpreter_to_libpcap } = ratios;
            let [a, b, c] = [jit_to_libpcap, jit_to_rust, interpreter_to_libpcap].map(ratio);
            text += &row(expression, [a, b, c, microseconds(compile_ns)]);
        }
        text
    }
}

fn heading(what: &str, columns: [&str; 4]) -> String {
    format!("\n{what:50}{}\n", columns.map(|column| format!("{column:>16}")).concat())
}

fn row(expression: &str, cells: [Option<String>; 4]) -> String {
    let cells = cells.map(|cell| format!("{:>16}", cell.unwrap_or_else(|| "-".to_owned())));
    format!("{expression:50}{}\n", cells.concat())
}

fn with_least(times: &Option<Spread>) -> Option<String> {
    times.as_ref().map(Spread::with_least)
}

fn ratio(ratios: &Option<Spread>) -> Option<String> {
    ratios.map(|ratios| format!("{:.2}", ratios.median))
}

fn microseconds(times: &Option<Spread>) -> Option<String> {
    times.map(|ns| format!("{:.0}", ns.median / 1000.0))
}
