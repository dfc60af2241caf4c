//! What a handle holds: a program together with the engine that runs it.
//!
//! Contract: every engine gives the same verdict for the same program, frame and ancillary values,
//! the number of executed instructions included, so that a choice of engine changes no result.

use super::{Ancillary, Program, Verdict};

/// A program and what runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    program: Program,
}

impl Filter {
    /// The program, to be run by the reference interpreter.
    pub fn interpreted(program: Program) -> Self {
        Self { program }
    }

    /// Runs the program over the bytes that are there of a frame of `wire_len` bytes.
    #[inline]
    pub fn run(&self, data: &[u8], wire_len: u32, ancillary: &Ancillary) -> Verdict {
        self.program.run_with(data, wire_len, ancillary)
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What runs it: "interpreter".
    pub fn engine_name(&self) -> &'static str {
        "interpreter"
    }
}
