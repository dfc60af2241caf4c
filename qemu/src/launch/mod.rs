//! QEMU: found, started, spoken with, and stopped.
//!
//! Contract: a [`Vm`] is a QEMU whose guest has said hello. When the value is dropped, or this program ends in
//! whatever way, QEMU ends too. Nothing else is ever stopped.

mod child;
mod command;
pub mod error;
mod options;
mod port;
mod qmp;
mod stop;
mod version;
mod vm;

pub use error::VmError;
pub use options::{Accel, Nic, Options, Wire};
pub use port::Folder;
pub use stop::{Stop, Stopped};
pub use version::Version;
pub use vm::Vm;
