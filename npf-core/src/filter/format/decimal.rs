//! The text of `tcpdump -ddd`.
//!
//! Contract: a line with the number of instructions, then that many lines of four numbers `code jt jf
//! k`. Blank lines and white space around numbers are ignored. A negative k is read as its 32 bits.

use std::fmt::Write as _;

use super::cursor::{Cursor, Fault};
use super::{FormatFault, Instruction, Lines};

/// Reads the text.
pub(super) fn read(text: &str) -> Result<Lines, Fault> {
    let mut cursor = Cursor::new(text);
    cursor.skip_white();
    let start = cursor.place();
    let announced = cursor.number("the number of instructions", u16::MAX.into())? as usize;
    end_line(&mut cursor, "nothing behind the number of instructions")?;

    let (mut instructions, mut places) = (Vec::new(), Vec::new());
    cursor.skip_white();
    while !cursor.rest().is_empty() {
        if instructions.len() == announced {
            return cursor.fault(FormatFault::TooMany { announced });
        }
        places.push(cursor.place());
        instructions.push(instruction(&mut cursor)?);
        cursor.skip_white();
    }
    let found = instructions.len();
    if found < announced {
        return cursor.fault(FormatFault::TooFew { announced, found });
    }
    if places.is_empty() {
        places.push(start);
    }
    Ok((instructions, places))
}

fn instruction(cursor: &mut Cursor<'_>) -> Result<Instruction, Fault> {
    let code = cursor.number("the code", u16::MAX.into())? as u16;
    cursor.skip_blanks();
    let jt = cursor.number("jt", u8::MAX.into())? as u8;
    cursor.skip_blanks();
    let jf = cursor.number("jf", u8::MAX.into())? as u8;
    cursor.skip_blanks();
    let k = cursor.number("k", u32::MAX)?;
    end_line(cursor, "four numbers `code jt jf k` in a line")?;
    Ok(Instruction { code, jt, jf, k })
}

fn end_line(cursor: &mut Cursor<'_>, name: &'static str) -> Result<(), Fault> {
    cursor.skip_blanks();
    if cursor.is_line_end() { Ok(()) } else { cursor.fault(FormatFault::Expected(name)) }
}

/// Writes the text.
pub(super) fn write(instructions: &[Instruction]) -> String {
    let mut text = format!("{}\n", instructions.len());
    for Instruction { code, jt, jf, k } in instructions {
        let _ = writeln!(text, "{code} {jt} {jf} {k}");
    }
    text
}
