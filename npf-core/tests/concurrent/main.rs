//! The engines used from several threads: the same decisions as the state machine when there is one,
//! and the same account when there are more.

#![cfg(test)] // so that helpers, too, count as test code for the lints

mod equivalence;
mod stress;
