#![no_main]
use talos_vmtoolsd::vmware::rpc::fuzz::fuzz_rpci_client;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_rpci_client(bytes));
