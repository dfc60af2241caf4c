//! How long a frame must be for a program to keep any of it, seen from each operation.
//!
//! Contract: [`required`] gives lower bounds. If the frame is shorter than the bound at an operation
//! that the program has reached, it ends by rejecting the frame, whatever way it takes from there. So
//! a check of the frame's length may be made once for all later loads that every accepting way has,
//! and the verdict stays the same: nothing but the verdict leaves a program.
//!
//! Takes programs that only jump forward.

use super::super::op::{Op, Size, Source, Sum};

/// What an operation and all that follows it ask of a frame, at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Required {
    /// Bytes from the start of the frame.
    pub(super) from_start: u64,
    /// Bytes from the offset that X holds now.
    pub(super) from_x: u64,
}

impl Required {
    /// Every way from here rejects the frame, however long it is.
    const REJECTS: Self = Self { from_start: u64::MAX, from_x: u64::MAX };
    const NOTHING: Self = Self { from_start: 0, from_x: 0 };

    /// Whether no frame at all is kept from here on.
    pub(super) fn rejects(self) -> bool {
        self == Self::REJECTS
    }

    fn least(self, other: Self) -> Self {
        Self {
            from_start: self.from_start.min(other.from_start),
            from_x: self.from_x.min(other.from_x),
        }
    }

    fn and(self, from_start: u64) -> Self {
        Self { from_start: self.from_start.max(from_start), ..self }
    }

    /// What this asks before X gets a new value that is at least `least`.
    fn before_x(self, least: u64) -> Self {
        if self.rejects() || self.from_x == 0 {
            return self;
        }
        Self { from_start: self.from_start.max(self.from_x + least), from_x: 0 }
    }
}

/// First byte behind a load at `k`.
pub(super) fn end(k: u32, size: Size) -> u64 {
    u64::from(k) + bytes(size)
}

/// How many bytes a load takes.
pub(super) fn bytes(size: Size) -> u64 {
    match size {
        Size::Word => 4,
        Size::Half => 2,
        Size::Byte => 1,
    }
}

/// What each operation asks, itself included.
pub(super) fn required(ops: &[Op]) -> Vec<Required> {
    let mut all = vec![Required::REJECTS; ops.len()];
    for (at, &op) in ops.iter().enumerate().rev() {
        // A way that leaves the program does not exist; "rejects" is neutral among ways.
        let skipping = |n: usize| all.get(at + 1 + n).copied().unwrap_or(Required::REJECTS);
        let next = skipping(0);
        all[at] = match op {
            Op::Load(size, k) | Op::LoadNetwork(size, k) => next.and(end(k, size)),
            Op::LoadIndirect(Sum::Exact, size, k) => {
                let end = end(k, size);
                let next = next.and(end);
                Required { from_x: next.from_x.max(end), ..next }
            }
            Op::LoadIndirect(Sum::Wrapping | Sum::Linux, size, _) => next.and(bytes(size)),
            Op::LoadXK(k) => next.before_x(k.into()),
            Op::LoadXHeaderLength(k) | Op::LoadXHeaderLengthNetwork(k) => {
                next.before_x(0).and(end(k, Size::Byte))
            }
            Op::LoadXScratch(_) | Op::LoadXLength | Op::AToX => next.before_x(0),
            Op::Jump(k) => skipping(k as usize),
            Op::Compare { jt, jf, .. } => skipping(jt.into()).least(skipping(jf.into())),
            Op::ReturnK(0) => Required::REJECTS,
            // A jump back is not translated; asking nothing is right for any operation.
            Op::ReturnK(_) | Op::ReturnA | Op::KeepAll | Op::JumpBack(_) => Required::NOTHING,
            Op::LoadField(_)
            | Op::FindAttribute
            | Op::FindNestedAttribute
            | Op::LoadLength
            | Op::LoadK(_)
            | Op::LoadScratch(_)
            | Op::Store(_)
            | Op::StoreX(_)
            | Op::Alu(_, Source::K(_) | Source::X)
            | Op::Negate
            | Op::XToA => next,
        };
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Instruction, Program, opcode::*};

    fn of(program: &[Instruction]) -> Vec<(u64, u64)> {
        let ops = Program::new(program.to_vec()).unwrap().ops;
        required(&ops).iter().map(|it| (it.from_start, it.from_x)).collect()
    }

    const ALL: Instruction = Instruction::new(RET_K, 96);
    const NONE: Instruction = Instruction::new(RET_K, 0);
    const NEVER: (u64, u64) = (u64::MAX, u64::MAX);

    #[test]
    fn a_check_covers_what_every_accepting_way_loads() {
        let short_way_asks_more = [
            Instruction::new(LD_H_ABS, 12),
            Instruction::jump(JEQ_K, 1, 0, 2),
            Instruction::new(LD_B_ABS, 90),
            ALL,
            Instruction::new(LD_B_ABS, 40),
            Instruction::jump(JEQ_K, 1, 1, 0),
            NONE,
            ALL,
        ];
        let expected = [41, 41, 91, 0, 41, 0, u64::MAX, 0];
        assert_eq!(of(&short_way_asks_more).iter().map(|it| it.0).collect::<Vec<_>>(), expected);
        let never_accepts = [Instruction::new(LD_H_ABS, 12), NONE];
        assert_eq!(of(&never_accepts), [NEVER, NEVER]);
    }

    #[test]
    fn what_is_asked_behind_x_ends_where_x_is_set() {
        let program = [
            Instruction::new(LD_B_IND, 5),
            Instruction::new(LDX_MSH, 14),
            Instruction::new(LD_H_IND, 16),
            Instruction::new(LD_H_IND, 14),
            Instruction::new(LDX_IMM, 100),
            Instruction::new(LD_W_IND, 3),
            ALL,
        ];
        assert_eq!(of(&program)[..3], [(107, 6), (107, 0), (107, 18)]);
        assert_eq!(of(&program)[3..], [(107, 16), (107, 0), (7, 7), (0, 0)]);
        let x_not_used = [Instruction::new(LDX_IMM, 16), ALL];
        assert_eq!(of(&x_not_used)[0], (0, 0));
        let over_4_gib = [Instruction::new(LDX_IMM, u32::MAX), Instruction::new(LD_W_IND, 9), ALL];
        assert_eq!(of(&over_4_gib)[0], (u64::from(u32::MAX) + 13, 0));
    }
}
