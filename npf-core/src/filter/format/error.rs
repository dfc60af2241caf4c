//! What is wrong with a file that should be a program, and where.

use std::fmt;

use super::{Format, ProgramError};

/// Why a program could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatError {
    /// The form that it was read in, if it looked like one.
    pub format: Option<Format>,
    /// Where it goes wrong.
    pub place: Place,
    /// What is wrong there.
    pub what: FormatFault,
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In text: line and column, counting from 1; a column is one byte.
    Text {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// In a binary file: bytes before it.
    Byte(usize),
}

impl Place {
    /// Where a text starts.
    pub(super) const START: Self = Self::Text { line: 1, column: 1 };

    /// The place in a text that is `at` bytes from its start.
    pub(super) fn of(text: &[u8], at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Self::Text { line, column: 1 + before.len() - line_start }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormatFault {
    /// There is nothing but white space.
    Empty,
    /// It starts like none of the forms.
    NoProgram,
    /// Text with bytes that are no UTF-8.
    NotText,
    /// Something else was to stand here.
    Expected(&'static str),
    /// A number is missing or beyond its range.
    BadNumber {
        /// What the number is.
        field: &'static str,
        /// Its largest value.
        max: u32,
    },
    /// Instructions are numbered from 0 on, without gaps.
    WrongNumber {
        /// The number that was to come.
        expected: usize,
    },
    /// There is no such instruction.
    UnknownMnemonic,
    /// The instruction takes no such operand.
    BadOperand {
        /// An operand that it takes.
        example: &'static str,
    },
    /// A comparison goes further than 255 instructions, or back.
    BadTarget,
    /// It ends too early.
    TooFew {
        /// Instructions announced.
        announced: usize,
        /// Instructions found.
        found: usize,
    },
    /// There is more than was announced.
    TooMany {
        /// Instructions announced.
        announced: usize,
    },
    /// A savefile of another major version.
    Version {
        /// The version.
        major: u8,
    },
    /// The savefile ends within this.
    CutShort(&'static str),
    /// A note behind the savefile's program has another length than its kind has.
    NoteLength {
        /// Kind of the note.
        kind: u16,
        /// Its length.
        length: u16,
    },
    /// A note of this kind is there twice.
    NoteTwice {
        /// Kind of the note.
        kind: u16,
    },
    /// A note that should be text is none.
    NoteNotText {
        /// Kind of the note.
        kind: u16,
    },
    /// Bytes follow what marks the end of the savefile.
    AfterEnd,
    /// All can be read, but the program is not sound.
    Program(ProgramError),
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format {
            Some(format) => write!(f, "{format}, ")?,
            None => write!(f, "filter program, ")?,
        }
        match self.place {
            Place::Text { line, column } => write!(f, "line {line}, column {column}: ")?,
            Place::Byte(at) => write!(f, "byte {at}: ")?,
        }
        self.what.fmt(f)
    }
}

impl std::error::Error for FormatError {}

impl fmt::Display for FormatFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => {
                write!(f, "nothing there; give what `tcpdump -d`, `-dd` or `-ddd` prints")
            }
            Self::NoProgram => write!(
                f,
                "this is no program; give what `tcpdump -d`, `-dd` or `-ddd` prints, or a cBPF savefile"
            ),
            Self::NotText => write!(f, "this is not text (UTF-8); give the file as it was printed"),
            Self::Expected(what) => {
                write!(f, "expected {what}; correct or remove what stands here")
            }
            Self::BadNumber { field, max } => {
                write!(f, "expected {field}; give a number up to {max}")
            }
            Self::WrongNumber { expected } => write!(
                f,
                "expected instruction number ({expected:03}); give all instructions, in order"
            ),
            Self::UnknownMnemonic => {
                write!(f, "no such instruction; give the listing as `tcpdump -d` prints it")
            }
            Self::BadOperand { example } => {
                write!(f, "the instruction takes no such operand; give one like `{example}`")
            }
            Self::BadTarget => write!(
                f,
                "a comparison skips 0 to 255 instructions; let it go to one of those that follow"
            ),
            Self::TooFew { announced, found } => {
                write!(f, "the end after {found} of {announced} instructions; copy all of it")
            }
            Self::TooMany { announced } => write!(
                f,
                "more than the {announced} instructions announced; remove them or correct the number"
            ),
            Self::Version { major } => {
                write!(f, "version {major} is not known; write the file in version 1")
            }
            Self::CutShort(what) => write!(f, "the file ends within {what}; copy all of it"),
            Self::NoteLength { kind, length } => {
                write!(f, "note {kind} cannot be {length} bytes long; write the file again")
            }
            Self::NoteTwice { kind } => {
                write!(f, "note {kind} is there twice; keep one of them")
            }
            Self::NoteNotText { kind } => {
                write!(f, "note {kind} is not text; write the file again")
            }
            Self::AfterEnd => write!(f, "bytes follow the end; remove them"),
            Self::Program(error) => error.fmt(f),
        }
    }
}
