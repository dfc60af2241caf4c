//! What a handle holds: a program together with the engine that runs it.
//!
//! Contract: every engine keeps the same bytes for the same program, frame and ancillary values. Only
//! the interpreter counts what it executes: whoever charges for a filter asks
//! [`Filter::is_compiled`] first, and charges a fixed cost then.

use super::{Ancillary, Compiled, JitError, Program, Verdict};

/// A program and what runs it. Clones share compiled code.
#[derive(Debug, Clone)]
pub struct Filter {
    program: Program,
    compiled: Option<Compiled>,
    notice: Option<JitError>,
}

impl Filter {
    /// The program, to be run by the reference interpreter.
    pub fn interpreted(program: Program) -> Self {
        Self { program, compiled: None, notice: None }
    }

    /// The program, to be run as machine code; by the interpreter where there is none, with a
    /// [`Filter::notice`] that says why.
    pub fn compiled(program: Program) -> Self {
        match Compiled::new(&program) {
            Ok(compiled) => Self { program, compiled: Some(compiled), notice: None },
            Err(error) => Self { program, compiled: None, notice: Some(error) },
        }
    }

    /// Runs the program over the bytes that are there of a frame of `wire_len` bytes.
    /// [`Verdict::executed`] is 0 if the program is compiled.
    #[inline(always)] // two ways to call on; a call more would cost as much as a short filter
    pub fn run(&self, data: &[u8], wire_len: u32, ancillary: &Ancillary) -> Verdict {
        match &self.compiled {
            Some(code) => Verdict { accept: code.run(data, wire_len, ancillary), executed: 0 },
            None => self.program.run_with(data, wire_len, ancillary),
        }
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Whether machine code runs it, which counts no instructions.
    pub fn is_compiled(&self) -> bool {
        self.compiled.is_some()
    }

    /// Why the interpreter runs a program that was to be compiled.
    pub fn notice(&self) -> Option<&JitError> {
        self.notice.as_ref()
    }

    /// What runs it: "jit" or "interpreter".
    pub fn engine_name(&self) -> &'static str {
        if self.is_compiled() { "jit" } else { "interpreter" }
    }
}

impl From<Program> for Filter {
    /// To be run by the reference interpreter.
    fn from(program: Program) -> Self {
        Self::interpreted(program)
    }
}

impl PartialEq for Filter {
    /// The same program, run by the same engine.
    fn eq(&self, other: &Self) -> bool {
        self.program == other.program && self.is_compiled() == other.is_compiled()
    }
}

impl Eq for Filter {}
