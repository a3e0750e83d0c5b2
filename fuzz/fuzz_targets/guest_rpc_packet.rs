#![no_main]
use talos_vmtoolsd::vmware::wire::fuzz::fuzz_guest_rpc_packet;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_guest_rpc_packet(bytes));
