//! The freezer: a process of its own, the only one that may freeze file systems.
//!
//! ```text
//! agent (no rights) ── socket pair: freeze::message ──► freezer (CAP_SYS_ADMIN, knows no host)
//! ```
//! It thaws by itself: when its limit is reached, when the socket ends, at SIGTERM. From its first step on it allocates
//! nothing, and it never writes to a file or a log: what it waits for might be frozen.

mod filter;
mod ioctl;
mod link;
mod memory;
mod node;
mod path;
mod process;
mod run;

pub use link::{Freezer, Link};

use std::ffi::OsStr;
use std::process::ExitCode;

/// By this name the program is the freezer.
pub const NAME: &str = "talos-vmtoolsd-freezer";

/// Runs the freezer if that is what the program is called as; its socket is standard input.
pub fn main(name: Option<&OsStr>) -> Option<ExitCode> {
    (name? == NAME).then(|| match process::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}
