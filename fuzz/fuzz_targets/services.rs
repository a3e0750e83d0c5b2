#![no_main]
use talos_vmtoolsd::vmware::services::fuzz::fuzz_services;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_services(bytes));
