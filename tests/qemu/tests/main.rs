//! The agent in a real QEMU guest, and Debian's qemu-ga under the same checks, so that they ask for nothing that real
//! hosts do not know.
//!
//! `make test` boots one guest with our agent; `make qemu` runs all. Where QEMU is missing everything is skipped, loudly.

mod checks;
mod libvirt;
mod port;
mod power;
mod proxmox;
mod quiesce;

use std::path::{Path, PathBuf};

use qemu::{Agent, Guest, Parts};

/// Our agent's binary; its place is needed in a guest with qemu-ga, too.
fn binary() -> PathBuf {
    let path = std::env::var_os("TALOS_VMTOOLSD").map(PathBuf::from);
    path.filter(|path| path.is_file())
        .expect("TALOS_VMTOOLSD does not name the binary under test; run `make qemu`")
}

fn parts() -> Parts {
    Parts::new(&binary(), Path::new(env!("CARGO_BIN_EXE_relay"))).unwrap()
}

/// A guest whose agent serves the port.
fn guest(agent: Agent) -> Guest {
    let guest = Guest::start(parts(), agent).unwrap();
    guest.opens_since(0);
    guest
}
