//! Why a program was refused.

use std::fmt;

use super::Dialect;
use super::op::SCRATCH_WORDS;

/// Why a program was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramError {
    /// The instruction, counting from 0.
    pub at: usize,
    /// What is wrong with it.
    pub what: ProgramFault,
}

/// What is wrong with an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramFault {
    /// There are no instructions at all, and the dialect has no use for that.
    Empty,
    /// There are more than [`Dialect::max_instructions`].
    TooLong {
        /// How many there are.
        len: usize,
        /// How many there may be.
        max: usize,
    },
    /// No such opcode.
    UnknownOpcode {
        /// The opcode.
        code: u16,
    },
    /// The opcode exists, but not in this dialect.
    NotInDialect {
        /// The opcode.
        code: u16,
        /// The dialect.
        dialect: Dialect,
    },
    /// A negative offset that names no extension of this dialect.
    UnknownExtension {
        /// The offset, as a signed number.
        offset: i32,
        /// The dialect.
        dialect: Dialect,
    },
    /// A jump leaves the program. Where JA cannot go back, its negative k is one of these.
    JumpOutside {
        /// Instruction it would go to.
        target: i64,
        /// Length of the program.
        len: usize,
    },
    /// An instruction jumps to itself, for ever.
    JumpToItself,
    /// Division or remainder by the constant 0.
    DivisionByZero,
    /// A constant shift by 32 or more, in a dialect that refuses it.
    ShiftTooFar {
        /// The shift.
        k: u32,
    },
    /// There are only sixteen scratch words.
    NoSuchScratchWord {
        /// The one named.
        k: u32,
    },
    /// A scratch word is read that was not written on every way to here, in a dialect that refuses it.
    UnsetScratchWord {
        /// The one read.
        k: u32,
    },
    /// The last instruction does not return.
    NoReturn,
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter instruction {}: ", self.at)?;
        match self.what {
            ProgramFault::Empty => write!(
                f,
                "the program is empty; give at least one return, or no filter to accept all"
            ),
            ProgramFault::TooLong { len, max } => {
                write!(f, "the program has {len} instructions; shorten the filter to {max}")
            }
            ProgramFault::UnknownOpcode { code } => write!(
                f,
                "opcode {code:#06x} does not exist in classic BPF; compile the filter with libpcap"
            ),
            ProgramFault::NotInDialect { code, dialect } => write!(
                f,
                "opcode {code:#06x} does not exist in {dialect}'s BPF; choose another dialect or \
                 another expression"
            ),
            ProgramFault::UnknownExtension { offset, dialect } => write!(
                f,
                "offset {offset} names no extension of {dialect}'s BPF; load from 0 on, or choose \
                 another dialect"
            ),
            ProgramFault::JumpOutside { target, len } => write!(
                f,
                "the jump goes to {target}, outside the {len} instructions; jumps must stay inside \
                 (and go forward, except for libpcap's `protochain` in its own dialect)"
            ),
            ProgramFault::JumpToItself => {
                write!(f, "the jump goes to itself and would never end; let it go elsewhere")
            }
            ProgramFault::DivisionByZero => {
                write!(f, "division by the constant 0; use another divisor")
            }
            ProgramFault::ShiftTooFar { k } => {
                write!(f, "shift by the constant {k}; shift by 0 to 31, or choose another dialect")
            }
            ProgramFault::NoSuchScratchWord { k } => {
                write!(f, "scratch word {k} does not exist; use 0 to {}", SCRATCH_WORDS - 1)
            }
            ProgramFault::UnsetScratchWord { k } => write!(
                f,
                "scratch word {k} is read but not written on every way to here; store to it first"
            ),
            ProgramFault::NoReturn => {
                write!(f, "the last instruction does not return; end the program with a return")
            }
        }
    }
}

impl std::error::Error for ProgramError {}
