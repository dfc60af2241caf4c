//! The four forms of a program: read, refused with a place, written and read back.

use npf_core::filter::format::{
    self, Format, FormatError, FormatFault, LINKTYPE_ETHERNET, MOD_AND_XOR, Place, Savefile,
};
use npf_core::filter::{Dialect, Instruction, Program, ProgramError, ProgramFault, opcode::*};
use proptest::prelude::*;

fn at(line: usize, column: usize) -> Place {
    Place::Text { line, column }
}

/// What is wrong with `bytes` as a program of libpcap's.
fn fault(bytes: &[u8]) -> FormatError {
    let error = format::read(bytes)
        .and_then(|listed| listed.program(Dialect::Libpcap))
        .expect_err(&String::from_utf8_lossy(bytes));
    let text = error.to_string();
    assert!(text.contains(": ") && text.contains("; "), "says where and what to do: {text}");
    error
}

fn refused(text: &str, place: Place, what: FormatFault) {
    let error = fault(text.as_bytes());
    let said = error.to_string();
    assert_eq!((error.place, error.what), (place, what), "{text:?}: {said}");
}

fn instructions(text: &str) -> Vec<Instruction> {
    format::read(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}")).instructions
}

const SMALL: [Instruction; 4] = [
    Instruction::new(LD_H_ABS, 12),
    Instruction::jump(JEQ_K, 0x800, 0, 1),
    Instruction::new(RET_K, 262_144),
    Instruction::new(RET_K, 0),
];

/// `ip` as tcpdump 4.99 prints it.
const TEXTS: [&str; 3] = [
    "(000) ldh      [12]\n(001) jeq      #0x800           jt 2\tjf 3\n(002) ret      #262144\n\
     (003) ret      #0\n",
    "{ 0x28, 0, 0, 0x0000000c },\n{ 0x15, 0, 1, 0x00000800 },\n{ 0x6, 0, 0, 0x00040000 },\n\
     { 0x6, 0, 0, 0x00000000 },\n",
    "4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n",
];

#[test]
fn each_text_is_written_and_read_as_tcpdump_prints_it() {
    for (text, format) in TEXTS.into_iter().zip(Format::ALL) {
        assert_eq!(format::write_text(format, &SMALL).as_deref(), Some(text));
        assert_eq!(Format::of(text.as_bytes()), Some(format));
        assert_eq!(Format::from_name(format.name()), Some(format));
        assert_eq!(instructions(text), SMALL, "{format}");
        let spaced = format!("\r\n \n{}\n\n", text.replace('\n', "\r\n"));
        assert_eq!(instructions(&spaced), SMALL, "{format}");
    }
    assert_eq!(format::write_text(Format::Savefile, &SMALL), None);
}

#[test]
fn texts_by_others_are_read() {
    let plain = [Instruction::new(LD_W_ABS, 0xffff_f000), Instruction::new(RET_A, 0)];
    assert_eq!(instructions("2\n 32\t0 0 -4096\n22 0 0 0x0"), plain);
    assert_eq!(instructions("{32,0,0,-4096},{0X16,0,0,0}"), plain);
    assert_eq!(instructions("{ 0x20, 0, 0,\n 0xfffff000 }\n,\n{ 22, 0, 0, 0 },"), plain);
    assert_eq!(instructions("(000) ld [-4096]\n(1) ret"), plain);
    assert_eq!(instructions("(000) ld [proto]\n(001) ret      \n"), plain);
    assert_eq!(
        instructions("(0) ldx #pktlen\n(1) unimp 0x81\n(2) ret #0x10")[..2],
        [Instruction::new(LDX_LEN, 0); 2]
    );
    assert_eq!(instructions("0\n"), []);
}

#[test]
fn a_listing_has_every_operand() {
    let listing = "\
(000) ld       [26]
(001) ldb      [vlanp]
(002) ldh      [-16]
(003) ld       #pktlen
(004) ldh      [x + -14]
(005) ld       #0xfffffff0
(006) ldx      #0x7
(007) ldxb     4*([14]&0xf)
(008) ldx      M[3]
(009) st       M[15]
(010) ja       12
(011) ja       10
(012) jset     x                jt 13\tjf 268
(013) jgt      #0x7d0           jt 14\tjf 14
(014) add      #-1
(015) xor      #0xff
(016) mod      x
(017) neg      
(018) txa      
(019) unimp    0x81
(020) unimp    0x55             jt 22\tjf 23
(021) ret      
(022) ret      #-1
";
    let instructions = instructions(listing);
    assert_eq!(format::write_text(Format::Listing, &instructions).as_deref(), Some(listing));
    assert_eq!(instructions[1], Instruction::new(LD_B_ABS, 0xffff_f030));
    assert_eq!(instructions[4], Instruction::new(LD_H_IND, -14i32 as u32));
    assert_eq!(instructions[11], Instruction::new(JA, -2i32 as u32));
    assert_eq!(instructions[12], Instruction::jump(JSET_X, 0, 0, 255));
    assert_eq!(instructions[20], Instruction::jump(0x55, 0, 1, 2));
}

#[test]
fn a_text_that_is_no_program_is_refused() {
    for text in ["", " \n\n"] {
        refused(text, at(1, 1), FormatFault::Empty);
    }
    refused("udp port 53", at(1, 1), FormatFault::NoProgram);
    assert_eq!(fault(b"4\n40 0 0 \xff").place, at(2, 8));
    assert_eq!(fault(b"4\n40 0 0 \xff").what, FormatFault::NotText);
}

#[test]
fn decimal_text_out_of_order_is_refused_by_its_place() {
    let count = "the number of instructions";
    let bad = |field, max| FormatFault::BadNumber { field, max };
    for text in ["65536\n", "1x\n", "99999999999999999999"] {
        refused(text, at(1, 1), bad(count, 65_535));
    }
    let alone = FormatFault::Expected("nothing behind the number of instructions");
    refused("\n 6 0 0 0", at(2, 4), alone);
    refused("2\n6 0 0 0\n\n", at(4, 1), FormatFault::TooFew { announced: 2, found: 1 });
    refused("4096", at(1, 5), FormatFault::TooFew { announced: 4096, found: 0 });
    refused("1\n6 0 0 0\n\n 6 0 0 0", at(4, 2), FormatFault::TooMany { announced: 1 });
    refused("1\n6 0 0\n", at(2, 6), bad("k", u32::MAX));
    let four = FormatFault::Expected("four numbers `code jt jf k` in a line");
    refused("1\n6 0 0 0 0", at(2, 9), four);
    for (line, column, field, max) in [
        ("65536 0 0 0", 1, "the code", 65_535),
        ("-6 0 0 0", 1, "the code", 65_535),
        ("6 256 0 0", 3, "jt", 255),
        ("6 0 x 0", 5, "jf", 255),
        ("6 0 0 4294967296", 7, "k", u32::MAX),
        ("6 0 0 -2147483649", 7, "k", u32::MAX),
        ("6 0 0 1.5", 7, "k", u32::MAX),
        ("6 0 0 +1", 7, "k", u32::MAX),
        ("6 0 0 0x", 7, "k", u32::MAX),
    ] {
        refused(&format!("1\n{line}"), at(2, column), bad(field, max));
    }
}

#[test]
fn initialisers_out_of_order_are_refused_by_their_place() {
    let good = "{ 0x6, 0, 0, 0 }";
    refused(
        &format!("{good}\n{good}"),
        at(2, 1),
        FormatFault::Expected("`,` between two instructions"),
    );
    let whole = FormatFault::Expected("`{ code, jt, jf, k }`");
    refused(&format!("{good},\n 6, 0, 0, 0"), at(2, 2), whole);
    let comma = FormatFault::Expected("`,` and four numbers `code, jt, jf, k`");
    refused("{ 6 0 0 0 }", at(1, 5), comma);
    refused("{ 6, 0, 0, 0, 0 }", at(1, 13), FormatFault::Expected("`}` behind four numbers"));
    let code = FormatFault::BadNumber { field: "the code", max: 65_535 };
    refused("{ 0x10000, 0, 0, 0 }", at(1, 3), code.clone());
    refused("{ 0xg, 0, 0, 0 }", at(1, 3), code.clone());
    refused("{", at(1, 2), code);
}

#[test]
fn a_listing_out_of_order_is_refused_by_its_place() {
    let numbered = |expected| FormatFault::WrongNumber { expected };
    refused("(001) ret      #0", at(1, 1), numbered(0));
    refused("(000) tax\n(002) ret      #0", at(2, 1), numbered(1));
    refused("(0x0) ret #0", at(1, 1), numbered(0));
    refused("(000) jmp      5", at(1, 7), FormatFault::UnknownMnemonic);
    refused("(000) ", at(1, 7), FormatFault::UnknownMnemonic);
    for (line, column, example) in [
        ("(000) ld       5", 16, "[12]"),
        ("(000) ldh      M[5]", 16, "[12]"),
        ("(000) ld       [12", 16, "[12]"),
        ("(000) ld       [x + 1", 16, "[x + 14]"),
        ("(000) ldxb     [14]", 16, "4*([14]&0xf)"),
        ("(000) st       5", 16, "M[1]"),
        ("(000) add      5", 16, "#14"),
        ("(000) jeq      M[1]", 16, "#0x800"),
    ] {
        refused(line, at(1, column), FormatFault::BadOperand { example });
    }
    let number = FormatFault::BadNumber { field: "a number", max: u32::MAX };
    refused("(000) st       M[4294967296]", at(1, 18), number);
    let end = FormatFault::Expected("the end of the line");
    refused("(000) tax      x", at(1, 16), end.clone());
    refused("(000) ret      #0 jt 1", at(1, 19), end);
    let jt = FormatFault::Expected("`jt` and an instruction");
    refused("(000) jeq      #0x800", at(1, 22), jt);
    let jf = FormatFault::Expected("`jf` and an instruction");
    refused("(000) jeq      #0x800 jt 1 jt 1", at(1, 28), jf);
    for target in ["0", "257"] {
        refused(
            &format!("(000) jeq      x                jt 1\tjf {target}"),
            at(1, 41),
            FormatFault::BadTarget,
        );
    }
}

#[test]
fn an_unsound_program_is_refused_at_its_place() {
    let unsound =
        |at| FormatFault::Program(ProgramError { at, what: ProgramFault::DivisionByZero });
    refused("3\n0 0 0 0\n\n 52 0 0 0\n6 0 0 0", at(4, 2), unsound(1));
    refused("{6,0,0,0}, {52,0,0,0},\n{6,0,0,0}", at(1, 12), unsound(1));
    refused("(000) div      #0\n(001) ret      #0", at(1, 1), unsound(0));
    let empty = FormatFault::Program(ProgramError { at: 0, what: ProgramFault::Empty });
    refused("0", at(1, 1), empty);
    let savefile = Savefile {
        instructions: vec![SMALL[3], Instruction::new(DIV_K, 0), SMALL[3]],
        ..small_savefile()
    };
    let error = fault(&savefile.write().unwrap());
    assert_eq!((error.place, error.what), (Place::Byte(28), unsound(1)));
}

fn small_savefile() -> Savefile {
    Savefile {
        flags: MOD_AND_XOR,
        snaplen: 262_144,
        link_type: LINKTYPE_ETHERNET,
        instructions: SMALL.to_vec(),
        expression: None,
        comment: None,
    }
}

#[test]
fn a_savefile_is_written_byte_for_byte_as_its_format_says() {
    let expected = [
        &b"\xa1\xb2\xc3\xcbcBPF\x01\x00\x00\x03\x00\x04\x00\x00\x00\x01\x00\x04"[..],
        b"\x00\x28\x00\x00\x00\x00\x00\x0c\x00\x15\x00\x01\x00\x00\x08\x00",
        b"\x00\x06\x00\x00\x00\x04\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00",
        b"\x00\x02\x00\x02ip\x00\x05\x00\x01x\x00\x00\x00\x00",
    ]
    .concat();
    let file =
        Savefile { expression: Some("ip".into()), comment: Some("x".into()), ..small_savefile() };
    assert_eq!(file.write().unwrap(), expected);
    assert_eq!(Savefile::read(&expected), Ok(file));
    assert_eq!(format::read(&expected).unwrap().instructions, SMALL);
    // Without notes, and with notes of kinds that say nothing to us.
    assert_eq!(Savefile::read(&expected[..52]), Ok(small_savefile()));
    let notes =
        b"\0\x01\0\x06EN10MB\0\x03\0\x01\x01\0\x04\0\x04\xff\0\0\0\0\x06\0\x08abcdefgh\0\x63\0\0";
    let more = [&expected[..52], notes].concat();
    assert_eq!(Savefile::read(&more), Ok(small_savefile()));
    let many = Savefile { instructions: vec![SMALL[3]; 65_536], ..small_savefile() };
    assert_eq!(many.write(), None);
    let long = Savefile { comment: Some("x".repeat(65_536)), ..small_savefile() };
    assert_eq!(long.write(), None);
}

#[test]
fn a_savefile_out_of_order_is_refused_by_its_byte() {
    let file = small_savefile().write().unwrap();
    let refused = |bytes: &[u8], byte, what| {
        let error = fault(bytes);
        assert_eq!((error.place, &error.what), (Place::Byte(byte), &what), "{error}");
    };
    refused(&file[..19], 19, FormatFault::CutShort("its header"));
    refused(&file[..51], 44, FormatFault::TooFew { announced: 4, found: 3 });
    refused(&file[..20], 20, FormatFault::TooFew { announced: 4, found: 0 });
    refused(&file[..54], 52, FormatFault::CutShort("a note"));
    let changed = |at: usize, byte| {
        let mut file = file.clone();
        file[at] = byte;
        file
    };
    refused(&changed(8, 2), 8, FormatFault::Version { major: 2 });
    refused(&changed(4, b'C'), 0, FormatFault::Expected("the signature a1 b2 c3 cb `cBPF`"));
    let with = |notes: &[u8]| [&file[..52], notes].concat();
    refused(&with(b"\0\0\0\0x"), 56, FormatFault::AfterEnd);
    refused(&with(b"\0\0\0\x01x"), 52, FormatFault::NoteLength { kind: 0, length: 1 });
    refused(&with(b"\0\x03\0\x02xx"), 52, FormatFault::NoteLength { kind: 3, length: 2 });
    refused(&with(b"\0\x02\0\x01x\0\x02\0\0"), 57, FormatFault::NoteTwice { kind: 2 });
    refused(&with(b"\0\x05\0\x01\xff"), 52, FormatFault::NoteNotText { kind: 5 });
    refused(&with(b"\0\x05\0\x05abcd"), 52, FormatFault::CutShort("a note"));
}

/// Any instruction whose unused parts are 0, at `at` of a program.
fn canonical() -> impl Strategy<Value = Instruction> {
    let codes = [
        0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x80, 0x00, 0x60, 0x01, 0x61, 0x81, 0xb1, 0x02, 0x03,
        0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74,
        0x7c, 0x84, 0x94, 0x9c, 0xa4, 0xac, 0x05, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d,
        0x06, 0x16, 0x07, 0x87,
    ];
    let k = prop_oneof![any::<u32>(), 0u32..300, 0xffff_efffu32..0xffff_f044];
    (prop::sample::select(codes.to_vec()), any::<u8>(), any::<u8>(), k).prop_map(
        |(code, jt, jf, k)| {
            let compares = code & 7 == 5 && code != 5;
            let by_x = matches!(code & 7, 4 | 5) && code & 8 != 0;
            let alone = matches!(code, 0x80 | 0x81 | 0x84 | 0x16 | 0x07 | 0x87);
            Instruction {
                code,
                jt: if compares { jt } else { 0 },
                jf: if compares { jf } else { 0 },
                k: if by_x || alone { 0 } else { k },
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        program in prop::collection::vec(canonical(), 1..40),
        texts in proptest::option::of(("\\PC{0,20}", "\\PC{0,20}")),
        (flags, snaplen, link_type) in any::<(u16, u32, u16)>(),
    ) {
        for format in [Format::Listing, Format::Initialisers, Format::Decimal] {
            let text = format::write_text(format, &program).unwrap();
            let read = format::read(text.as_bytes()).unwrap();
            prop_assert_eq!(read.format, format);
            prop_assert_eq!(&read.instructions, &program);
        }
        let (expression, comment) = texts.unzip();
        let file = Savefile { flags, snaplen, link_type, instructions: program, expression, comment };
        prop_assert_eq!(Savefile::read(&file.write().unwrap()), Ok(file));
    }

    /// Numbers need no meaning in the two forms that are only numbers.
    #[test]
    fn any_numbers_are_read_back(
        program in prop::collection::vec(any::<(u16, u8, u8, u32)>(), 1..20),
    ) {
        let instruction = |(code, jt, jf, k)| Instruction { code, jt, jf, k };
        let program: Vec<_> = program.into_iter().map(instruction).collect();
        for format in [Format::Initialisers, Format::Decimal] {
            let text = format::write_text(format, &program).unwrap();
            prop_assert_eq!(&format::read(text.as_bytes()).unwrap().instructions, &program);
        }
    }

    #[test]
    fn no_bytes_make_a_reader_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in Format::ALL {
            let _ = format::read_as(format, &bytes);
        }
    }

    #[test]
    fn no_text_makes_a_reader_fail(
        text in "[-0-9 \\n x]{0,60}|[(){}0-9, x\\[\\]#a-z\\n]{0,80}|\\PC{0,20}",
    ) {
        for format in Format::ALL {
            let _ = format::read_as(format, text.as_bytes());
        }
    }

    /// A good text with one byte replaced or cut off: read or refused, and a program of it runs.
    #[test]
    fn one_wrong_byte_is_no_harm(
        which in 0usize..4, place in any::<prop::sample::Index>(), byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let savefile = small_savefile().write().unwrap();
        let texts = TEXTS.map(|text| text.as_bytes().to_vec());
        let mut bytes = texts.into_iter().chain([savefile]).nth(which).unwrap();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if cut {
            bytes.truncate(place);
        }
        if let Ok(program) = format::read(&bytes).and_then(|it| it.program(Dialect::Libpcap)) {
            program.run(&bytes, 60);
        }
    }
}

#[test]
fn the_short_way_reads_decimal_text_only() {
    let program = Program::parse_ddd(TEXTS[2]).unwrap();
    assert_eq!((program.instructions(), program.dialect()), (&SMALL[..], Dialect::Libpcap));
    assert_eq!(Program::parse_ddd(TEXTS[1]).unwrap_err().format, Some(Format::Decimal));
}
