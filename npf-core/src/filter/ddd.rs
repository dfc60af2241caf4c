//! Reads the text that `tcpdump -ddd` prints.
//!
//! Contract: a line with the number of instructions, then that many lines of four decimal numbers
//! `code jt jf k`. Blank lines and white space around numbers are ignored. A negative k is read as
//! its 32 bits. Anything else is an error that names the line, counting from 1.

use std::fmt;

use super::{Dialect, Instruction, Program, ProgramError};

/// Most instructions that are read.
const MAX_INSTRUCTIONS: usize = Dialect::Libpcap.max_instructions();

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DddError {
    /// The line, counting from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: DddFault,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DddFault {
    /// There is no line with anything in it.
    Empty,
    /// The first line is not one number of instructions between 1 and 4096.
    BadCount,
    /// The line does not have exactly four fields.
    WrongFields {
        /// How many it has.
        found: usize,
    },
    /// A field is not a decimal number in its range.
    BadNumber {
        /// `code`, `jt`, `jf` or `k`.
        field: &'static str,
    },
    /// The text ends too early.
    TooFew {
        /// Instructions announced.
        announced: usize,
        /// Instructions found.
        found: usize,
    },
    /// There are more lines than announced.
    TooMany {
        /// Instructions announced.
        announced: usize,
    },
    /// The line can be read, but the program is not sound there.
    Program(ProgramError),
}

impl fmt::Display for DddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter text line {}: ", self.line)?;
        match &self.what {
            DddFault::Empty => write!(f, "nothing there; give the output of `tcpdump -ddd`"),
            DddFault::BadCount => write!(
                f,
                "expected the number of instructions, 1 to {MAX_INSTRUCTIONS}, alone on the line \
                 (use `tcpdump -ddd`, not `-d` or `-dd`)"
            ),
            DddFault::WrongFields { found } => write!(
                f,
                "expected four numbers `code jt jf k`, found {found} fields; \
                 use `tcpdump -ddd`, not `-d` or `-dd`"
            ),
            DddFault::BadNumber { field } => write!(
                f,
                "`{field}` is not a decimal number in its range (code 0..65535, jt and jf 0..255, \
                 k 0..4294967295); use `tcpdump -ddd`, not `-d` or `-dd`"
            ),
            DddFault::TooFew { announced, found } => {
                write!(f, "the text ends after {found} of {announced} instructions; copy all of it")
            }
            DddFault::TooMany { announced } => write!(
                f,
                "more lines than the {announced} instructions announced; remove them or correct \
                 the first line"
            ),
            DddFault::Program(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DddError {}

/// Reads and validates a program.
pub(super) fn parse(text: &str) -> Result<Program, DddError> {
    let numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    let mut lines = numbered.filter(|(_, line)| !line.trim().is_empty());
    let (mut last, first) = lines.next().ok_or(DddError { line: 1, what: DddFault::Empty })?;
    let announced = match first.trim().parse() {
        Ok(count @ 1..=MAX_INSTRUCTIONS) => count,
        _ => return Err(DddError { line: last, what: DddFault::BadCount }),
    };

    let mut instructions = Vec::with_capacity(announced);
    let mut places = Vec::with_capacity(announced);
    for (line, fields) in lines {
        last = line;
        if instructions.len() == announced {
            return Err(DddError { line, what: DddFault::TooMany { announced } });
        }
        instructions.push(instruction(fields).map_err(|what| DddError { line, what })?);
        places.push(line);
    }
    let found = instructions.len();
    if found < announced {
        return Err(DddError { line: last, what: DddFault::TooFew { announced, found } });
    }
    Program::new(instructions).map_err(|error: ProgramError| DddError {
        line: places[error.at],
        what: DddFault::Program(error),
    })
}

fn instruction(line: &str) -> Result<Instruction, DddFault> {
    let found = line.split_whitespace().count();
    let mut fields = line.split_whitespace();
    let (Some(code), Some(jt), Some(jf), Some(k), None) =
        (fields.next(), fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(DddFault::WrongFields { found });
    };
    let bad = |field| DddFault::BadNumber { field };
    Ok(Instruction {
        code: code.parse().map_err(|_| bad("code"))?,
        jt: jt.parse().map_err(|_| bad("jt"))?,
        jf: jf.parse().map_err(|_| bad("jf"))?,
        k: operand(k).ok_or(bad("k"))?,
    })
}

/// Some printers write k as a signed number.
fn operand(text: &str) -> Option<u32> {
    text.parse().ok().or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned))
}
