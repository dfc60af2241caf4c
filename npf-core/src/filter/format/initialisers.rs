//! The C initialisers of `tcpdump -dd`.
//!
//! Contract: `{ code, jt, jf, k }` for each instruction, with a comma between two and, if one likes,
//! behind the last; white space and line ends are free. Numbers are decimal, or hexadecimal after 0x.

use std::fmt::Write as _;

use super::cursor::{Cursor, Fault};
use super::{FormatFault, Instruction, Lines};

/// Reads the text.
pub(super) fn read(text: &str) -> Result<Lines, Fault> {
    let mut cursor = Cursor::new(text);
    let (mut instructions, mut places) = (Vec::new(), Vec::new());
    cursor.skip_white();
    loop {
        places.push(cursor.place());
        instructions.push(instruction(&mut cursor)?);
        cursor.skip_white();
        let comma = cursor.accept(",");
        cursor.skip_white();
        if cursor.rest().is_empty() {
            return Ok((instructions, places));
        }
        if !comma {
            return cursor.fault(FormatFault::Expected("`,` between two instructions"));
        }
    }
}

fn instruction(cursor: &mut Cursor<'_>) -> Result<Instruction, Fault> {
    cursor.expect("{", "`{ code, jt, jf, k }`")?;
    cursor.skip_white();
    let code = cursor.number("the code", u16::MAX.into())? as u16;
    comma(cursor)?;
    let jt = cursor.number("jt", u8::MAX.into())? as u8;
    comma(cursor)?;
    let jf = cursor.number("jf", u8::MAX.into())? as u8;
    comma(cursor)?;
    let k = cursor.number("k", u32::MAX)?;
    cursor.skip_white();
    cursor.expect("}", "`}` behind four numbers")?;
    Ok(Instruction { code, jt, jf, k })
}

fn comma(cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    cursor.skip_white();
    cursor.expect(",", "`,` and four numbers `code, jt, jf, k`")?;
    cursor.skip_white();
    Ok(())
}

/// Writes the text as libpcap does.
pub(super) fn write(instructions: &[Instruction]) -> String {
    let mut text = String::new();
    for Instruction { code, jt, jf, k } in instructions {
        let _ = writeln!(text, "{{ {code:#x}, {jt}, {jf}, {k:#010x} }},");
    }
    text
}
