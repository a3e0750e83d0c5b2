#![no_main]
use talos_vmtoolsd::qemu::fuzz::fuzz_guest_agent;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_guest_agent(bytes));
