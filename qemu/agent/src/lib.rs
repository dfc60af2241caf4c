//! What host and guest share: the [`protocol`] they speak, and the [`data`] of streams that both ends check.
//!
//! The guest's side of it is this crate's program `rxlab-agent`, which is built apart, static and for the
//! guest; the host's side is the crate `qemu`.
#![forbid(unsafe_code)]

pub mod data;
pub mod protocol;
