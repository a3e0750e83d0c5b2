#![no_main]
use talos_vmtoolsd::talos::fuzz::fuzz_sequence_events;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_sequence_events(bytes));
