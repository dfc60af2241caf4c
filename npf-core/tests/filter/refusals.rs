//! What the validator refuses whatever the dialect, with place and reason. What dialects differ in:
//! `dialects.rs`.

use npf_core::filter::{Instruction, Program, ProgramError, ProgramFault, opcode::*};

fn op(code: u16, k: u32) -> Instruction {
    Instruction::new(code, k)
}

fn refused(program: Vec<Instruction>, at: usize, what: ProgramFault) {
    let error = Program::new(program).unwrap_err();
    assert_eq!(error, ProgramError { at, what });
    let text = error.to_string();
    assert!(text.starts_with(&format!("filter instruction {at}: ")), "{text}");
    assert!(text.contains("; "), "says what to do: {text}");
}

const RETURN: Instruction = Instruction::new(RET_K, 0);

#[test]
fn lengths() {
    refused(vec![], 0, ProgramFault::Empty);
    assert_eq!(Program::new(vec![RETURN; 4096]).unwrap().len(), 4096);
    refused(vec![RETURN; 4097], 4096, ProgramFault::TooLong { len: 4097, max: 4096 });
}

#[test]
fn exactly_the_known_opcodes_are_accepted() {
    let known = [
        0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x80, 0x00, 0x60, 0x01, 0x61, 0x81, 0xb1, 0x02, 0x03,
        0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74,
        0x7c, 0x84, 0x94, 0x9c, 0xa4, 0xac, 0x05, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d,
        0x06, 0x16, 0x07, 0x87,
    ];
    for code in 0..=u16::MAX {
        let program = vec![op(code, 1), RETURN, RETURN];
        if known.contains(&code) {
            assert!(Program::new(program).is_ok(), "{code:#x}");
        } else {
            refused(program, 0, ProgramFault::UnknownOpcode { code });
        }
    }
}

#[test]
fn the_last_instruction_returns() {
    refused(vec![op(LD_IMM, 0)], 0, ProgramFault::NoReturn);
    refused(vec![RETURN, op(TAX, 0)], 1, ProgramFault::NoReturn);
    assert!(Program::new(vec![op(RET_A, 0)]).is_ok());
}

#[test]
fn jumps_stay_inside() {
    let outside = |target| ProgramFault::JumpOutside { target, len: 3 };
    assert!(Program::new(vec![op(JA, 1), RETURN, RETURN]).is_ok());
    refused(vec![op(JA, 2), RETURN, RETURN], 0, outside(3));
    refused(vec![RETURN, op(JA, -1i32 as u32), RETURN], 1, ProgramFault::JumpToItself);
    refused(vec![RETURN, op(JA, -3i32 as u32), RETURN], 1, outside(-1));
    assert!(Program::new(vec![RETURN, op(JA, -2i32 as u32), RETURN]).is_ok());
    for (jt, jf) in [(1, 0), (0, 1), (1, 1)] {
        for code in [JEQ_K, JEQ_X, JGT_K, JGT_X, JGE_K, JGE_X, JSET_K, JSET_X] {
            let jump = Instruction::jump(code, 0, jt, jf);
            assert!(Program::new(vec![jump, RETURN, RETURN]).is_ok());
            refused(vec![RETURN, jump, RETURN], 1, outside(3));
        }
    }
}

#[test]
fn operands() {
    for code in [DIV_K, MOD_K] {
        refused(vec![op(code, 0), RETURN], 0, ProgramFault::DivisionByZero);
    }
    for code in [LD_MEM, LDX_MEM, ST, STX] {
        assert!(Program::new(vec![op(code, 15), RETURN]).is_ok());
        for k in [16, 256, u32::MAX] {
            refused(vec![RETURN, op(code, k), RETURN], 1, ProgramFault::NoSuchScratchWord { k });
        }
    }
}
