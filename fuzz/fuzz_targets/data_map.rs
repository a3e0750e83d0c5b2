#![no_main]
use talos_vmtoolsd::vmware::wire::fuzz::fuzz_data_map;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_data_map(bytes));
