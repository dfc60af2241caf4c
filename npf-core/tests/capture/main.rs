//! From tap to reader, through the public interface only.

#![cfg(test)] // so that helpers, too, count as test code for the lints

mod account;
mod controls;
mod direction;
mod dump;
mod inject;
mod markers;
mod modes;
mod packet_queue;
mod reads;
mod ring;
mod savefile;
mod segments;
mod statistics;
mod store_hold;
mod support;
mod transmit;
mod worker;
mod zero_copy;
mod zero_copy_fork;
mod zero_copy_hostile;
