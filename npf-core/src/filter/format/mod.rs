//! Programs as files: the four forms that others write, read and written.
//!
//! Contract: every form is read as it is written and back: what [`write_text`] made, [`read`] gives again
//! (the listing knows no operand of an instruction that has none, so those must be 0). Bytes that are no
//! program are an error that names its place and what to do; reading allocates no more than the bytes
//! themselves ask for.
//!
//! Not checked here: whether the program is sound; see [`Listed::program`].

mod cursor;
mod decimal;
mod error;
mod initialisers;
mod listing;
mod savefile;

pub use error::{FormatError, FormatFault, Place};
pub use savefile::{LINKTYPE_ETHERNET, MOD_AND_XOR, Savefile};

use std::fmt;

use super::{Dialect, Instruction, Program, ProgramError};

/// How a program is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The listing of `tcpdump -d`: `(000) ldh      [12]`.
    Listing,
    /// The C initialisers of `tcpdump -dd`: `{ 0x28, 0, 0, 0x0000000c },`.
    Initialisers,
    /// The decimal numbers of `tcpdump -ddd`: how many, then `40 0 0 12`.
    Decimal,
    /// libpcap's cBPF savefile, cbpf-savefile(5): binary.
    Savefile,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Listing, Self::Initialisers, Self::Decimal, Self::Savefile];

    /// The name that a command line uses: tcpdump's option, or `savefile`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listing => "d",
            Self::Initialisers => "dd",
            Self::Decimal => "ddd",
            Self::Savefile => "savefile",
        }
    }

    /// The form of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The form that bytes start like; `None` if like none of them.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes.iter().find(|byte| !byte.is_ascii_whitespace())? {
            _ if bytes.starts_with(&savefile::MAGIC) => Some(Self::Savefile),
            b'(' => Some(Self::Listing),
            b'{' => Some(Self::Initialisers),
            b'0'..=b'9' => Some(Self::Decimal),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listing => "tcpdump -d listing",
            Self::Initialisers => "tcpdump -dd initialisers",
            Self::Decimal => "tcpdump -ddd text",
            Self::Savefile => "cBPF savefile",
        })
    }
}

/// Instructions as a file lists them, sound or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// How they were written.
    pub format: Format,
    /// The instructions.
    pub instructions: Vec<Instruction>,
    /// Where each of them is.
    places: Vec<Place>,
}

impl Listed {
    /// Validates the program by the rules of `dialect`.
    ///
    /// # Errors
    ///
    /// The first instruction that is not sound, and where it is.
    pub fn program(self, dialect: Dialect) -> Result<Program, FormatError> {
        let Self { format, instructions, places } = self;
        Program::with_dialect(instructions, dialect).map_err(|error: ProgramError| FormatError {
            format: Some(format),
            place: places.get(error.at).or(places.last()).copied().unwrap_or(Place::START),
            what: FormatFault::Program(error),
        })
    }
}

/// Reads a program in the form that it starts like.
///
/// # Errors
///
/// What is wrong and where.
pub fn read(bytes: &[u8]) -> Result<Listed, FormatError> {
    let fault = |what| FormatError { format: None, place: Place::START, what };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(fault(FormatFault::Empty));
    }
    match Format::of(bytes) {
        Some(format) => read_as(format, bytes),
        None => Err(fault(FormatFault::NoProgram)),
    }
}

/// Reads a program in a given form.
///
/// # Errors
///
/// What is wrong and where.
pub fn read_as(format: Format, bytes: &[u8]) -> Result<Listed, FormatError> {
    let error = |(place, what)| FormatError { format: Some(format), place, what };
    let of_text = |read: fn(&str) -> Result<Lines, (Place, FormatFault)>| {
        let text = str::from_utf8(bytes)
            .map_err(|e| (Place::of(bytes, e.valid_up_to()), FormatFault::NotText));
        text.and_then(read).map_err(error)
    };
    let (instructions, places) = match format {
        Format::Listing => of_text(listing::read)?,
        Format::Initialisers => of_text(initialisers::read)?,
        Format::Decimal => of_text(decimal::read)?,
        Format::Savefile => Savefile::read(bytes)?.listed(),
    };
    Ok(Listed { format, instructions, places })
}

/// Writes a program in one of the three forms of text; a savefile says more than a program does and is
/// written by [`Savefile::write`].
pub fn write_text(format: Format, instructions: &[Instruction]) -> Option<String> {
    match format {
        Format::Listing => Some(listing::write(instructions)),
        Format::Initialisers => Some(initialisers::write(instructions)),
        Format::Decimal => Some(decimal::write(instructions)),
        Format::Savefile => None,
    }
}

/// Instructions, and where each is.
type Lines = (Vec<Instruction>, Vec<Place>);
