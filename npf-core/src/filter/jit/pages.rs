//! Pages for machine code that lie near the program itself.
//!
//! Contract: one piece of memory, writable until it is finished and executable from then on, never
//! both. It is put within a few hundred MiB of this crate's own code where the system has room there,
//! else anywhere: the distance is speed, nothing else. On the AMD EPYC that this was measured on, a call
//! to code that is 64 GiB or more away takes three cycles more than one to code within 16 GiB, which is
//! what a short filter takes; and a mapping without a wish lies at the other end of the address space.
//!
//! For Unix on x86-64, where no instruction cache needs to be told. Elsewhere cranelift's own memory is
//! taken.
//!
//! # Why this module may use `unsafe`
//!
//! It maps, protects and unmaps pages, which only system calls do. What it maps it gives to cranelift's
//! `JITModule` alone, which frees it once, when asked to.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::io::{Error, ErrorKind, Result};

use cranelift_jit::{BranchProtection, JITMemoryKind, JITMemoryProvider};
use cranelift_module::{ModuleError, ModuleResult};

/// Memory for the code of one function.
pub(super) struct Pages {
    /// Address of the mapping; 0 if there is none.
    start: usize,
    len: usize,
}

/// Distance between the places that are tried, larger than any filter's code.
const STEP: usize = 4 << 20;
/// How many places are tried: so many filters may be near at once.
const PLACES: usize = 64;

impl Pages {
    pub(super) fn new() -> Self {
        Self { start: 0, len: 0 }
    }

    fn protect(&self, protection: c_int) -> Result<()> {
        // SAFETY: the pages are ours, and nothing runs in them or points into them yet.
        let status = unsafe { libc::mprotect(self.start as *mut c_void, self.len, protection) };
        if status == 0 { Ok(()) } else { Err(Error::last_os_error()) }
    }
}

impl JITMemoryProvider for Pages {
    fn allocate(&mut self, size: usize, align: u64, kind: JITMemoryKind) -> Result<*mut u8> {
        let page = page();
        let one_function = self.start == 0 && matches!(kind, JITMemoryKind::Executable);
        if !one_function || align > page as u64 || size == 0 {
            return Err(ErrorKind::Unsupported.into());
        }
        self.len = size.next_multiple_of(page);
        self.start = near(self.len)?;
        Ok(self.start as *mut u8)
    }

    fn finalize(&mut self, _: BranchProtection) -> ModuleResult<()> {
        let executable = libc::PROT_READ | libc::PROT_EXEC;
        self.protect(executable).map_err(|err| ModuleError::Allocation { err })
    }

    unsafe fn free_memory(&mut self) {
        if self.start != 0 {
            unmap(self.start, self.len);
            self.start = 0;
        }
    }
}

/// Maps writable pages below this crate's code, or anywhere.
fn near(len: usize) -> Result<usize> {
    let here = near as fn(usize) -> Result<usize> as usize;
    let below = here - here % STEP;
    for place in 1..=PLACES {
        let Some(wish) = below.checked_sub(place * STEP) else { break };
        let start = map(wish, len)?;
        if start == wish {
            return Ok(start);
        }
        unmap(start, len);
    }
    map(0, len)
}

/// Maps writable pages at `wish` if they are free, else anywhere.
fn map(wish: usize, len: usize) -> Result<usize> {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON);
    // SAFETY: a new mapping; without MAP_FIXED it replaces none, whatever the wish.
    let start = unsafe { libc::mmap(wish as *mut c_void, len, access, kind, -1, 0) };
    if start == libc::MAP_FAILED { Err(Error::last_os_error()) } else { Ok(start as usize) }
}

fn unmap(start: usize, len: usize) {
    // SAFETY: a mapping of our own, which nobody uses any more: it was never given out, or given back.
    unsafe { libc::munmap(start as *mut c_void, len) };
}

fn page() -> usize {
    // SAFETY: takes a number, returns a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(1 << 16)
}
