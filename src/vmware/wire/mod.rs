//! Pure codecs, one per file: bytes in, types out, and back.

pub mod app_monitor;
pub mod backup_event;
pub mod datamap;
pub mod disk_info;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod guest_info;
pub mod guest_rpc_packet;
pub mod guest_stats;
pub mod hgfs;
pub mod hypervisor;
pub mod message;
pub mod nic_info_v3;
pub mod ovf_env;
pub mod quiesce_params;
pub mod registers;
pub mod text;
pub mod vix;
pub mod vm_operation_notification;
pub mod xdr;
