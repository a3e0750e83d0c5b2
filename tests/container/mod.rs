//! The binary inside the container that Talos makes of its service file.
//!
//! ```text
//!   extension/talos-vmtoolsd.yaml ── spec/ (containerd's packages) ──► v1.14.json, v1.13.json ── crun ──► pid 1
//! ```
//! `make container` writes the OCI runtime specs and runs these tests; `cargo test` leaves them out, because they
//! need root, crun and Go. The simulated VMX runs crun, and follows it into the container: the filter that stops the
//! daemon for the simulator is below the container's own, and where the container's says no that is what counts.

mod bundle;
mod confinement;
mod service;
mod snapshots;
