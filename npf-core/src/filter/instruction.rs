//! Instructions as every BPF source writes them, and the opcodes (libpcap `pcap/bpf.h`).

/// One instruction: `struct bpf_insn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What to do; see [`opcode`].
    pub code: u16,
    /// Instructions to skip if a comparison holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    /// Operand: constant, offset, scratch word, or instructions to skip.
    pub k: u32,
}

impl Instruction {
    /// An instruction that does not compare.
    pub const fn new(code: u16, k: u32) -> Self {
        Instruction { code, jt: 0, jf: 0, k }
    }

    /// A comparison.
    pub const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Self {
        Instruction { code, jt, jf, k }
    }
}

/// Every opcode that exists, as class, size and mode (or operation and source) added up. `K` is the
/// instruction's operand, `P[i]` byte i of the frame, `M[i]` scratch word i.
pub mod opcode {
    /// A = the 4 bytes at `P[K]`, big-endian.
    pub const LD_W_ABS: u16 = 0x20;
    /// A = the 2 bytes at `P[K]`.
    pub const LD_H_ABS: u16 = 0x28;
    /// A = `P[K]`.
    pub const LD_B_ABS: u16 = 0x30;
    /// A = the 4 bytes at `P[X + K]`.
    pub const LD_W_IND: u16 = 0x40;
    /// A = the 2 bytes at `P[X + K]`.
    pub const LD_H_IND: u16 = 0x48;
    /// A = `P[X + K]`.
    pub const LD_B_IND: u16 = 0x50;
    /// A = length of the frame on the wire.
    pub const LD_LEN: u16 = 0x80;
    /// A = K.
    pub const LD_IMM: u16 = 0x00;
    /// A = `M[K]`.
    pub const LD_MEM: u16 = 0x60;
    /// X = K.
    pub const LDX_IMM: u16 = 0x01;
    /// X = `M[K]`.
    pub const LDX_MEM: u16 = 0x61;
    /// X = length of the frame on the wire.
    pub const LDX_LEN: u16 = 0x81;
    /// X = 4 * (`P[K]` & 15): the length of an IPv4 header.
    pub const LDX_MSH: u16 = 0xb1;
    /// `M[K]` = A.
    pub const ST: u16 = 0x02;
    /// `M[K]` = X.
    pub const STX: u16 = 0x03;
    /// A = A + K.
    pub const ADD_K: u16 = 0x04;
    /// A = A + X.
    pub const ADD_X: u16 = 0x0c;
    /// A = A - K.
    pub const SUB_K: u16 = 0x14;
    /// A = A - X.
    pub const SUB_X: u16 = 0x1c;
    /// A = A * K.
    pub const MUL_K: u16 = 0x24;
    /// A = A * X.
    pub const MUL_X: u16 = 0x2c;
    /// A = A / K.
    pub const DIV_K: u16 = 0x34;
    /// A = A / X.
    pub const DIV_X: u16 = 0x3c;
    /// A = A | K.
    pub const OR_K: u16 = 0x44;
    /// A = A | X.
    pub const OR_X: u16 = 0x4c;
    /// A = A & K.
    pub const AND_K: u16 = 0x54;
    /// A = A & X.
    pub const AND_X: u16 = 0x5c;
    /// A = A << K.
    pub const LSH_K: u16 = 0x64;
    /// A = A << X.
    pub const LSH_X: u16 = 0x6c;
    /// A = A >> K.
    pub const RSH_K: u16 = 0x74;
    /// A = A >> X.
    pub const RSH_X: u16 = 0x7c;
    /// A = -A.
    pub const NEG: u16 = 0x84;
    /// A = A % K.
    pub const MOD_K: u16 = 0x94;
    /// A = A % X.
    pub const MOD_X: u16 = 0x9c;
    /// A = A ^ K.
    pub const XOR_K: u16 = 0xa4;
    /// A = A ^ X.
    pub const XOR_X: u16 = 0xac;
    /// Skip K instructions.
    pub const JA: u16 = 0x05;
    /// Skip jt if A == K, else jf.
    pub const JEQ_K: u16 = 0x15;
    /// Skip jt if A == X, else jf.
    pub const JEQ_X: u16 = 0x1d;
    /// Skip jt if A > K, else jf.
    pub const JGT_K: u16 = 0x25;
    /// Skip jt if A > X, else jf.
    pub const JGT_X: u16 = 0x2d;
    /// Skip jt if A >= K, else jf.
    pub const JGE_K: u16 = 0x35;
    /// Skip jt if A >= X, else jf.
    pub const JGE_X: u16 = 0x3d;
    /// Skip jt if A & K, else jf.
    pub const JSET_K: u16 = 0x45;
    /// Skip jt if A & X, else jf.
    pub const JSET_X: u16 = 0x4d;
    /// Keep K bytes of the frame.
    pub const RET_K: u16 = 0x06;
    /// Keep A bytes of the frame.
    pub const RET_A: u16 = 0x16;
    /// X = A.
    pub const TAX: u16 = 0x07;
    /// A = X.
    pub const TXA: u16 = 0x87;
}
