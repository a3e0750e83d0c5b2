#![no_main]
use talos_vmtoolsd::freeze::fuzz::fuzz_freezer_message;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_freezer_message(bytes));
