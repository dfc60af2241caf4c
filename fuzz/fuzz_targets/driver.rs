//! libFuzzer's way into [`fuzz::driver`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::driver::run(bytes));
