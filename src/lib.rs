//! talos-vmtoolsd: the guest agent that makes a Talos Linux node a first-class citizen of its hypervisor.

pub mod commands;
pub mod config;
pub mod daemon;
pub mod facts;
pub mod log;
pub mod proc;
pub mod rpc;
pub mod services;
pub mod talos;
pub mod transport;
pub mod wire;
