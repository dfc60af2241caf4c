//! libFuzzer's way into [`fuzz::device`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::device::run(bytes));
