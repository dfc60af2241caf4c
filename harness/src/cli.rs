//! The command line: data goes to stdout, talk to stderr, and the exit code says how it ended.

mod bench;
mod reasons;
mod run;
mod watch;

use crate::exit::{self, Exit};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// A laboratory for the packet receive path: NIC, driver, tap, filter, capture buffer, reader.
#[derive(Parser)]
#[command(name = "rxlab", version, after_help = after_help())]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Play a scenario in virtual time and account for every frame.
    ///
    /// Without SCENARIO the built-in one is played; with --pcap and without SCENARIO, a plain
    /// laboratory with every default and a fast reader.
    Run(RunArgs),
    /// List every reason for which a frame can be dropped: its rule, its unit, its names elsewhere.
    Reasons,
    /// Measure rxlab itself.
    #[command(subcommand)]
    Bench(BenchCommand),
}

/// What to run and what to write.
#[derive(Args, Clone, Default)]
struct RunArgs {
    /// Scenario file (TOML).
    scenario: Option<PathBuf>,
    /// Offer the frames of this capture file (pcap or pcapng) instead of the scenario's traffic.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Filter for every handle: an expression, or @FILE with a program from `tcpdump -ddd`.
    #[arg(long, value_name = "EXPR|@FILE")]
    filter: Option<String>,
    /// Capture engine for every handle.
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// Seed of every random stream, decimal or 0x hexadecimal.
    #[arg(long, value_name = "N")]
    seed: Option<String>,
    /// Override one value of the scenario, as in --set ring.rx=512; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Write result.json, events.ndjson and capture.pcapng to this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print result.json to stdout instead of the report.
    #[arg(long)]
    json: bool,
    /// Leave the wall-clock time out of result.json, so that all outputs of two runs are equal.
    #[arg(long)]
    no_wall: bool,
}

#[derive(Subcommand)]
enum BenchCommand {
    /// Frames simulated per second, memory, and cost per frame by number of queues.
    Sim(bench::SimArgs),
}

/// Runs the program.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap prints each to the right stream.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            let _ = error.print();
            return exit;
        }
    };
    match cli.command.unwrap_or_else(|| Command::Run(RunArgs::default())) {
        Command::Run(args) => run::run(&args),
        Command::Reasons => reasons::reasons(),
        Command::Bench(BenchCommand::Sim(args)) => bench::sim(&args),
    }
}

fn after_help() -> String {
    format!(
        "Examples:\n  \
         rxlab                                        the built-in scenario\n  \
         rxlab run scenarios/slow-reader.toml --out out   its account, events and capture\n  \
         rxlab run --pcap file.pcap --filter 'udp port 53'\n  \
         rxlab run scenarios/small-ring.toml --set ring.rx=512 --seed 7\n\n\
         Exit codes:\n{}",
        exit::table()
    )
}
