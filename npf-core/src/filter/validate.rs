//! The validator: turns instructions into operations that cannot go wrong, or says what is wrong.
//!
//! Contract: after it no opcode is unknown, no jump leaves the program, none goes back except by
//! [`Op::JumpBack`], no scratch word beyond the sixteenth is named, no constant divisor is 0, and the
//! last instruction returns. The operations are as many as the instructions, or one for none.
//!
//! Not checked: whether code is reachable, and, except for Linux, whether a scratch word is written
//! before it is read (it reads 0) and whether a constant shift is below 32 (it gives 0).

use super::instruction::{Instruction, opcode};
use super::op::{Op, SCRATCH_WORDS};
use super::{Dialect, ProgramError, ProgramFault, meaning};

/// Validates a whole program.
pub(super) fn validate(
    instructions: &[Instruction],
    dialect: Dialect,
) -> Result<Vec<Op>, ProgramError> {
    let (len, max) = (instructions.len(), dialect.max_instructions());
    let Some(last) = len.checked_sub(1) else {
        return if dialect.empty_accepts_all() {
            Ok(vec![Op::KeepAll])
        } else {
            Err(ProgramError { at: 0, what: ProgramFault::Empty })
        };
    };
    if len > max {
        return Err(ProgramError { at: max, what: ProgramFault::TooLong { len, max } });
    }
    let mut ops = Vec::with_capacity(len);
    for (at, instruction) in instructions.iter().enumerate() {
        let op = meaning::read(instruction, dialect)
            .and_then(|op| check_jumps(op, at, len).map(|()| op))
            .map_err(|what| ProgramError { at, what })?;
        ops.push(op);
    }
    // The instruction counts, not the operation: a load that always rejects is no return.
    if !matches!(instructions[last].code, opcode::RET_K | opcode::RET_A) {
        return Err(ProgramError { at: last, what: ProgramFault::NoReturn });
    }
    if dialect.is_strict() {
        check_scratch(&ops)?;
    }
    Ok(ops)
}

fn check_jumps(op: Op, at: usize, len: usize) -> Result<(), ProgramFault> {
    let next = at as i64 + 1;
    let target = match op {
        Op::Jump(k) => next + i64::from(k),
        Op::JumpBack(1) => return Err(ProgramFault::JumpToItself),
        Op::JumpBack(k) => next - i64::from(k),
        Op::Compare { jt, jf, .. } => next + i64::from(jt.max(jf)),
        _ => return Ok(()),
    };
    let inside = (0..len as i64).contains(&target);
    if inside { Ok(()) } else { Err(ProgramFault::JumpOutside { target, len }) }
}

/// Whether each scratch word is written on every way to where it is read. All jumps go forward, so
/// that one pass sees every way to an operation before the operation itself.
fn check_scratch(ops: &[Op]) -> Result<(), ProgramError> {
    const ALL: u32 = (1 << SCRATCH_WORDS) - 1;
    // The words that are set on every way seen so far: by the jumps to each operation, and by falling
    // through from the one before.
    let mut by_jump = vec![ALL; ops.len()];
    let mut set = 0;
    for (at, op) in ops.iter().enumerate() {
        set &= by_jump[at];
        match *op {
            Op::Store(word) | Op::StoreX(word) => set |= 1 << word,
            Op::LoadScratch(word) | Op::LoadXScratch(word) if set & (1 << word) == 0 => {
                let what = ProgramFault::UnsetScratchWord { k: word.into() };
                return Err(ProgramError { at, what });
            }
            Op::Jump(k) => {
                by_jump[at + 1 + k as usize] &= set;
                set = ALL;
            }
            Op::Compare { jt, jf, .. } => {
                by_jump[at + 1 + usize::from(jt)] &= set;
                by_jump[at + 1 + usize::from(jf)] &= set;
                set = ALL;
            }
            _ => {}
        }
    }
    Ok(())
}
