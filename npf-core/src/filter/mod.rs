//! BPF filter programs: validate once, then run on every frame.
//!
//! # Contract
//!
//! [`Program::with_dialect`] accepts only programs that end: known opcodes, jumps inside, last
//! instruction a return; a jump back only in libpcap's dialect, where a frame is rejected after 64 of
//! them. A program that was accepted cannot fail on any frame: a load outside the frame or a division
//! by X = 0 rejects the frame. Registers A, X and the sixteen scratch words start at 0.
//!
//! # Dialects
//!
//! What runs is libpcap's language (`bpf_filter.c`), which is also what its compiler writes; a
//! [`Dialect`] changes how the validator reads an instruction. After that, one machine runs them all.
//!
//! | | libpcap | bsd | npcap | winpcap | linux |
//! |---|---|---|---|---|---|
//! | JGT, JGE | unsigned | unsigned | signed | K signed, X unsigned | unsigned |
//! | MOD, XOR | yes | yes | yes | refused | yes |
//! | absolute load at negative k | rejects | rejects | -4096, -4092: VLAN; else refused | rejects | extensions |
//! | X + k of 2^32 or more | rejects | rejects | wraps | wraps | wraps, then as absolute |
//! | LDX at k (0x21, 0x29, 0x31) | refused | refused | refused | rejects | refused |
//! | shift by constant k >= 32 | gives 0 | gives 0 | gives 0 | gives 0 | refused |
//! | shift by X >= 32 | gives 0 | gives 0 | gives 0 | gives 0 | by X modulo 32 |
//! | reading an unwritten scratch word | gives 0 | gives 0 | gives 0 | gives 0 | refused |
//! | most instructions | 4096 | 512 | 4096 | 512 | 4096 |
//! | the empty program | refused | keeps all | refused | keeps all | refused |
//! | JA back | 64 times | refused | refused | refused | refused |
//! | RET X, other stray bits | refused | refused | refused | refused | refused |
//!
//! "Refused" is what the validator does, "rejects" what the program does with the frame.
//!
//! # Where this differs from the sources
//!
//! - libpcap has no limit of 4096 (3,060,000 since 1.11); no kernel takes more.
//! - libpcap before 1.11 bounds no jump back; 1.11 by the same 64.
//! - A shift by 32 or more is undefined in the C of BSD, Npcap and WinPcap, and by a constant in
//!   libpcap before 1.11, which refuses it.
//! - WinPcap reads in front of the frame at some negative offsets; here the frame is rejected.
//! - libpcap and BSD leave scratch words as they find them (libpcap until 1.11); here they are 0.
//! - Old validators look at class and mode of an opcode only; here every opcode is one of the list.

mod ancillary;
mod dialect;
mod engine;
mod error;
pub mod format;
mod instruction;
mod jit;
mod linux;
mod meaning;
mod op;
mod run;
mod step;
mod validate;

pub use ancillary::{Ancillary, PacketType};
pub use dialect::Dialect;
pub use engine::Filter;
pub use error::{ProgramError, ProgramFault};
pub use instruction::{Instruction, opcode};
pub use jit::{Compiled, JitError};
pub use run::Verdict;

use format::{Format, FormatError};
use op::{Op, SCRATCH_WORDS};
use step::Step;

/// A filter program that was found to be sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    instructions: Vec<Instruction>,
    dialect: Dialect,
    /// What the instructions mean in the dialect.
    ops: Vec<Op>,
    /// The same as the interpreter runs it.
    steps: Vec<Step>,
    /// Whether it has a use for scratch memory.
    scratch: bool,
}

impl Program {
    /// Validates a program by libpcap's rules.
    ///
    /// # Errors
    ///
    /// The first instruction that is not sound, and why.
    pub fn new(instructions: Vec<Instruction>) -> Result<Program, ProgramError> {
        Self::with_dialect(instructions, Dialect::Libpcap)
    }

    /// Validates a program by the rules of `dialect`.
    ///
    /// # Errors
    ///
    /// The first instruction that is not sound, and why.
    pub fn with_dialect(
        instructions: Vec<Instruction>,
        dialect: Dialect,
    ) -> Result<Program, ProgramError> {
        let ops = validate::validate(&instructions, dialect)?;
        let steps = step::steps(&ops);
        let scratch = ops.iter().any(Op::uses_scratch);
        Ok(Program { instructions, dialect, ops, steps, scratch })
    }

    /// Reads the text that `tcpdump -ddd` prints, and validates the program by libpcap's rules. The
    /// other forms of a program: [`mod@format`].
    ///
    /// # Errors
    ///
    /// The first place that is wrong, and why.
    pub fn parse_ddd(text: &str) -> Result<Program, FormatError> {
        format::read_as(Format::Decimal, text.as_bytes())?.program(Dialect::Libpcap)
    }

    /// Runs the program over the bytes that are there of a frame of `wire_len` bytes, of which nothing
    /// else is known.
    #[inline]
    pub fn run(&self, data: &[u8], wire_len: u32) -> Verdict {
        self.run_with(data, wire_len, &Ancillary::NONE)
    }

    /// Runs the program over the bytes that are there of a frame of `wire_len` bytes, with what else is
    /// known of it.
    #[inline]
    pub fn run_with(&self, data: &[u8], wire_len: u32, ancillary: &Ancillary) -> Verdict {
        if self.scratch {
            run::run::<SCRATCH_WORDS>(&self.ops, &self.steps, data, wire_len, ancillary)
        } else {
            run::run::<0>(&self.ops, &self.steps, data, wire_len, ancillary)
        }
    }

    /// The instructions as they were given.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// By whose rules it was validated.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Number of instructions.
    pub fn len(&self) -> usize {
        self.instructions.len()
    }

    /// Whether it is the empty program, which keeps every frame whole.
    pub fn is_empty(&self) -> bool {
        self.instructions.is_empty()
    }
}
