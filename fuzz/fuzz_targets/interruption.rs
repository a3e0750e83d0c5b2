#![no_main]
use talos_vmtoolsd::interruption::fuzz::fuzz_interruption;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_interruption(bytes));
