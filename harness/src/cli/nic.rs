//! `rxlab nic`: the device as a daemon, and `rxlab nic ctl`, which talks to it.

use super::ScenarioArgs;
use super::scenario::{Failure, load_or};
use crate::exit::Exit;
use crate::nic::build::{self, Choices, parse_source};
use crate::nic::daemon::{self, Sockets};
use crate::nic::port::Begin;
use crate::nic::tally::Tally;
use crate::output::stdout;
use crate::real_time::check_cpus;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// What to serve, and where.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct NicArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Listen for a vhost-user front-end here.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Listen for commands here (see `rxlab nic ctl`).
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Scenario file (TOML): device and traffic. Only the features it asks for are offered.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Where frames come from: generator (the scenario's traffic), endless (its first frames over and over,
    /// as fast as they are taken, which implies --poll), none, pcap:FILE, tap:NAME, packet:IFNAME.
    #[arg(long, value_name = "SOURCE", default_value = "generator")]
    source: String,
    /// Queue pairs.
    #[arg(long, value_name = "N")]
    queues: Option<u16>,
    /// Seed of every random stream.
    #[arg(long, value_name = "N")]
    seed: Option<String>,
    /// Override one value of the scenario; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Never sleep: look at the rings all the time, and ask the driver for no notification.
    #[arg(long)]
    poll: bool,
    /// The traffic begins with `rxlab nic ctl go`, not when a driver is ready.
    #[arg(long)]
    hold: bool,
    /// CPUs for the queue pairs' threads, in turn, as in 0,1.
    #[arg(long, value_name = "CPU,CPU,...", value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Print the account as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Action {
    /// Give a running daemon one command, and print its answer.
    Ctl(CtlArgs),
}

/// Which daemon, and what it is to do.
#[derive(Args)]
struct CtlArgs {
    /// The daemon's control socket.
    #[arg(long, value_name = "PATH")]
    control: PathBuf,
    #[command(subcommand)]
    command: Ctl,
}

#[derive(Subcommand)]
enum Ctl {
    /// The account, by queue and in total.
    Stats,
    /// Begin the traffic of a daemon that holds it.
    Go,
    /// Put the cable in, or pull it out.
    Link {
        /// Which.
        #[arg(value_parser = ["up", "down"])]
        state: String,
    },
    /// Set receive-side scaling, which front-ends keep to themselves.
    Rss {
        /// Hash key: 40 bytes in hexadecimal.
        #[arg(long)]
        key: Option<String>,
        /// Indirection table: queues, separated by commas.
        #[arg(long, value_delimiter = ',')]
        table: Option<Vec<u16>>,
    },
    /// Make the device do something wrong (`rxlab faults` says what there is).
    Fault {
        /// Kind of fault.
        kind: String,
        /// Queue pair.
        #[arg(long, default_value_t = 0)]
        lane: u16,
        /// How much of it, for kinds that have an amount.
        #[arg(long)]
        amount: Option<u64>,
        /// End one that lasts.
        #[arg(long)]
        off: bool,
    },
    /// End the daemon.
    Stop,
}

/// The scenario of a daemon that was given none: one queue pair, and a frame of 64 bytes every 10 us.
const PLAIN: &str = "[traffic]\nsource = \"generator\"\nframes = 1000000\nrate = \"100kpps\"\nsize = \"64B\"\n\
                     [channels]\ncombined = 1\n";

/// Serves, or talks to who does.
pub(super) fn nic(args: &NicArgs) -> Exit {
    let done = match &args.action {
        Some(Action::Ctl(args)) => ctl(args),
        None => serve(args),
    };
    done.unwrap_or_else(Failure::tell)
}

fn serve(args: &NicArgs) -> Result<Exit, Failure> {
    let Some(socket) = &args.socket else {
        return Err(Failure::Usage(
            "rxlab nic needs --socket PATH, where a front-end connects".into(),
        ));
    };
    check_cpus(&args.cpus).map_err(|cpu| Failure::Usage(cpu.to_string()))?;
    let (from, pcap) =
        parse_source(&args.source).map_err(|why| Failure::Usage(format!("--source {why}")))?;
    let mut set = args.set.clone();
    set.extend(args.queues.map(|queues| format!("channels.combined={queues}")));
    let which = ScenarioArgs {
        scenario: args.scenario.clone(),
        pcap: pcap.map(PathBuf::from),
        filter: None,
        seed: args.seed.clone(),
        set,
    };
    let scenario = load_or(&which, None, None, PLAIN)?;
    let choices = Choices {
        from,
        features_of_scenario: args.scenario.is_some(),
        poll: args.poll,
        cpus: args.cpus.clone(),
    };
    let (offer, mut port) =
        build::build(&scenario, &choices).map_err(|error| Failure::Usage(error.to_string()))?;
    if args.hold {
        port.begin = Begin::Command;
    }
    let sockets = Sockets { vhost_user: socket.clone(), control: args.control.clone() };
    eprintln!(
        "rxlab nic: {} queue pair{} at {}; Ctrl-C ends it, SIGUSR1 prints the account",
        offer.pairs,
        if offer.pairs == 1 { "" } else { "s" },
        socket.display()
    );
    let as_json = args.json;
    let print = move |tallies: &[Tally]| {
        // Who has closed stdout does not want to know.
        let _ = stdout::print(&account(tallies, as_json));
    };
    let tallies = daemon::run(&sockets, offer, port, print)
        .map_err(|error| Failure::Output(error.to_string()))?;
    stdout::print(&account(&tallies, as_json))
        .map_err(|error| Failure::Output(error.to_string()))?;
    let whole = tallies.iter().all(Tally::adds_up);
    Ok(if whole { Exit::Ok } else { Exit::AccountBroken })
}

fn account(tallies: &[Tally], as_json: bool) -> String {
    let total = Tally::sum(tallies);
    if as_json {
        let lanes: Vec<Value> = tallies.iter().map(Tally::json).collect();
        return format!("{}\n", json!({ "total": total.json(), "lanes": lanes }));
    }
    let mut text = String::new();
    for (lane, tally) in tallies.iter().enumerate() {
        text += &tally.line(&format!("queue {lane}"));
    }
    text + &total.line("total")
}

fn ctl(args: &CtlArgs) -> Result<Exit, Failure> {
    let command = match &args.command {
        Ctl::Stats => json!({ "command": "stats" }),
        Ctl::Go => json!({ "command": "go" }),
        Ctl::Link { state } => json!({ "command": "link", "up": state == "up" }),
        Ctl::Rss { key, table } => json!({ "command": "rss", "key": key, "table": table }),
        Ctl::Fault { kind, lane, amount, off } => {
            json!({ "command": "fault", "kind": kind, "lane": lane, "amount": amount, "on": !off })
        }
        Ctl::Stop => json!({ "command": "stop" }),
    };
    let path = args.control.display();
    let failed = |error: std::io::Error| {
        Failure::Output(format!(
            "{path}: {error}; is it the control socket of a running rxlab nic?"
        ))
    };
    let mut stream = UnixStream::connect(&args.control).map_err(failed)?;
    writeln!(stream, "{command}").map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(failed)?;
    stdout::print(&answer).map_err(|error| Failure::Output(error.to_string()))?;
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    Ok(if answer["ok"] == true { Exit::Ok } else { Exit::Usage })
}
