//! Compiled filters as their users see them: shared, large, refused, freed.
#![cfg(feature = "jit")]

use npf_core::filter::{Ancillary, Dialect, Filter, Instruction, JitError, Program, opcode::*};

fn keeps(filter: &Filter, frame: &[u8]) -> u32 {
    filter.run(frame, 1514, &Ancillary::NONE).accept
}

/// Keeps as many bytes as the first byte of a frame says.
fn first_byte() -> Program {
    let program = [Instruction::new(LD_B_ABS, 0), Instruction::new(RET_A, 0)];
    Program::new(program.to_vec()).unwrap()
}

#[test]
fn compiled_filters_do_not_count_and_say_so() {
    let (jit, interpreter) = (Filter::compiled(first_byte()), Filter::interpreted(first_byte()));
    assert_eq!((jit.engine_name(), interpreter.engine_name()), ("jit", "interpreter"));
    assert!(jit.is_compiled() && !interpreter.is_compiled());
    assert_eq!((jit.notice(), interpreter.notice()), (None, None));
    let verdicts = [jit, interpreter].map(|filter| filter.run(&[77], 1, &Ancillary::NONE));
    assert_eq!(verdicts.map(|verdict| verdict.accept), [77, 77]);
    assert_eq!(verdicts.map(|verdict| verdict.executed), [0, 2]);
}

#[test]
fn what_has_no_translation_is_interpreted_with_a_notice() {
    // Linux: the offset of a netlink attribute; libpcap: a jump back over a countdown.
    let search = [Instruction::new(LD_W_ABS, 0xffff_f00c), Instruction::new(RET_A, 0)];
    let back = [
        Instruction::new(LDX_IMM, 1),
        Instruction::new(LD_IMM, 3),
        Instruction::new(SUB_X, 0),
        Instruction::jump(JEQ_K, 0, 1, 0),
        Instruction::new(JA, -3i32 as u32),
        Instruction::new(RET_K, 9),
    ];
    for (program, dialect, at, kept) in
        [(&search[..], Dialect::Linux, 0, 0), (&back[..], Dialect::Libpcap, 4, 9)]
    {
        let filter = Filter::compiled(Program::with_dialect(program.to_vec(), dialect).unwrap());
        assert!(!filter.is_compiled());
        assert_eq!(filter.engine_name(), "interpreter");
        let Some(JitError::Instruction { at: refused, .. }) = filter.notice() else {
            panic!("{:?}", filter.notice());
        };
        assert_eq!(*refused, at);
        assert_eq!(keeps(&filter, &[0; 60]), kept);
    }
}

#[test]
fn several_threads_run_one_filter() {
    let filter = Filter::compiled(first_byte());
    std::thread::scope(|scope| {
        for byte in 1..=4u8 {
            let filter = filter.clone();
            scope.spawn(move || {
                for _ in 0..10_000 {
                    assert_eq!(keeps(&filter, &[byte]), byte.into());
                }
            });
        }
    });
    drop(filter.clone());
    assert_eq!(keeps(&filter, &[5]), 5, "one clone is left");
}

/// Programs of the greatest length, of each kind that may trouble a compiler: a long chain of values,
/// as many ways as instructions, every scratch word alive all the time.
#[test]
fn the_longest_programs_compile_and_agree() {
    let chain = |at: usize| match at % 4 {
        0 => Instruction::new(LD_B_IND, at as u32 % 50),
        1 => Instruction::new(ADD_X, 0),
        2 => Instruction::new(AND_K, 7),
        _ => Instruction::new(TAX, 0),
    };
    let ways = |at: usize| match at % 2 {
        0 => Instruction::new(LD_B_ABS, at as u32 % 60),
        _ => Instruction::jump(JGT_K, at as u32 % 251, (at % 5) as u8, (at % 7) as u8),
    };
    let scratch = |at: usize| match at % 4 {
        0 => Instruction::new(LD_MEM, (at / 4 % 16) as u32),
        1 => Instruction::new(ADD_K, at as u32),
        2 => Instruction::jump(JSET_K, 1 << (at / 4 % 32), 1, 0),
        _ => Instruction::new(ST, (at / 4 * 7 % 16) as u32),
    };
    let kinds: [&dyn Fn(usize) -> Instruction; 3] = [&chain, &ways, &scratch];
    for (kind, instruction) in kinds.into_iter().enumerate() {
        let body = (0..4086).map(instruction);
        let end = [Instruction::new(RET_A, 0); 10];
        let program = Program::new(body.chain(end).collect()).unwrap();
        let (jit, interpreter) = (Filter::compiled(program.clone()), Filter::interpreted(program));
        assert_eq!(jit.notice(), None, "kind {kind}");
        let mut kept = 0;
        for seed in 0..64u8 {
            let frame: Vec<u8> = (0..64u8).map(|at| at.wrapping_mul(seed | 1) & 3).collect();
            assert_eq!(keeps(&jit, &frame), keeps(&interpreter, &frame), "kind {kind}");
            kept += usize::from(keeps(&jit, &frame) > 0);
        }
        assert!(kept > 0, "kind {kind} keeps nothing");
    }
}

/// Pages of code come and go with the filters.
#[cfg(target_os = "linux")]
#[test]
fn code_is_freed_with_its_last_filter() {
    // In bytes: mappings that touch are shown as one.
    let executable = || -> u64 {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let of_no_file = |line: &&str| line.contains("xp 00000000 00:00 0") && !line.contains('[');
        let address = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let size = |line: &str| {
            let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
            address(to) - address(from)
        };
        maps.lines().filter(of_no_file).map(size).sum()
    };
    let page = 4096;
    // Other tests of this process have filters too, but only a few.
    let filters: Vec<Filter> = (0..200).map(|_| Filter::compiled(first_byte())).collect();
    assert!(executable() >= 200 * page);
    assert!(filters.iter().all(|filter| keeps(filter, &[3]) == 3));
    let clones = filters.clone();
    drop(filters);
    assert!(executable() >= 200 * page, "clones hold the code");
    assert!(clones.iter().all(|filter| keeps(filter, &[4]) == 4));
    drop(clones);
    assert!(executable() < 100 * page);
}
