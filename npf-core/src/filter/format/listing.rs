//! The listing of `tcpdump -d`: a disassembler and its assembler.
//!
//! Contract: [`write`] prints what libpcap's `bpf_image` (1.9 and later) prints, byte for byte, with
//! Linux's names of the extension loads; [`read`] takes that, and numbers in decimal or hexadecimal
//! wherever there is a number. Both follow one table.
//!
//! libpcap has no name for LDX of the length and prints it as `unimp 0x81`; that is read back, and so
//! is `ldx #pktlen`.

use std::fmt::Write as _;

use super::super::instruction::opcode::*;
use super::cursor::{Cursor, Fault};
use super::{FormatFault, Instruction, Lines};

/// How an operand is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operand {
    Nothing,
    X,
    Hex,
    Decimal,
    At,
    Indirect,
    Scratch,
    HeaderLength,
    Length,
    Target,
}

use Operand::{At, Decimal, HeaderLength, Hex, Indirect, Length, Nothing, Scratch, Target, X};

/// Every instruction: code, name, operand. Comparisons have two targets besides.
const TABLE: [(u16, &str, Operand); 48] = [
    (RET_K, "ret", Decimal),
    (RET_A, "ret", Nothing),
    (LD_W_ABS, "ld", At),
    (LD_H_ABS, "ldh", At),
    (LD_B_ABS, "ldb", At),
    (LD_LEN, "ld", Length),
    (LD_W_IND, "ld", Indirect),
    (LD_H_IND, "ldh", Indirect),
    (LD_B_IND, "ldb", Indirect),
    (LD_IMM, "ld", Hex),
    (LDX_IMM, "ldx", Hex),
    (LDX_MSH, "ldxb", HeaderLength),
    (LD_MEM, "ld", Scratch),
    (LDX_MEM, "ldx", Scratch),
    (ST, "st", Scratch),
    (STX, "stx", Scratch),
    (JA, "ja", Target),
    (JGT_K, "jgt", Hex),
    (JGE_K, "jge", Hex),
    (JEQ_K, "jeq", Hex),
    (JSET_K, "jset", Hex),
    (JGT_X, "jgt", X),
    (JGE_X, "jge", X),
    (JEQ_X, "jeq", X),
    (JSET_X, "jset", X),
    (ADD_K, "add", Decimal),
    (SUB_K, "sub", Decimal),
    (MUL_K, "mul", Decimal),
    (DIV_K, "div", Decimal),
    (MOD_K, "mod", Decimal),
    (AND_K, "and", Hex),
    (OR_K, "or", Hex),
    (XOR_K, "xor", Hex),
    (LSH_K, "lsh", Decimal),
    (RSH_K, "rsh", Decimal),
    (ADD_X, "add", X),
    (SUB_X, "sub", X),
    (MUL_X, "mul", X),
    (DIV_X, "div", X),
    (MOD_X, "mod", X),
    (AND_X, "and", X),
    (OR_X, "or", X),
    (XOR_X, "xor", X),
    (LSH_X, "lsh", X),
    (RSH_X, "rsh", X),
    (NEG, "neg", Nothing),
    (TAX, "tax", Nothing),
    (TXA, "txa", Nothing),
];

/// Names of the extension loads, four bytes apart from -4096 on (Linux SKF_AD_*).
const EXTENSIONS: [&str; 16] = [
    "proto",
    "type",
    "ifidx",
    "nla",
    "nlan",
    "mark",
    "queue",
    "hatype",
    "rxhash",
    "cpu",
    "xor_x",
    "vlan_tci",
    "vlanp",
    "poff",
    "random",
    "vlan_tpid",
];
const FIRST_EXTENSION: u32 = 0xffff_f000;

/// Prints a program.
pub(super) fn write(instructions: &[Instruction]) -> String {
    let mut text = String::new();
    for (at, instruction) in instructions.iter().enumerate() {
        let _ = writeln!(text, "{}", line(at, *instruction));
    }
    text
}

fn line(at: usize, Instruction { code, jt, jf, k }: Instruction) -> String {
    let (name, operand) = match TABLE.iter().find(|row| row.0 == code) {
        Some(&(_, name, operand)) => (name, operand_text(operand, at, k)),
        None => ("unimp", format!("{code:#x}")),
    };
    if !is_comparison(code) {
        return format!("({at:03}) {name:<8} {operand}");
    }
    let (jt, jf) = (at + 1 + usize::from(jt), at + 1 + usize::from(jf));
    format!("({at:03}) {name:<8} {operand:<16} jt {jt}\tjf {jf}")
}

/// Any jump that is not JA, known or not.
fn is_comparison(code: u16) -> bool {
    code & 7 == 5 && code & 0xf0 != 0
}

fn operand_text(operand: Operand, at: usize, k: u32) -> String {
    let signed = k.cast_signed();
    match operand {
        Nothing => String::new(),
        X => "x".to_owned(),
        Hex => format!("#{k:#x}"),
        Decimal => format!("#{signed}"),
        At => match extension_name(k) {
            Some(name) => format!("[{name}]"),
            None => format!("[{signed}]"),
        },
        Indirect => format!("[x + {signed}]"),
        Scratch => format!("M[{signed}]"),
        HeaderLength => format!("4*([{signed}]&0xf)"),
        Length => "#pktlen".to_owned(),
        // A program has at most 65535 instructions.
        Target => format!("{}", (at as i32 + 1).wrapping_add(signed)),
    }
}

fn extension_name(k: u32) -> Option<&'static str> {
    let n = k.checked_sub(FIRST_EXTENSION).filter(|n| n % 4 == 0)?;
    EXTENSIONS.get(n as usize / 4).copied()
}

/// Reads a listing.
pub(super) fn read(text: &str) -> Result<Lines, Fault> {
    let mut cursor = Cursor::new(text);
    let (mut instructions, mut places) = (Vec::new(), Vec::new());
    cursor.skip_white();
    while !cursor.rest().is_empty() {
        let place = cursor.place();
        let expected = instructions.len();
        cursor.expect("(", "`(`, a number and an instruction")?;
        if cursor.take_while(|c| c != ')' && c != '\n').parse() != Ok(expected) {
            return Err((place, FormatFault::WrongNumber { expected }));
        }
        cursor.expect(")", "`)` behind the number")?;
        instructions.push(instruction(&mut cursor, expected)?);
        places.push(place);
        cursor.skip_blanks();
        if !cursor.is_line_end() {
            return cursor.fault(FormatFault::Expected("the end of the line"));
        }
        cursor.skip_white();
    }
    Ok((instructions, places))
}

fn instruction(cursor: &mut Cursor<'_>, at: usize) -> Result<Instruction, Fault> {
    cursor.skip_blanks();
    let place = cursor.place();
    let name = cursor.take_while(|c| c.is_ascii_alphanumeric());
    cursor.skip_blanks();
    let (code, k) = match name {
        "unimp" => (cursor.number("the code", u16::MAX.into())? as u16, 0),
        // What libpcap lacks a name for.
        "ldx" if cursor.accept("#pktlen") => (LDX_LEN, 0),
        _ => {
            let (code, operand) =
                form(name, cursor.rest()).ok_or((place, FormatFault::UnknownMnemonic))?;
            (code, operand_value(cursor, operand, at)?)
        }
    };
    if !is_comparison(code) {
        return Ok(Instruction { code, jt: 0, jf: 0, k });
    }
    let jt = target(cursor, "jt", at)?;
    let jf = target(cursor, "jf", at)?;
    Ok(Instruction { code, jt, jf, k })
}

/// The row with this name whose operand begins as what follows does; failing that, any with the name.
fn form(name: &str, operand: &str) -> Option<(u16, Operand)> {
    let mut rows = TABLE.iter().filter(|row| row.1 == name);
    let begins = |operand_: Operand| match operand_ {
        Nothing => operand.is_empty() || operand.starts_with(['\n', '\r']),
        X => operand.starts_with('x'),
        Length => operand.starts_with("#p"),
        Hex | Decimal => operand.starts_with('#') && !operand.starts_with("#p"),
        Indirect => operand.starts_with("[x"),
        At => operand.starts_with('[') && !operand.starts_with("[x "),
        Scratch => operand.starts_with('M'),
        HeaderLength | Target => true,
    };
    let row = rows.clone().find(|row| begins(row.2)).or_else(|| rows.next());
    row.map(|row| (row.0, row.2))
}

fn operand_value(cursor: &mut Cursor<'_>, operand: Operand, at: usize) -> Result<u32, Fault> {
    let (before, after, example) = match operand {
        Nothing => return Ok(0),
        X => ("x", "", "x"),
        Length => ("#pktlen", "", "#pktlen"),
        Hex => ("#", "", "#0x800"),
        Decimal => ("#", "", "#14"),
        At => ("[", "]", "[12]"),
        Indirect => ("[x + ", "]", "[x + 14]"),
        Scratch => ("M[", "]", "M[1]"),
        HeaderLength => ("4*([", "]&0xf)", "4*([14]&0xf)"),
        Target => ("", "", "7"),
    };
    let place = cursor.place();
    let bad = (place, FormatFault::BadOperand { example });
    if !cursor.accept(before) {
        return Err(bad);
    }
    let k = match operand {
        X | Length => 0,
        At => match extension(cursor) {
            Some(k) => k,
            None => cursor.number("an offset", u32::MAX)?,
        },
        // Relative to the next instruction.
        Target => cursor.number("an instruction", u32::MAX)?.wrapping_sub(at as u32 + 1),
        _ => cursor.number("a number", u32::MAX)?,
    };
    if cursor.accept(after) { Ok(k) } else { Err(bad) }
}

/// The offset of an extension load that is named here.
fn extension(cursor: &mut Cursor<'_>) -> Option<u32> {
    // Longest first: one name is the start of another.
    let mut names: Vec<(u32, &str)> = (FIRST_EXTENSION..).step_by(4).zip(EXTENSIONS).collect();
    names.sort_by_key(|(_, name)| std::cmp::Reverse(name.len()));
    names.into_iter().find(|(_, name)| cursor.accept(name)).map(|(k, _)| k)
}

/// `jt 5`: how many instructions lie between `at` and that one.
fn target(cursor: &mut Cursor<'_>, name: &'static str, at: usize) -> Result<u8, Fault> {
    cursor.skip_blanks();
    cursor.expect(
        name,
        if name == "jt" { "`jt` and an instruction" } else { "`jf` and an instruction" },
    )?;
    cursor.skip_blanks();
    let place = cursor.place();
    let target = cursor.number("an instruction", i32::MAX.cast_unsigned())? as usize;
    let skip = target.checked_sub(at + 1).and_then(|skip| u8::try_from(skip).ok());
    skip.ok_or((place, FormatFault::BadTarget))
}
