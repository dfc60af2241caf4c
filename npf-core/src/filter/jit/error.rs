//! Why a program is interpreted rather than compiled.

use std::fmt;

/// Why there is no machine code for a program. The interpreter runs it all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JitError {
    /// The crate was built without the feature `jit`.
    NotBuilt,
    /// The compiler knows this machine not at all, or not well enough.
    Machine {
        /// What it says.
        what: String,
    },
    /// An instruction that has no translation.
    Instruction {
        /// Which one, counting from 0.
        at: usize,
        /// What it does.
        what: &'static str,
    },
    /// The compiler gave up: too much code, no memory for it.
    Compiler {
        /// What it says.
        what: String,
    },
}

impl fmt::Display for JitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter is interpreted, not compiled: ")?;
        match self {
            Self::NotBuilt => {
                write!(f, "built without a compiler; build npf-core with its feature `jit`")
            }
            Self::Machine { what } => {
                write!(f, "no code for this machine ({what}); x86-64 and aarch64 have some")
            }
            Self::Instruction { at, what } => write!(
                f,
                "instruction {at} ({what}) has no translation; nothing needs doing, it is only slower"
            ),
            Self::Compiler { what } => write!(f, "{what}; try a shorter program"),
        }
    }
}

impl std::error::Error for JitError {}
