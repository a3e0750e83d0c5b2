#![no_main]
use talos_vmtoolsd::guest_operations::programs::fuzz::fuzz_programs;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_programs(bytes));
