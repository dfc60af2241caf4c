//! Every opcode and its edges, as hand-made programs with the bytes they accept.

use npf_core::filter::{Instruction, Program, Verdict, opcode::*};

const FRAME: [u8; 8] = [0x45, 0x01, 0x80, 0x03, 0xff, 0xfe, 0xfd, 0xfc];
const WIRE: u32 = 1514;

fn op(code: u16, k: u32) -> Instruction {
    Instruction::new(code, k)
}

/// Runs a program that ends by returning A.
fn a_after(body: &[Instruction]) -> u32 {
    let program = Program::new([body, &[op(RET_A, 0)]].concat()).unwrap();
    program.run(&FRAME, WIRE).accept
}

/// Whether a program is ended before its return, which would keep 7 bytes.
fn rejects(body: &[Instruction]) -> bool {
    let program = Program::new([body, &[op(RET_K, 7)]].concat()).unwrap();
    let verdict = program.run(&FRAME, WIRE);
    assert!(verdict.accept == 0 && verdict.executed == body.len() as u32 || verdict.accept == 7);
    verdict.accept == 0
}

/// A = `a` op `b`, once with the constant and once with X; both must agree.
fn compute(k_form: u16, a: u32, b: u32) -> u32 {
    let with_k = a_after(&[op(LD_IMM, a), op(k_form, b)]);
    let with_x = a_after(&[op(LD_IMM, a), op(LDX_IMM, b), op(k_form | 8, 99)]);
    assert_eq!(with_k, with_x, "{k_form:#x} {a} {b}");
    with_k
}

/// Whether the comparison holds, once with the constant and once with X.
fn holds(k_form: u16, a: u32, b: u32) -> bool {
    let test = |code, k| {
        let body = [op(LD_IMM, a), op(LDX_IMM, b), Instruction::jump(code, k, 1, 0)];
        let ends = [op(RET_K, 1), op(RET_K, 2)];
        Program::new([&body[..], &ends].concat()).unwrap().run(&FRAME, WIRE).accept == 2
    };
    let with_k = test(k_form, b);
    assert_eq!(with_k, test(k_form | 8, !b), "{k_form:#x} {a} {b}");
    with_k
}

#[test]
fn absolute_loads_are_big_endian_and_end_with_the_frame() {
    for (code, k, value) in [
        (LD_W_ABS, 0, 0x4501_8003),
        (LD_W_ABS, 4, 0xffff_fdfc - 0x0001_0000),
        (LD_H_ABS, 2, 0x8003),
        (LD_H_ABS, 6, 0xfdfc),
        (LD_B_ABS, 0, 0x45),
        (LD_B_ABS, 7, 0xfc),
    ] {
        assert_eq!(a_after(&[op(code, k)]), value, "{code:#x} {k}");
    }
    for (code, size) in [(LD_W_ABS, 4), (LD_H_ABS, 2), (LD_B_ABS, 1)] {
        assert!(!rejects(&[op(code, 8 - size)]));
        for k in [9 - size, 8, 9, 0x7fff_ffff, 0x8000_0000, -0x1000i32 as u32, u32::MAX] {
            assert!(rejects(&[op(code, k)]), "{code:#x} {k:#x}");
        }
    }
}

#[test]
fn indirect_loads_do_not_wrap_back_into_the_frame() {
    for (code, size) in [(LD_W_IND, 4), (LD_H_IND, 2), (LD_B_IND, 1)] {
        let at = |x, k| [op(LDX_IMM, x), op(code, k)];
        assert!(!rejects(&at(8 - size, 0)) && !rejects(&at(0, 8 - size)));
        assert!(!rejects(&at(1, 7 - size)));
        for (x, k) in
            [(9 - size, 0), (1, 8 - size), (u32::MAX, 1), (1, u32::MAX), (8, -4i32 as u32)]
        {
            assert!(rejects(&at(x, k)), "{code:#x} {x:#x} {k:#x}");
        }
    }
    assert_eq!(a_after(&[op(LDX_IMM, 1), op(LD_H_IND, 2)]), 0x03ff);
    assert_eq!(a_after(&[op(LDX_IMM, 3), op(LD_B_IND, 1)]), 0xff);
    assert_eq!(a_after(&[op(LDX_IMM, 2), op(LD_W_IND, 2)]), 0xfffe_fdfc);
}

#[test]
fn length_is_that_of_the_wire_not_of_the_bytes_there() {
    assert_eq!(a_after(&[op(LD_LEN, 0)]), WIRE);
    assert_eq!(a_after(&[op(LDX_LEN, 0), op(TXA, 0)]), WIRE);
    assert!(rejects(&[op(LD_B_ABS, 8)]), "a load sees the bytes there");
}

#[test]
fn header_length_takes_the_low_half_of_the_byte() {
    assert_eq!(a_after(&[op(LDX_MSH, 0), op(TXA, 0)]), 20);
    assert_eq!(a_after(&[op(LDX_MSH, 4), op(TXA, 0)]), 60);
    assert_eq!(a_after(&[op(LD_IMM, 3), op(LDX_MSH, 0)]), 3, "A stays");
    assert!(rejects(&[op(LDX_MSH, 8)]) && rejects(&[op(LDX_MSH, u32::MAX)]));
}

#[test]
fn registers_and_scratch_words() {
    assert_eq!(a_after(&[]), 0, "A starts at 0");
    assert_eq!(a_after(&[op(LD_IMM, 5), op(TXA, 0)]), 0, "X starts at 0");
    assert_eq!(a_after(&[op(LD_IMM, 5), op(TAX, 0), op(LD_IMM, 1), op(TXA, 0)]), 5);
    for word in 0..16 {
        assert_eq!(a_after(&[op(LD_IMM, 5), op(LD_MEM, word)]), 0, "unwritten words are 0");
        let kept = [op(LD_IMM, 9), op(ST, word), op(LD_IMM, 0), op(LD_MEM, word)];
        assert_eq!(a_after(&kept), 9);
        let kept = [op(LDX_IMM, 8), op(STX, word), op(LD_MEM, word), op(LDX_MEM, word)];
        assert_eq!(a_after(&kept), 8);
        assert_eq!(a_after(&[op(LD_IMM, 6), op(ST, word), op(LDX_MEM, word), op(TXA, 0)]), 6);
    }
}

#[test]
fn arithmetic_is_modulo_2_to_the_32() {
    let max = u32::MAX;
    for (code, a, b, value) in [
        (ADD_K, max, 2, 1),
        (SUB_K, 1, 2, max),
        (MUL_K, 0x8000_0001, 2, 2),
        (DIV_K, max, 2, 0x7fff_ffff),
        (DIV_K, 5, max, 0),
        (MOD_K, max, 10, 5),
        (MOD_K, 7, 7, 0),
        (OR_K, 0xf0, 0x0f, 0xff),
        (AND_K, 0xff, 0x3c, 0x3c),
        (XOR_K, 0xff, 0x0f, 0xf0),
        (LSH_K, 1, 31, 0x8000_0000),
        (LSH_K, 3, 0, 3),
        (RSH_K, 0x8000_0000, 31, 1),
    ] {
        assert_eq!(compute(code, a, b), value, "{code:#x} {a} {b}");
    }
    for shift in [32, 33, 64, 0x8000_0000, max] {
        assert_eq!((compute(LSH_K, max, shift), compute(RSH_K, max, shift)), (0, 0), "{shift}");
    }
    assert_eq!(a_after(&[op(LD_IMM, 1), op(NEG, 0)]), max);
    assert_eq!(a_after(&[op(LD_IMM, 0x8000_0000), op(NEG, 0)]), 0x8000_0000);
}

#[test]
fn division_by_x_equal_0_rejects() {
    assert!(rejects(&[op(DIV_X, 0)]) && rejects(&[op(MOD_X, 0)]));
    assert!(!rejects(&[op(LDX_IMM, 1), op(DIV_X, 0), op(MOD_X, 0)]));
}

#[test]
fn comparisons_are_unsigned() {
    for (a, b) in [(0, 0), (0, 1), (1, 0), (0x8000_0000, 1), (1, 0x8000_0000), (u32::MAX, 0)] {
        assert_eq!(holds(JEQ_K, a, b), a == b);
        assert_eq!(holds(JGT_K, a, b), a > b, "{a:#x} > {b:#x}");
        assert_eq!(holds(JGE_K, a, b), a >= b, "{a:#x} >= {b:#x}");
        assert_eq!(holds(JSET_K, a, b), a & b != 0);
    }
    assert!(holds(JSET_K, 6, 3) && !holds(JSET_K, 6, 9));
}

#[test]
fn jumps_skip_so_many_instructions() {
    let returns = |jump| {
        let ends = (0..4).map(|k| op(RET_K, k));
        let program = Program::new([jump].into_iter().chain(ends).collect()).unwrap();
        program.run(&FRAME, WIRE)
    };
    assert_eq!(returns(op(JA, 0)), Verdict { accept: 0, executed: 2 });
    assert_eq!(returns(op(JA, 3)), Verdict { accept: 3, executed: 2 });
    assert_eq!(returns(Instruction::jump(JEQ_K, 0, 2, 1)), Verdict { accept: 2, executed: 2 });
    assert_eq!(returns(Instruction::jump(JEQ_K, 1, 2, 1)), Verdict { accept: 1, executed: 2 });
    let far: Vec<_> = [Instruction::jump(JEQ_K, 0, 255, 0)]
        .into_iter()
        .chain((0..=255).map(|k| op(RET_K, k)))
        .collect();
    assert_eq!(Program::new(far).unwrap().run(&[], 0).accept, 255);
}

#[test]
fn returns_may_exceed_the_frame() {
    let all = Program::new(vec![op(RET_K, 262_144)]).unwrap();
    assert_eq!(all.run(&FRAME, WIRE), Verdict { accept: 262_144, executed: 1 });
    assert_eq!(all.run(&[], 0).accept, 262_144);
    assert_eq!(a_after(&[op(LD_IMM, u32::MAX)]), u32::MAX);
}

#[test]
fn udp_port_53_as_libpcap_compiles_it() {
    let program = Program::parse_ddd(
        "20\n40 0 0 12\n21 0 6 34525\n48 0 0 20\n21 0 15 17\n40 0 0 54\n21 12 0 53\n40 0 0 56\n\
         21 10 11 53\n21 0 10 2048\n48 0 0 23\n21 0 8 17\n40 0 0 20\n69 6 0 8191\n177 0 0 14\n\
         72 0 0 14\n21 2 0 53\n72 0 0 16\n21 0 1 53\n6 0 0 262144\n6 0 0 0\n",
    )
    .unwrap();
    let mut frame = [0; 60];
    frame[12] = 8;
    frame[14] = 0x46; // six words of IPv4 header
    frame[23] = 17;
    frame[14 + 24 + 3] = 53;
    assert_eq!(program.run(&frame, 60).accept, 262_144);
    frame[14 + 24 + 3] = 54;
    assert_eq!(program.run(&frame, 60).accept, 0);
    frame[14 + 24 + 1] = 53;
    assert_eq!(program.run(&frame, 60).accept, 262_144);
    frame[21] = 1; // a later fragment has no ports
    assert_eq!(program.run(&frame, 60).accept, 0);
}
