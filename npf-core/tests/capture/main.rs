//! From tap to reader, through the public interface only.

#![cfg(test)] // so that helpers, too, count as test code for the lints

mod account;
mod controls;
mod packet_queue;
mod reads;
mod ring;
mod segments;
mod store_hold;
mod support;
mod worker;
mod zero_copy;
mod zero_copy_fork;
