//! BPF filter programs: validate once, then run on every frame.
//!
//! # Contract
//!
//! [`Program::new`] accepts only programs that end: known opcodes, jumps forward and inside, last
//! instruction a return. A program that was accepted runs in at most its length in steps on any
//! frame and cannot fail: a load outside the frame or a division by X = 0 rejects the frame, as in
//! libpcap. Registers A, X and the sixteen scratch words start at 0.
//!
//! # Where this differs from the sources
//!
//! What runs is libpcap's language (`bpf_filter.c`), which is also what its compiler writes. Other
//! dialects differ in how the validator reads an opcode, so each is a choice in one place,
//! `validate.rs`; the machine in `run.rs` only gains operations.
//!
//! | here | libpcap, BSD | Npcap (`win_bpf_filter.c`) | WinPcap | Linux classic |
//! |---|---|---|---|---|
//! | JGT, JGE unsigned | same | signed | signed; its JIT: K signed, X not | same |
//! | MOD, XOR | same; FreeBSD: newer releases | since 1.81 | refused | same |
//! | load at negative k rejects the frame | same | -0x1000: VLAN tag | same | ancillary data |
//! | shift by K >= 32 gives 0 | undefined in C | undefined in C | undefined in C | refused |
//! | shift by X >= 32 gives 0 | same | undefined in C | undefined in C | accepted |
//! | an unwritten scratch word reads 0 | allowed, undefined | allowed | allowed | refused |
//! | at most 4096 instructions | no limit; BSD kernels 512 | 4096 | 512 | 4096 |
//! | the empty program is refused | same; FreeBSD: accepts all | same | accepts all | same |
//! | JA goes forward only | may go back (protochain) | same | same | same |
//! | every opcode must be one of the list | class and mode are looked at | same | same | same |

mod ddd;
mod instruction;
mod run;
mod validate;

pub use ddd::{DddError, DddFault};
pub use instruction::{Instruction, opcode};
pub use run::Verdict;
pub use validate::{MAX_INSTRUCTIONS, ProgramError, ProgramFault};

use run::Op;

/// A filter program that was found to be sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    ops: Vec<Op>,
}

impl Program {
    /// Validates a program.
    ///
    /// # Errors
    ///
    /// The first instruction that is not sound, and why.
    // By value, as whoever has checked a program has no more use for the unchecked one.
    #[allow(clippy::needless_pass_by_value)]
    pub fn new(instructions: Vec<Instruction>) -> Result<Program, ProgramError> {
        validate::validate(&instructions).map(|ops| Program { ops })
    }

    /// Reads the text that `tcpdump -ddd` prints: a line with the number of instructions, then one
    /// line `code jt jf k` in decimal for each.
    ///
    /// # Errors
    ///
    /// The first line that is wrong, and why.
    pub fn parse_ddd(text: &str) -> Result<Program, DddError> {
        ddd::parse(text)
    }

    /// Runs the program over the bytes that are there of a frame of `wire_len` bytes.
    #[inline]
    pub fn run(&self, data: &[u8], wire_len: u32) -> Verdict {
        run::run(&self.ops, data, wire_len)
    }

    /// Number of instructions, at least 1.
    #[allow(clippy::len_without_is_empty)] // an empty program does not exist
    pub fn len(&self) -> usize {
        self.ops.len()
    }
}
