#![no_main]
use talos_vmtoolsd::vmware::wire::fuzz::fuzz_tclo_text;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_tclo_text(bytes));
