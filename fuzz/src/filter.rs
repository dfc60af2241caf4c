//! Filter programs: what the validator accepts ends, and machine code keeps what the interpreter keeps.

use arbitrary::{Arbitrary, Unstructured};
use npf_core::filter::format;
use npf_core::filter::{Ancillary, Dialect, Filter, Instruction, Program};

/// Some opcodes that exist, so that most programs get past the first check.
const CODES: [u16; 24] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0c, 0x15, 0x16, 0x1d, 0x20, 0x25, 0x28, 0x30,
    0x34, 0x35, 0x40, 0x45, 0x48, 0x50, 0x54, 0xb1,
];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    dialect: u8,
    instructions: Vec<Coded>,
    wire_len: u32,
    queue: u16,
    network_offset: u8,
    frame: &'a [u8],
}

#[derive(Arbitrary, Debug)]
struct Coded {
    known: Option<u8>,
    code: u16,
    jt: u8,
    jf: u8,
    k: K,
}

#[derive(Arbitrary, Debug)]
enum K {
    Near(u8),
    Any(u32),
    /// The extension loads of Linux.
    Negative(u16),
}

/// The bytes, as a program in one of the text forms or as instructions with a frame to run on.
pub fn run(bytes: &[u8]) {
    if let Ok(listed) = format::read(bytes) {
        for dialect in Dialect::ALL {
            if let Ok(program) = listed.clone().program(dialect) {
                compare(program, &[0; 64], 64, &Ancillary::NONE);
            }
        }
    }
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let dialect = Dialect::ALL[usize::from(input.dialect) % Dialect::ALL.len()];
    let instructions = input.instructions.iter().map(Coded::instruction).collect();
    let Ok(program) = Program::with_dialect(instructions, dialect) else { return };
    let known = Ancillary {
        queue: input.queue,
        network_offset: input.network_offset.into(),
        ..Ancillary::NONE
    };
    compare(program, input.frame, input.wire_len, &known);
}

impl Coded {
    fn instruction(&self) -> Instruction {
        let known = self.known.map(|at| CODES[usize::from(at) % CODES.len()]);
        let k = match self.k {
            K::Near(k) => k.into(),
            K::Any(k) => k,
            K::Negative(k) => 0xffff_f000 | u32::from(k & 0xfff),
        };
        Instruction { code: known.unwrap_or(self.code), jt: self.jt, jf: self.jf, k }
    }
}

fn compare(program: Program, frame: &[u8], wire_len: u32, known: &Ancillary) {
    let compiled = Filter::compiled(program.clone());
    let verdict = Filter::interpreted(program).run(frame, wire_len, known);
    let accept = compiled.run(frame, wire_len, known).accept;
    assert_eq!(accept, verdict.accept, "machine code and interpreter differ");
}
