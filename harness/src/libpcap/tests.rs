//! Tests of [`super`]; those that need libpcap skip, with a notice, where there is none.

use super::*;

/// True, with a notice, when there is no libpcap to test.
fn missing() -> bool {
    let version = library_version();
    if let Err(error) = &version {
        println!("skipped: {error}");
    }
    version.is_err()
}

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> RawInstruction {
    RawInstruction { code, jt, jf, k }
}

/// `ip` as tcpdump prints it: load the type, compare with 0x800, return the snaplen or nothing.
fn ip(snaplen: u32) -> Vec<RawInstruction> {
    vec![
        instruction(0x28, 0, 0, 12),
        instruction(0x15, 0, 1, 0x800),
        instruction(0x06, 0, 0, snaplen),
        instruction(0x06, 0, 0, 0),
    ]
}

#[test]
fn expressions_compile_and_run() {
    if missing() {
        return;
    }
    assert!(library_version().unwrap().starts_with("libpcap version "));
    let program = compile("ip", 96).unwrap();
    assert_eq!(program, ip(96));
    assert_eq!(compile("", 77).unwrap(), [instruction(0x06, 0, 0, 77)]);

    let mut frame = [0; 60];
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    assert_eq!(offline_filter(&program, &frame, 1514).unwrap(), 96);
    assert_eq!(offline_filter(&program, &frame[..13], 1514).unwrap(), 0, "load beyond the end");
    frame[13] = 6;
    assert_eq!(offline_filter(&program, &frame, 1514).unwrap(), 0);
    let length = [instruction(0x80, 0, 0, 0), instruction(0x16, 0, 0, 0)];
    assert_eq!(offline_filter(&length, &frame, 1514).unwrap(), 1514);
}

#[test]
fn scratch_memory_starts_as_zeros() {
    if missing() {
        return;
    }
    for k in 0..16 {
        let program = [instruction(0x60, 0, 0, k), instruction(0x16, 0, 0, 0)];
        assert_eq!(offline_filter(&program, &[1; 64], 64).unwrap(), 0);
    }
}

#[test]
fn bad_expressions_are_told_in_libpcaps_words() {
    if missing() {
        return;
    }
    for expression in ["udp port", "tcp and and", "port 70000", "ip broadcast", "(((", "\u{fc}"] {
        let error = compile(expression, 65_535).unwrap_err();
        let FilterError::Syntax { message, .. } = &error else { panic!("{error:?}") };
        assert!(!message.is_empty());
        assert!(error.to_string().contains(expression), "{error}");
    }
    assert_eq!(compile("ip\0x", 1), Err(FilterError::Nul { at: 2 }));
    assert_eq!(compile("ip", u32::MAX), Err(FilterError::Snaplen { snaplen: u32::MAX }));
}

#[test]
fn invalid_programs_never_run() {
    if missing() {
        return;
    }
    let bad: [&[RawInstruction]; 7] = [
        &[],
        &[instruction(0x15, 0, 0, 0)], // no return
        &[instruction(0x05, 0, 0, u32::MAX), instruction(6, 0, 0, 0)], // a jump backwards
        &[instruction(0x15, 9, 0, 0), instruction(6, 0, 0, 0)], // a jump out
        &[instruction(0x60, 0, 0, 16), instruction(6, 0, 0, 0)], // scratch word 16
        &[instruction(0x0d, 0, 0, 0), instruction(6, 0, 0, 0)], // a jump with a stray bit
        &[instruction(0xffff, 0, 0, 0), instruction(6, 0, 0, 0)], // no such code
    ];
    for program in bad {
        let error = FilterError::Program { len: program.len() };
        assert_eq!(offline_filter(program, &[0; 64], 64), Err(error));
    }
}

/// Every code there is: refused, or run to its end; never an abort of the process.
#[test]
fn every_code_ends() {
    if missing() {
        return;
    }
    let mut accepted = 0;
    for code in 0..=u16::MAX {
        let program =
            [instruction(code, 0, 0, 1), instruction(6, 0, 0, 7), instruction(6, 0, 0, 7)];
        if let Ok(kept) = offline_filter(&program, &[0; 64], 64) {
            // Returns keep what they like; dividing by X, which is 0, keeps nothing.
            assert!(kept == 7 || code & 7 == 6 || matches!(code, 0x3c | 0x9c), "{code:#x}");
            accepted += 1;
        }
    }
    // 9 to A, 4 to X, 2 stores, 10 operations by K and X and one by none, 4 conditions by K and X
    // and one jump, 2 returns, 2 moves.
    assert_eq!(accepted, 9 + 4 + 2 + 21 + 9 + 2 + 2);
}

#[test]
fn threads_may_compile_at_once() {
    if missing() {
        return;
    }
    std::thread::scope(|scope| {
        for thread in 1..=4 {
            scope.spawn(move || {
                for round in 0..50 {
                    let snaplen = thread * 1000 + round;
                    assert_eq!(compile("ip", snaplen).unwrap(), ip(snaplen));
                    assert!(compile("ip and", snaplen).is_err());
                }
            });
        }
    });
}

#[test]
fn a_missing_library_says_what_to_do() {
    let text = FilterError::LibraryMissing { cause: "no such file".to_owned() }.to_string();
    assert!(text.contains("apt-get install libpcap0.8") && text.contains("@FILE"), "{text}");
}
