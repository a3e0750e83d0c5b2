#![no_main]
use talos_vmtoolsd::vmware::wire::fuzz::fuzz_hgfs;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_hgfs(bytes));
