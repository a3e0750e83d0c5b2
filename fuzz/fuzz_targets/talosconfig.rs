#![no_main]
use talos_vmtoolsd::config::fuzz::fuzz_talosconfig;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_talosconfig(bytes));
