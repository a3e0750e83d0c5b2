#![no_main]
use talos_vmtoolsd::qemu::qmp::fuzz::fuzz_qmp_arguments;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_qmp_arguments(bytes));
