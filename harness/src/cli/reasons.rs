//! `rxlab reasons`: every reason for which a frame can be dropped, from the enums themselves.

use crate::account::Reason;
use crate::exit::Exit;
use std::io::Write as _;

/// Prints the table.
pub(super) fn reasons() -> Exit {
    let mut text = String::new();
    for reason in Reason::all() {
        let component = match reason {
            Reason::Nic(_) => "nic",
            Reason::Driver(_) => "driver",
            Reason::Npf(_) => "npf",
        };
        text += &format!(
            "{} ({component}, numbers in {})\n  {}\n  elsewhere: {}\n",
            reason.name(),
            reason.unit(),
            reason.describe(),
            reason.peers()
        );
    }
    // A closed pipe (`| head`) is the reader's choice, not an error.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Exit::Ok
}
