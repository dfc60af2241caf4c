//! The command line: data goes to stdout, talk to stderr, and the exit code says how it ended.

mod bench;
mod capture;
mod compare;
mod driver;
mod faults;
mod filter;
mod nic;
mod reasons;
mod run;
mod scenario;
mod threads;
mod vm;
mod watch;

use crate::exit::{self, Exit};
use crate::output::stdout;
use clap::{Args, Parser, Subcommand, ValueEnum};
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
    /// Play a scenario through several capture engines, with the same frames at the same picoseconds,
    /// and set the results side by side.
    ///
    /// Without --engine the scenario's own list is taken, or else every engine.
    Compare(CompareArgs),
    /// Read one handle of a scenario as tcpdump reads an interface: a line for each packet, or a
    /// savefile.
    ///
    /// The program is written with the capture API of npf-core. The scenario's own reader of the handle
    /// stays away; its rhythm and costs are the program's. Without SCENARIO as with `run`.
    Capture(CaptureArgs),
    /// List every reason for which a frame can be dropped: its rule, its unit, its names elsewhere.
    Reasons,
    /// List every kind of fault that a scenario can ask for: what it does, its keys, who must notice it.
    Faults,
    /// Drive a NIC in another process over vhost-user, with handles and readers behind the driver.
    Driver(driver::DriverArgs),
    /// Serve the device over vhost-user: to QEMU, DPDK, or `rxlab driver`.
    Nic(nic::NicArgs),
    /// Play a scenario in a guest of QEMU, behind PCI and interrupts.
    Vm(vm::VmArgs),
    /// Show a filter program, run it on frames, or check the filter engines against each other.
    Filter(filter::FilterArgs),
    /// Measure rxlab itself.
    #[command(subcommand)]
    Bench(BenchCommand),
}

/// Which scenario, and what is different about it this time.
#[derive(Args, Clone, Default)]
struct ScenarioArgs {
    /// Scenario file (TOML).
    scenario: Option<PathBuf>,
    /// Offer the frames of this capture file (pcap or pcapng) instead of the scenario's traffic.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Filter for every handle: an expression, or @FILE with a program as `rxlab filter` takes it.
    #[arg(long, value_name = "EXPR|@FILE")]
    filter: Option<String>,
    /// Seed of every random stream, decimal or 0x hexadecimal.
    #[arg(long, value_name = "N")]
    seed: Option<String>,
    /// Override one value of the scenario, as in --set ring.rx=512; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// What to compare.
#[derive(Args, Clone, Default)]
struct CompareArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Engines, separated by commas.
    #[arg(long, value_name = "NAME,NAME,...", value_delimiter = ',')]
    engine: Vec<String>,
    /// Repeat the comparison for each value of one key, as in --vary handle.0.kernel_buffer=250kB,1MB.
    #[arg(long, value_name = "KEY=V1,V2,...")]
    vary: Option<String>,
    /// Print the results as JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// Draw the loss of each engine against the varied key.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

/// What can be traced.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Trace {
    /// Descriptor table, available and used ring of each virtqueue, and who owns what.
    Rings,
    /// What the NIC does and what the driver's side does, in two columns.
    Sides,
}

/// Where a scenario is played.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum World {
    /// Under a virtual clock: exact, and the same bytes each time.
    #[default]
    Embedded,
    /// In threads, by the wall clock: as fast as this machine does it.
    Threads,
}

/// What to run and what to write.
#[derive(Args, Clone, Default)]
struct RunArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Where the scenario is played.
    #[arg(long, value_name = "WORLD", default_value = "embedded")]
    world: World,
    /// Threads of NIC and driver never sleep (with --world threads; so they do anyway if each has a CPU).
    #[arg(long)]
    poll: bool,
    /// CPUs for the threads of NIC and driver, in turn, as in 0,1 (with --world threads).
    #[arg(long, value_name = "CPU,CPU,...", value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Capture engine for every handle.
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// Write result.json, events.ndjson and capture.pcapng to this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print result.json to stdout instead of the report.
    #[arg(long)]
    json: bool,
    /// Before the report draw every virtqueue after each step that has changed it, or tell each event of a frame's
    /// way.
    #[arg(long, value_name = "WHAT")]
    trace: Option<Trace>,
    /// How many pictures a trace draws, or lines it tells.
    #[arg(long, value_name = "N", default_value_t = crate::trace::PICTURES, requires = "trace")]
    pictures: u64,
    /// Leave the wall-clock time out of result.json, so that all outputs of two runs are equal.
    #[arg(long)]
    no_wall: bool,
}

/// What to capture.
#[derive(Args, Clone, Default)]
struct CaptureArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Capture engine for every handle.
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// The handle to read, by name or number; the first one unless it is given.
    #[arg(long, value_name = "NAME|N")]
    handle: Option<String>,
    /// Stop after so many packets; the run ends there.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    count: Option<i32>,
    /// Write the packets to a savefile instead (pcap, microseconds); `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Bytes kept of each packet, instead of the scenario's.
    #[arg(short, long, value_name = "BYTES")]
    snaplen: Option<u32>,
    /// Each packet wakes the program.
    #[arg(long)]
    immediate_mode: bool,
}

#[derive(Subcommand)]
enum BenchCommand {
    /// Frames simulated per second, memory, and cost per frame by number of queues.
    Sim(bench::SimArgs),
    /// Nanoseconds per frame of a filter: machine code, interpreter, libpcap's, plain Rust.
    Filter(bench::FilterArgs),
    /// Nanoseconds per frame stored and read, by capture engine and number of threads, beside a plain
    /// copy; memory per queued frame.
    Engine(bench::EngineArgs),
    /// Nanoseconds per frame of a virtqueue: the device's rings, beside `virtio-queue`, and the driver's.
    Ring(bench::RingArgs),
    /// Frames per second from the wire to the reader, beside tcpreplay, veth and tcpdump.
    Path(bench::PathArgs),
    /// Frames per second over vhost-user, our NIC and our driver beside DPDK's.
    VhostUser(bench::VhostUserArgs),
    /// A guest's boot, and frames per second through it: our driver over VFIO beside Linux's.
    Vm(Box<bench::VmArgs>),
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
    match cli.command.unwrap_or_else(|| Command::Compare(CompareArgs::default())) {
        Command::Run(args) => run::run(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Capture(args) => capture::capture(&args),
        Command::Reasons => reasons::reasons(),
        Command::Faults => faults::faults(),
        Command::Driver(args) => driver::driver(&args),
        Command::Nic(args) => nic::nic(&args),
        Command::Vm(args) => vm::vm(&args),
        Command::Filter(args) => filter::filter(&args),
        Command::Bench(BenchCommand::Sim(args)) => bench::sim(&args),
        Command::Bench(BenchCommand::Filter(args)) => bench::filter(&args),
        Command::Bench(BenchCommand::Engine(args)) => bench::engine(&args),
        Command::Bench(BenchCommand::Ring(args)) => bench::ring(&args),
        Command::Bench(BenchCommand::Path(args)) => bench::path(&args),
        Command::Bench(BenchCommand::VhostUser(args)) => bench::vhost_user(&args),
        Command::Bench(BenchCommand::Vm(args)) => bench::vm(&args),
    }
}

/// Prints what a command has made, and says how that ended.
fn print(made: Result<String, String>) -> Exit {
    match made.and_then(|text| stdout::print(&text)) {
        Ok(()) => Exit::Ok,
        Err(what) => scenario::Failure::Output(what).tell(),
    }
}

fn after_help() -> String {
    format!(
        "Examples:\n  \
         rxlab                                        the built-in comparison\n  \
         rxlab run scenarios/slow-reader.toml --out out   its account, events and capture\n  \
         rxlab run --pcap file.pcap --filter 'udp port 53'\n  \
         rxlab run scenarios/small-ring.toml --set ring.rx=512 --seed 7\n  \
         rxlab capture scenarios/small-ring.toml -c 10 --filter udp\n  \
         rxlab compare scenarios/slow-reader.toml --engine ring,store-hold \
         --vary handle.0.kernel_buffer=250kB,500kB,1MB\n\n\
         Exit codes:\n{}",
        exit::table()
    )
}
