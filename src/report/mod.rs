//! What is worth showing of a node: made of [`crate::facts`] and the operator's policy, without any wire form.
//!
//! Every front end and `talosquery` show the same: NICs with their addresses, the primary one first, and why
//! ([`decide`]); file systems with their space ([`file_systems()`]); the form of the host name ([`HostNameForm`]).

mod file_systems;
mod glob;
mod host_name;
mod network;
mod policy;
mod whole;

pub use file_systems::{FileSystem, file_systems, known_places};
pub use glob::Glob;
pub use host_name::HostNameForm;
pub use network::{
    AddressDecision, AddressOrigin, Decision, Nic, NicAddress, NicRoute, Reason, Rule, Standing,
    Verdict, decide,
};
pub use policy::{Family, NetworkPolicy, Pattern, Patterns, Subnet, Unreadable};
pub use whole::Report;
