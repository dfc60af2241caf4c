//! The machine that runs a validated program.
//!
//! Contract: [`run`] takes operations the validator made. It moves forward by at least one each step,
//! except for at most [`MAX_BACKWARD_JUMPS`] jumps back, and ends at a return; so it needs at most
//! that many times more steps than there are operations.

use super::ancillary::Ancillary;
use super::linux::{self, Place};
use super::op::{Alu, MAX_BACKWARD_JUMPS, Op, SCRATCH_WORDS, Size, Source, Sum, Test};

/// What a program says about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Bytes to keep; 0 rejects the frame. May exceed the frame.
    pub accept: u32,
    /// Instructions that ran.
    pub executed: u32,
}

/// Runs validated operations over `data`, what is there of a frame of `wire_len` bytes.
#[inline]
pub(super) fn run(ops: &[Op], data: &[u8], wire_len: u32, ancillary: &Ancillary) -> Verdict {
    let (mut a, mut x) = (0u32, 0u32);
    let mut scratch = [0u32; SCRATCH_WORDS];
    let mut pc = 0;
    let mut executed = 0;
    let mut jumps_back = 0;
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
            Op::LoadIndirect(sum, size, k) => {
                let offset = or_reject!(indirect(sum, x, k, ancillary));
                a = or_reject!(load(data, size, offset));
            }
            Op::LoadNetwork(size, k) => {
                a = or_reject!(load(data, size, behind_network(k, ancillary)));
            }
            Op::LoadField(field) => a = ancillary.value(field),
            Op::FindAttribute => a = linux::attribute(data, a, x),
            Op::FindNestedAttribute => a = linux::nested_attribute(data, a, x),
            Op::LoadLength => a = wire_len,
            Op::LoadK(k) => a = k,
            Op::LoadScratch(word) => a = scratch[usize::from(word)],
            Op::LoadXK(k) => x = k,
            Op::LoadXScratch(word) => x = scratch[usize::from(word)],
            Op::LoadXLength => x = wire_len,
            Op::LoadXHeaderLength(k) => x = or_reject!(header_length(data, k.into())),
            Op::LoadXHeaderLengthNetwork(k) => {
                x = or_reject!(header_length(data, behind_network(k, ancillary)));
            }
            Op::Store(word) => scratch[usize::from(word)] = a,
            Op::StoreX(word) => scratch[usize::from(word)] = x,
            Op::Alu(alu, source) => a = or_reject!(compute(alu, a, operand(source, x))),
            Op::Negate => a = a.wrapping_neg(),
            Op::Jump(k) => pc += k as usize,
            Op::JumpBack(k) => {
                if jumps_back == MAX_BACKWARD_JUMPS {
                    return Verdict { accept: 0, executed };
                }
                jumps_back += 1;
                pc -= k as usize;
            }
            Op::Compare { test, with, jt, jf } => {
                let skip = if holds(test, a, operand(with, x)) { jt } else { jf };
                pc += usize::from(skip);
            }
            Op::ReturnK(k) => return Verdict { accept: k, executed },
            Op::ReturnA => return Verdict { accept: a, executed },
            Op::KeepAll => return Verdict { accept: u32::MAX, executed: 0 },
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

/// The offset X + K; `None` if it is nowhere. Wide enough that a sum cannot wrap back into the frame.
#[inline]
fn indirect(sum: Sum, x: u32, k: u32, ancillary: &Ancillary) -> Option<u64> {
    match sum {
        Sum::Exact => Some(u64::from(x) + u64::from(k)),
        Sum::Wrapping => Some(x.wrapping_add(k).into()),
        Sum::Linux => match linux::place(x.wrapping_add(k)) {
            Place::Frame(offset) => Some(offset.into()),
            Place::Network(offset) => Some(behind_network(offset, ancillary)),
            Place::Nowhere => None,
        },
    }
}

#[inline]
fn behind_network(k: u32, ancillary: &Ancillary) -> u64 {
    u64::from(ancillary.network_offset) + u64::from(k)
}

/// Loads big-endian; `None` outside the frame.
#[inline]
fn load(data: &[u8], size: Size, offset: u64) -> Option<u32> {
    let rest = data.get(usize::try_from(offset).ok()?..)?;
    Some(match size {
        Size::Word => u32::from_be_bytes(*rest.first_chunk()?),
        Size::Half => u16::from_be_bytes(*rest.first_chunk()?).into(),
        Size::Byte => (*rest.first()?).into(),
    })
}

#[inline]
fn header_length(data: &[u8], offset: u64) -> Option<u32> {
    load(data, Size::Byte, offset).map(|byte| (byte & 15) * 4)
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
        Alu::LshMasked => a.wrapping_shl(b),
        Alu::RshMasked => a.wrapping_shr(b),
    })
}

#[inline]
fn holds(test: Test, a: u32, b: u32) -> bool {
    match test {
        Test::Equal => a == b,
        Test::Greater => a > b,
        Test::GreaterOrEqual => a >= b,
        Test::GreaterSigned => a.cast_signed() > b.cast_signed(),
        Test::GreaterOrEqualSigned => a.cast_signed() >= b.cast_signed(),
        Test::AnyBit => a & b != 0,
    }
}
