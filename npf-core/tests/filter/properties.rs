//! Any accepted program ends in time on any frame and says what a plain reading of the opcodes says.
//!
//! The plain reading works on the raw numbers, by class, size and mode as the opcodes are built up
//! in libpcap's `pcap/bpf.h`, and shares nothing with the machine under test.

use npf_core::filter::{Instruction, Program, Verdict};
use proptest::prelude::*;

/// Runs raw instructions; they must have been validated.
fn plain(program: &[Instruction], data: &[u8], wire_len: u32) -> Verdict {
    let (mut a, mut x, mut m, mut pc, mut executed) = (0u32, 0u32, [0u32; 16], 0usize, 0);
    let mut back = 0;
    loop {
        let Instruction { code, jt, jf, k } = program[pc];
        pc += 1;
        executed += 1;
        let (class, rest) = (code & 7, code >> 3);
        let b = if rest & 1 == 1 { x } else { k };
        match class {
            0 | 1 => {
                let size = [4u64, 2, 1][usize::from(rest & 3)];
                let at = u64::from(k) + if code >> 5 == 2 { u64::from(x) } else { 0 };
                let value = match code >> 5 {
                    0 => k,
                    1 | 2 | 5 if at + size > data.len() as u64 => {
                        return Verdict { accept: 0, executed };
                    }
                    5 => u32::from(data[k as usize] & 0xf) << 2,
                    1 | 2 => {
                        let bytes = &data[at as usize..(at + size) as usize];
                        bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
                    }
                    3 => m[k as usize],
                    _ => wire_len,
                };
                *(if class == 0 { &mut a } else { &mut x }) = value;
            }
            2 => m[k as usize] = a,
            3 => m[k as usize] = x,
            4 => {
                let (wide_a, wide_b) = (u64::from(a), u64::from(b));
                let value = match code >> 4 {
                    3 | 9 if b == 0 => return Verdict { accept: 0, executed },
                    0 => wide_a + wide_b,
                    1 => wide_a + (1 << 32) - wide_b,
                    2 => wide_a * wide_b,
                    3 => wide_a / wide_b,
                    4 => wide_a | wide_b,
                    5 => wide_a & wide_b,
                    6 | 7 if b >= 32 => 0,
                    6 => wide_a << b,
                    7 => wide_a >> b,
                    8 => (1 << 32) - wide_a,
                    9 => wide_a % wide_b,
                    _ => wide_a ^ wide_b,
                };
                a = value as u32;
            }
            5 => {
                back += u32::from(code == 5 && (k as i32) < 0);
                if back > 64 {
                    return Verdict { accept: 0, executed };
                }
                pc = pc.wrapping_add_signed(match code >> 4 {
                    0 => k as i32 as isize,
                    1 if a == b => jt.into(),
                    2 if a > b => jt.into(),
                    3 if a >= b => jt.into(),
                    4 if a & b > 0 => jt.into(),
                    _ => jf.into(),
                });
            }
            6 => return Verdict { accept: if code & 0x18 == 0x10 { a } else { k }, executed },
            _ if code & 0x80 == 0 => x = a,
            _ => a = x,
        }
    }
}

const CODES: [u16; 47] = [
    0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x80, 0x00, 0x60, 0x01, 0x61, 0x81, 0xb1, 0x02, 0x03, 0x04,
    0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0x84,
    0x94, 0x9c, 0xa4, 0xac, 0x05, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d, 0x07, 0x87,
];

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 0u32..70,
        1 => any::<u32>(),
        1 => prop::sample::select(vec![0x7fff_ffff, 0x8000_0000, u32::MAX, 0xffff_f000]),
    ]
}

/// An instruction that is sound when `after` more follow it.
fn sound(after: usize) -> impl Strategy<Value = Instruction> {
    let skip = after.min(256) as u8;
    let skip = 0..=skip.saturating_sub(1);
    (prop::sample::select(CODES.to_vec()), skip.clone(), skip, number()).prop_map(
        move |(code, jt, jf, k)| {
            let k = match code {
                0x60 | 0x61 | 0x02 | 0x03 => k % 16,
                0x34 | 0x94 => k.max(1),
                0x05 => k % after as u32,
                _ => k,
            };
            Instruction { code, jt, jf, k }
        },
    )
}

fn end() -> impl Strategy<Value = Instruction> {
    (prop::sample::select(vec![0x06, 0x16]), number())
        .prop_map(|(code, k)| Instruction::new(code, k))
}

fn program() -> impl Strategy<Value = Vec<Instruction>> {
    (0usize..40).prop_flat_map(|len| {
        let body: Vec<_> = (0..len).map(|at| sound(len - at)).collect();
        (body, end()).prop_map(|(mut body, end)| {
            body.push(end);
            body
        })
    })
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..100),
        1 => (any::<u8>(), 0usize..=65_536).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

proptest! {
    #[test]
    fn sound_programs_are_accepted_and_do_what_their_opcodes_say(
        program in program(), frame in frame(), wire_len in number(),
    ) {
        let accepted = Program::new(program.clone()).unwrap();
        let verdict = accepted.run(&frame, wire_len);
        prop_assert!((1..=program.len() as u32).contains(&verdict.executed));
        prop_assert_eq!(verdict, plain(&program, &frame, wire_len));
    }

    /// A sound program with one instruction replaced by any numbers: what the validator still
    /// accepts still ends.
    #[test]
    fn whatever_is_accepted_ends(
        mut program in program(), frame in frame(), at in any::<prop::sample::Index>(),
        code in prop_oneof![prop::sample::select(CODES.to_vec()), 0u16..0x100, any::<u16>()],
        jt in any::<u8>(), jf in 0u8..8, k in number(),
    ) {
        let at = at.index(program.len());
        program[at] = Instruction { code, jt, jf, k };
        if let Ok(accepted) = Program::new(program.clone()) {
            prop_assert_eq!(accepted.run(&frame, 60), plain(&program, &frame, 60));
        }
    }

    #[test]
    fn text_is_read_back(program in program()) {
        let line = |i: &Instruction| format!("{} {} {} {}\n", i.code, i.jt, i.jf, i.k);
        let text = format!("{}\n{}", program.len(), program.iter().map(line).collect::<String>());
        prop_assert_eq!(Program::parse_ddd(&text), Ok(Program::new(program).unwrap()));
    }

    #[test]
    fn no_text_makes_the_reader_fail(text in "[-0-9 \\n x]{0,60}|\\PC{0,20}") {
        let _ = Program::parse_ddd(&text);
    }
}
