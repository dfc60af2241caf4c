//! Filter expressions (`udp port 53`), compiled by libpcap when it is installed.
//!
//! libpcap is loaded when the first expression is compiled, so that building and running without
//! expressions needs nothing. Where it is missing, a program printed by `tcpdump -ddd` says the same.
//!
//! [`offline_filter`] runs a program in libpcap's own interpreter: the oracle that ours is tested
//! against.
//!
//! Not checked: names. An expression with a host or service name is resolved by the system, as tcpdump
//! does it, and may compile to other programs on other machines; numbers never do.
//!
//! # Why this module may use `unsafe`
//!
//! It calls C functions through pointers that the dynamic linker gave, which Rust cannot check. All of
//! that is here: the declarations follow libpcap's `pcap.h` and `pcap/bpf.h`, every pointer that
//! libpcap returns is read while its owner lives, and what leaves the module is plain data. It is the
//! only module of this crate with `unsafe`.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};

use libloading::Library;

/// One classic BPF instruction, laid out as C's `struct bpf_insn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RawInstruction {
    /// What to do.
    pub code: u16,
    /// Instructions to skip when a condition holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

const _: () = assert!(size_of::<RawInstruction>() == 8 && align_of::<RawInstruction>() == 4);

/// Why there is no program, or none that may run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// libpcap is not installed, or lacks a function.
    #[error(
        "filter expressions need libpcap ({cause}): apt-get install libpcap0.8, \
         or give the program that `tcpdump -ddd` prints for it as @FILE"
    )]
    LibraryMissing {
        /// What the dynamic linker said.
        cause: String,
    },
    /// libpcap does not take the expression.
    #[error("filter expression '{expression}': {message}")]
    Syntax {
        /// The expression.
        expression: String,
        /// What libpcap said.
        message: String,
    },
    /// The expression has a NUL character, which libpcap would take for its end.
    #[error("filter expression: NUL character at byte {at}")]
    Nul {
        /// Its place.
        at: usize,
    },
    /// A snaplen that libpcap cannot hold.
    #[error("filter: snaplen {snaplen} is more than 2147483647")]
    Snaplen {
        /// The snaplen given.
        snaplen: u32,
    },
    /// libpcap refuses to run the program: a jump out of it, an unknown instruction, no return.
    #[error("filter program of {len} instructions: libpcap finds it invalid")]
    Program {
        /// Its length.
        len: usize,
    },
}

/// Compiles `expression` for Ethernet frames, optimised; the program accepts `snaplen` bytes of those
/// that match. An empty expression matches all.
pub fn compile(expression: &str, snaplen: u32) -> Result<Vec<RawInstruction>, FilterError> {
    let text = CString::new(expression).map_err(|e| FilterError::Nul { at: e.nul_position() })?;
    let snapshot = c_int::try_from(snaplen).map_err(|_| FilterError::Snaplen { snaplen })?;
    let api = api()?;
    // Before libpcap 1.8 its compiler kept its state in globals.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);

    let syntax = |message| FilterError::Syntax { expression: expression.to_owned(), message };
    // SAFETY: takes two numbers, returns a handle of its own or null.
    let handle = unsafe { (api.pcap_open_dead)(DLT_EN10MB, snapshot) };
    if handle.is_null() {
        return Err(syntax("libpcap has no memory for a handle".to_owned()));
    }
    let mut program = Program { len: 0, instructions: ptr::null_mut() };
    // SAFETY: the handle is open, `program` is ours to fill, the text ends in NUL and outlives the call.
    let status = unsafe {
        (api.pcap_compile)(handle, &raw mut program, text.as_ptr(), OPTIMIZE, NETMASK_UNKNOWN)
    };
    let result = if status == 0 {
        // SAFETY: pcap_compile succeeded, so `instructions` points to `len` initialised instructions,
        // which nobody else knows of; they are copied before they are freed.
        let compiled = unsafe {
            let all = std::slice::from_raw_parts(program.instructions, program.len as usize);
            let copy = all.to_vec();
            (api.pcap_freecode)(&raw mut program);
            copy
        };
        Ok(compiled)
    } else {
        // SAFETY: the handle is open, and its error text ends in NUL and lives as long as the handle.
        let message = unsafe { CStr::from_ptr((api.pcap_geterr)(handle)) };
        Err(syntax(message.to_string_lossy().into_owned()))
    };
    // SAFETY: the handle is open, and not used after this.
    unsafe { (api.pcap_close)(handle) };
    result
}

/// Runs `program` over the captured bytes of a frame that was `wire_len` long: how many bytes to keep,
/// 0 for none. Scratch memory starts as zeros.
pub fn offline_filter(
    program: &[RawInstruction],
    data: &[u8],
    wire_len: u32,
) -> Result<u32, FilterError> {
    let api = api()?;
    // libpcap leaves the 16 words of scratch memory as it finds them. Jumps are relative and forward,
    // so storing the zero that A starts with into each, before all else, changes nothing but that.
    let clear = (0..16).map(|k| RawInstruction { code: STORE_A, k, ..RawInstruction::default() });
    let program: Vec<RawInstruction> = clear.chain(program.iter().copied()).collect();

    let invalid = FilterError::Program { len: program.len() - 16 };
    let len = c_int::try_from(program.len()).map_err(|_| invalid.clone())?;
    let captured = c_uint::try_from(data.len()).map_err(|_| invalid.clone())?;
    // SAFETY: reads `len` instructions, which are there.
    let valid = unsafe { (api.bpf_validate)(program.as_ptr(), len) } != 0;
    if !valid || !ends_without_abort(&program) {
        return Err(invalid);
    }
    // SAFETY: libpcap has just found that the program stays within itself and the scratch memory and
    // ends in a return; it checks loads against `captured`, which is how many bytes there are.
    Ok(unsafe { (api.bpf_filter)(program.as_ptr(), data.as_ptr(), wire_len, captured) })
}

/// A program that libpcap has found valid, to be run often: nothing stands between the caller and
/// libpcap's interpreter.
pub struct Prepared {
    program: Vec<RawInstruction>,
    bpf_filter: BpfFilter,
}

impl Prepared {
    /// Checks a program.
    pub fn new(program: Vec<RawInstruction>) -> Result<Self, FilterError> {
        let api = api()?;
        let invalid = FilterError::Program { len: program.len() };
        let len = c_int::try_from(program.len()).map_err(|_| invalid.clone())?;
        // SAFETY: reads `len` instructions, which are there.
        let valid = unsafe { (api.bpf_validate)(program.as_ptr(), len) } != 0;
        // Scratch memory would be read as it is found.
        let reads_scratch = program.iter().any(|i| matches!(i.code, 0x60 | 0x61));
        if !valid || reads_scratch || !ends_without_abort(&program) {
            return Err(invalid);
        }
        Ok(Self { program, bpf_filter: api.bpf_filter })
    }

    /// How many of the captured bytes of a frame that was `wire_len` long to keep, 0 for none.
    #[inline]
    pub fn run(&self, data: &[u8], wire_len: u32) -> u32 {
        let captured = u32::try_from(data.len()).unwrap_or(u32::MAX);
        // SAFETY: `new` has seen libpcap find that the program stays within itself and ends in a
        // return; loads are checked against `captured`, and there are at least so many bytes.
        unsafe { (self.bpf_filter)(self.program.as_ptr(), data.as_ptr(), wire_len, captured) }
    }
}

/// What libpcap's own check lets pass: outside a kernel it allows jumps backwards, which may never
/// end, and codes with stray bits, at which its interpreter calls `abort`.
fn ends_without_abort(program: &[RawInstruction]) -> bool {
    program.iter().enumerate().all(|(at, i)| match i.code {
        JUMP => (i.k as usize) < program.len() - at,
        // return K or A; A to X, X to A; length, or 4 times a nibble, to X
        0x06 | 0x16 | 0x07 | 0x87 | 0x81 | 0xb1 => true,
        // A from the frame at K (word, half, byte), at X+K, from the length; negate A
        0x20 | 0x28 | 0x30 | 0x40 | 0x48 | 0x50 | 0x80 | 0x84 => true,
        // A and X from K, from scratch memory, to scratch memory
        0x00 | 0x01 | 0x60 | 0x61 | 0x02 | 0x03 => true,
        code => match (code & 0xff07, code & 0xf0) {
            (0x04, operation) => operation <= 0xa0 && operation != 0x80,
            (0x05, condition) => (0x10..=0x40).contains(&condition),
            _ => false,
        },
    })
}

/// The version as libpcap tells it, such as "libpcap version 1.10.3 (with TPACKET_V3)".
pub fn library_version() -> Result<String, FilterError> {
    let api = api()?;
    // SAFETY: returns a text that ends in NUL and lives as long as the library, which stays loaded.
    let version = unsafe { CStr::from_ptr((api.pcap_lib_version)()) };
    Ok(version.to_string_lossy().into_owned())
}

const DLT_EN10MB: c_int = 1;
const OPTIMIZE: c_int = 1;
/// PCAP_NETMASK_UNKNOWN: "ip broadcast" is then an error rather than a guess.
const NETMASK_UNKNOWN: u32 = 0xffff_ffff;
/// BPF_JMP|BPF_JA: skip K instructions.
const JUMP: u16 = 0x05;
/// BPF_ST: A goes to M\[k\].
const STORE_A: u16 = 0x02;

/// What libpcap's file is called: by its own soname, and by Debian's.
const LIBRARY_NAMES: [&str; 2] = ["libpcap.so.1", "libpcap.so.0.8"];

/// C's `struct bpf_program`.
#[repr(C)]
struct Program {
    len: c_uint,
    instructions: *mut RawInstruction,
}

/// C's `pcap_t`, of which only the address is ours.
type Handle = *mut c_void;

/// Program, frame, its length on the wire, bytes there.
type BpfFilter = unsafe extern "C" fn(*const RawInstruction, *const u8, c_uint, c_uint) -> c_uint;

/// libpcap's functions. The library stays loaded as long as they do: for ever.
struct Api {
    pcap_open_dead: unsafe extern "C" fn(c_int, c_int) -> Handle,
    pcap_compile: unsafe extern "C" fn(Handle, *mut Program, *const c_char, c_int, u32) -> c_int,
    pcap_geterr: unsafe extern "C" fn(Handle) -> *const c_char,
    pcap_freecode: unsafe extern "C" fn(*mut Program),
    pcap_close: unsafe extern "C" fn(Handle),
    pcap_lib_version: unsafe extern "C" fn() -> *const c_char,
    bpf_validate: unsafe extern "C" fn(*const RawInstruction, c_int) -> c_int,
    bpf_filter: BpfFilter,
    _library: Library,
}

/// The functions, from the first call on.
fn api() -> Result<&'static Api, FilterError> {
    static API: OnceLock<Result<Api, String>> = OnceLock::new();
    let loaded = API.get_or_init(|| load().map_err(|e| e.to_string()));
    loaded.as_ref().map_err(|cause| FilterError::LibraryMissing { cause: cause.clone() })
}

fn load() -> Result<Api, libloading::Error> {
    let [first, second] = LIBRARY_NAMES;
    // SAFETY: loading runs the library's constructors. These names are libpcap's alone, found where the
    // system keeps its libraries, and libpcap asks nothing of the process that loads it.
    let library = unsafe { Library::new(first).or_else(|_| Library::new(second)) }?;
    // SAFETY: each type is what pcap.h and pcap/bpf.h declare for that name, and the pointers are
    // kept beside the library that they point into.
    unsafe {
        Ok(Api {
            pcap_open_dead: *library.get(b"pcap_open_dead\0")?,
            pcap_compile: *library.get(b"pcap_compile\0")?,
            pcap_geterr: *library.get(b"pcap_geterr\0")?,
            pcap_freecode: *library.get(b"pcap_freecode\0")?,
            pcap_close: *library.get(b"pcap_close\0")?,
            pcap_lib_version: *library.get(b"pcap_lib_version\0")?,
            bpf_validate: *library.get(b"bpf_validate\0")?,
            bpf_filter: *library.get(b"bpf_filter\0")?,
            _library: library,
        })
    }
}

#[cfg(test)]
mod tests;
