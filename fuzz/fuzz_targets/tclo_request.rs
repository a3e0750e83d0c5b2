#![no_main]
use talos_vmtoolsd::vmware::services::fuzz::fuzz_tclo_request;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_tclo_request(bytes));
