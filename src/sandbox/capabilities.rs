//! Capabilities: all are dropped but those that turn out to be needed.
//!
//! | kept | when |
//! |---|---|
//! | CAP_NET_BIND_SERVICE | vsock sockets can be made here: the host answers privileged commands to ports below 1024 alone |
//! | CAP_DAC_OVERRIDE | machined's socket is not there yet, or belongs to somebody else and only its owner may write to it, as on Talos (apid's user, 50); or the port belongs to somebody else |
//! | CAP_DAC_READ_SEARCH | the talosconfig or the configuration file belongs to somebody else and only its owner may read it |
//!
//! Capabilities belong to threads, so this is done while there is one.

use std::path::Path;

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};

use super::Host;
use super::needs::Needs;

/// Those that are held and needed. None is in effect while we try what works without them.
///
/// # Errors
/// The kernel's refusal, in one phrase.
pub(super) fn needed(needs: &Needs, host: &Host) -> Result<Vec<Capability>, String> {
    let held = caps::read(None, CapSet::Permitted).map_err(phrase)?;
    let effective = caps::read(None, CapSet::Effective).map_err(phrase)?;
    caps::clear(None, CapSet::Effective).map_err(phrase)?;
    let mut needed = files(needs);
    caps::set(None, CapSet::Effective, &effective).map_err(phrase)?;
    if needs.vsock && host.has_vsock() {
        needed.push(Capability::CAP_NET_BIND_SERVICE);
    }
    needed.retain(|capability| held.contains(capability));
    Ok(needed)
}

/// Gives up all capabilities but these, in all sets.
///
/// # Errors
/// The kernel's refusal, in one phrase.
pub(super) fn drop_all_but(kept: &[Capability]) -> Result<(), String> {
    let kept: CapsHashSet = kept.iter().copied().collect();
    // The bounding set stays without CAP_SETPCAP; it only matters for programs that we execute: none.
    let _ = caps::clear(None, CapSet::Bounding);
    // Kernels before 4.3 have no ambient set.
    let _ = caps::clear(None, CapSet::Ambient);
    caps::clear(None, CapSet::Inheritable).map_err(phrase)?;
    caps::set(None, CapSet::Effective, &kept).map_err(phrase)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(phrase)
}

/// The capabilities as one phrase.
pub(super) fn text(kept: &[Capability]) -> String {
    if kept.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<String> = kept.iter().map(Capability::to_string).collect();
    names.join(", ")
}

/// Those without which the needed files could not be used.
fn files(needs: &Needs) -> Vec<Capability> {
    if let Some(socket) = &needs.socket
        && may(socket, AccessFlags::W_OK) != Ok(())
    {
        return vec![Capability::CAP_DAC_OVERRIDE];
    }
    if let Some(port) = &needs.port
        && may(port, AccessFlags::R_OK | AccessFlags::W_OK) == Err(Errno::EACCES)
    {
        return vec![Capability::CAP_DAC_OVERRIDE];
    }
    let unreadable = |file: &Path| may(file, AccessFlags::R_OK) == Err(Errno::EACCES);
    if needs.files.iter().any(|file| unreadable(file)) {
        return vec![Capability::CAP_DAC_READ_SEARCH];
    }
    Vec::new()
}

/// Asks the kernel, which judges by the capabilities in effect.
fn may(path: &Path, access: AccessFlags) -> Result<(), Errno> {
    faccessat(AT_FDCWD, path, access, AtFlags::AT_EACCESS)
}

fn phrase(error: CapsError) -> String {
    error.to_string()
}
