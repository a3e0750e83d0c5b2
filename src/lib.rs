//! talos-vmtoolsd: the guest agent that makes a Talos Linux node a first-class citizen of its hypervisor.
//!
//! ```text
//!            guest RPC: backdoor or vsock                             gRPC: unix socket or mutual TLS
//! ┌──────┐   ┌───────────┐   ┌───────────────┐   ┌──────────┐   ┌───────┐   ┌──────────────────┐
//! │ VMX  │◄─►│ transport │◄─►│ rpc           │◄─►│ services │◄─►│ talos │◄─►│ machined or apid │
//! │ host │   │           │   │ RPCI and TCLO │   │          │   │       │   │                  │
//! └──────┘   └───────────┘   └───────────────┘   └──────────┘   └───────┘   └──────────────────┘
//!                    the arrows between the boxes are drawn by daemon alone
//! ```
//!
//! Above `transport` and below `talos` nothing does I/O: [`vmware::wire`] are codecs, [`vmware::rpc`] and [`vmware::services`] are
//! machines that are fed bytes, facts and the time, and that say what they want done. [`daemon`] does it: it
//! has the only event loop, the only clock and the only `spawn`. [`facts`] is what is known of the node,
//! without any wire form, so that neither side knows the other's; what Talos does not tell, [`proc`] reads from
//! the kernel. [`sandbox`] gives up what the process does not need.
//!
//! # Where to start reading
//!
//! Follow one request. The host puts `OS_Reboot` on its TCLO channel; [`vmware::transport::backdoor`] makes the calls
//! that [`vmware::rpc::message_channel`] asks for, [`vmware::rpc::tclo`] finds a request in what comes back, and
//! [`daemon::event_loop`] hands it to [`vmware::services`]. Those answer `OK ` and ask for a Reboot;
//! [`daemon::bridge`] starts [`talos::carry_out`], and its outcome travels back through the services as an
//! RPCI command, by [`vmware::rpc::rpci`].
//!
//! Or follow one fact: [`talos::observe`] watches Talos' resources and keeps one [`facts::Facts`] value,
//! whose changes the services compare with what the host has acknowledged.

pub mod backoff;
pub mod commands;
pub mod config;
pub mod daemon;
pub mod facts;
pub mod front_end;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod log;
pub mod power;
pub mod proc;
pub mod report;
pub mod sandbox;
pub mod talos;
pub mod traps;
pub mod vmware;
