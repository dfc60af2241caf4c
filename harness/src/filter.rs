//! Filters outside of a run: where a program comes from, and whether all engines agree about it.
//!
//! Contract: [`load`] takes what a user may give, an expression or a file in any of the four forms of
//! [`npf_core::filter::format`], and says what is wrong in one message. [`random`] makes programs and
//! frames, [`check`] runs them through every engine there is.

pub mod check;
pub mod random;

use std::collections::BTreeMap;
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
    of_dialect(filter, raw.into_iter().map(Instruction::from).collect(), dialect)
}

/// Expressions that were compiled elsewhere, for a place without libpcap: by expression and snap length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiled(BTreeMap<(String, u32), Vec<Instruction>>);

impl Compiled {
    /// Compiles one more; a file is none.
    ///
    /// # Errors
    /// What libpcap says.
    pub fn compile(&mut self, filter: &str, snaplen: u32) -> Result<(), LoadError> {
        if !filter.starts_with('@') {
            let raw = libpcap::compile(filter, snaplen)?;
            let program = raw.into_iter().map(Instruction::from).collect();
            self.0.insert((filter.to_owned(), snaplen), program);
        }
        Ok(())
    }

    /// Each, with its program as bytes: eight for an instruction, as [`bytes_of`] has them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32, Vec<u8>)> {
        self.0.iter().map(|((filter, snaplen), program)| {
            (filter.as_str(), *snaplen, program.iter().flat_map(bytes_of).collect())
        })
    }

    /// Keeps one more, as [`Compiled::iter`] gave it; `false` if those are no instructions.
    #[must_use]
    pub fn keep(&mut self, filter: String, snaplen: u32, bytes: &[u8]) -> bool {
        let (program, rest) = bytes.as_chunks();
        self.0.insert((filter, snaplen), program.iter().map(of_bytes).collect());
        rest.is_empty()
    }

    /// As [`load`], with what is here.
    ///
    /// # Errors
    /// As [`load`].
    pub fn load(&self, filter: &str, snaplen: u32, dialect: Dialect) -> Result<Program, LoadError> {
        match self.0.get(&(filter.to_owned(), snaplen)) {
            Some(program) => of_dialect(filter, program.clone(), dialect),
            None => load(filter, snaplen, dialect),
        }
    }
}

fn of_dialect(
    expression: &str,
    program: Vec<Instruction>,
    dialect: Dialect,
) -> Result<Program, LoadError> {
    let unfit = |cause| LoadError::Dialect { expression: expression.to_owned(), dialect, cause };
    Program::with_dialect(program, dialect).map_err(unfit)
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
