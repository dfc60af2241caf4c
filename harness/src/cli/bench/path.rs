//! `rxlab bench path`: a frame's whole way, from the wire to the reader, beside that through Linux.
//!
//! Ours is the threads world on two CPUs: NIC, rings in shared memory, driver, tap, filter in machine code,
//! packet queue, reader. Linux's is tcpreplay on one end of a veth pair in a network namespace of its own,
//! and tcpdump with the same filter on the other. Both are given the same frames as fast as they take them,
//! in turns; counted is what reaches the tap, over a window in the middle.
//!
//! Not the same: Linux's frames pass its network stack behind the tap, and are lost where tcpdump is too
//! slow, which is not counted; ours wait for buffers, and none is lost before the filter.

mod linux;

use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{Figures, Spread, show};
use crate::exit::Exit;
use crate::real_time::{check_cpus, usable_cpus};
use crate::scenario::Scenario;
use crate::threads::account::Account;
use crate::threads::{self, Choices, Watch};

/// What to measure.
#[derive(Args)]
pub struct PathArgs {
    /// Rounds; in each, both ways have their turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Time that a turn is measured, in milliseconds.
    #[arg(long, default_value_t = 1500)]
    window: u64,
    /// The filter of both.
    #[arg(long, default_value = "udp port 53")]
    filter: String,
    /// Bytes of a frame, without FCS.
    #[arg(long, default_value_t = 60)]
    size: u16,
    /// CPUs of NIC and driver, as in 0,1; without: the first two that this process may use.
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Leave Linux's path out.
    #[arg(long)]
    without_linux: bool,
    /// Print the figures as JSON instead of the table.
    #[arg(long)]
    json: bool,
}

/// Runs the benchmark.
pub fn path(args: &PathArgs) -> Exit {
    show(args.json, measure(args))
}

/// The figures.
#[derive(Serialize)]
struct Table {
    rounds: usize,
    size: u16,
    filter: String,
    /// Frames per second at the tap.
    ours: Spread,
    linux: Option<Linux>,
    /// Why there is no figure of Linux.
    without: Option<String>,
}

/// Beside Linux.
#[derive(Serialize)]
struct Linux {
    /// Frames per second.
    rate: Spread,
    /// Ours to this, round by round.
    ratio: Spread,
}

impl Figures for Table {
    const BENCH: &'static str = "path";

    fn value(&self) -> Result<Value, String> {
        serde_json::to_value(self).map_err(|error| error.to_string())
    }

    fn text(&self) -> String {
        let millions = |of: &Spread| format!("{:.2} ({:.2})", of.median / 1e6, of.min / 1e6);
        let mut text = format!(
            "{} bytes, filter `{}`, two CPUs; Mpps at the tap, median (least) of {}\n",
            self.size, self.filter, self.rounds
        );
        text += &format!(
            "{:<44}{:>16}\n",
            "rxlab: NIC, driver, tap, filter, queue, reader",
            millions(&self.ours)
        );
        match (&self.linux, &self.without) {
            (Some(linux), _) => {
                text += &format!(
                    "{:<44}{:>16}\n",
                    "Linux: tcpreplay, veth, tcpdump",
                    millions(&linux.rate)
                );
                text += &format!("{:<44}{:>16}\n", "ratio", linux.ratio.with_least());
            }
            (None, Some(why)) => text += &format!("Linux: not measured: {why}\n"),
            (None, None) => {}
        }
        text
    }
}

fn measure(args: &PathArgs) -> Result<Table, String> {
    check_cpus(&args.cpus).map_err(|cpu| cpu.to_string())?;
    let cpus = if args.cpus.is_empty() { usable_cpus() } else { args.cpus.clone() };
    let [nic, driver, ..] = cpus[..] else {
        return Err("two CPUs are needed, one for the NIC and one for the driver (--cpus)".into());
    };
    let scenario = scenario(args)?;
    let window = Duration::from_millis(args.window.max(100));
    let (mut without, mut ours, mut linux) = (None, Vec::new(), Vec::new());
    let kernel = match args.without_linux {
        true => None,
        false => linux::Path::new(&scenario, &args.filter, [nic, driver])
            .map_err(|why| without = Some(why))
            .ok(),
    };
    for _ in 0..args.rounds.max(1) {
        ours.push(our_rate(&scenario, [nic, driver], window)?);
        if let Some(kernel) = &kernel {
            linux.push(kernel.rate(window)?);
        }
    }
    let beside = Spread::of(&linux).zip(Spread::of_ratios(&ours, &linux));
    Ok(Table {
        rounds: args.rounds.max(1),
        size: args.size,
        filter: args.filter.clone(),
        ours: Spread::of(&ours).ok_or("no round")?,
        linux: beside.map(|(rate, ratio)| Linux { rate, ratio }),
        without,
    })
}

fn scenario(args: &PathArgs) -> Result<Scenario, String> {
    if !(60..=1514).contains(&args.size) {
        return Err(format!("--size {}: 60 to 1514 bytes", args.size));
    }
    // On the wire, FCS included.
    let size = args.size + 4;
    let text = format!(
        "[channels]\ncombined = 1\n[traffic]\nsource = 'generator'\nframes = 100000\nrate = 'line'\n\
         flows = 64\nsize = '{size}B'\n[ring]\nrx = 1024\n[[handle]]\nengine = 'packet-queue'\n\
         filter_engine = 'jit'\nfilter = \"{}\"\n",
        args.filter.escape_default()
    );
    let scenario = Scenario::parse(&text, "(path)", &[]);
    scenario.map(|scenario| scenario.resolved()).map_err(|error| error.to_string())
}

/// Time from the beginning of traffic to that of the measurement.
const RUN_UP: Duration = Duration::from_millis(300);

/// Frames per second that the tap was shown.
fn our_rate(scenario: &Scenario, cpus: [usize; 2], window: Duration) -> Result<f64, String> {
    let lasting = RUN_UP + window + RUN_UP;
    let choices = Choices { poll: Some(true), cpus: cpus.to_vec(), endless: Some(lasting) };
    let mut meter = Meter { window, begun: None, first: None, last: None };
    let outcome =
        threads::run(scenario, &choices, &mut meter).map_err(|error| error.to_string())?;
    outcome.account.check()?;
    if let Some(fault) = outcome.faults.first() {
        return Err(fault.clone());
    }
    match (meter.first, meter.last) {
        (Some((from, first)), Some((to, last))) => {
            Ok((last - first) as f64 / (to - from).as_secs_f64())
        }
        _ => Err("the window is longer than the run".into()),
    }
}

/// Looks at the account at the beginning and at the end of the window.
struct Meter {
    window: Duration,
    begun: Option<Instant>,
    first: Option<(Instant, u64)>,
    last: Option<(Instant, u64)>,
}

impl Watch for Meter {
    fn look(&mut self, snapshot: &dyn Fn() -> Account) {
        let now = Instant::now();
        let Some(begun) = self.begun else {
            if snapshot().indicated() > 0 {
                self.begun = Some(now);
            }
            return;
        };
        if self.first.is_none() && now >= begun + RUN_UP {
            self.first = Some((Instant::now(), snapshot().indicated()));
        } else if self.last.is_none()
            && self.first.is_some_and(|(from, _)| now >= from + self.window)
        {
            self.last = Some((Instant::now(), snapshot().indicated()));
        }
    }

    fn interrupted(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_was_not_measured() {
        let spread = Spread { median: 2e6, min: 1e6, max: 3e6 };
        let mut table = Table {
            rounds: 1,
            size: 60,
            filter: "udp".into(),
            ours: spread,
            linux: None,
            without: Some("no veth".into()),
        };
        assert!(table.text().ends_with("not measured: no veth\n"), "{}", table.text());
        table.linux =
            Some(Linux { rate: spread, ratio: Spread { median: 9.0, min: 8.0, max: 10.0 } });
        assert!(table.text().ends_with("9.00 (8.00)\n"), "{}", table.text());
    }
}
