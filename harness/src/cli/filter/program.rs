//! Prints a program: the listing, another form, or JSON.

use std::io::{IsTerminal as _, stdout};

use npf_core::filter::format::{self, Format, LINKTYPE_ETHERNET, MOD_AND_XOR, Savefile};
use npf_core::filter::{Dialect, Program};
use serde_json::{Value, json};

use super::{Failure, FilterArgs};
use crate::exit::Exit;
use crate::output::stdout as out;

/// Prints `program` as `args` ask for.
pub(super) fn show(args: &FilterArgs, program: &Program) -> Result<Exit, Failure> {
    let format = args.format.as_deref().and_then(Format::from_name).unwrap_or(Format::Listing);
    let written = if args.json {
        out::print(&format!("{}\n", as_json(program)))
    } else if let Some(text) = format::write_text(format, program.instructions()) {
        out::print(&text)
    } else {
        out::write(&savefile(args, program)?)
    };
    written.map_err(Failure::Output)?;
    Ok(Exit::Ok)
}

fn savefile(args: &FilterArgs, program: &Program) -> Result<Vec<u8>, Failure> {
    if stdout().is_terminal() {
        let what = "a savefile is binary: send it to a file with > FILE";
        return Err(Failure::Usage(what.to_owned()));
    }
    let expression = args.filter.as_ref().filter(|filter| !filter.starts_with('@'));
    let file = Savefile {
        flags: if program.dialect() == Dialect::WinPcap { 0 } else { MOD_AND_XOR },
        snaplen: args.snaplen,
        link_type: LINKTYPE_ETHERNET,
        instructions: program.instructions().to_vec(),
        expression: expression.cloned(),
        comment: Some(concat!("rxlab ", env!("CARGO_PKG_VERSION")).to_owned()),
    };
    let too_long = "the expression is longer than the 65535 bytes that a savefile can hold";
    file.write().ok_or_else(|| Failure::Usage(too_long.to_owned()))
}

fn as_json(program: &Program) -> Value {
    let listing = format::write_text(Format::Listing, program.instructions()).unwrap_or_default();
    let instructions = program.instructions().iter().zip(listing.lines()).map(|(i, text)| {
        // Without its number, which the place in the list says.
        let text = text.split_once(") ").map_or(text, |(_, text)| text).trim_end();
        json!({ "code": i.code, "jt": i.jt, "jf": i.jf, "k": i.k, "text": text })
    });
    json!({
        "dialect": program.dialect().name(),
        "instructions": instructions.collect::<Vec<_>>(),
    })
}
