//! Release and version of the kernel, and the machine's name, by uname.

use nix::sys::utsname::uname;

use crate::facts::Machine;

/// What the kernel is; empty if uname fails.
pub fn machine() -> Machine {
    let Ok(name) = uname() else {
        return Machine::default();
    };
    Machine {
        kernel_release: name.release().to_string_lossy().into_owned(),
        kernel_version: name.version().to_string_lossy().into_owned(),
        machine: name.machine().to_string_lossy().into_owned(),
    }
}
