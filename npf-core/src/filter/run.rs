//! The machine that runs a validated program: the reference that every other engine is tested against.
//!
//! Contract: [`run`] takes operations the validator made, and their steps. It moves forward by at
//! least one each step, except for at most [`MAX_BACKWARD_JUMPS`] jumps back, and ends at a return; so
//! it needs at most that many times more steps than there are operations.

use super::ancillary::Ancillary;
use super::linux::{self, Place};
use super::op::{Alu, MAX_BACKWARD_JUMPS, Op, Size, Source, Sum, Test};
use super::step::Step;

/// What a program says about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Bytes to keep; 0 rejects the frame. May exceed the frame.
    pub accept: u32,
    /// Instructions that ran.
    pub executed: u32,
}

/// Runs `steps`, those of `ops`, over `data`, what is there of a frame of `wire_len` bytes.
///
/// `SCRATCH`: words of scratch memory, `SCRATCH_WORDS` or, for a program that has no use for them, 0:
/// to clear them takes as long as two instructions.
///
/// Never inlined: a caller who has compiled code instead would save all its registers for nothing.
#[inline(never)]
pub(super) fn run<const SCRATCH: usize>(
    ops: &[Op],
    steps: &[Step],
    data: &[u8],
    wire_len: u32,
    ancillary: &Ancillary,
) -> Verdict {
    let (mut a, mut x) = (0u32, 0u32);
    let mut scratch = [0u32; SCRATCH];
    // The step that comes next, and how many were jumped over: the difference is how many ran.
    let (mut pc, mut skipped) = (0usize, 0usize);
    let mut jumps_back = 0;
    // Wrapping: every sum is a place in the program, and checking it again costs a tenth.
    macro_rules! executed {
        () => {
            pc.wrapping_sub(skipped) as u32
        };
    }
    macro_rules! skip {
        ($count:expr) => {{
            let count = usize::from($count);
            pc = pc.wrapping_add(count);
            skipped = skipped.wrapping_add(count);
        }};
    }
    // A comparison as a branch. That both ways check their target, and differ in what they would do if
    // it were none, keeps the compiler from making it a conditional move: then the next step would wait
    // for the frame's bytes, where a branch is foreseen.
    macro_rules! choose {
        ($holds:expr, $jt:expr, $jf:expr) => {
            if $holds {
                skip!($jt);
                if pc >= steps.len() {
                    return Verdict { accept: 0, executed: 1 };
                }
            } else {
                skip!($jf);
                if pc >= steps.len() {
                    return Verdict { accept: 0, executed: 2 };
                }
            }
        };
    }
    // `None` from a load or a division ends the program and rejects the frame.
    macro_rules! or_reject {
        ($value:expr) => {
            match $value {
                Some(value) => value,
                None => return Verdict { accept: 0, executed: executed!() },
            }
        };
    }
    loop {
        let step = steps[pc];
        pc = pc.wrapping_add(1);
        match step {
            Step::LoadWord(k) => a = or_reject!(word(data, k.into())),
            Step::LoadHalf(k) => a = or_reject!(half(data, k.into())),
            Step::LoadByte(k) => a = or_reject!(byte(data, k.into())),
            Step::LoadWordThenEqual { k, jt, jf, to } => {
                a = or_reject!(word(data, k.into()));
                pc = pc.wrapping_add(1);
                choose!(a == to, jt, jf);
            }
            Step::LoadHalfThenEqual { k, jt, jf, to } => {
                a = or_reject!(half(data, k.into()));
                pc = pc.wrapping_add(1);
                choose!(a == to, jt, jf);
            }
            Step::LoadByteThenEqual { k, jt, jf, to } => {
                a = or_reject!(byte(data, k.into()));
                pc = pc.wrapping_add(1);
                choose!(a == to, jt, jf);
            }
            Step::LoadHalfThenAnyBit { k, jt, jf, to } => {
                a = or_reject!(half(data, k.into()));
                pc = pc.wrapping_add(1);
                choose!(a & to != 0, jt, jf);
            }
            Step::LoadWordIndirect(k) => a = or_reject!(word(data, exact(x, k))),
            Step::LoadHalfIndirect(k) => a = or_reject!(half(data, exact(x, k))),
            Step::LoadByteIndirect(k) => a = or_reject!(byte(data, exact(x, k))),
            Step::LoadHalfIndirectThenEqual { k, jt, jf, to } => {
                a = or_reject!(half(data, exact(x, k)));
                pc = pc.wrapping_add(1);
                choose!(a == to, jt, jf);
            }
            Step::AndThenLsh { k, by } => {
                a = (a & k).wrapping_shl(by.into());
                pc = pc.wrapping_add(1);
            }
            Step::AToXThenLoadScratch(word) => {
                x = a;
                a = recall(&scratch, word);
                pc = pc.wrapping_add(1);
            }
            Step::LoadXHeaderLength(k) => x = or_reject!(header_length(data, k.into())),
            Step::LoadLength => a = wire_len,
            Step::LoadK(k) => a = k,
            Step::LoadScratch(word) => a = recall(&scratch, word),
            Step::LoadXK(k) => x = k,
            Step::LoadXScratch(word) => x = recall(&scratch, word),
            Step::LoadXLength => x = wire_len,
            Step::Store(word) => remember(&mut scratch, word, a),
            Step::StoreX(word) => remember(&mut scratch, word, x),
            Step::AddK(k) => a = a.wrapping_add(k),
            Step::AddX => a = a.wrapping_add(x),
            Step::SubK(k) => a = a.wrapping_sub(k),
            Step::SubX => a = a.wrapping_sub(x),
            Step::AndK(k) => a &= k,
            Step::AndX => a &= x,
            Step::OrK(k) => a |= k,
            Step::LshK(k) => a = a.wrapping_shl(k),
            Step::RshK(k) => a = a.wrapping_shr(k),
            Step::Equal { jt, jf, k } => choose!(a == k, jt, jf),
            Step::Greater { jt, jf, k } => choose!(a > k, jt, jf),
            Step::GreaterOrEqual { jt, jf, k } => choose!(a >= k, jt, jf),
            Step::AnyBit { jt, jf, k } => choose!(a & k != 0, jt, jf),
            Step::EqualX { jt, jf } => choose!(a == x, jt, jf),
            Step::GreaterX { jt, jf } => choose!(a > x, jt, jf),
            Step::GreaterOrEqualX { jt, jf } => choose!(a >= x, jt, jf),
            Step::Jump(k) => {
                pc = pc.wrapping_add(k as usize);
                skipped = skipped.wrapping_add(k as usize);
            }
            Step::ReturnK(k) => return Verdict { accept: k, executed: executed!() },
            Step::ReturnA => return Verdict { accept: a, executed: executed!() },
            Step::AToX => x = a,
            Step::XToA => a = x,
            Step::Rare(at) => match ops[at as usize] {
                Op::Compare { test, with, jt, jf } => {
                    choose!(holds(test, a, operand(with, x)), jt, jf);
                }
                Op::JumpBack(k) => {
                    if jumps_back == MAX_BACKWARD_JUMPS {
                        return Verdict { accept: 0, executed: executed!() };
                    }
                    jumps_back += 1;
                    pc = pc.wrapping_sub(k as usize);
                    skipped = skipped.wrapping_sub(k as usize);
                }
                Op::KeepAll => return Verdict { accept: u32::MAX, executed: 0 },
                op => (a, x) = or_reject!(rare(op, a, x, data, ancillary)),
            },
        }
    }
}

/// What A and X become by an operation that is no step of its own; `None` rejects the frame.
#[inline(never)]
fn rare(op: Op, a: u32, x: u32, data: &[u8], ancillary: &Ancillary) -> Option<(u32, u32)> {
    let a = match op {
        Op::LoadIndirect(sum, size, k) => load(data, size, indirect(sum, x, k, ancillary)?)?,
        Op::LoadNetwork(size, k) => load(data, size, behind_network(k, ancillary))?,
        Op::LoadField(field) => ancillary.value(field),
        Op::FindAttribute => linux::attribute(data, a, x),
        Op::FindNestedAttribute => linux::nested_attribute(data, a, x),
        Op::LoadXHeaderLengthNetwork(k) => {
            return Some((a, header_length(data, behind_network(k, ancillary))?));
        }
        Op::Alu(alu, source) => compute(alu, a, operand(source, x))?,
        Op::Negate => a.wrapping_neg(),
        // All others are steps; see `step.rs`.
        _ => return None,
    };
    Some((a, x))
}

/// A scratch word. The validator has seen to its number; 0 where a program has none.
#[inline]
fn recall(scratch: &[u32], word: u8) -> u32 {
    scratch.get(usize::from(word)).copied().unwrap_or(0)
}

#[inline]
fn remember(scratch: &mut [u32], word: u8, value: u32) {
    if let Some(slot) = scratch.get_mut(usize::from(word)) {
        *slot = value;
    }
}

#[inline]
fn operand(source: Source, x: u32) -> u32 {
    match source {
        Source::K(k) => k,
        Source::X => x,
    }
}

/// The offset X + K, so wide that it cannot wrap back into the frame.
#[inline]
fn exact(x: u32, k: u32) -> u64 {
    u64::from(x) + u64::from(k)
}

/// The offset X + K; `None` if it is nowhere.
fn indirect(sum: Sum, x: u32, k: u32, ancillary: &Ancillary) -> Option<u64> {
    match sum {
        Sum::Exact => Some(exact(x, k)),
        Sum::Wrapping => Some(x.wrapping_add(k).into()),
        Sum::Linux => match linux::place(x.wrapping_add(k)) {
            Place::Frame(offset) => Some(offset.into()),
            Place::Network(offset) => Some(behind_network(offset, ancillary)),
            Place::Nowhere => None,
        },
    }
}

fn behind_network(k: u32, ancillary: &Ancillary) -> u64 {
    exact(ancillary.network_offset, k)
}

/// Loads big-endian; `None` outside the frame.
fn load(data: &[u8], size: Size, offset: u64) -> Option<u32> {
    match size {
        Size::Word => word(data, offset),
        Size::Half => half(data, offset),
        Size::Byte => byte(data, offset),
    }
}

#[inline]
fn word(data: &[u8], offset: u64) -> Option<u32> {
    data.get(usize::try_from(offset).ok()?..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

#[inline]
fn half(data: &[u8], offset: u64) -> Option<u32> {
    let bytes = data.get(usize::try_from(offset).ok()?..)?.first_chunk()?;
    Some(u16::from_be_bytes(*bytes).into())
}

#[inline]
fn byte(data: &[u8], offset: u64) -> Option<u32> {
    data.get(usize::try_from(offset).ok()?).map(|byte| (*byte).into())
}

/// 4 times the low half of a byte.
#[inline]
fn header_length(data: &[u8], offset: u64) -> Option<u32> {
    byte(data, offset).map(|byte| (byte & 15) * 4)
}

/// `None` for a division by 0.
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
