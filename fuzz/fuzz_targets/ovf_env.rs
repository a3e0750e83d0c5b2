#![no_main]
use talos_vmtoolsd::vmware::wire::fuzz::fuzz_ovf_env;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_ovf_env(bytes));
