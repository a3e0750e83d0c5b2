#![no_main]
use talos_vmtoolsd::config::fuzz::fuzz_config_file;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_config_file(bytes));
