//! The capture API against libpcap's manual pages, each rule by the page that has it.

#![cfg(test)] // so that helpers, too, count as test code for the lints

mod activation;
mod breaking;
mod designs;
mod live;
mod reading;
mod savefile;
mod sending;
mod sequences;
mod support;
mod waiting;
