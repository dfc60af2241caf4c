//! Worked vectors, one per opcode and edge: program, frame, length on the wire, bytes kept. Each runs
//! in every dialect, interpreted and compiled. Where a dialect keeps something else, it is said.

use npf_core::filter::{Ancillary, Dialect, Filter, Instruction, Program, opcode::*};

/// Code, jt, jf, k.
type Line = (u16, u8, u8, u32);

/// Bytes kept, by libpcap, bsd, npcap, winpcap, linux; `None` where the program is refused.
type Keeps = [Option<u32>; 5];

const fn all(bytes: u32) -> Keeps {
    [Some(bytes); 5]
}

/// All but WinPcap, which has neither MOD nor XOR.
const fn newer(bytes: u32) -> Keeps {
    [Some(bytes), Some(bytes), Some(bytes), None, Some(bytes)]
}

/// Linux refuses it; all others keep so much.
const fn not_linux(bytes: u32) -> Keeps {
    [Some(bytes), Some(bytes), Some(bytes), Some(bytes), None]
}

/// libpcap and BSD reject the frame; the others, whose offsets wrap, keep so much.
const fn wraps(bytes: u32) -> Keeps {
    [Some(0), Some(0), Some(bytes), Some(bytes), Some(bytes)]
}

const MAX: u32 = u32::MAX;
/// -8 as the 32 bits of k.
const BACK_8: u32 = 0xffff_fff8;

/// Bytes 1 to 8.
const EIGHT: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
/// High bits everywhere.
const HIGH: [u8; 8] = [0xff, 0xfe, 0xfd, 0xfc, 0x80, 0x81, 0x82, 0x83];
const NONE: [u8; 0] = [];

const A: Line = (RET_A, 0, 0, 0);

const fn keep(bytes: u32) -> Line {
    (RET_K, 0, 0, bytes)
}

const fn a(value: u32) -> Line {
    (LD_IMM, 0, 0, value)
}

const fn x(value: u32) -> Line {
    (LDX_IMM, 0, 0, value)
}

const fn op(code: u16, k: u32) -> Line {
    (code, 0, 0, k)
}

#[rustfmt::skip]
const VECTORS: &[(&str, &[Line], &[u8], Keeps)] = &[
    // Returns.
    ("keep nothing", &[keep(0)], &EIGHT, all(0)),
    ("keep one byte", &[keep(1)], &EIGHT, all(1)),
    ("keep more than there is", &[keep(MAX)], &EIGHT, all(MAX)),
    ("A starts at 0", &[A], &EIGHT, all(0)),
    ("X starts at 0", &[a(9), op(TXA, 0), A], &EIGHT, all(0)),
    ("a frame of no bytes", &[keep(5)], &NONE, all(5)),
    ("the first return counts", &[keep(3), keep(4)], &EIGHT, all(3)),
    // Absolute loads: value, last byte, one beyond, far beyond.
    ("word", &[op(LD_W_ABS, 0), A], &EIGHT, all(0x0102_0304)),
    ("word with high bits", &[op(LD_W_ABS, 0), A], &HIGH, all(0xfffe_fdfc)),
    ("word at the end", &[op(LD_W_ABS, 4), A], &EIGHT, all(0x0506_0708)),
    ("word over the end", &[op(LD_W_ABS, 5), keep(7)], &EIGHT, all(0)),
    ("word behind the end", &[op(LD_W_ABS, 8), keep(7)], &EIGHT, all(0)),
    ("word at 2^31 - 1", &[op(LD_W_ABS, 0x7fff_ffff), keep(7)], &EIGHT, all(0)),
    ("word of a frame too short", &[op(LD_W_ABS, 0), keep(7)], &[1, 2, 3], all(0)),
    ("half", &[op(LD_H_ABS, 1), A], &EIGHT, all(0x0203)),
    ("half with high bits", &[op(LD_H_ABS, 4), A], &HIGH, all(0x8081)),
    ("half at the end", &[op(LD_H_ABS, 6), A], &EIGHT, all(0x0708)),
    ("half over the end", &[op(LD_H_ABS, 7), keep(7)], &EIGHT, all(0)),
    ("half of one byte", &[op(LD_H_ABS, 0), keep(7)], &[1], all(0)),
    ("byte", &[op(LD_B_ABS, 2), A], &EIGHT, all(3)),
    ("byte with its high bit", &[op(LD_B_ABS, 0), A], &HIGH, all(0xff)),
    ("byte at the end", &[op(LD_B_ABS, 7), A], &EIGHT, all(8)),
    ("byte behind the end", &[op(LD_B_ABS, 8), keep(7)], &EIGHT, all(0)),
    ("byte of no bytes", &[op(LD_B_ABS, 0), keep(7)], &NONE, all(0)),
    ("offset -1", &[op(LD_B_ABS, MAX), keep(7)], &EIGHT,
        [Some(0), Some(0), None, Some(0), None]),
    ("offset -2^31", &[op(LD_W_ABS, 0x8000_0000), keep(7)], &EIGHT,
        [Some(0), Some(0), None, Some(0), Some(0)]),
    // Indirect loads.
    ("indirect word", &[x(3), op(LD_W_IND, 1), A], &EIGHT, all(0x0506_0708)),
    ("indirect word over the end", &[x(4), op(LD_W_IND, 1), keep(7)], &EIGHT, all(0)),
    ("indirect half", &[x(6), op(LD_H_IND, 0), A], &EIGHT, all(0x0708)),
    ("indirect half over the end", &[x(0), op(LD_H_IND, 7), keep(7)], &EIGHT, all(0)),
    ("indirect byte", &[x(7), op(LD_B_IND, 0), A], &EIGHT, all(8)),
    ("indirect byte behind the end", &[x(7), op(LD_B_IND, 1), keep(7)], &EIGHT, all(0)),
    ("X beyond the end alone", &[x(8), op(LD_B_IND, 0), keep(7)], &EIGHT, all(0)),
    ("X of 2^32 - 1 and k of 1", &[x(MAX), op(LD_B_IND, 1), A], &EIGHT, wraps(1)),
    ("X of 10 and k of -8", &[x(10), op(LD_H_IND, BACK_8), A], &EIGHT, wraps(0x0304)),
    ("X of 12 and k of -8, over the end", &[x(13), op(LD_W_IND, BACK_8), A], &EIGHT, all(0)),
    ("X and k of 2^31", &[x(0x8000_0000), op(LD_B_IND, 0x8000_0000), A], &EIGHT, wraps(1)),
    // The length on the wire, 1000, whatever is there.
    ("length", &[op(LD_LEN, 0), A], &EIGHT, all(1000)),
    ("length of no bytes", &[op(LD_LEN, 0), A], &NONE, all(1000)),
    ("length into X", &[op(LDX_LEN, 0), op(TXA, 0), A], &EIGHT, all(1000)),
    ("the wire's length is no byte", &[op(LD_B_ABS, 999), keep(7)], &EIGHT, all(0)),
    // The length of an IPv4 header.
    ("header length", &[op(LDX_MSH, 4), op(TXA, 0), A], &EIGHT, all(20)),
    ("header length, high half ignored", &[op(LDX_MSH, 0), op(TXA, 0), A], &HIGH, all(60)),
    ("header length leaves A", &[a(9), op(LDX_MSH, 0), A], &EIGHT, all(9)),
    ("header length at the end", &[op(LDX_MSH, 7), op(TXA, 0), A], &EIGHT, all(32)),
    ("header length behind the end", &[op(LDX_MSH, 8), keep(7)], &EIGHT, all(0)),
    // Scratch words.
    ("first scratch word", &[a(9), op(ST, 0), a(0), op(LD_MEM, 0), A], &EIGHT, all(9)),
    ("last scratch word", &[x(9), op(STX, 15), op(LD_MEM, 15), A], &EIGHT, all(9)),
    ("scratch word into X", &[a(9), op(ST, 1), op(LDX_MEM, 1), op(TXA, 0), A], &EIGHT, all(9)),
    ("stored twice", &[a(9), op(ST, 1), a(8), op(ST, 1), op(LD_MEM, 1), A], &EIGHT, all(8)),
    ("words are apart", &[a(9), op(ST, 1), a(8), op(ST, 2), op(LD_MEM, 1), A], &EIGHT, all(9)),
    ("unwritten word", &[op(LD_MEM, 5), op(ADD_K, 3), A], &EIGHT, not_linux(3)),
    ("word 16", &[op(ST, 16), keep(7)], &EIGHT, [None; 5]),
    // Arithmetic with k.
    ("add", &[a(3), op(ADD_K, 4), A], &EIGHT, all(7)),
    ("add over 2^32", &[a(MAX), op(ADD_K, 4), A], &EIGHT, all(3)),
    ("subtract", &[a(9), op(SUB_K, 4), A], &EIGHT, all(5)),
    ("subtract below 0", &[a(3), op(SUB_K, 4), A], &EIGHT, all(MAX)),
    ("multiply", &[a(3), op(MUL_K, 4), A], &EIGHT, all(12)),
    ("multiply over 2^32", &[a(0x1_0001), op(MUL_K, 0x1_0001), A], &EIGHT, all(0x2_0001)),
    ("divide", &[a(14), op(DIV_K, 4), A], &EIGHT, all(3)),
    ("divide unsigned", &[a(0xffff_fffe), op(DIV_K, 2), A], &EIGHT, all(0x7fff_ffff)),
    ("divide by 0", &[a(14), op(DIV_K, 0), A], &EIGHT, [None; 5]),
    ("remainder", &[a(14), op(MOD_K, 4), A], &EIGHT, newer(2)),
    ("remainder unsigned", &[a(MAX), op(MOD_K, 10), A], &EIGHT, newer(5)),
    ("remainder by 0", &[a(14), op(MOD_K, 0), A], &EIGHT, [None; 5]),
    ("or", &[a(0x50), op(OR_K, 0x15), A], &EIGHT, all(0x55)),
    ("and", &[a(0x5f), op(AND_K, 0xf5), A], &EIGHT, all(0x55)),
    ("exclusive or", &[a(0x5f), op(XOR_K, 0xf5), A], &EIGHT, newer(0xaa)),
    ("shift left", &[a(1), op(LSH_K, 31), A], &EIGHT, all(0x8000_0000)),
    ("shift left out", &[a(3), op(LSH_K, 31), A], &EIGHT, all(0x8000_0000)),
    ("shift right is unsigned", &[a(0x8000_0000), op(RSH_K, 31), A], &EIGHT, all(1)),
    ("shift by 0", &[a(9), op(LSH_K, 0), op(RSH_K, 0), A], &EIGHT, all(9)),
    ("shift left by 32", &[a(9), op(LSH_K, 32), op(ADD_K, 2), A], &EIGHT, not_linux(2)),
    ("shift right by 2^32 - 1", &[a(9), op(RSH_K, MAX), op(ADD_K, 2), A], &EIGHT, not_linux(2)),
    ("negate", &[a(1), op(NEG, 0), A], &EIGHT, all(MAX)),
    ("negate -2^31", &[a(0x8000_0000), op(NEG, 0), A], &EIGHT, all(0x8000_0000)),
    // Arithmetic with X.
    ("add X", &[a(MAX), x(4), op(ADD_X, 9), A], &EIGHT, all(3)),
    ("subtract X", &[a(3), x(4), op(SUB_X, 9), A], &EIGHT, all(MAX)),
    ("multiply by X", &[a(3), x(4), op(MUL_X, 9), A], &EIGHT, all(12)),
    ("divide by X", &[a(0xffff_fffe), x(2), op(DIV_X, 9), A], &EIGHT, all(0x7fff_ffff)),
    ("divide by X of 0", &[a(14), op(DIV_X, 9), keep(7)], &EIGHT, all(0)),
    ("remainder by X", &[a(14), x(4), op(MOD_X, 9), A], &EIGHT, newer(2)),
    ("remainder by X of 0", &[a(14), op(MOD_X, 9), keep(7)], &EIGHT, newer(0)),
    ("or X", &[a(0x50), x(0x15), op(OR_X, 0), A], &EIGHT, all(0x55)),
    ("and X", &[a(0x5f), x(0xf5), op(AND_X, 0), A], &EIGHT, all(0x55)),
    ("exclusive or X", &[a(0x5f), x(0xf5), op(XOR_X, 0), A], &EIGHT, newer(0xaa)),
    ("shift left by X", &[a(1), x(31), op(LSH_X, 0), A], &EIGHT, all(0x8000_0000)),
    ("shift right by X", &[a(MAX), x(31), op(RSH_X, 0), A], &EIGHT, all(1)),
    ("shift left by X of 33", &[a(1), x(33), op(LSH_X, 0), op(ADD_K, 1), A], &EIGHT,
        [Some(1), Some(1), Some(1), Some(1), Some(3)]),
    ("shift right by X of 2^32 - 1", &[a(MAX), x(MAX), op(RSH_X, 0), op(ADD_K, 1), A], &EIGHT,
        [Some(1), Some(1), Some(1), Some(1), Some(2)]),
    // Registers.
    ("A to X", &[a(9), op(TAX, 0), a(0), op(TXA, 0), A], &EIGHT, all(9)),
    ("A stays when it goes to X", &[a(9), op(TAX, 0), A], &EIGHT, all(9)),
    // Jumps.
    ("jump over one", &[op(JA, 1), keep(1), keep(2)], &EIGHT, all(2)),
    ("jump over none", &[op(JA, 0), keep(1), keep(2)], &EIGHT, all(1)),
    ("jump behind the end", &[op(JA, 2), keep(1), keep(2)], &EIGHT, [None; 5]),
    ("jump to itself", &[op(JA, MAX), keep(1)], &EIGHT, [None; 5]),
    ("a jump back for ever", &[a(1), op(JA, MAX - 1), keep(1)], &EIGHT,
        [Some(0), None, None, None, None]),
    ("equal", &[a(5), (JEQ_K, 0, 1, 5), keep(1), keep(2)], &EIGHT, all(1)),
    ("not equal", &[a(5), (JEQ_K, 0, 1, 6), keep(1), keep(2)], &EIGHT, all(2)),
    ("equal to X", &[a(5), x(5), (JEQ_X, 0, 1, 6), keep(1), keep(2)], &EIGHT, all(1)),
    ("greater", &[a(6), (JGT_K, 0, 1, 5), keep(1), keep(2)], &EIGHT, all(1)),
    ("not greater than itself", &[a(5), (JGT_K, 0, 1, 5), keep(1), keep(2)], &EIGHT, all(2)),
    ("2^31 greater than 1", &[a(0x8000_0000), (JGT_K, 0, 1, 1), keep(1), keep(2)], &EIGHT,
        [Some(1), Some(1), Some(2), Some(2), Some(1)]),
    ("2^31 greater than X of 1", &[a(0x8000_0000), x(1), (JGT_X, 0, 1, 0), keep(1), keep(2)],
        &EIGHT, [Some(1), Some(1), Some(2), Some(1), Some(1)]),
    ("greater or equal", &[a(5), (JGE_K, 0, 1, 5), keep(1), keep(2)], &EIGHT, all(1)),
    ("0 not at least 2^32 - 1", &[(JGE_K, 0, 1, MAX), keep(1), keep(2)], &EIGHT,
        [Some(2), Some(2), Some(1), Some(1), Some(2)]),
    ("0 not at least X of 2^32 - 1", &[x(MAX), (JGE_X, 0, 1, 0), keep(1), keep(2)], &EIGHT,
        [Some(2), Some(2), Some(1), Some(2), Some(2)]),
    ("a bit in common", &[a(6), (JSET_K, 0, 1, 3), keep(1), keep(2)], &EIGHT, all(1)),
    ("no bit in common", &[a(6), (JSET_K, 0, 1, 9), keep(1), keep(2)], &EIGHT, all(2)),
    ("the highest bit in common with X", &[a(MAX), x(0x8000_0000), (JSET_X, 0, 1, 0), keep(1),
        keep(2)], &EIGHT, all(1)),
    ("a comparison behind the end", &[(JEQ_K, 0, 2, 0), keep(1), keep(2)], &EIGHT, [None; 5]),
    // A load joined with the comparison behind it, and the comparison jumped to alone.
    ("loaded and compared", &[op(LD_H_ABS, 0), (JEQ_K, 0, 1, 0x0102), keep(1), keep(2)], &EIGHT,
        all(1)),
    ("compared without its load", &[a(7), op(JA, 1), op(LD_B_ABS, 0), (JEQ_K, 0, 1, 7), keep(1),
        keep(2)], &EIGHT, all(1)),
    ("a load that fails before its comparison", &[op(LD_W_ABS, 6), (JEQ_K, 0, 0, 0), keep(1)],
        &EIGHT, all(0)),
    ("and, then shift, jumped into", &[a(7), op(JA, 1), op(AND_K, 1), op(LSH_K, 2), A], &EIGHT,
        all(28)),
    // The ends of a program.
    ("no return", &[a(1), op(TAX, 0)], &EIGHT, [None; 5]),
    ("an unknown opcode never reached", &[keep(1), op(0xffff, 0), keep(2)], &EIGHT, [None; 5]),
    ("nothing at all", &[], &EIGHT, [None, Some(MAX), None, Some(MAX), None]),
];

#[test]
fn every_vector_in_every_dialect() {
    assert!(VECTORS.len() >= 100, "{}", VECTORS.len());
    for (name, program, frame, keeps) in VECTORS {
        let program = program.iter().map(|&(code, jt, jf, k)| Instruction { code, jt, jf, k });
        let program: Vec<Instruction> = program.collect();
        for (dialect, keeps) in Dialect::ALL.into_iter().zip(keeps) {
            let accepted = Program::with_dialect(program.clone(), dialect).ok();
            assert_eq!(accepted.is_some(), keeps.is_some(), "{name}, {dialect}");
            let (Some(program), Some(keeps)) = (accepted, keeps) else { continue };
            for filter in [Filter::interpreted(program.clone()), Filter::compiled(program)] {
                let verdict = filter.run(frame, 1000, &Ancillary::NONE);
                assert_eq!(verdict.accept, *keeps, "{name}, {dialect}, {}", filter.engine_name());
            }
        }
    }
}

#[test]
fn every_opcode_has_a_vector() {
    let listed = |code| VECTORS.iter().any(|vector| vector.1.iter().any(|line| line.0 == code));
    for code in 0..=0xff {
        let program =
            vec![Instruction::new(code, 1), Instruction::new(RET_K, 1), Instruction::new(RET_K, 1)];
        if Program::new(program).is_ok() {
            assert!(listed(code), "{code:#x}");
        }
    }
}

/// Frames of every length, up to the longest: the last byte can be read, the one behind it cannot.
#[test]
fn frames_from_no_byte_to_64_kib() {
    let frame: Vec<u8> = (0..65_536u32).map(|at| (at % 251) as u8).collect();
    for len in (0..300).chain([1514, 9000, 65_534, 65_535, 65_536]) {
        let bytes = &frame[..len];
        for (code, size) in [(LD_B_ABS, 1), (LD_H_ABS, 2), (LD_W_ABS, 4)] {
            for (past, inside) in [(0, true), (1, false)] {
                let Some(at) = (len + past).checked_sub(size) else { continue };
                let lines = [op(code, at as u32), keep(7)];
                let program = lines.map(|(code, jt, jf, k)| Instruction { code, jt, jf, k });
                let program = Program::new(program.to_vec()).unwrap();
                let kept = program.run(bytes, len as u32).accept > 0;
                assert_eq!(kept, inside, "{code:#x} at {at} of {len}");
            }
        }
    }
}
