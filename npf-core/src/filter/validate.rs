//! The validator: turns instructions into operations that cannot go wrong, or says what is wrong.
//!
//! Contract: after it no opcode is unknown, no jump leaves the program or goes back, no scratch word
//! beyond the sixteenth is named, no constant divisor is 0, and the last instruction returns.
//!
//! Not checked: whether a scratch word is written before it is read (it reads 0), whether code is
//! reachable, and whether a constant shift is below 32 (it gives 0).

use std::fmt;

use super::instruction::{Instruction, opcode::*};
use super::run::{Alu, Op, SCRATCH_WORDS, Size, Source, Test};

/// Longest program (Npcap's and Linux's BPF_MAXINSNS).
pub const MAX_INSTRUCTIONS: usize = 4096;

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
    /// There are no instructions at all.
    Empty,
    /// There are more than [`MAX_INSTRUCTIONS`].
    TooLong {
        /// How many there are.
        len: usize,
    },
    /// No such opcode.
    UnknownOpcode {
        /// The opcode.
        code: u16,
    },
    /// A jump leaves the program; a backward jump (negative k) is one of these.
    JumpOutside {
        /// Instruction it would go to.
        target: u64,
        /// Length of the program.
        len: usize,
    },
    /// Division or remainder by the constant 0.
    DivisionByZero,
    /// There are only sixteen scratch words.
    NoSuchScratchWord {
        /// The one named.
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
            ProgramFault::TooLong { len } => write!(
                f,
                "the program has {len} instructions; shorten the filter to {MAX_INSTRUCTIONS}"
            ),
            ProgramFault::UnknownOpcode { code } => write!(
                f,
                "opcode {code:#06x} does not exist in classic BPF; compile the filter with libpcap"
            ),
            ProgramFault::JumpOutside { target, len } => write!(
                f,
                "the jump goes to {target}, outside the {len} instructions; jumps must go forward \
                 and stay inside (libpcap's `protochain` jumps back and cannot run here)"
            ),
            ProgramFault::DivisionByZero => {
                write!(f, "division by the constant 0; use another divisor")
            }
            ProgramFault::NoSuchScratchWord { k } => {
                write!(f, "scratch word {k} does not exist; use 0 to {}", SCRATCH_WORDS - 1)
            }
            ProgramFault::NoReturn => {
                write!(f, "the last instruction does not return; end the program with a return")
            }
        }
    }
}

impl std::error::Error for ProgramError {}

/// Validates a whole program.
pub(super) fn validate(instructions: &[Instruction]) -> Result<Vec<Op>, ProgramError> {
    let len = instructions.len();
    let Some(last) = len.checked_sub(1) else {
        return Err(ProgramError { at: 0, what: ProgramFault::Empty });
    };
    if len > MAX_INSTRUCTIONS {
        return Err(ProgramError { at: MAX_INSTRUCTIONS, what: ProgramFault::TooLong { len } });
    }
    let mut ops = Vec::with_capacity(len);
    for (at, instruction) in instructions.iter().enumerate() {
        let op = read(instruction)
            .and_then(|op| check_jumps(op, at, len).map(|()| op))
            .map_err(|what| ProgramError { at, what })?;
        ops.push(op);
    }
    match ops[last] {
        Op::ReturnK(_) | Op::ReturnA => Ok(ops),
        _ => Err(ProgramError { at: last, what: ProgramFault::NoReturn }),
    }
}

/// What an opcode means: the one place where dialects differ.
fn read(instruction: &Instruction) -> Result<Op, ProgramFault> {
    let Instruction { code, k, .. } = *instruction;
    Ok(match code {
        LD_W_ABS => Op::Load(Size::Word, k),
        LD_H_ABS => Op::Load(Size::Half, k),
        LD_B_ABS => Op::Load(Size::Byte, k),
        LD_W_IND => Op::LoadIndirect(Size::Word, k),
        LD_H_IND => Op::LoadIndirect(Size::Half, k),
        LD_B_IND => Op::LoadIndirect(Size::Byte, k),
        LD_LEN => Op::LoadLength,
        LD_IMM => Op::LoadK(k),
        LD_MEM => Op::LoadScratch(scratch(k)?),
        LDX_IMM => Op::LoadXK(k),
        LDX_MEM => Op::LoadXScratch(scratch(k)?),
        LDX_LEN => Op::LoadXLength,
        LDX_MSH => Op::LoadXHeaderLength(k),
        ST => Op::Store(scratch(k)?),
        STX => Op::StoreX(scratch(k)?),
        ADD_K => Op::Alu(Alu::Add, Source::K(k)),
        ADD_X => Op::Alu(Alu::Add, Source::X),
        SUB_K => Op::Alu(Alu::Sub, Source::K(k)),
        SUB_X => Op::Alu(Alu::Sub, Source::X),
        MUL_K => Op::Alu(Alu::Mul, Source::K(k)),
        MUL_X => Op::Alu(Alu::Mul, Source::X),
        DIV_K => Op::Alu(Alu::Div, Source::K(divisor(k)?)),
        DIV_X => Op::Alu(Alu::Div, Source::X),
        MOD_K => Op::Alu(Alu::Mod, Source::K(divisor(k)?)),
        MOD_X => Op::Alu(Alu::Mod, Source::X),
        OR_K => Op::Alu(Alu::Or, Source::K(k)),
        OR_X => Op::Alu(Alu::Or, Source::X),
        AND_K => Op::Alu(Alu::And, Source::K(k)),
        AND_X => Op::Alu(Alu::And, Source::X),
        XOR_K => Op::Alu(Alu::Xor, Source::K(k)),
        XOR_X => Op::Alu(Alu::Xor, Source::X),
        LSH_K => Op::Alu(Alu::Lsh, Source::K(k)),
        LSH_X => Op::Alu(Alu::Lsh, Source::X),
        RSH_K => Op::Alu(Alu::Rsh, Source::K(k)),
        RSH_X => Op::Alu(Alu::Rsh, Source::X),
        NEG => Op::Negate,
        JA => Op::Jump(k),
        JEQ_K => compare(Test::Equal, Source::K(k), instruction),
        JEQ_X => compare(Test::Equal, Source::X, instruction),
        JGT_K => compare(Test::Greater, Source::K(k), instruction),
        JGT_X => compare(Test::Greater, Source::X, instruction),
        JGE_K => compare(Test::GreaterOrEqual, Source::K(k), instruction),
        JGE_X => compare(Test::GreaterOrEqual, Source::X, instruction),
        JSET_K => compare(Test::AnyBit, Source::K(k), instruction),
        JSET_X => compare(Test::AnyBit, Source::X, instruction),
        RET_K => Op::ReturnK(k),
        RET_A => Op::ReturnA,
        TAX => Op::AToX,
        TXA => Op::XToA,
        _ => return Err(ProgramFault::UnknownOpcode { code }),
    })
}

fn compare(test: Test, with: Source, instruction: &Instruction) -> Op {
    Op::Compare { test, with, jt: instruction.jt, jf: instruction.jf }
}

fn scratch(k: u32) -> Result<u8, ProgramFault> {
    match u8::try_from(k) {
        Ok(word) if usize::from(word) < SCRATCH_WORDS => Ok(word),
        _ => Err(ProgramFault::NoSuchScratchWord { k }),
    }
}

fn divisor(k: u32) -> Result<u32, ProgramFault> {
    if k == 0 { Err(ProgramFault::DivisionByZero) } else { Ok(k) }
}

fn check_jumps(op: Op, at: usize, len: usize) -> Result<(), ProgramFault> {
    let furthest = match op {
        Op::Jump(k) => k,
        Op::Compare { jt, jf, .. } => jt.max(jf).into(),
        _ => return Ok(()),
    };
    let target = at as u64 + 1 + u64::from(furthest);
    if target < len as u64 { Ok(()) } else { Err(ProgramFault::JumpOutside { target, len }) }
}
