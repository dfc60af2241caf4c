//! The interpreter's own form of a program: flat, twelve bytes each, pairs joined.
//!
//! Contract: as many steps as operations, and step i begins what operation i does. A frequent pair (as
//! a load and the comparison after it) is one step at the place of the first; the second keeps its own,
//! for those who jump there. What is rare stays an [`Op`], found by its index.
//!
//! Why not run [`Op`]s: an operation inside an operation is two indirect jumps where one does.

use super::op::{Alu, Op, Size, Source, Sum, Test};

/// One step. `Then` joins it with the one that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    LoadWord(u32),
    LoadHalf(u32),
    LoadByte(u32),
    LoadWordThenEqual {
        k: u32,
        jt: u8,
        jf: u8,
        to: u32,
    },
    LoadHalfThenEqual {
        k: u32,
        jt: u8,
        jf: u8,
        to: u32,
    },
    LoadByteThenEqual {
        k: u32,
        jt: u8,
        jf: u8,
        to: u32,
    },
    LoadHalfThenAnyBit {
        k: u32,
        jt: u8,
        jf: u8,
        to: u32,
    },
    LoadWordIndirect(u32),
    LoadHalfIndirect(u32),
    LoadByteIndirect(u32),
    LoadHalfIndirectThenEqual {
        k: u32,
        jt: u8,
        jf: u8,
        to: u32,
    },
    /// A & K, then shifted left by so much.
    AndThenLsh {
        k: u32,
        by: u8,
    },
    /// X = A, then A = a scratch word.
    AToXThenLoadScratch(u8),
    LoadXHeaderLength(u32),
    LoadLength,
    LoadK(u32),
    LoadScratch(u8),
    LoadXK(u32),
    LoadXScratch(u8),
    LoadXLength,
    Store(u8),
    StoreX(u8),
    AddK(u32),
    AddX,
    SubK(u32),
    SubX,
    AndK(u32),
    AndX,
    OrK(u32),
    LshK(u32),
    RshK(u32),
    Equal {
        jt: u8,
        jf: u8,
        k: u32,
    },
    Greater {
        jt: u8,
        jf: u8,
        k: u32,
    },
    GreaterOrEqual {
        jt: u8,
        jf: u8,
        k: u32,
    },
    AnyBit {
        jt: u8,
        jf: u8,
        k: u32,
    },
    EqualX {
        jt: u8,
        jf: u8,
    },
    GreaterX {
        jt: u8,
        jf: u8,
    },
    GreaterOrEqualX {
        jt: u8,
        jf: u8,
    },
    Jump(u32),
    ReturnK(u32),
    ReturnA,
    AToX,
    XToA,
    /// Operation at this place.
    Rare(u32),
}

const _: () = assert!(size_of::<Step>() == 12);

/// The steps of validated operations.
pub(super) fn steps(ops: &[Op]) -> Vec<Step> {
    let next = ops.iter().skip(1).map(Some).chain([None]);
    ops.iter().zip(next).enumerate().map(|(at, (op, next))| step(at, *op, next.copied())).collect()
}

fn step(at: usize, op: Op, next: Option<Op>) -> Step {
    if let Some(joined) = next.and_then(|next| pair(op, next)) {
        return joined;
    }
    match op {
        Op::Load(Size::Word, k) => Step::LoadWord(k),
        Op::Load(Size::Half, k) => Step::LoadHalf(k),
        Op::Load(Size::Byte, k) => Step::LoadByte(k),
        Op::LoadIndirect(Sum::Exact, Size::Word, k) => Step::LoadWordIndirect(k),
        Op::LoadIndirect(Sum::Exact, Size::Half, k) => Step::LoadHalfIndirect(k),
        Op::LoadIndirect(Sum::Exact, Size::Byte, k) => Step::LoadByteIndirect(k),
        Op::LoadXHeaderLength(k) => Step::LoadXHeaderLength(k),
        Op::LoadLength => Step::LoadLength,
        Op::LoadK(k) => Step::LoadK(k),
        Op::LoadScratch(word) => Step::LoadScratch(word),
        Op::LoadXK(k) => Step::LoadXK(k),
        Op::LoadXScratch(word) => Step::LoadXScratch(word),
        Op::LoadXLength => Step::LoadXLength,
        Op::Store(word) => Step::Store(word),
        Op::StoreX(word) => Step::StoreX(word),
        Op::Alu(Alu::Add, Source::K(k)) => Step::AddK(k),
        Op::Alu(Alu::Add, Source::X) => Step::AddX,
        Op::Alu(Alu::Sub, Source::K(k)) => Step::SubK(k),
        Op::Alu(Alu::Sub, Source::X) => Step::SubX,
        Op::Alu(Alu::And, Source::K(k)) => Step::AndK(k),
        Op::Alu(Alu::And, Source::X) => Step::AndX,
        Op::Alu(Alu::Or, Source::K(k)) => Step::OrK(k),
        Op::Alu(Alu::Lsh, Source::K(k @ 0..=31)) => Step::LshK(k),
        Op::Alu(Alu::Rsh, Source::K(k @ 0..=31)) => Step::RshK(k),
        Op::Compare { test: Test::Equal, with: Source::K(k), jt, jf } => Step::Equal { jt, jf, k },
        Op::Compare { test: Test::Greater, with: Source::K(k), jt, jf } => {
            Step::Greater { jt, jf, k }
        }
        Op::Compare { test: Test::GreaterOrEqual, with: Source::K(k), jt, jf } => {
            Step::GreaterOrEqual { jt, jf, k }
        }
        Op::Compare { test: Test::AnyBit, with: Source::K(k), jt, jf } => {
            Step::AnyBit { jt, jf, k }
        }
        Op::Compare { test: Test::Equal, with: Source::X, jt, jf } => Step::EqualX { jt, jf },
        Op::Compare { test: Test::Greater, with: Source::X, jt, jf } => Step::GreaterX { jt, jf },
        Op::Compare { test: Test::GreaterOrEqual, with: Source::X, jt, jf } => {
            Step::GreaterOrEqualX { jt, jf }
        }
        Op::Jump(k) => Step::Jump(k),
        Op::ReturnK(k) => Step::ReturnK(k),
        Op::ReturnA => Step::ReturnA,
        Op::AToX => Step::AToX,
        Op::XToA => Step::XToA,
        // A program has at most 4096 operations.
        _ => Step::Rare(at as u32),
    }
}

/// Both operations as one step, if there is one. The pairs are those that libpcap's compiler writes
/// for a field and its value, and for arithmetic.
fn pair(op: Op, next: Op) -> Option<Step> {
    if let Op::Compare { test, with: Source::K(to), jt, jf } = next {
        return Some(match (op, test) {
            (Op::Load(Size::Word, k), Test::Equal) => Step::LoadWordThenEqual { k, jt, jf, to },
            (Op::Load(Size::Half, k), Test::Equal) => Step::LoadHalfThenEqual { k, jt, jf, to },
            (Op::Load(Size::Byte, k), Test::Equal) => Step::LoadByteThenEqual { k, jt, jf, to },
            (Op::Load(Size::Half, k), Test::AnyBit) => Step::LoadHalfThenAnyBit { k, jt, jf, to },
            (Op::LoadIndirect(Sum::Exact, Size::Half, k), Test::Equal) => {
                Step::LoadHalfIndirectThenEqual { k, jt, jf, to }
            }
            _ => return None,
        });
    }
    match (op, next) {
        (Op::Alu(Alu::And, Source::K(k)), Op::Alu(Alu::Lsh, Source::K(by @ 0..=31))) => {
            Some(Step::AndThenLsh { k, by: by as u8 })
        }
        (Op::AToX, Op::LoadScratch(word)) => Some(Step::AToXThenLoadScratch(word)),
        _ => None,
    }
}
