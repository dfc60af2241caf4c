//! Machine code in memory: made from operations, run, and freed.
//!
//! Contract: [`Code`] holds the one function of one program. It may be run from any number of threads
//! at once, and is freed when it is dropped.
//!
//! # Why this module may use `unsafe`
//!
//! It calls code that it has just generated, which Rust cannot check, and gives its memory back. A
//! [`Code`] is made from operations only by `translate.rs`, whose contract is what the call relies on:
//! the function reads the frame only within its length and the table only at the slots that it asked
//! for, and it writes, keeps and calls nothing.
#![allow(unsafe_code)]

use std::mem;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use cranelift_codegen::Context;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Module, ModuleError, default_libcall_names};

use super::super::Ancillary;
use super::super::op::Op;
use super::JitError;
use super::translate::{Asked, Rules, Translated, translate};

/// `(frame, bytes there, length on the wire, table) -> bytes to keep`.
type Entry = unsafe extern "C" fn(*const u8, usize, u32, *const u32) -> u32;

/// The code of one program.
pub(super) struct Code {
    entry: Entry,
    asked: Vec<Asked>,
    /// Owns the memory that `entry` points into. Looked at only when that is freed, so the lock is
    /// never taken; it is there as a module alone may not be shared by threads.
    module: Mutex<Option<JITModule>>,
}

impl Code {
    /// Compiles operations.
    pub(super) fn new(ops: &[Op], rules: Rules) -> Result<Self, JitError> {
        let isa = machine()?;
        let Translated { function, asked } = translate(ops, isa.as_ref(), rules)?;
        let mut builder = JITBuilder::with_isa(isa, default_libcall_names());
        #[cfg(all(unix, target_arch = "x86_64"))]
        builder.memory_provider(Box::new(super::pages::Pages::new()));
        let mut module = JITModule::new(builder);
        let id = match define(&mut module, function) {
            Ok(id) => id,
            Err(error) => {
                // SAFETY: nothing has been given out that points into the module.
                unsafe { module.free_memory() };
                return Err(error);
            }
        };
        let start = module.get_finalized_function(id);
        // SAFETY: `start` is the finished function that was declared with the signature of
        // `translate`, which is that of `Entry` in the calling convention of `extern "C"` here: pointer
        // and usize have 64 bits, as `machine` has seen to.
        let entry = unsafe { mem::transmute::<*const u8, Entry>(start) };
        Ok(Self { entry, asked, module: Mutex::new(Some(module)) })
    }

    /// Runs the program.
    #[inline]
    pub(super) fn run(&self, data: &[u8], wire_len: u32, ancillary: &Ancillary) -> u32 {
        if !self.asked.is_empty() {
            return answer_and_run(data, wire_len, self, ancillary);
        }
        // SAFETY: the memory that `entry` points into is freed no sooner than `self`. The code reads at
        // most `len` bytes of the frame, and nothing of a table for which it has not asked.
        unsafe { (self.entry)(data.as_ptr(), data.len(), wire_len, ptr::null()) }
    }
}

/// Runs a program that asks for more. The frame comes first, so that it is in the same registers as for
/// the call that most programs take.
#[cold]
#[inline(never)]
fn answer_and_run(data: &[u8], wire_len: u32, code: &Code, ancillary: &Ancillary) -> u32 {
    let mut table = [0; Asked::COUNT];
    for (slot, asked) in table.iter_mut().zip(&code.asked) {
        *slot = match *asked {
            Asked::NetworkOffset => ancillary.network_offset,
            Asked::Field(field) => ancillary.value(field),
        };
    }
    // SAFETY: as in `run`; and the table has a slot for each kind that may be asked, which is asked
    // once at most.
    unsafe { (code.entry)(data.as_ptr(), data.len(), wire_len, table.as_ptr()) }
}

impl Drop for Code {
    fn drop(&mut self) {
        let module = self.module.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(module) = module {
            // SAFETY: the one pointer into the module is `entry`. It never leaves `self`, and nobody
            // runs it, as `self` is borrowed for as long as it runs.
            unsafe { module.free_memory() };
        }
    }
}

/// Generates the code of `function`, and makes it executable.
fn define(module: &mut JITModule, function: Function) -> Result<FuncId, JitError> {
    let failed = |error: ModuleError| JitError::Compiler { what: error.to_string() };
    let mut context = Context::for_function(function);
    let id = module.declare_anonymous_function(&context.func.signature).map_err(failed)?;
    module.define_function(id, &mut context).map_err(failed)?;
    module.finalize_definitions().map_err(failed)?;
    Ok(id)
}

/// The code generator for the machine that this runs on.
fn machine() -> Result<OwnedTargetIsa, JitError> {
    let unknown = |what: &dyn ToString| JitError::Machine { what: what.to_string() };
    let host = cranelift_native::builder().map_err(|what| unknown(&what))?;
    let mut flags = settings::builder();
    for (name, value) in [
        ("opt_level", "speed"),
        // The code is small and has no calls: no stack to probe, nothing to unwind or relocate.
        ("enable_probestack", "false"),
        ("unwind_info", "false"),
        ("is_pic", "false"),
        ("use_colocated_libcalls", "false"),
    ] {
        flags.set(name, value).map_err(|error| unknown(&error))?;
    }
    let isa = host.finish(settings::Flags::new(flags)).map_err(|error| unknown(&error))?;
    if isa.pointer_bits() != 64 {
        return Err(unknown(&isa.triple()));
    }
    Ok(isa)
}
