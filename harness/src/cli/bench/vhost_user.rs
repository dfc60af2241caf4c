//! `rxlab bench vhost-user`: our NIC and our driver beside DPDK's, over vhost-user, each side on a CPU of its
//! own.
//!
//! Four pairs take turns, round by round: a NIC (DPDK's net_vhost or ours) that sends as fast as its peer
//! gives buffers, and a driver (DPDK's virtio-user or ours) that takes every frame and lets it go. Frames are
//! counted where they are sent or taken, between two moments in the middle of a run. What is quoted is the
//! ratio to DPDK with DPDK of the same round.
//!
//! Not measured here: the tap, filters and capture buffers; no handle is open (`rxlab bench path` has them).

mod peer;
mod testpmd;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{Figures, Spread, show};
use crate::exit::Exit;
use crate::real_time::{check_cpus, usable_cpus};
use peer::Side;

/// What to measure.
#[derive(Args)]
pub struct VhostUserArgs {
    /// Rounds; in each, every pair has its turn with every kind of ring and size.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Time that a turn is measured, in milliseconds.
    #[arg(long, default_value_t = 1500)]
    window: u64,
    /// Sizes of frames, without FCS.
    #[arg(long, value_delimiter = ',', default_values_t = [60, 1514])]
    sizes: Vec<u16>,
    /// Kinds of ring.
    #[arg(long, value_delimiter = ',', default_values_t = ["split".to_owned(), "packed".to_owned()])]
    rings: Vec<String>,
    /// CPUs of the NIC and of the driver, as in 0,1; without: the first two that this process may use.
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
    /// DPDK's test program.
    #[arg(long, default_value = "dpdk-testpmd")]
    testpmd: PathBuf,
    /// Print the figures as JSON instead of the table.
    #[arg(long)]
    json: bool,
}

/// Runs the benchmark.
pub fn vhost_user(args: &VhostUserArgs) -> Exit {
    show(args.json, measure(args))
}

/// One turn: which ring, which frames, on which CPUs.
#[derive(Clone, Debug)]
struct Turn {
    packed: bool,
    len: u16,
    nic_cpu: usize,
    driver_cpu: usize,
    window: Duration,
    testpmd: PathBuf,
}

/// NIC and driver of each pair; the first is what the others are compared with.
const PAIRS: [(Side, Side); 4] = [
    (Side::Dpdk, Side::Dpdk),
    (Side::Ours, Side::Dpdk),
    (Side::Dpdk, Side::Ours),
    (Side::Ours, Side::Ours),
];

/// The figures.
#[derive(Serialize)]
struct Table {
    rounds: usize,
    window_ms: u64,
    rows: Vec<Row>,
}

/// One pair with one kind of ring and one size.
#[derive(Serialize)]
struct Row {
    ring: String,
    len: u16,
    nic: &'static str,
    driver: &'static str,
    /// Frames per second.
    rate: Spread,
    /// To DPDK with DPDK, round by round.
    ratio: Spread,
}

impl Figures for Table {
    const BENCH: &'static str = "vhost-user";

    fn value(&self) -> Result<Value, String> {
        serde_json::to_value(self).map_err(|error| error.to_string())
    }

    fn text(&self) -> String {
        let mut table = format!(
            "one queue of 256, NIC and driver on a CPU each; median (least) of {} rounds of {} ms\n",
            self.rounds, self.window_ms
        );
        table += &format!(
            "{:<8}{:>6}  {:<14}{:<14}{:>16}{:>16}\n",
            "ring", "bytes", "NIC", "driver", "Mpps", "to DPDK+DPDK"
        );
        for row in &self.rows {
            let millions = |n: f64| n / 1e6;
            let rate = format!("{:.2} ({:.2})", millions(row.rate.median), millions(row.rate.min));
            table += &format!(
                "{:<8}{:>6}  {:<14}{:<14}{rate:>16}{:>16}\n",
                row.ring,
                row.len,
                row.nic,
                row.driver,
                row.ratio.with_least()
            );
        }
        table
    }
}

fn measure(args: &VhostUserArgs) -> Result<Table, String> {
    check_cpus(&args.cpus).map_err(|cpu| cpu.to_string())?;
    let cpus = if args.cpus.is_empty() { usable_cpus() } else { args.cpus.clone() };
    let [nic_cpu, driver_cpu, ..] = cpus[..] else {
        return Err("two CPUs are needed, one for each side (--cpus)".into());
    };
    let window = Duration::from_millis(args.window.max(100));
    let mut rows = Vec::new();
    for ring in &args.rings {
        let packed = match ring.as_str() {
            "split" => false,
            "packed" => true,
            other => return Err(format!("--rings {other}: split or packed")),
        };
        for len in &args.sizes {
            if !(60..=1514).contains(len) {
                return Err(format!("--sizes {len}: 60 to 1514 bytes"));
            }
            let turn = Turn {
                packed,
                len: *len,
                nic_cpu,
                driver_cpu,
                window,
                testpmd: args.testpmd.clone(),
            };
            let mut rates = vec![Vec::new(); PAIRS.len()];
            for _ in 0..args.rounds.max(1) {
                for ((nic, driver), rates) in PAIRS.iter().zip(&mut rates) {
                    rates.push(peer::rate(&turn, *nic, *driver)?);
                }
            }
            for ((nic, driver), of_pair) in PAIRS.iter().zip(&rates) {
                let spreads = Spread::of(of_pair).zip(Spread::of_ratios(of_pair, &rates[0]));
                let Some((rate, ratio)) = spreads else { continue };
                let (ring, len) = (ring.clone(), *len);
                let [nic, driver] = [nic.nic_name(), driver.driver_name()];
                rows.push(Row { ring, len, nic, driver, rate, ratio });
            }
        }
    }
    Ok(Table { rounds: args.rounds.max(1), window_ms: args.window, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_pair() {
        let spread = Spread { median: 2e6, min: 1e6, max: 3e6 };
        let row = |(nic, driver): (Side, Side)| Row {
            ring: "split".into(),
            len: 60,
            nic: nic.nic_name(),
            driver: driver.driver_name(),
            rate: spread,
            ratio: Spread { median: 1.5, min: 1.25, max: 2.0 },
        };
        let table = Table { rounds: 1, window_ms: 100, rows: PAIRS.map(row).into() };
        let text = table.text();
        assert_eq!(text.lines().count(), 2 + PAIRS.len(), "{text}");
        assert!(text.ends_with("2.00 (1.00)     1.50 (1.25)\n"), "{text}");
        assert_eq!(table.value().unwrap()["rows"][1]["nic"], "rxlab nic");
    }
}
