//! Asks for the cache lines of a buffer before they are read: they lie in the cache of the CPU that serves
//! the device, and the way here is long.
//!
//! Contract: a hint. Nothing is read, and an address that is not mapped is no fault. On machines without such
//! a hint nothing happens.

/// How many completions ahead the lines of a buffer are asked for.
pub(crate) const AHEAD: u16 = 6;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Asks for the first two lines from `start` on, where header and headers are; what comes behind them the
/// processor sees coming.
#[inline(always)]
pub(crate) fn for_reading(start: *const u8) {
    line(start);
    line(start.wrapping_add(LINE));
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[allow(unsafe_code, reason = "the hint of the processor takes a pointer")]
fn line(at: *const u8) {
    // SAFETY: the instruction accesses nothing and faults for no address (AMD64 manual 3, PREFETCHlevel; Intel
    // SDM 2, PREFETCHh).
    unsafe {
        std::arch::asm!(
            "prefetcht0 byte ptr [{at}]",
            at = in(reg) at,
            options(readonly, nostack, preserves_flags)
        );
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn line(_at: *const u8) {}
