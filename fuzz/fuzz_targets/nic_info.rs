#![no_main]
use talos_vmtoolsd::vmware::wire::fuzz::fuzz_nic_info;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_nic_info(bytes));
