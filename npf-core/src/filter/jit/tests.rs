//! The compiler against the interpreter, on any valid programs and frames in every dialect; and the
//! same comparison with a compiler that has a fault in it, to show that it would be found.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::cell::Cell;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::super::op::Op;
use super::translate::Rules;
use super::*;
use crate::filter::{Dialect, Instruction, PacketType, opcode::*};

/// All opcodes but jumps and returns.
const STRAIGHT: [u16; 38] = [
    LD_W_ABS, LD_H_ABS, LD_B_ABS, LD_W_IND, LD_H_IND, LD_B_IND, LD_LEN, LD_IMM, LD_MEM, LDX_IMM,
    LDX_MEM, LDX_LEN, LDX_MSH, ST, STX, ADD_K, ADD_X, SUB_K, SUB_X, MUL_K, MUL_X, DIV_K, DIV_X,
    OR_K, OR_X, AND_K, AND_X, LSH_K, LSH_X, RSH_K, RSH_X, NEG, TAX, TXA, XOR_K, MOD_K, MOD_X,
    XOR_X,
];
/// What real programs are made of.
const USUAL: [u16; 7] = [LD_W_ABS, LD_H_ABS, LD_B_ABS, LD_W_IND, LD_H_IND, LD_B_IND, LDX_MSH];
const BRANCHES: [u16; 8] = [JEQ_K, JEQ_X, JGT_K, JGT_X, JGE_K, JGE_X, JSET_K, JSET_X];

/// Numbers that are offsets in a frame, lengths of one, or at the edge of something.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        6 => 0u32..72,
        2 => 0u32..0x1_0004,
        1 => any::<u32>(),
        2 => prop::sample::select(vec![
            0x7fff_fffe, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, u32::MAX, u32::MAX - 1,
            u32::MAX - 3, 0xffff_ffc0, 31, 32, 33,
        ]),
    ]
}

/// Extension loads, and offsets from Linux's two headers.
fn extension() -> impl Strategy<Value = u32> {
    let from = prop::sample::select(vec![-0x1000i32, -0x10_0000, -0x20_0000, -0x20_0040]);
    (from, 0i32..64).prop_map(|(from, more)| from.wrapping_add(more).cast_unsigned())
}

/// An instruction that is sound when `after` more follow it.
fn sound(after: usize) -> impl Strategy<Value = Instruction> {
    let furthest = after.min(256) as u8 - 1;
    let near = prop_oneof![4 => 0..=furthest.min(3), 1 => 0..=furthest];
    let code = prop_oneof![
        8 => prop::sample::select(STRAIGHT.to_vec()),
        6 => prop::sample::select(USUAL.to_vec()),
        6 => prop::sample::select(BRANCHES.to_vec()),
        1 => prop::sample::select(vec![JA, DIV_X, MOD_X]),
    ];
    let k = prop_oneof![9 => number(), 1 => extension()];
    (code, near.clone(), near, k).prop_map(move |(code, jt, jf, k)| {
        let k = match code {
            LD_MEM | LDX_MEM | ST | STX => k % 16,
            DIV_K | MOD_K => k.max(1),
            LSH_K | RSH_K if k < 0x100 => k % 32,
            JA => k % after as u32,
            _ => k,
        };
        Instruction { code, jt, jf, k }
    })
}

fn end() -> impl Strategy<Value = Instruction> {
    let code = prop_oneof![1 => Just(RET_K), 3 => Just(RET_A)];
    (code, number()).prop_map(|(code, k)| Instruction::new(code, k))
}

/// Sound but for what a dialect refuses; written so that scratch words are set before all else half of
/// the time, or Linux would refuse most.
fn instructions() -> impl Strategy<Value = Vec<Instruction>> {
    let body = (0usize..24).prop_flat_map(|len| {
        let body: Vec<_> = (0..len).map(|at| sound(len - at)).collect();
        (body, end())
    });
    let x = prop_oneof![1 => Just(0), 2 => number()];
    (any::<bool>(), x, body).prop_map(|(set, x, (body, end))| {
        let mut all = vec![Instruction::new(LDX_IMM, x)];
        if set {
            all.extend((0..16).map(|word| Instruction::new(STX, word)));
        }
        all.extend(body);
        all.push(end);
        all
    })
}

/// A frame, with bytes behind it that are not part of it.
fn frame() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let bytes = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..80),
        1 => (any::<u8>(), 0usize..=65_536).prop_map(|(byte, len)| vec![byte; len]),
    ];
    bytes.prop_map(|mut bytes| {
        let len = bytes.len();
        bytes.extend([0xa5; 8]);
        (bytes, len)
    })
}

fn ancillary() -> impl Strategy<Value = Ancillary> {
    let tag = prop_oneof![Just(None), Just(Some(0)), any::<u16>().prop_map(Some)];
    (any::<[u16; 4]>(), any::<[u32; 5]>(), tag, 0u32..80).prop_map(
        |([protocol, queue, hardware_type, vlan_tpid], words, vlan_tci, network_offset)| {
            Ancillary {
                protocol,
                packet_type: PacketType::OtherHost,
                interface_index: words[0],
                queue,
                hash: words[1],
                hardware_type,
                cpu: words[2],
                mark: words[3],
                vlan_tci,
                vlan_tpid,
                payload_offset: words[4],
                network_offset: if protocol == 0 {
                    u32::MAX - network_offset
                } else {
                    network_offset
                },
                random: words[4].reverse_bits(),
            }
        },
    )
}

fn searches(program: &Program) -> bool {
    program.ops.iter().any(|op| matches!(op, Op::FindAttribute | Op::FindNestedAttribute))
}

#[test]
fn compiled_code_keeps_what_the_interpreter_keeps() {
    let compared = Dialect::ALL.map(|_| Cell::new(0));
    let frames = prop::collection::vec((frame(), number(), ancillary()), 1..12);
    let strategy = (instructions(), 0..Dialect::ALL.len(), frames);
    let config = Config { cases: 2000, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&strategy, |(instructions, dialect, frames)| {
        let Ok(program) = Program::with_dialect(instructions, Dialect::ALL[dialect]) else {
            return Ok(());
        };
        let compiled = match Compiled::new(&program) {
            Ok(compiled) => compiled,
            Err(JitError::Instruction { .. }) if searches(&program) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        compared[dialect].set(compared[dialect].get() + 1);
        for ((bytes, len), wire_len, known) in &frames {
            // The frame, and every shorter one down to where a length may make a difference.
            for there in (0..=*len).rev().take(80) {
                let frame = &bytes[..there];
                let expected = program.run_with(frame, *wire_len, known).accept;
                prop_assert_eq!(compiled.run(frame, *wire_len, known), expected, "{} B", there);
            }
        }
        Ok(())
    });
    result.unwrap();
    for (dialect, compared) in Dialect::ALL.iter().zip(compared) {
        assert!(compared.get() > 50, "{dialect}: only {} programs", compared.get());
    }
}

/// How many random programs, on random frames each, it takes to see `rules` go wrong; `None` if a
/// thousand show nothing.
fn found_after(rules: Rules) -> Option<u32> {
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let strategy = (instructions(), prop::collection::vec((frame(), number()), 6));
    (1..=1000).find(|_| {
        let (instructions, frames) = strategy.new_tree(&mut runner).unwrap().current();
        let program = Program::new(instructions).unwrap();
        let compiled = Compiled::with_rules(&program, rules).unwrap();
        frames.iter().any(|((bytes, len), wire_len)| {
            let frame = &bytes[..*len];
            let kept = compiled.run(frame, *wire_len, &Ancillary::NONE);
            kept != program.run(frame, *wire_len).accept
        })
    })
}

#[test]
fn a_sound_compiler_is_not_blamed() {
    assert_eq!(found_after(Rules::SOUND), None);
}

#[test]
fn a_compiler_with_a_fault_is_found_out() {
    let sound = Rules::SOUND;
    for (fault, rules) in [
        ("branches swapped", Rules { swap_branches: true, ..sound }),
        ("loads one byte behind the frame", Rules { slack: 1, ..sound }),
        ("loads all but the last byte", Rules { slack: -1, ..sound }),
        ("signed comparison", Rules { signed: true, ..sound }),
        ("bytes not turned round", Rules { swap_bytes: false, ..sound }),
        ("division by X not tested", Rules { test_divisor: false, ..sound }),
    ] {
        let programs = found_after(rules);
        println!("{fault}: found by program {programs:?}");
        assert!(programs.is_some(), "{fault}: not found");
    }
}
