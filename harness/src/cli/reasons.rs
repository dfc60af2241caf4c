//! `rxlab reasons`: every reason for which a frame can be dropped, from the enums themselves.

use crate::account::Reason;
use crate::exit::Exit;

/// Prints the table.
pub(super) fn reasons() -> Exit {
    let mut text = String::new();
    for reason in Reason::all() {
        let component = match reason {
            Reason::Nic(_) => "nic",
            Reason::Driver(_) => "driver",
            Reason::Npf(_) => "npf",
        };
        let (name, unit, rule) = (reason.name(), reason.unit(), reason.describe());
        text += &format!("{name} ({component}, numbers in {unit})\n  {rule}\n");
        if !reason.peers().is_empty() {
            text += &format!("  elsewhere: {}\n", reason.peers());
        }
    }
    super::print(Ok(text))
}
