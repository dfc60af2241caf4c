//! Scenario files: TOML with ethtool's nouns, and units in the values.
//!
//! [`Scenario::load`] reads a file and the `--set key=value` of the command line. The text becomes
//! a tree that knows where each value stands, the tree becomes the types below (`de`), and
//! the types are checked against each other (`validate`); whatever is wrong points into the text.
//!
//! Contract: a scenario that was loaded is possible: the harness need not check it again.
//! Not checked: that a capture file is there, and that a filter compiles; whoever opens them says.

mod buffer_policy;
mod coalesce;
mod compare;
mod de;
mod decimal;
mod driver_control;
mod engine;
mod error;
mod fault;
mod features;
mod handle;
mod host;
mod network;
mod resolved;
mod rx_filter;
mod rxfh;
mod traffic;
mod tree;
mod units;
mod validate;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::filter::Compiled;

pub use buffer_policy::{BufferPolicy, Exhausted};
pub use coalesce::{Coalesce, QueueCoalesce};
pub use compare::Compare;
pub use driver_control::{DriverControl, Recover};
pub use engine::{
    BufferMode, CpuClamp, Engine, ForkedPages, PacketQueue, Process, Ring as RingEngine,
    SegmentChoice, Segments, StoreHold, WordSize, Worker, ZeroCopy,
};
pub use error::{ScenarioError, Wrong};
pub use fault::{Amount, Fault};
pub use handle::{
    Control, Direction, Dump, FilterDialect, FilterEngine, Handle, Mode, Pacing, Reader, Send,
};
pub use host::{CaptureOutput, Costs, Cpus, EventsOutput, Output, RunOptions};
pub use network::{
    Channels, Dma, Driver, Mac, Masking, Moderation, Nic, Rearm, Refill, Ring, RingFormat,
    RingKind, TxHeader, Window, Wire,
};
pub use rx_filter::{Group, RxFilter};
pub use rxfh::{HashKey, HashType, Indirection, Rxfh};
pub use traffic::{Capture, Generator, Mix, Rate, Size, Skew, Timing, Traffic, WeightedSize};
pub use units::{BitRate, Bytes, Duration, PacketRate, Ratio, parse_seed};
pub use validate::Impossible;

/// The scenario that `rxlab` runs when it is given none.
pub const DEFAULT: &str = include_str!("../../../scenarios/default.toml");

/// Everything that decides a run. Each table is optional, and so is each key in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// One line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What the scenario shows.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Seed of every random stream: `42` or `"0x2a"`.
    #[serde(with = "units::seed")]
    pub seed: u64,
    /// What is offered to the wire.
    pub traffic: Traffic,
    /// The cable.
    pub wire: Wire,
    /// Queue pairs.
    pub channels: Channels,
    /// Descriptors per queue.
    pub ring: Ring,
    /// Interrupt coalescing.
    pub coalesce: Coalesce,
    /// Receive side scaling.
    pub rxfh: Rxfh,
    /// What the device takes.
    pub rx_filter: RxFilter,
    /// The device.
    pub nic: Nic,
    /// Its DMA engine.
    pub dma: Dma,
    /// The driver.
    pub driver: Driver,
    /// The virtual CPUs.
    pub cpus: Cpus,
    /// What work costs.
    pub costs: Costs,
    /// The open captures; none written = one with every default ([`Scenario::handles`]).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub handle: Vec<Handle>,
    /// What goes wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fault: Vec<Fault>,
    /// What `rxlab compare` sets side by side.
    pub compare: Compare,
    /// How the run ends.
    pub run: RunOptions,
    /// What it writes.
    pub output: Output,
    /// Folder that relative paths start from: that of the scenario file. No key of the file.
    #[serde(skip)]
    pub folder: PathBuf,
    /// Filters that need not be compiled. No key of the file.
    #[serde(skip)]
    pub compiled: Compiled,
}

impl Scenario {
    /// Reads the file at `path`, then applies `sets` (`key=value`) in order, then checks.
    ///
    /// # Errors
    /// The file is unreadable, or something in it or in a `--set` is wrong.
    pub fn load(path: &Path, sets: &[String]) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ScenarioError::Unreadable { path: path.to_owned(), error })?;
        Self::parse(&text, &path.display().to_string(), sets)
    }

    /// [`Scenario::load`] for a text that is already here; `file_name` is for messages, and its
    /// folder is where relative paths start.
    ///
    /// # Errors
    /// Something in the text or in a `--set` is wrong.
    pub fn parse(text: &str, file_name: &str, sets: &[String]) -> Result<Self, ScenarioError> {
        let folder = Path::new(file_name).parent().unwrap_or(Path::new("")).to_owned();
        read(text, sets, folder).map_err(|fault| fault.explain(file_name, text, sets))
    }

    /// The scenario as a file: what [`Scenario::parse`] reads back as an equal one.
    ///
    /// # Panics
    /// A number that [`Scenario::validate`] refuses is too large for TOML.
    pub fn to_toml(&self) -> String {
        match toml::to_string(self) {
            Ok(text) => text,
            // Numbers from 2^63 on; `validate` lets none through, and the seed is written as text.
            Err(error) => unreachable!("a valid scenario can be written: {error}"),
        }
    }

    /// A path of the scenario as the program opens it.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}

fn read(text: &str, sets: &[String], folder: PathBuf) -> Result<Scenario, error::Fault> {
    let mut tree = tree::parse(text)?;
    for (index, set) in sets.iter().enumerate() {
        tree::set(&mut tree, set, index + 1)?;
    }
    if let Some(traffic) = tree.get("traffic") {
        read_traffic(traffic)?;
    }
    let scenario = Scenario { folder, ..Scenario::deserialize(&tree)? };
    scenario.validate().map_err(|impossible| impossible.placed(&tree))?;
    Ok(scenario)
}

/// Reads `[traffic]` by itself, for its errors only: serde forgets where a value stood when a key
/// (`source`) decides what the other keys mean.
fn read_traffic(traffic: &tree::Node) -> Result<(), error::Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Source {
        Generator,
        Capture,
    }
    let source = tree::Step::Key("source".to_owned());
    let Some(source) = traffic.child(&source) else {
        let what = "the key `source` is missing".to_owned();
        let help = "[traffic] needs source = \"generator\" or source = \"capture\"";
        return Err(error::Fault::new(traffic.origin.clone(), what, help));
    };
    match Source::deserialize(source)? {
        Source::Generator => de::without::<Generator>(traffic, "source").map(drop),
        Source::Capture => de::without::<Capture>(traffic, "source").map(drop),
    }
}
