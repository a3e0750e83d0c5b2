#![no_main]
use talos_vmtoolsd::guest_operations::logins::fuzz::fuzz_token;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_token(bytes));
