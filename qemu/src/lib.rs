//! The guest: a Linux kernel, our agent as its first process, and the QEMU that runs both.
//!
//! [`image`] makes what is booted, without root: Debian's kernel and modules (or given ones) and an initramfs
//! with the agent, the same bytes for the same inputs. [`launch`] finds QEMU, starts it, and speaks with the
//! agent by [`protocol`]; what it has started ends with it.

pub mod cache;
pub mod image;
pub mod launch;

pub use protocol;
