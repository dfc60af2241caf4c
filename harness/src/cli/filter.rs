//! `rxlab filter`: what a filter program is, what it says about frames, and whether all engines agree.

mod agreement;
mod lengths;
mod numbers;
mod program;

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use npf_core::filter::format::Format;
use npf_core::filter::{Dialect, Filter, Instruction, Program};

use super::scenario::Failure;
use crate::exit::Exit;
use crate::filter;

/// Which program, and what to do with it.
#[derive(Args, Clone, Default)]
pub(super) struct FilterArgs {
    /// Expression, or @FILE with a program from `tcpdump -d`, `-dd`, `-ddd` or a cBPF savefile; @- is
    /// standard input.
    #[arg(value_name = "EXPR|@FILE", required_unless_present_any = ["program", "check"])]
    filter: Option<String>,
    /// The program as hexadecimal digits: for each instruction 2 bytes code, 1 jt, 1 jf, 4 k,
    /// big-endian, as in a cBPF savefile.
    #[arg(long, value_name = "HEX", conflicts_with = "filter")]
    program: Option<String>,
    /// Run it on each frame of a capture file (pcap or pcapng) and print what it returns, bytes to keep
    /// or 0, one line per frame. It may be more than the frame has.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Run it on this frame, given as hexadecimal digits; may be repeated.
    #[arg(long, value_name = "HEX", conflicts_with = "pcap")]
    frame: Vec<String>,
    /// Length that --frame had on the wire, if more than is given of it.
    #[arg(long, value_name = "BYTES", requires = "frame")]
    wire_length: Option<u32>,
    /// What else is known of each frame, for extension loads: proto, type, ifidx, mark, queue, hatype,
    /// rxhash, cpu, vlan_tci, vlan_tpid, poff, random, network. Protocol and type are otherwise those
    /// of its Ethernet header.
    #[arg(long, value_name = "NAME=NUMBER,...", value_delimiter = ',')]
    ancillary: Vec<String>,
    /// What runs the program.
    #[arg(long, value_enum, default_value_t)]
    engine: Engine,
    /// By whose rules it is read and run [default: libpcap; with --check, all in turn].
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Dialect::ALL.map(Dialect::name)))]
    dialect: Option<String>,
    /// Bytes that a compiled expression keeps of a frame.
    #[arg(long, value_name = "BYTES", default_value_t = 262_144)]
    snaplen: u32,
    /// Print the program as `tcpdump -d` does, before the lengths; without frames that is what
    /// happens anyway.
    #[arg(long, conflicts_with = "format")]
    disassemble: bool,
    /// Write the program to standard output in another form instead.
    #[arg(long, value_name = "FORM", conflicts_with_all = ["pcap", "frame", "json"],
          value_parser = PossibleValuesParser::new(Format::ALL.map(Format::name)))]
    format: Option<String>,
    /// Print JSON: the program as one object, or an object per line and frame.
    #[arg(long)]
    json: bool,
    /// Compare the engines and libpcap on N random programs, and say how long each took.
    #[arg(long, value_name = "N",
          conflicts_with_all = ["filter", "program", "pcap", "frame", "ancillary", "format", "disassemble"])]
    check: Option<u64>,
    /// Seed of the first random program, decimal or 0x hexadecimal; each next one's is one more.
    #[arg(long, value_name = "N", requires = "check")]
    seed: Option<String>,
}

/// What runs a program.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// Machine code; the interpreter, with a notice, where there is none for the program.
    #[default]
    Jit,
    /// The reference interpreter.
    Interpreter,
}

/// Does what `args` ask for.
pub(super) fn filter(args: &FilterArgs) -> Exit {
    let done = match args.check {
        Some(programs) => agreement::check(args, programs),
        None => show_or_run(args),
    };
    done.unwrap_or_else(Failure::tell)
}

fn show_or_run(args: &FilterArgs) -> Result<Exit, Failure> {
    let program = load(args)?;
    let runs = args.pcap.is_some() || !args.frame.is_empty();
    if !runs {
        return program::show(args, &program);
    }
    let filter = engine(args.engine, program);
    if args.disassemble {
        program::show(args, filter.program())?;
    }
    lengths::run(args, &filter)
}

/// The program in the engine that was asked for; says so if it cannot have it.
fn engine(engine: Engine, program: Program) -> Filter {
    if engine == Engine::Interpreter {
        return Filter::interpreted(program);
    }
    let filter = Filter::compiled(program);
    if let Some(notice) = filter.notice() {
        eprintln!("rxlab: the interpreter runs this program: {notice}");
    }
    filter
}

fn dialect(args: &FilterArgs) -> Option<Dialect> {
    args.dialect.as_deref().and_then(Dialect::from_name)
}

fn load(args: &FilterArgs) -> Result<Program, Failure> {
    let dialect = dialect(args).unwrap_or_default();
    let usage = |what: String| Failure::Usage(what);
    if let Some(filter) = &args.filter {
        return filter::load(filter, args.snaplen, dialect)
            .map_err(|error| usage(error.to_string()));
    }
    let hex = args.program.as_deref().unwrap_or_default();
    let bytes = numbers::hex(hex).map_err(|what| usage(format!("--program: {what}")))?;
    let (instructions, []) = bytes.as_chunks::<8>() else {
        let what = "--program: an instruction is 8 bytes, 16 digits: code, jt, jf, k";
        return Err(usage(format!("{what}; {} bytes are no whole number of them", bytes.len())));
    };
    let instructions: Vec<Instruction> = instructions.iter().map(filter::of_bytes).collect();
    Program::with_dialect(instructions, dialect)
        .map_err(|error| usage(format!("--program: {error}")))
}
