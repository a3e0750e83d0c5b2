//! The unmodified binary from outside: a simulated VMX on one side, an embedded Talos API on the other.
//!
//! ```text
//!   Vmx (tests/vmx) ── backdoor, vsock, serial port ──► TALOS_VMTOOLSD ── socket, TLS ──► Apid (tests/apid)
//! ```
//! `make test` builds the release binary and names it in TALOS_VMTOOLSD. Each module is one theme; `support`
//! holds what they share. Nothing here sleeps: tests wait for events, with deadlines. Every run ends with a
//! look at the protocol violations that the host has seen; there must be none.

#![cfg(test)]
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod backdoor;
mod check_command;
mod clocks;
#[path = "../container/mod.rs"]
mod container;
mod flood;
mod guest_info;
mod guest_operations;
mod guest_operations_faults;
mod guest_operations_files;
mod guest_operations_logins;
mod guest_operations_programs;
mod guest_operations_settings;
mod guest_operations_talos;
mod guest_operations_transfers;
mod guest_variables;
mod ha;
mod interruptions;
mod inventory;
mod layouts;
mod lost_host;
mod nics_of_vmtoolsd;
mod off_vmware;
#[path = "../vmx/tests/support/mod.rs"]
mod open_vm_tools;
mod power;
mod predecessor;
mod process;
mod qemu;
mod qemu_port;
mod qemu_power;
mod qemu_protocol;
mod qemu_quiesce;
mod qemu_talos;
mod quiesce;
mod registration;
mod reload;
#[path = "../sweep/report.rs"]
mod report;
mod right_node;
mod rpc_command;
mod sandbox;
mod schedule;
mod second_agent;
mod settings;
mod signals;
mod slow_host;
mod snapshots;
mod start_up;
mod storage;
mod support;
mod sweep_sample;
mod talos_away;
mod tclo;
mod tls;
mod trouble;
mod vmotion;
mod vsock;
