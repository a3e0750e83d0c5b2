#![no_main]
use talos_vmtoolsd::vmware::rpc::fuzz::fuzz_tclo;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_tclo(bytes));
