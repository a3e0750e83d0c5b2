#![no_main]
use talos_vmtoolsd::vmware::wire::fuzz::fuzz_hypervisor;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_hypervisor(bytes));
