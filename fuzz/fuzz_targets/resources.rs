#![no_main]
use talos_vmtoolsd::talos::fuzz::fuzz_resources;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_resources(bytes));
