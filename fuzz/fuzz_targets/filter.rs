//! libFuzzer's way into [`fuzz::filter`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::filter::run(bytes));
