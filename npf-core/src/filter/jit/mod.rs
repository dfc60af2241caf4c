//! Filter programs as machine code, by cranelift, for x86-64 and aarch64.
//!
//! # Contract
//!
//! [`Compiled::run`] accepts as many bytes as the interpreter does, for every program, frame and set
//! of ancillary values. The code cannot read outside the frame (`translate.rs` puts a check of the
//! frame's length on every way to a load), cannot run for ever (it only goes forward), calls nothing
//! and writes nothing. It is freed with the last clone of the [`Compiled`] that holds it.
//!
//! What cannot be compiled is a [`JitError`]: libpcap's jumps back, Linux's searches for netlink
//! attributes, any program on another machine or without the feature `jit`. Whoever holds a
//! [`Filter`](super::Filter) runs the interpreter then and keeps the error as a notice.
//!
//! Not done: counting instructions. A count per way through the program would cost as much as the
//! filter itself.

mod error;
#[cfg(feature = "jit")]
mod frame;
#[cfg(feature = "jit")]
mod length;
#[cfg(feature = "jit")]
mod memory;
#[cfg(all(feature = "jit", unix, target_arch = "x86_64"))]
mod pages;
#[cfg(feature = "jit")]
mod translate;

#[cfg(all(test, feature = "jit"))]
mod tests;

pub use error::JitError;

use super::{Ancillary, Program};

/// A program as machine code. Clones share the code; threads may run it at once.
#[cfg(feature = "jit")]
#[derive(Clone)]
pub struct Compiled {
    code: std::sync::Arc<memory::Code>,
}

#[cfg(feature = "jit")]
impl Compiled {
    /// Compiles a program for the machine that this runs on.
    ///
    /// # Errors
    ///
    /// An operation or a machine that the compiler does not know.
    pub fn new(program: &Program) -> Result<Self, JitError> {
        Self::with_rules(program, translate::Rules::SOUND)
    }

    fn with_rules(program: &Program, rules: translate::Rules) -> Result<Self, JitError> {
        let code = memory::Code::new(&program.ops, rules)?;
        Ok(Self { code: std::sync::Arc::new(code) })
    }

    /// Runs the program over the bytes that are there of a frame of `wire_len` bytes: how many of them
    /// to keep, 0 if it rejects the frame.
    #[inline]
    pub fn run(&self, data: &[u8], wire_len: u32, ancillary: &Ancillary) -> u32 {
        self.code.run(data, wire_len, ancillary)
    }
}

#[cfg(feature = "jit")]
impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compiled")
    }
}

/// Stands where machine code would: there is none without the feature `jit`.
#[cfg(not(feature = "jit"))]
#[derive(Debug, Clone)]
pub struct Compiled {
    none: std::convert::Infallible,
}

#[cfg(not(feature = "jit"))]
impl Compiled {
    /// Says that there is no compiler.
    ///
    /// # Errors
    ///
    /// Always [`JitError::NotBuilt`].
    pub fn new(_: &Program) -> Result<Self, JitError> {
        Err(JitError::NotBuilt)
    }

    /// Cannot be called, as there is nothing to call it on.
    #[inline]
    pub fn run(&self, _: &[u8], _: u32, _: &Ancillary) -> u32 {
        match self.none {}
    }
}
