#![no_main]
use talos_vmtoolsd::vmware::rpc::fuzz::fuzz_message_channel;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_message_channel(bytes));
