//! Asks for the cache lines of a buffer before they are written: they lie in the cache of the CPU that runs
//! the driver, and the way here is long.
//!
//! Contract: a hint. Nothing is read or written, and an address that is not mapped is no fault. On machines
//! without such a hint nothing happens.

/// How many chains ahead the lines of a buffer are asked for.
pub(super) const CHAINS_AHEAD: usize = 8;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Bytes of a buffer that are asked for at most; what comes behind them the processor sees coming.
const BYTES_MAX: usize = 256;

/// Asks for the lines of `len` bytes from `start` to be brought here for writing.
#[inline(always)]
pub(super) fn for_writing(start: *const u8, len: u32) {
    for offset in (0..BYTES_MAX.min(len as usize)).step_by(LINE) {
        prefetch_for_writing(start.wrapping_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[allow(
    unsafe_code,
    reason = "the compiler has no such instruction for every x86-64, the processors do"
)]
fn prefetch_for_writing(line: *const u8) {
    // SAFETY: the instruction accesses nothing and faults for no address (AMD64 manual 3, PREFETCHlevel; Intel
    // SDM 2, PREFETCHW, which older processors take for a no-operation).
    unsafe {
        std::arch::asm!(
            "prefetchw byte ptr [{line}]",
            line = in(reg) line,
            options(readonly, nostack, preserves_flags)
        );
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn prefetch_for_writing(_line: *const u8) {}
