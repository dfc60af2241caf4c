//! libpcap's cBPF savefile: cbpf-savefile(5), draft revision 6 to 8, version 1.
//!
//! Contract: all numbers are big-endian. What follows the instructions are notes, each of a kind that
//! may come once; known ones are checked for their length, unknown ones (of a later minor version) are
//! passed over. [`Savefile::write`] closes the notes with the one that marks the end.
//!
//! Not checked: whether the flags fit the instructions: they tell of the dialect, not of the program.

use super::{Format, FormatError, FormatFault, Instruction, Lines, Place};

/// What a savefile starts with: a signature and a hint for the eye.
pub(super) const MAGIC: [u8; 4] = [0xa1, 0xb2, 0xc3, 0xcb];
const HINT: [u8; 4] = *b"cBPF";
const MAJOR: u8 = 1;
const MINOR: u8 = 0;
const HEADER: usize = 20;

/// Ethernet as a link type (LINKTYPE_ETHERNET).
pub const LINKTYPE_ETHERNET: u16 = 1;

/// Flags of a dialect that has MOD and XOR, as all newer ones have.
pub const MOD_AND_XOR: u16 = 3;

/// A program with what it was compiled for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Savefile {
    /// Instructions that the dialect has besides the old ones; see [`MOD_AND_XOR`].
    pub flags: u16,
    /// Snap length that the program was compiled with.
    pub snaplen: u32,
    /// Link type of its frames (LINKTYPE_*).
    pub link_type: u16,
    /// The program.
    pub instructions: Vec<Instruction>,
    /// The expression that it was compiled from.
    pub expression: Option<String>,
    /// Anything: which program wrote it, for what.
    pub comment: Option<String>,
}

/// Kinds of notes.
mod note {
    pub(super) const END: u16 = 0;
    pub(super) const LINK_TYPE_NAME: u16 = 1;
    pub(super) const EXPRESSION: u16 = 2;
    pub(super) const OPTIMISED: u16 = 3;
    pub(super) const NETMASK: u16 = 4;
    pub(super) const COMMENT: u16 = 5;
    pub(super) const TIME: u16 = 6;
}

impl Savefile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What is wrong and at which byte.
    pub fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        read(bytes).map_err(|(at, what)| FormatError {
            format: Some(Format::Savefile),
            place: Place::Byte(at),
            what,
        })
    }

    /// The bytes of the file; `None` if it has more instructions, or a longer text, than the format
    /// can count (65,535).
    pub fn write(&self) -> Option<Vec<u8>> {
        let count = u16::try_from(self.instructions.len()).ok()?;
        let mut bytes = [MAGIC, HINT].concat();
        bytes.extend([MAJOR, MINOR]);
        bytes.extend(self.flags.to_be_bytes());
        bytes.extend(self.snaplen.to_be_bytes());
        bytes.extend(self.link_type.to_be_bytes());
        bytes.extend(count.to_be_bytes());
        for Instruction { code, jt, jf, k } in &self.instructions {
            bytes.extend(code.to_be_bytes());
            bytes.extend([*jt, *jf]);
            bytes.extend(k.to_be_bytes());
        }
        let texts = [(note::EXPRESSION, &self.expression), (note::COMMENT, &self.comment)];
        for (kind, text) in texts {
            if let Some(text) = text {
                bytes.extend(kind.to_be_bytes());
                bytes.extend(u16::try_from(text.len()).ok()?.to_be_bytes());
                bytes.extend(text.as_bytes());
            }
        }
        bytes.extend(note::END.to_be_bytes());
        bytes.extend([0, 0]);
        Some(bytes)
    }

    /// The instructions and where each is.
    pub(super) fn listed(self) -> Lines {
        let places = (HEADER..).step_by(8).take(self.instructions.len().max(1)).map(Place::Byte);
        (self.instructions, places.collect())
    }
}

/// What is wrong, and at which byte.
type Fault = (usize, FormatFault);

fn read(bytes: &[u8]) -> Result<Savefile, Fault> {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER>() else {
        return Err((bytes.len(), FormatFault::CutShort("its header")));
    };
    if header[..4] != MAGIC || header[4..8] != HINT {
        return Err((0, FormatFault::Expected("the signature a1 b2 c3 cb `cBPF`")));
    }
    if header[8] != MAJOR {
        return Err((8, FormatFault::Version { major: header[8] }));
    }
    let u16_at = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let announced = usize::from(u16_at(18));
    if body.len() / 8 < announced {
        let found = body.len() / 8;
        return Err((HEADER + 8 * found, FormatFault::TooFew { announced, found }));
    }
    let (program, notes) = body.split_at(8 * announced);
    let mut file = Savefile {
        flags: u16_at(10),
        snaplen: u32::from_be_bytes([header[12], header[13], header[14], header[15]]),
        link_type: u16_at(16),
        instructions: program.as_chunks().0.iter().map(instruction).collect(),
        expression: None,
        comment: None,
    };
    read_notes(notes, HEADER + program.len(), &mut file)?;
    Ok(file)
}

fn instruction([a, b, jt, jf, k @ ..]: &[u8; 8]) -> Instruction {
    Instruction { code: u16::from_be_bytes([*a, *b]), jt: *jt, jf: *jf, k: u32::from_be_bytes(*k) }
}

/// Reads the notes, which start `at` bytes into the file.
fn read_notes(mut notes: &[u8], mut at: usize, file: &mut Savefile) -> Result<(), Fault> {
    let mut seen = Vec::new();
    while !notes.is_empty() {
        let cut = (at, FormatFault::CutShort("a note"));
        let ([a, b, c, d], rest) = notes.split_first_chunk::<4>().ok_or(cut.clone())?;
        let (kind, length) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
        let (value, rest) = rest.split_at_checked(length.into()).ok_or(cut)?;
        if seen.contains(&kind) {
            return Err((at, FormatFault::NoteTwice { kind }));
        }
        seen.push(kind);
        let right = match kind {
            note::END => length == 0,
            note::OPTIMISED => length == 1,
            note::NETMASK => length == 4,
            note::TIME => length == 8,
            _ => true,
        };
        if !right {
            return Err((at, FormatFault::NoteLength { kind, length }));
        }
        let text = || match str::from_utf8(value) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err((at, FormatFault::NoteNotText { kind })),
        };
        match kind {
            note::END if !rest.is_empty() => return Err((at + 4, FormatFault::AfterEnd)),
            note::EXPRESSION => file.expression = Some(text()?),
            note::COMMENT => file.comment = Some(text()?),
            note::LINK_TYPE_NAME => drop(text()?),
            _ => {}
        }
        at += 4 + value.len();
        notes = rest;
    }
    Ok(())
}
