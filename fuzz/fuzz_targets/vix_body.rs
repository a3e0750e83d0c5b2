#![no_main]
use talos_vmtoolsd::vmware::wire::fuzz::fuzz_vix_body;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_vix_body(bytes));
