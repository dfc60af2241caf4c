//! libFuzzer's way into [`fuzz::vhost_user`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::vhost_user::run(bytes));
