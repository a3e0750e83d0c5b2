//! talos-vmtoolsd: the guest agent that makes a Talos Linux node a first-class citizen of its hypervisor.
//!
//! ```text
//!               guest RPC                                                gRPC: unix socket or mutual TLS
//! ┌───────────┐            ┌─────────────┐ ── orders ──► ┌────────┐     ┌───────┐     ┌──────────────────┐
//! │ VMX       │ ◄────────► │ vmware      │               │ daemon │ ◄─► │ talos │ ◄─► │ machined or apid │
//! └───────────┘            └─────────────┘ ◄── facts, ── └────────┘     └───────┘     └──────────────────┘
//!  hypervisor               front_end::FrontEnd outcomes   one step: core::Core
//! ```
//!
//! Two sides, and nobody knows both but the [`daemon`]. A **front end** speaks the guest protocol of one
//! hypervisor: [`vmware::Vmware`], [`qemu::Qemu`]. **[`talos`]** speaks the API of the node. Between them stand plain
//! types: [`facts`] is what is known of the node, [`report`] what is worth showing of it, [`power`] the words of a
//! power operation, [`diagnosis`] what works and what does not, [`front_end`] what the daemon asks of a front end.
//! [`interruption`] decides what happens between a press of a power button and the call to Talos: hold, hand over,
//! drain, force.
//! What a user of the host may ask of the node is [`guest_operations`]' business, in the words of [`inquiry`].
//! What Talos does not say, [`proc`] reads from the kernel. [`sandbox`] gives up what the process does not need.
//! [`freezer`] is a process beside it, the only one that may freeze file systems; what is frozen when is [`freeze`]'s.
//!
//! Codecs and state machines are sans-IO: they are fed bytes, facts and the time, and say what they want done.
//! [`daemon`] has the agent's only event loop and its only clock; beside it, [`talos`] alone spawns tasks: to connect to
//! apid, and one for each inquiry.
//!
//! # Where to start reading
//!
//! Follow one request. The host puts `OS_Reboot` on its TCLO channel; [`vmware::transport::backdoor`] makes the
//! calls that [`vmware::rpc::message_channel`] asks for, [`vmware::rpc::tclo`] finds a request in what comes back,
//! and [`vmware::link::tclo`] hands it to [`vmware::services`]. Those answer `OK ` and ask for a Reboot;
//! [`daemon::core`] passes the press to [`interruption`], whose call goes to [`daemon::bridge`], which starts
//! [`talos::carry_out`]. Its outcome travels back the same way and leaves the services as an RPCI command, by
//! [`vmware::rpc::rpci`].
//!
//! Or follow one fact: [`talos::observe`] watches Talos' resources and keeps one [`facts::Facts`] value,
//! whose changes the services compare with what the host has acknowledged.
//!
//! # Who imports whom
//!
//! Arrows run downwards only, from a row to rows below it; `tests/architecture.rs` compares this table with the
//! imports. Neither front end knows the other, and none knows Talos.
//!
//! ```text
//! commands          → config daemon diagnosis facts freeze freezer guest_operations interruption log proc report
//!                     sandbox talos
//!                     qemu::port vmware::link vmware::rpc vmware::services vmware::transport vmware::wire
//! daemon            → config diagnosis facts fairness freeze freezer front_end inquiry interruption log power proc
//!                     sandbox talos qemu qemu::port vmware vmware::link vmware::transport
//! sandbox           → config diagnosis log traps
//! qemu              → config diagnosis facts freeze front_end power
//!                     qemu::commands qemu::port
//! qemu::commands    → backoff config diagnosis facts freeze front_end power report qemu::qmp
//! qemu::port        → diagnosis
//! qemu::qmp         → –
//! vmware            → config diagnosis facts fairness freeze front_end guest_operations inquiry power
//!                     vmware::link vmware::rpc vmware::services vmware::transport
//! vmware::services  → backoff config diagnosis facts freeze front_end guest_operations inquiry log power report
//!                     vmware::wire
//! vmware::link      → config diagnosis log vmware::rpc vmware::transport vmware::wire
//! vmware::rpc       → backoff vmware::wire
//! vmware::transport → diagnosis log traps vmware::wire
//! vmware::wire      → –
//! talos             → backoff config diagnosis facts inquiry log power
//! guest_operations  → config diagnosis facts inquiry
//! front_end         → config diagnosis facts freeze inquiry power
//! interruption      → backoff config facts power
//! freezer           → freeze
//! freeze            → config diagnosis facts log report
//! log               → config
//! config            → report
//! inquiry           → diagnosis
//! diagnosis         → facts
//! report            → facts
//! proc              → facts
//! facts             → –
//! power             → –
//! traps             → –
//! backoff           → –
//! fairness          → –
//! ```

pub mod backoff;
pub mod commands;
pub mod config;
pub mod daemon;
pub mod diagnosis;
pub mod facts;
pub mod fairness;
pub mod freeze;
pub mod freezer;
pub mod front_end;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod guest_operations;
pub mod inquiry;
pub mod interruption;
pub mod log;
pub mod power;
pub mod proc;
pub mod qemu;
pub mod report;
pub mod sandbox;
pub mod talos;
pub mod traps;
pub mod vmware;
