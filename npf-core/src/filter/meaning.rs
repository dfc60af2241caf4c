//! What one instruction means: the reading of opcodes and operands, with each dialect's differences.
//!
//! Contract: looks at one instruction alone; jumps are checked by `validate.rs`, which knows the rest.

use super::ancillary::Field;
use super::instruction::{Instruction, opcode::*};
use super::linux::{self, Extension, Place};
use super::op::{Alu, Op, SCRATCH_WORDS, Size, Source, Test};
use super::{Dialect, ProgramFault};

/// The operation that `instruction` is in `dialect`; a jump is one yet to be checked.
pub(super) fn read(instruction: &Instruction, dialect: Dialect) -> Result<Op, ProgramFault> {
    let Instruction { code, k, .. } = *instruction;
    let compare = |test, with| compare(dialect, test, with, instruction);
    Ok(match code {
        LD_W_ABS => load(Size::Word, k, dialect)?,
        LD_H_ABS => load(Size::Half, k, dialect)?,
        LD_B_ABS => load(Size::Byte, k, dialect)?,
        LD_W_IND => Op::LoadIndirect(dialect.sum(), Size::Word, k),
        LD_H_IND => Op::LoadIndirect(dialect.sum(), Size::Half, k),
        LD_B_IND => Op::LoadIndirect(dialect.sum(), Size::Byte, k),
        LD_LEN => Op::LoadLength,
        LD_IMM => Op::LoadK(k),
        LD_MEM => Op::LoadScratch(scratch(k)?),
        LDX_IMM => Op::LoadXK(k),
        LDX_MEM => Op::LoadXScratch(scratch(k)?),
        LDX_LEN => Op::LoadXLength,
        // WinPcap's validator lets these pass; its interpreter then does not know them.
        0x21 | 0x29 | 0x31 if dialect == Dialect::WinPcap => Op::ReturnK(0),
        LDX_MSH => header_length(k, dialect)?,
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
        MOD_K | MOD_X | XOR_K | XOR_X if !dialect.has_mod_and_xor() => {
            return Err(ProgramFault::NotInDialect { code, dialect });
        }
        MOD_K => Op::Alu(Alu::Mod, Source::K(divisor(k)?)),
        MOD_X => Op::Alu(Alu::Mod, Source::X),
        OR_K => Op::Alu(Alu::Or, Source::K(k)),
        OR_X => Op::Alu(Alu::Or, Source::X),
        AND_K => Op::Alu(Alu::And, Source::K(k)),
        AND_X => Op::Alu(Alu::And, Source::X),
        XOR_K => Op::Alu(Alu::Xor, Source::K(k)),
        XOR_X => Op::Alu(Alu::Xor, Source::X),
        LSH_K => Op::Alu(Alu::Lsh, Source::K(shift(k, dialect)?)),
        LSH_X => Op::Alu(dialect.shift_by_x(Alu::Lsh), Source::X),
        RSH_K => Op::Alu(Alu::Rsh, Source::K(shift(k, dialect)?)),
        RSH_X => Op::Alu(dialect.shift_by_x(Alu::Rsh), Source::X),
        NEG => Op::Negate,
        JA if dialect.jumps_back() && k.cast_signed() < 0 => Op::JumpBack(k.wrapping_neg()),
        JA => Op::Jump(k),
        JEQ_K => compare(Test::Equal, Source::K(k)),
        JEQ_X => compare(Test::Equal, Source::X),
        JGT_K => compare(Test::Greater, Source::K(k)),
        JGT_X => compare(Test::Greater, Source::X),
        JGE_K => compare(Test::GreaterOrEqual, Source::K(k)),
        JGE_X => compare(Test::GreaterOrEqual, Source::X),
        JSET_K => compare(Test::AnyBit, Source::K(k)),
        JSET_X => compare(Test::AnyBit, Source::X),
        RET_K => Op::ReturnK(k),
        RET_A => Op::ReturnA,
        TAX => Op::AToX,
        TXA => Op::XToA,
        _ => return Err(ProgramFault::UnknownOpcode { code }),
    })
}

/// A = what is at K, or what an extension of the dialect puts there.
fn load(size: Size, k: u32, dialect: Dialect) -> Result<Op, ProgramFault> {
    let offset = k.cast_signed();
    let unknown = Err(ProgramFault::UnknownExtension { offset, dialect });
    match dialect {
        Dialect::Libpcap | Dialect::Bsd | Dialect::WinPcap => Ok(Op::Load(size, k)),
        Dialect::Npcap => match offset.wrapping_sub(linux::ANCILLARY) {
            _ if offset >= 0 => Ok(Op::Load(size, k)),
            0 => Ok(Op::LoadField(Field::VlanTci)),
            4 => Ok(Op::LoadField(Field::VlanNotZero)),
            _ => unknown,
        },
        Dialect::Linux if (linux::ANCILLARY..0).contains(&offset) => match linux::extension(k) {
            Some(Extension::Field(field)) => Ok(Op::LoadField(field)),
            Some(Extension::Attribute) => Ok(Op::FindAttribute),
            Some(Extension::NestedAttribute) => Ok(Op::FindNestedAttribute),
            Some(Extension::Xor) => Ok(Op::Alu(Alu::Xor, Source::X)),
            None => unknown,
        },
        Dialect::Linux => Ok(match linux::place(k) {
            Place::Frame(k) => Op::Load(size, k),
            Place::Network(k) => Op::LoadNetwork(size, k),
            Place::Nowhere => Op::ReturnK(0),
        }),
    }
}

/// X = 4 times the low half of the byte at K.
fn header_length(k: u32, dialect: Dialect) -> Result<Op, ProgramFault> {
    let offset = k.cast_signed();
    match dialect {
        Dialect::Npcap if offset < 0 && !matches!(offset - linux::ANCILLARY, 0 | 4) => {
            Err(ProgramFault::UnknownExtension { offset, dialect })
        }
        Dialect::Linux => Ok(match linux::place(k) {
            Place::Frame(k) => Op::LoadXHeaderLength(k),
            Place::Network(k) => Op::LoadXHeaderLengthNetwork(k),
            Place::Nowhere => Op::ReturnK(0),
        }),
        // Npcap's validator lets its two extensions pass; its interpreter then finds nothing there.
        _ => Ok(Op::LoadXHeaderLength(k)),
    }
}

fn compare(dialect: Dialect, test: Test, with: Source, instruction: &Instruction) -> Op {
    let test = dialect.order(test, with == Source::X);
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

fn shift(k: u32, dialect: Dialect) -> Result<u32, ProgramFault> {
    if k >= 32 && dialect.is_strict() { Err(ProgramFault::ShiftTooFar { k }) } else { Ok(k) }
}
