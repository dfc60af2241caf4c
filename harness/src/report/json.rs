//! `result.json`.
//!
//! Contract: all but `wall_s` is a function of (scenario, seed); `wall_s` stands on a line of its own
//! and is null when the caller asks for it. Field names of events and reasons come from the enums.

use super::ethtool;
use crate::account::Tally;
use crate::fault::Notices;
use crate::scenario::Scenario;
use crate::world::book::Drop;
use crate::world::outcome::{Counters, End, HandleOutcome, Outcome, QueueOutcome};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Version of the format.
const VERSION: u32 = 1;

/// The whole of `result.json`.
#[derive(Serialize)]
pub struct ResultFile<'a> {
    v: u32,
    name: &'a str,
    seed: u64,
    digest: String,
    offered_digest: String,
    end: &'static str,
    end_detail: String,
    sim_time_ps: u64,
    wall_s: Option<f64>,
    events: u64,
    account: Value,
    queues: Vec<Value>,
    handles: Vec<Value>,
    cpus: Vec<Value>,
    ethtool: Map<String, Value>,
    first_drops: Vec<Value>,
    faults: Value,
    notices: &'a [String],
    scenario: &'a Scenario,
}

impl<'a> ResultFile<'a> {
    /// The result of `outcome`; `wall_s` is the one thing that may differ between two runs.
    #[must_use]
    pub fn new(scenario: &'a Scenario, outcome: &'a Outcome, wall_s: Option<f64>) -> Self {
        Self {
            v: VERSION,
            name: &scenario.name,
            seed: scenario.seed,
            digest: format!("{:016x}", outcome.digest),
            offered_digest: format!("{:016x}", outcome.offered_digest),
            end: end_name(&outcome.end),
            end_detail: outcome.end.to_string(),
            sim_time_ps: outcome.sim_time_ps,
            wall_s,
            events: outcome.events,
            account: account(outcome),
            queues: (0u16..).zip(&outcome.queues).map(|(index, of)| queue(index, of)).collect(),
            handles: outcome.handles.iter().map(handle).collect(),
            cpus: outcome
                .cpus
                .iter()
                .map(|cpu| {
                    json!({
                        "interrupt_ps": cpu.interrupt,
                        "poll_ps": cpu.poll,
                        "worker_ps": cpu.worker,
                        "reader_ps": cpu.reader,
                        "stolen_ps": cpu.stolen,
                    })
                })
                .collect(),
            ethtool: ethtool::statistics(outcome)
                .into_iter()
                .map(|(name, count)| (name, count.into()))
                .collect(),
            first_drops: outcome.first_drops.iter().map(first_drop).collect(),
            faults: faults(&outcome.faults),
            notices: &outcome.notices,
            scenario,
        }
    }

    /// The file as a value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Maps have string keys and numbers are finite, so this cannot fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// One word for how the run ended.
fn end_name(end: &End) -> &'static str {
    match end {
        End::Complete => "complete",
        End::SourceFault(_) => "source_fault",
        End::Interrupted => "interrupted",
        End::Broken(_) => "broken",
        End::Stuck(_) => "stuck",
        End::Lost(_) => "lost",
    }
}

/// The account of a run that goes on: frames by fate, as `result.json` has them.
#[must_use]
pub fn account_so_far(total: &Tally, held: u64) -> Value {
    tally(total, held).into()
}

fn account(outcome: &Outcome) -> Value {
    let mut account = tally(&outcome.total, outcome.held.sum());
    account.insert("sent".into(), outcome.sent.into());
    account.insert("ok".into(), outcome.ok().into());
    account.into()
}

fn queue(index: u16, of: &QueueOutcome) -> Value {
    let mut queue = Map::new();
    queue.insert("queue".into(), index.into());
    queue.append(&mut tally(&of.tally, of.held.sum()));
    let held = json!({ "fifo": of.held.fifo, "ring": of.held.ring, "core": of.held.core });
    queue.insert("held_in".into(), held);
    let counters = |of: &Counters| -> Map<String, Value> {
        of.iter().map(|(name, count)| ((*name).into(), (*count).into())).collect()
    };
    let mut all = Map::new();
    all.insert("nic".into(), counters(&of.nic).into());
    all.insert("driver".into(), counters(&of.driver).into());
    if !of.told.is_empty() {
        all.insert("device_stats".into(), counters(&of.told).into());
    }
    queue.insert("counters".into(), all.into());
    queue.into()
}

fn handle(of: &HandleOutcome) -> Value {
    let mut handle = Map::new();
    handle.insert("name".into(), of.name.as_str().into());
    handle.append(&mut tally(&of.tally, of.held));
    let stats = json!({
        "received": of.stats.received,
        "accepted": of.stats.accepted,
        "dropped": of.stats.dropped,
    });
    handle.insert("counters".into(), stats);
    let mut core = Map::new();
    of.counters.visit(&mut |name, count| {
        core.insert(name.into(), count.into());
    });
    handle.insert("core".into(), core.into());
    handle.insert(
        "buffer".into(),
        json!({ "capacity": of.capacity, "peak": of.peak, "peak_memory": of.peak_memory }),
    );
    handle.insert(
        "reads".into(),
        json!({ "all": of.reads, "empty": of.empty_reads, "refused": of.refused_reads }),
    );
    handle.insert("wakes".into(), of.wakes.into());
    handle.insert("bytes_delivered".into(), of.bytes_delivered.into());
    let mean = of.latency.sum.checked_div(of.tally.delivered.into()).unwrap_or(0) as u64;
    handle.insert(
        "latency_ps".into(),
        json!({
            "mean": mean,
            "median": of.latency.quantile(500),
            "p99": of.latency.quantile(990),
            "max": of.latency.max,
        }),
    );
    handle.into()
}

fn tally(tally: &Tally, held: u64) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("offered".into(), tally.offered.into());
    map.insert("delivered".into(), tally.delivered.into());
    map.insert("filtered".into(), tally.filtered.into());
    let reasons: Map<String, Value> =
        tally.occurred().map(|(reason, count)| (reason.name().into(), count.into())).collect();
    map.insert("dropped".into(), reasons.into());
    map.insert("held".into(), held.into());
    map
}

/// What was injected, kind by kind, and who noticed: every kind that the scenario asks for.
fn faults(notices: &Notices) -> Value {
    let kinds: Vec<Value> = notices
        .kinds()
        .map(|kind| {
            let (facts, count) = (kind.facts(), notices.count(kind));
            json!({
                "kind": facts.name,
                "place": facts.place.name(),
                "legal": facts.legal,
                "to_be_noticed_by": facts.notice.name(),
                "counter": facts.counter,
                "injected": count.injected,
                "noticed": { "driver": count.driver, "laboratory": count.laboratory },
                "moot": count.moot,
                "unnoticed": notices.unnoticed(kind),
            })
        })
        .collect();
    json!({
        "kinds": kinds,
        "frames_corrupted": notices.frames_corrupted,
        "false_frames": notices.false_frames,
    })
}

fn first_drop(drop: &Drop) -> Value {
    json!({
        "reason": drop.reason.name(),
        "t": drop.at,
        "frame": drop.frame,
        "queue": drop.queue,
        "cpu": drop.cpu,
        "handle": drop.handle,
        "unit": drop.reason.unit(),
        "occupancy": drop.occupancy,
        "capacity": drop.capacity,
        "need": drop.need,
        "free_elsewhere": drop.free_elsewhere,
    })
}
