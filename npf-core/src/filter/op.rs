//! The operations that a validated program consists of: one meaning each, no dialect, nothing that
//! can go wrong except what the operation itself says.
//!
//! Contract, kept by the validator: a jump leads to an operation of the program, a scratch word is one
//! of the sixteen, a constant divisor is not 0, every way ends in a return. Both the interpreter and a
//! compiler start from here.

use super::ancillary::Field;

/// Words of scratch memory (BPF_MEMWORDS).
pub(super) const SCRATCH_WORDS: usize = 16;

/// How often a program may jump back on one frame; the next time rejects the frame. libpcap's own
/// bound since 1.11 (`bpf_filter.c`, MAX_BACKWARD_JUMPS); before, it had none.
pub(super) const MAX_BACKWARD_JUMPS: u32 = 64;

/// One operation of the machine: registers A and X, scratch words M.
///
/// "Rejects" means: the program ends, 0 bytes of the frame are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// A = what is at K. Rejects beyond the frame.
    Load(Size, u32),
    /// A = what is at X + K, as [`Sum`] says. Rejects beyond the frame.
    LoadIndirect(Sum, Size, u32),
    /// A = what is at the network header + K, an exact sum. Rejects beyond the frame.
    LoadNetwork(Size, u32),
    /// A = what is known of the frame besides its bytes.
    LoadField(Field),
    /// A = offset of the netlink attribute of type X at or behind offset A, else 0.
    FindAttribute,
    /// A = offset of the attribute of type X inside the attribute at offset A, else 0.
    FindNestedAttribute,
    /// A = length of the frame on the wire.
    LoadLength,
    /// A = K.
    LoadK(u32),
    /// A = M.
    LoadScratch(u8),
    /// X = K.
    LoadXK(u32),
    /// X = M.
    LoadXScratch(u8),
    /// X = length of the frame on the wire.
    LoadXLength,
    /// X = 4 times the low half of the byte at K. Rejects beyond the frame.
    LoadXHeaderLength(u32),
    /// The same at the network header + K, an exact sum.
    LoadXHeaderLengthNetwork(u32),
    /// M = A.
    Store(u8),
    /// M = X.
    StoreX(u8),
    /// A = A op K or X. Division and remainder by X = 0 reject.
    Alu(Alu, Source),
    /// A = -A.
    Negate,
    /// Skips K operations.
    Jump(u32),
    /// Goes to the operation that is K before the next one; K is at least 2. Rejects when it has
    /// happened [`MAX_BACKWARD_JUMPS`] times before.
    JumpBack(u32),
    /// Skips jt operations if A test K or X holds, else jf.
    Compare { test: Test, with: Source, jt: u8, jf: u8 },
    /// Ends: K bytes.
    ReturnK(u32),
    /// Ends: A bytes.
    ReturnA,
    /// Ends without having been there: all of the frame. The one operation of an empty program.
    KeepAll,
    /// X = A.
    AToX,
    /// A = X.
    XToA,
}

impl Op {
    /// Whether it reads or writes a scratch word.
    pub(super) fn uses_scratch(&self) -> bool {
        use Op::{LoadScratch, LoadXScratch, Store, StoreX};
        matches!(self, LoadScratch(_) | LoadXScratch(_) | Store(_) | StoreX(_))
    }
}

/// How much a load takes, big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Word,
    Half,
    Byte,
}

/// How X + K becomes an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sum {
    /// A sum of 2^32 or more is beyond every frame.
    Exact,
    /// Modulo 2^32: a "negative" K reaches back from X.
    Wrapping,
    /// Modulo 2^32, and a negative sum counts from the network or the link header, see
    /// `linux::place`.
    Linux,
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
    /// By 32 or more gives 0.
    Lsh,
    /// By 32 or more gives 0.
    Rsh,
    /// By the low five bits.
    LshMasked,
    /// By the low five bits.
    RshMasked,
}

/// Comparison of A with an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
    GreaterSigned,
    GreaterOrEqualSigned,
    AnyBit,
}
