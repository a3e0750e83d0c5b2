#![no_main]
use talos_vmtoolsd::vmware::wire::fuzz::fuzz_vm_operation_notification;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_vm_operation_notification(bytes));
