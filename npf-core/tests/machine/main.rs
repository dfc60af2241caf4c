//! Random sequences of all controls, against a small reference model of each capture buffer design.
//!
//! ```text
//!   ops ------> reference ------ foretells ----> answer, events, deliveries, wake-ups
//!    |          (reference.rs, handle.rs: filters,            | must be equal
//!    |           reads; model.rs: one design each)            v
//!    +--------> system.rs: npf_core::Adapter ---> what it answered and told, and a ledger of its own
//! ```
//!
//! The reference knows what is common to all designs: which handle wants a frame, which control is
//! refused, what a read step may do, when the read event is set. A [`model::Model`] knows one design:
//! whether a packet is kept, what it is charged, who is woken, what a read hands out. What they
//! foretell is compared event by event, field by field, byte by byte ([`system`]).
//!
//! To add a design:
//!
//! 1. one file here, named as the engine's, with a type that implements [`model::Model`]. Write it
//!    from the description of the design and as plainly as possible: lists and sums instead of
//!    positions and pointers wherever the description allows. It must not look at the engine;
//! 2. the line `mod <name>;` below;
//! 3. in the new file `prop_state_machine! { #[test] fn <name>(sequential 1..80 => Machine<YourModel>); }`.
//!
//! A design whose records are not Npcap's overrides `Model::records`; one that holds bytes which no
//! queued packet is charged for overrides `Model::uncharged`, one that frees what packets
//! are charged before they are gone `Model::freed`; one that is only interesting with more
//! CPUs or other sizes overrides the strategies.

#![cfg(test)] // so that helpers, too, count as test code for the lints

mod handle;
mod model;
mod ops;
mod packet_queue;
mod reference;
mod ring;
mod segments;
mod store_hold;
mod system;
mod worker;
mod zero_copy;
