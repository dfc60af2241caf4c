//! Filters outside of a run: where a program comes from, and whether all engines agree about it.
//!
//! Contract: [`load`] takes what a user may give, an expression or a file in any of the four forms of
//! [`npf_core::filter::format`], and says what is wrong in one message. [`random`] makes programs and
//! frames, [`check`] runs them through every engine there is.

pub mod check;
pub mod random;

use std::fs::File;
use std::io::Read as _;

use npf_core::filter::format::{self, FormatError};
use npf_core::filter::{Dialect, Instruction, Program, ProgramError};

use crate::libpcap::{self, FilterError, RawInstruction};

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// libpcap does not take the expression, or is not there.
    #[error(transparent)]
    Expression(#[from] FilterError),
    /// What libpcap made of the expression is no program of the dialect.
    #[error("filter expression '{expression}' in {dialect}'s dialect: {cause}")]
    Dialect {
        /// The expression.
        expression: String,
        /// The dialect.
        dialect: Dialect,
        /// What the validator says.
        cause: ProgramError,
    },
    /// The file cannot be read.
    #[error("filter program {file}: {cause}")]
    File {
        /// Its name.
        file: String,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The file is larger than any program.
    #[error("filter program {file}: more than {MAX_FILE} bytes; this is no filter program")]
    TooLarge {
        /// Its name.
        file: String,
    },
    /// The file holds no sound program.
    #[error("filter program {file}: {cause}")]
    Format {
        /// Its name.
        file: String,
        /// What is wrong, and where.
        cause: FormatError,
    },
}

/// Largest file that is read, in bytes: 65,535 instructions as a listing need a twentieth of it.
pub const MAX_FILE: u64 = 64 << 20;

/// The program that `filter` names, by the rules of `dialect`: `@FILE`, `@-` for standard input, or an
/// expression, which is compiled for Ethernet and to accept `snaplen` bytes.
///
/// # Errors
/// What libpcap, the file or the validator says.
pub fn load(filter: &str, snaplen: u32, dialect: Dialect) -> Result<Program, LoadError> {
    if let Some(file) = filter.strip_prefix('@') {
        let bytes = read(file)?;
        return format::read(&bytes)
            .and_then(|listed| listed.program(dialect))
            .map_err(|cause| LoadError::Format { file: file.to_owned(), cause });
    }
    let raw = libpcap::compile(filter, snaplen)?;
    Program::with_dialect(raw.into_iter().map(Instruction::from).collect(), dialect)
        .map_err(|cause| LoadError::Dialect { expression: filter.to_owned(), dialect, cause })
}

/// The bytes of a file or of standard input, `-`.
fn read(file: &str) -> Result<Vec<u8>, LoadError> {
    let failed = |cause| LoadError::File { file: file.to_owned(), cause };
    let mut bytes = Vec::new();
    let limit = MAX_FILE + 1;
    match file {
        "-" => std::io::stdin().lock().take(limit).read_to_end(&mut bytes),
        _ => File::open(file).map_err(failed)?.take(limit).read_to_end(&mut bytes),
    }
    .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(LoadError::TooLarge { file: file.to_owned() });
    }
    Ok(bytes)
}

/// An instruction as the cBPF savefile has it: code, jt, jf, k, big-endian.
pub fn bytes_of(instruction: &Instruction) -> [u8; 8] {
    let Instruction { code, jt, jf, k } = *instruction;
    let ([c0, c1], [k0, k1, k2, k3]) = (code.to_be_bytes(), k.to_be_bytes());
    [c0, c1, jt, jf, k0, k1, k2, k3]
}

/// The instruction that [`bytes_of`] wrote.
pub fn of_bytes(&[c0, c1, jt, jf, k0, k1, k2, k3]: &[u8; 8]) -> Instruction {
    let (code, k) = (u16::from_be_bytes([c0, c1]), u32::from_be_bytes([k0, k1, k2, k3]));
    Instruction { code, jt, jf, k }
}

impl From<RawInstruction> for Instruction {
    fn from(raw: RawInstruction) -> Self {
        Self { code: raw.code, jt: raw.jt, jf: raw.jf, k: raw.k }
    }
}

impl From<Instruction> for RawInstruction {
    fn from(instruction: Instruction) -> Self {
        let Instruction { code, jt, jf, k } = instruction;
        Self { code, jt, jf, k }
    }
}

#[cfg(test)]
mod tests;
