//! The table of dialects at the top of the module `filter`, row by row: each rule in each dialect.

use npf_core::filter::{
    Ancillary, Dialect, Instruction, PacketType, Program, ProgramError, ProgramFault, Verdict,
    opcode::*,
};

use Dialect::{Bsd, Libpcap, Linux, Npcap, WinPcap};

fn op(code: u16, k: i64) -> Instruction {
    Instruction::new(code, k as u32)
}

const FRAME: [u8; 64] = {
    let mut frame = [0; 64];
    let mut at = 0;
    while at < 64 {
        frame[at] = at as u8 + 1;
        at += 1;
    }
    frame
};

/// What a dialect makes of a program that ends by returning A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The validator refuses it: for this.
    Refused(ProgramFault),
    /// The frame is rejected before the end.
    Rejects,
    /// A at the end.
    Gives(u32),
}

use Outcome::{Gives, Refused, Rejects};

/// Adds one to A at the end, so that an A of 0 is not taken for a rejection.
fn outcome(dialect: Dialect, body: &[Instruction], ancillary: &Ancillary) -> Outcome {
    let end = [op(ADD_K, 1), op(RET_A, 0)];
    let len = body.len() + 2;
    match Program::with_dialect([body, &end].concat(), dialect) {
        Err(ProgramError { what, .. }) => Refused(what),
        Ok(program) => {
            assert_eq!((program.dialect(), program.len()), (dialect, len));
            match program.run_with(&FRAME, 1000, ancillary).accept {
                0 => Rejects,
                a => Gives(a - 1),
            }
        }
    }
}

/// One row: what each dialect makes of a program, in the table's order.
#[track_caller]
fn row(body: &[Instruction], expected: [Outcome; 5]) {
    for (dialect, expected) in Dialect::ALL.into_iter().zip(expected) {
        assert_eq!(outcome(dialect, body, &Ancillary::NONE), expected, "{dialect}: {body:?}");
    }
}

/// 1 if the comparison holds, 0 if not.
fn compare(code: u16, a: i64, b: i64) -> Vec<Instruction> {
    let k = if code & 8 == 0 { b } else { 77 };
    vec![
        op(LDX_IMM, b),
        op(LD_IMM, a),
        Instruction::jump(code, k as u32, 0, 2),
        op(LD_IMM, 1),
        op(JA, 1),
        op(LD_IMM, 0),
    ]
}

#[test]
fn dialects_have_names() {
    assert_eq!(Dialect::ALL, [Libpcap, Bsd, Npcap, WinPcap, Linux]);
    for dialect in Dialect::ALL {
        assert_eq!(Dialect::from_name(dialect.name()), Some(dialect));
        assert_eq!(dialect.to_string(), dialect.name());
    }
    assert_eq!((Dialect::default(), Dialect::from_name("ebpf")), (Libpcap, None));
}

#[test]
fn comparisons_of_order() {
    let (yes, no) = (Gives(1), Gives(0));
    for code in [JGT_K, JGE_K] {
        row(&compare(code, 0x8000_0000, 1), [yes, yes, no, no, yes]);
        row(&compare(code, 1, 0x8000_0000), [no, no, yes, yes, no]);
    }
    for code in [JGT_X, JGE_X] {
        row(&compare(code, 0xffff_ffff, 0), [yes, yes, no, yes, yes]);
        row(&compare(code, 0, 0xffff_ffff), [no, no, yes, no, no]);
    }
    for code in [JGT_K, JGT_X, JGE_K, JGE_X, JEQ_K, JEQ_X, JSET_K, JSET_X] {
        row(&compare(code, 5, 4), [if matches!(code, JEQ_K | JEQ_X) { no } else { yes }; 5]);
        let equal = if matches!(code, JGT_K | JGT_X) { no } else { yes };
        row(&compare(code, 0x8000_0001, 0x8000_0001), [equal; 5]);
    }
}

#[test]
fn modulo_and_exclusive_or() {
    for (code, value) in [(MOD_K, 1), (MOD_X, 1), (XOR_K, 9 ^ 4), (XOR_X, 9 ^ 4)] {
        let refused = Refused(ProgramFault::NotInDialect { code, dialect: WinPcap });
        let gives = Gives(value);
        let body = [op(LDX_IMM, 4), op(LD_IMM, 9), op(code, 4)];
        row(&body, [gives, gives, gives, refused, gives]);
    }
}

#[test]
fn absolute_loads_at_negative_offsets() {
    let unknown = |dialect, offset| Refused(ProgramFault::UnknownExtension { offset, dialect });
    for code in [LD_W_ABS, LD_H_ABS, LD_B_ABS] {
        let at = |offset| [op(code, offset)];
        let other = |offset: i32| unknown(Npcap, offset);
        // -4096: a protocol or a tag; -4092: a packet type, or whether there is a tag.
        row(&at(-4096), [Rejects, Rejects, Gives(0), Rejects, Gives(0)]);
        row(&at(-4092), [Rejects, Rejects, Gives(0), Rejects, Gives(0)]);
        row(&at(-4095), [Rejects, Rejects, other(-4095), Rejects, unknown(Linux, -4095)]);
        row(&at(-4032), [Rejects, Rejects, other(-4032), Rejects, unknown(Linux, -4032)]);
        row(&at(-1), [Rejects, Rejects, other(-1), Rejects, unknown(Linux, -1)]);
        let min = i64::from(i32::MIN);
        row(&at(min), [Rejects, Rejects, other(i32::MIN), Rejects, Rejects]);
    }
    let network = [op(LD_B_ABS, -0x10_0000 + 2)];
    row(&network, [Rejects, Rejects, unknown(Npcap, -0xf_fffe), Rejects, Gives(17)]);
    let link = [op(LD_H_ABS, -0x20_0000 + 2)];
    row(&link, [Rejects, Rejects, unknown(Npcap, -0x1f_fffe), Rejects, Gives(0x0304)]);
}

#[test]
fn header_lengths_at_negative_offsets() {
    let at = |offset| [op(LDX_MSH, offset), op(TXA, 0)];
    let unknown = Refused(ProgramFault::UnknownExtension { offset: -0x10_0000, dialect: Npcap });
    row(&at(-0x10_0000), [Rejects, Rejects, unknown, Rejects, Gives(4 * 15)]);
    row(&at(-4096), [Rejects; 5]);
    row(
        &at(i64::from(i32::MIN) + 5),
        [
            Rejects,
            Rejects,
            Refused(ProgramFault::UnknownExtension { offset: i32::MIN + 5, dialect: Npcap }),
            Rejects,
            Rejects,
        ],
    );
    row(&at(2), [Gives(4 * 3); 5]);
}

#[test]
fn sums_of_x_and_k() {
    for (code, value) in [(LD_B_IND, 5), (LD_H_IND, 0x0506), (LD_W_IND, 0x0506_0708)] {
        let at = |x, k| [op(LDX_IMM, x), op(code, k)];
        let wraps = Gives(value);
        row(&at(8, -4), [Rejects, Rejects, wraps, wraps, wraps]);
        row(&at(-4, 8), [Rejects, Rejects, wraps, wraps, wraps]);
        row(&at(0, 4), [wraps; 5]);
        row(&at(4, -8), [Rejects; 5]);
        // As an absolute offset would, in Linux; but extensions are none of the sums.
        let network = [op(LDX_IMM, 4 - 14), op(code, -0x10_0000)];
        assert_eq!(outcome(Linux, &network, &Ancillary::NONE), Rejects, "above the network header");
        row(&at(-0x20_0000, 4), [Rejects, Rejects, Rejects, Rejects, wraps]);
        row(&at(4, -0x20_0000), [Rejects, Rejects, Rejects, Rejects, wraps]);
        row(&at(0, -4096), [Rejects; 5]);
    }
    let network = [op(LDX_IMM, 3), op(LD_B_IND, -0x10_0000)];
    assert_eq!(outcome(Linux, &network, &Ancillary::NONE), Gives(14 + 3 + 1));
}

#[test]
fn loads_of_x_from_the_frame() {
    for code in [0x21, 0x29, 0x31] {
        let refused = Refused(ProgramFault::UnknownOpcode { code });
        row(&[op(code, 0)], [refused, refused, refused, Rejects, refused]);
        let last = Program::with_dialect(vec![op(RET_K, 0), op(code, 0)], WinPcap);
        assert_eq!(last, Err(ProgramError { at: 1, what: ProgramFault::NoReturn }));
    }
}

#[test]
fn shifts_by_32_or_more() {
    for (code, by_33) in [(LSH_K, 0x100 << 1), (RSH_K, 0x100 >> 1)] {
        for k in [32, 33, 64, 0xffff_ffff] {
            let refused = Refused(ProgramFault::ShiftTooFar { k });
            let body = [op(LD_IMM, 0x100), op(code, k.into())];
            row(&body, [Gives(0), Gives(0), Gives(0), Gives(0), refused]);
        }
        let by_x = |x| [op(LDX_IMM, x), op(LD_IMM, 0x100), op(code | 8, 0)];
        row(&by_x(33), [Gives(0), Gives(0), Gives(0), Gives(0), Gives(by_33)]);
        row(&by_x(32), [Gives(0), Gives(0), Gives(0), Gives(0), Gives(0x100)]);
        row(&by_x(1), [Gives(by_33); 5]);
        row(&[op(LD_IMM, 0x100), op(code, 1)], [Gives(by_33); 5]);
    }
}

#[test]
fn unwritten_scratch_words() {
    let unset = |k| Refused(ProgramFault::UnsetScratchWord { k });
    let read = [op(LD_MEM, 3)];
    row(&read, [Gives(0), Gives(0), Gives(0), Gives(0), unset(3)]);
    let read_x = [op(LDX_MEM, 15), op(TXA, 0)];
    row(&read_x, [Gives(0), Gives(0), Gives(0), Gives(0), unset(15)]);
    row(&[op(LD_IMM, 9), op(ST, 3), op(LD_IMM, 0), op(LD_MEM, 3)], [Gives(9); 5]);
    row(&[op(LDX_IMM, 9), op(STX, 3), op(LD_MEM, 3)], [Gives(9); 5]);
    // Written on one way only: the jump passes the store by.
    let jump = |jt, jf| Instruction::jump(JEQ_K, 0, jt, jf);
    let one_way = [jump(1, 0), op(ST, 3), op(LD_MEM, 3)];
    row(&one_way, [Gives(0), Gives(0), Gives(0), Gives(0), unset(3)]);
    // Written on both ways, one of them far around.
    let both = [jump(2, 0), op(ST, 3), op(JA, 2), op(LD_IMM, 4), op(ST, 3), op(LD_MEM, 3)];
    row(&both, [Gives(4); 5]);
    // Another word than the one written.
    let other = [op(ST, 2), op(LD_MEM, 3)];
    row(&other, [Gives(0), Gives(0), Gives(0), Gives(0), unset(3)]);
    // JA passes a store by, too.
    let passed = [op(JA, 1), op(ST, 3), op(LD_MEM, 3)];
    row(&passed, [Gives(0), Gives(0), Gives(0), Gives(0), unset(3)]);
}

#[test]
fn most_instructions() {
    let program = |dialect, len| Program::with_dialect(vec![op(RET_K, 5); len], dialect);
    for (dialect, max) in Dialect::ALL.into_iter().zip([4096, 512, 4096, 512, 4096]) {
        assert_eq!(dialect.max_instructions(), max);
        assert_eq!(program(dialect, max).map(|program| program.len()), Ok(max));
        let what = ProgramFault::TooLong { len: max + 1, max };
        assert_eq!(program(dialect, max + 1), Err(ProgramError { at: max, what }));
    }
}

#[test]
fn the_empty_program() {
    for dialect in Dialect::ALL {
        let program = Program::with_dialect(vec![], dialect);
        if matches!(dialect, Bsd | WinPcap) {
            let program = program.unwrap();
            assert_eq!((program.is_empty(), program.len()), (true, 0));
            assert_eq!(program.run(&FRAME, 64), Verdict { accept: u32::MAX, executed: 0 });
        } else {
            let refused = ProgramError { at: 0, what: ProgramFault::Empty };
            assert_eq!(program, Err(refused), "{dialect}");
        }
    }
    assert!(!Program::new(vec![op(RET_K, 0)]).unwrap().is_empty());
}

#[test]
fn jumps_back() {
    // Goes round and adds one each time, until A is `rounds`.
    let rounds = |rounds| {
        vec![op(ADD_K, 1), Instruction::jump(JEQ_K, rounds, 1, 0), op(JA, -3), op(RET_K, 7)]
    };
    for dialect in Dialect::ALL {
        let program = Program::with_dialect(rounds(3), dialect);
        if dialect == Libpcap {
            let verdict = program.unwrap().run(&FRAME, 64);
            assert_eq!(verdict, Verdict { accept: 7, executed: 3 * 3 });
        } else {
            let what = ProgramFault::JumpOutside { target: 3 + 0xffff_fffd, len: 4 };
            assert_eq!(program, Err(ProgramError { at: 2, what }), "{dialect}");
        }
    }
    let run = |n| Program::new(rounds(n)).unwrap().run(&FRAME, 64);
    assert_eq!(run(65), Verdict { accept: 7, executed: 65 * 3 }, "after 64 jumps back");
    assert_eq!(run(66), Verdict { accept: 0, executed: 65 * 3 }, "the 65th is one too many");
    assert_eq!(run(0).accept, 0, "it would take 2^32 rounds");
}

#[test]
fn stray_bits() {
    // RET X, JA with a source, TAX with a size, LD with the size that no load has, JEQ with more.
    for code in [0x0e, 0x0d, 0x0f, 0x38, 0x115, 0x8006, 0x1c06] {
        let refused = Refused(ProgramFault::UnknownOpcode { code });
        row(&[op(code, 0)], [refused; 5]);
    }
    // What WinPcap's monitor mode had and no other does.
    for code in [0xc0, 0xe0, 0x0f, 0x9f] {
        row(&[op(code, 0)], [Refused(ProgramFault::UnknownOpcode { code }); 5]);
    }
}

const KNOWN: Ancillary = Ancillary {
    protocol: 0x86dd,
    packet_type: PacketType::Outgoing,
    interface_index: 577,
    queue: 123,
    hash: 0x1234_aaab,
    hardware_type: 588,
    cpu: 5,
    mark: 0x1234_aaaa,
    vlan_tci: Some(0xffff),
    vlan_tpid: 0x88a8,
    payload_offset: 54,
    network_offset: 18,
    random: 0x0dd5_eed5,
};

#[test]
fn linux_extension_loads() {
    for (n, value) in [
        (0, 0x86dd),
        (4, 4),
        (8, 577),
        (20, 0x1234_aaaa),
        (24, 123),
        (28, 588),
        (32, 0x1234_aaab),
        (36, 5),
        (44, 0xffff),
        (48, 1),
        (52, 54),
        (56, 0x0dd5_eed5),
        (60, 0x88a8),
    ] {
        for code in [LD_W_ABS, LD_H_ABS, LD_B_ABS] {
            let body = [op(code, -4096 + n)];
            assert_eq!(outcome(Linux, &body, &KNOWN), Gives(value), "{n}");
        }
    }
    let xor = [op(LDX_IMM, 0xff), op(LD_IMM, 0x0f), op(LD_B_ABS, -4096 + 40)];
    assert_eq!(outcome(Linux, &xor, &KNOWN), Gives(0xf0));
    let behind_tag = [op(LD_B_ABS, -0x10_0000)];
    assert_eq!(outcome(Linux, &behind_tag, &KNOWN), Gives(19));
    let no_tag = [op(LD_B_ABS, -4096 + 48)];
    assert_eq!(outcome(Linux, &no_tag, &Ancillary::NONE), Gives(0));
}

#[test]
fn linux_searches_netlink_attributes() {
    // Two attributes: type 1 with 4 bytes, type 2 that holds one of type 3.
    let data = [8, 0, 1, 0, 9, 9, 9, 9, 8, 0, 2, 0, 4, 0, 3, 0];
    let find = |a: i64, x: i64, n: i64| {
        let load = op(LD_W_ABS, -4096 + n);
        let program = vec![op(LDX_IMM, x), op(LD_IMM, a), load, op(ADD_K, 1), op(RET_A, 0)];
        Program::with_dialect(program, Linux).unwrap().run(&data, 16).accept - 1
    };
    assert_eq!((find(0, 1, 12), find(0, 2, 12), find(0, 3, 12)), (0, 8, 0));
    assert_eq!((find(8, 3, 16), find(8, 2, 16), find(99, 1, 12)), (12, 0, 0));
}

#[test]
fn npcap_extension_loads() {
    let load =
        |n: i64, ancillary: &Ancillary| outcome(Npcap, &[op(LD_B_ABS, -4096 + n)], ancillary);
    let tagged = |tci| Ancillary { vlan_tci: tci, ..KNOWN };
    assert_eq!((load(0, &KNOWN), load(4, &KNOWN)), (Gives(0xffff), Gives(1)));
    let none = tagged(None);
    assert_eq!((load(0, &none), load(4, &none)), (Gives(0), Gives(0)));
    // It cannot tell a tag of zeros from none.
    let zero = tagged(Some(0));
    assert_eq!((load(0, &zero), load(4, &zero)), (Gives(0), Gives(0)));
    assert_eq!(outcome(Linux, &[op(LD_B_ABS, -4096 + 48)], &zero), Gives(1));
}
