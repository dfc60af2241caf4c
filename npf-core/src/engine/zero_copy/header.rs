//! The header at the front of each shared buffer: `bpf_zbuf_header` (FreeBSD sys/net/bpf.h).
//!
//! ```text
//!   0            4            8          12           32
//!   | kernel_gen | kernel_len | user_gen | pad 5 x 4  | records ...
//! ```
//!
//! Contract: 32-bit words, little-endian. Equal generations: the buffer is the kernel's. The kernel
//! hands over by writing the length and then its generation plus one; the user gives back by writing
//! the kernel's generation into its own.

/// Bytes of the header; the records of a shared buffer begin behind it.
pub const ZBUF_HEADER: usize = 32;

pub(crate) const KERNEL_GEN: usize = 0;
pub(crate) const KERNEL_LEN: usize = 4;
pub(crate) const USER_GEN: usize = 8;

/// The word at `at`.
pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Writes the word at `at`.
pub(crate) fn set_word(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}
