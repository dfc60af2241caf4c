//! The machine that runs a validated program.
//!
//! Contract: [`run`] takes operations the validator made; it moves forward by at least one each step
//! and ends at a return, so it needs at most as many steps as there are operations.

/// Words of scratch memory (BPF_MEMWORDS).
pub(super) const SCRATCH_WORDS: usize = 16;

/// What a program says about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Bytes to keep; 0 rejects the frame. May exceed the frame.
    pub accept: u32,
    /// Instructions that ran.
    pub executed: u32,
}

/// One operation of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Load(Size, u32),
    LoadIndirect(Size, u32),
    LoadLength,
    LoadK(u32),
    LoadScratch(u8),
    LoadXK(u32),
    LoadXScratch(u8),
    LoadXLength,
    LoadXHeaderLength(u32),
    Store(u8),
    StoreX(u8),
    Alu(Alu, Source),
    Negate,
    Jump(u32),
    Compare { test: Test, with: Source, jt: u8, jf: u8 },
    ReturnK(u32),
    ReturnA,
    AToX,
    XToA,
}

/// How much a load takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Word,
    Half,
    Byte,
}

/// Second operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    K(u32),
    X,
}

/// Arithmetic, modulo 2^32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alu {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Or,
    And,
    Xor,
    Lsh,
    Rsh,
}

/// Comparison of A with an operand, unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
    AnyBit,
}

/// Runs validated operations over `data`, what is there of a frame of `wire_len` bytes.
#[inline]
pub(super) fn run(ops: &[Op], data: &[u8], wire_len: u32) -> Verdict {
    let (mut a, mut x) = (0u32, 0u32);
    let mut scratch = [0u32; SCRATCH_WORDS];
    let mut pc = 0;
    let mut executed = 0;
    // `None` from a load or a division ends the program and rejects the frame.
    macro_rules! or_reject {
        ($value:expr) => {
            match $value {
                Some(value) => value,
                None => return Verdict { accept: 0, executed },
            }
        };
    }
    loop {
        let op = ops[pc];
        pc += 1;
        executed += 1;
        match op {
            Op::Load(size, k) => a = or_reject!(load(data, size, k.into())),
            Op::LoadIndirect(size, k) => {
                a = or_reject!(load(data, size, u64::from(x) + u64::from(k)));
            }
            Op::LoadLength => a = wire_len,
            Op::LoadK(k) => a = k,
            Op::LoadScratch(word) => a = scratch[usize::from(word)],
            Op::LoadXK(k) => x = k,
            Op::LoadXScratch(word) => x = scratch[usize::from(word)],
            Op::LoadXLength => x = wire_len,
            Op::LoadXHeaderLength(k) => {
                x = (or_reject!(load(data, Size::Byte, k.into())) & 15) * 4;
            }
            Op::Store(word) => scratch[usize::from(word)] = a,
            Op::StoreX(word) => scratch[usize::from(word)] = x,
            Op::Alu(alu, source) => a = or_reject!(compute(alu, a, operand(source, x))),
            Op::Negate => a = a.wrapping_neg(),
            Op::Jump(k) => pc += k as usize,
            Op::Compare { test, with, jt, jf } => {
                let skip = if holds(test, a, operand(with, x)) { jt } else { jf };
                pc += usize::from(skip);
            }
            Op::ReturnK(k) => return Verdict { accept: k, executed },
            Op::ReturnA => return Verdict { accept: a, executed },
            Op::AToX => x = a,
            Op::XToA => a = x,
        }
    }
}

#[inline]
fn operand(source: Source, x: u32) -> u32 {
    match source {
        Source::K(k) => k,
        Source::X => x,
    }
}

/// Loads big-endian; `None` outside the frame. The offset is a sum of two 32-bit numbers, so that
/// it cannot wrap back into the frame.
#[inline]
fn load(data: &[u8], size: Size, offset: u64) -> Option<u32> {
    let rest = data.get(usize::try_from(offset).ok()?..)?;
    Some(match size {
        Size::Word => u32::from_be_bytes(*rest.first_chunk()?),
        Size::Half => u16::from_be_bytes(*rest.first_chunk()?).into(),
        Size::Byte => (*rest.first()?).into(),
    })
}

/// `None` for a division by 0.
#[inline]
fn compute(alu: Alu, a: u32, b: u32) -> Option<u32> {
    Some(match alu {
        Alu::Add => a.wrapping_add(b),
        Alu::Sub => a.wrapping_sub(b),
        Alu::Mul => a.wrapping_mul(b),
        Alu::Div => return a.checked_div(b),
        Alu::Mod => return a.checked_rem(b),
        Alu::Or => a | b,
        Alu::And => a & b,
        Alu::Xor => a ^ b,
        Alu::Lsh => a.checked_shl(b).unwrap_or(0),
        Alu::Rsh => a.checked_shr(b).unwrap_or(0),
    })
}

#[inline]
fn holds(test: Test, a: u32, b: u32) -> bool {
    match test {
        Test::Equal => a == b,
        Test::Greater => a > b,
        Test::GreaterOrEqual => a >= b,
        Test::AnyBit => a & b != 0,
    }
}
