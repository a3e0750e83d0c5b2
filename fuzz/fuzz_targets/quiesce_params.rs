#![no_main]
use talos_vmtoolsd::vmware::wire::fuzz::fuzz_quiesce_params;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_quiesce_params(bytes));
