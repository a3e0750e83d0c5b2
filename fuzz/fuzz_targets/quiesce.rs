#![no_main]
use talos_vmtoolsd::freeze::fuzz::fuzz_quiesce;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_quiesce(bytes));
