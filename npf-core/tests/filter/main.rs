//! Filter programs, through the public interface only.

#![cfg(test)] // so that helpers, too, count as test code for the lints

mod dialects;
mod formats;
mod jit;
mod ops;
mod properties;
mod refusals;
mod vectors;
